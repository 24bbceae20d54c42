"""``novadev schema``: the JSON Schema of what a command prints, and of a capability file."""

from __future__ import annotations

import json
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from novadev.cli import completion, help, options

DIALECT = "https://json-schema.org/draft/2020-12/schema"
RECORDS = {
    "audit": "novadev.audit.finding:Finding",
    "device drift": "novadev.records.drift:Drift",
    "device forecast": "novadev.device.forecast.records:ForecastRecord",
    "device history": "novadev.records.history:PastChange",
    "device list": "novadev.records.list:ListedGuest",
    "device list --long": "novadev.records.list:ListedDevice",
    "device pin": "novadev.records.pin:PinnedDevice",
    "device record": "novadev.records.record:RecordedGuest",
    "device show": "novadev.device.show_on_host:ShownDevice",
    "device unpin": "novadev.records.pin:PinnedDevice",
    "doctor": "novadev.doctor.result:Result",
    "history": "novadev.runs.history:RunSummary",
    "history RUN": "novadev.cli.past_run:ChangeRecord",
    "image-property list": "novadev.image_property.listing:PropertyRecord",
    "image-property list --wide": "novadev.image_property.listing:ServerProperties",
    "image-property show": "novadev.image_property.listing:PropertyRecord",
}
"""What is printed as an array, and the dataclass that describes one record of it."""
_RUN = "novadev.cli.document:RunDocument"
DOCUMENTS = {
    **dict.fromkeys(
        (
            *("apply", "device alias-migrate", "device detach", "device import", "device restore"),
            *("image-property set", "image-property sync", "image-property unset"),
            *("machine-type set", "resume", "stash-defaults", "undo"),
        ),
        _RUN,
    ),
    "device export": "novadev.records.json_file:Export",
    "plan show": "novadev.cli.document:PlanFileDocument",
}
"""What is printed as one object, and the type that describes it."""
CAPABILITIES_FILE = "capabilities-file"
"""What stands for a command where the schema is that of the file of ``capabilities save``."""
KNOWN = sorted({*RECORDS, *DOCUMENTS, CAPABILITIES_FILE})
"""What the argument of ``schema`` may be."""
_VARIANTS = {word for name in KNOWN for word in name.split() if word.startswith("-")}
"""Options that are a part of such a name."""


@help.command(
    short_help="Print the JSON Schema of a command's output.",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("command", shell_complete=completion.schemas, nargs=-1, type=options.TEXT)
def schema(command: tuple[str, ...]) -> None:
    """Print the JSON Schema of COMMAND's output with "-f json"; without COMMAND, list the commands.

    With "-f jsonl" each line is one item of the array. The schema describes all columns, that is
    the output without "-c". It allows further keys, because later versions may add some. The word
    capabilities-file stands for the file that "capabilities save" writes.

    Example: novadev schema image-property list --wide
    """
    if not command:
        click.echo("\n".join(KNOWN))
        return
    click.echo(json.dumps(schema_of(" ".join(command)), indent=2))


def schema_of(command: str) -> dict[str, Any]:
    """Return the JSON Schema of what COMMAND prints; raises click.UsageError where there is none.

    It is made of the annotations of the type that the command prints.
    """
    command = command.removeprefix("novadev ")
    if command in RECORDS:
        kind = _kind(RECORDS[command])
        found = _of_records(kind)
        shape = {"type": "array", "items": {"$ref": found.pop("$ref")}}
    elif command in DOCUMENTS:
        found = _schema(_kind(DOCUMENTS[command]))
        shape = {"$ref": found.pop("$ref")}
    elif command == CAPABILITIES_FILE:
        from novadev.capabilities.file_schema import file_schema

        found = file_schema()
        shape = {"$ref": found.pop("$ref")}
    else:
        raise click.UsageError(_unknown(command))
    return {"$schema": DIALECT, "title": f"novadev {command}", **shape, **found}


def _kind(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _unknown(command: str) -> str:
    words = command.split()
    odd = [word for word in words if word.startswith("-") and word not in _VARIANTS]
    if odd:
        rest = " ".join(words[: words.index(odd[0])])
        meant = f": novadev schema {rest}" if rest in KNOWN else ""
        return f"schema has no option {odd[0]!r}. Give the name of a command alone{meant}"
    near = get_close_matches(command, KNOWN, 1, 0.6)
    meant = (
        f"Did you mean {near[0]!r}?" if near else "novadev schema lists the commands that have one."
    )
    return f"No command {command!r} with a JSON output. {meant}"


def _of_records(kind: type[Any]) -> dict[str, Any]:
    """Return the schema of records of KIND as ``print_records`` prints them: with every key."""
    from novadev.cli.output import NAME, lacks_name

    found = _schema(kind)
    record = found["$defs"][kind.__name__]
    if lacks_name(kind):
        record["properties"][NAME] = {"type": ["string", "null"]}
    for value in record["properties"].values():
        value.pop("default", None)
    record["required"] = list(record["properties"])
    return found


def _schema(kind: Any) -> dict[str, Any]:
    """Return the schema of KIND; the description of each object is the first line of its own."""
    from novadev.strict_json import schema_of_type

    found = schema_of_type(kind)
    for item in found["$defs"].values():
        if "description" in item:
            item["description"] = item["description"].partition("\n")[0]
    return found
