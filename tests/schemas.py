"""What commands print, held against their schemas: every JSON that a test gets of a command."""

import itertools
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import jsonschema

from novadev.cli import COMMANDS
from novadev.cli.schema import DOCUMENTS, RECORDS, schema_of

SAMPLE = 50
"""So many records or plans of one document are looked at."""


def check(arguments: Sequence[str], out: str) -> None:
    """Hold what the command `novadev ARGUMENTS` printed against its schema, if it is whole JSON."""
    command, format_ = command_of(arguments), format_of(arguments)
    if command is None or format_ is None or {"-c", "--column"} & set(arguments):
        return
    try:
        found = [json.loads(line) for line in (out.splitlines() if format_ == "jsonl" else [out])]
    except ValueError:
        return  # an error came before, or in the middle
    document: Any = found if format_ == "jsonl" and command in RECORDS else found[0]
    validator(command).validate(_sample(document))


def _sample(document: Any) -> Any:
    if isinstance(document, list):
        return document[:SAMPLE]
    return {
        key: value[:SAMPLE] if isinstance(value, list) else value for key, value in document.items()
    }


@cache
def validator(command: str) -> jsonschema.Draft202012Validator:
    """What checks a document of COMMAND, in which a key that the schema lacks is an error too."""
    schema = schema_of(command)
    for item in schema["$defs"].values():
        if "properties" in item:
            item["additionalProperties"] = False
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def command_of(arguments: Sequence[str]) -> str | None:
    """The command with a schema that ARGUMENTS run, None where it has none."""
    words = list(arguments)
    while words and words[0] not in COMMANDS:
        words.pop(0)
    for size in (2, 1):
        command = " ".join(words[:size])
        if command in {*RECORDS, *DOCUMENTS}:
            return command + _variant(command, words[size:])
    return None


def _variant(command: str, rest: Sequence[str]) -> str:
    if command == "history" and any(word.isdigit() for word in rest[:1]):
        return " RUN"
    more = [f" {word}" for word in rest if f"{command} {word}" in RECORDS]
    return more[0] if more else ""


def format_of(arguments: Sequence[str]) -> str | None:
    """The one of json and jsonl that ARGUMENTS ask for."""
    if "export" in arguments:
        return None if "--ovf" in arguments else "json"
    asked = [word for option, word in itertools.pairwise(arguments) if option in ("-f", "--format")]
    return asked[-1] if asked and asked[-1] in ("json", "jsonl") else None
