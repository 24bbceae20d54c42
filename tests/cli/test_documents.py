"""What a script reads on standard output when a command ends with an error."""

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from novadev.cli.schema import DOCUMENTS, RECORDS
from tests import schemas
from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.docs.test_schema import TYPED, cloud, words

__all__ = ("cloud", "words")
FILES = ("device export", "plan show")
"""What these print is, or is made of, a file: there is none without it."""
PRINTING = [name for name in TYPED if name not in FILES]
MISSING = {
    name: re.sub(r"^(undo|history|resume)( [0-9]+)?", r"\1 4711", TYPED[name])
    for name in PRINTING
    if "{guest}" in TYPED[name] or name in ("undo", "history RUN", "resume")
}
"""Commands that get a server or a run that does not exist."""


def documents(command: str, format_: str, result: Result) -> Any:
    """What was printed as one document; fails if it is none, or is not as its schema says."""
    if format_ == "jsonl" and command in RECORDS:
        found: Any = [json.loads(line) for line in result.out.splitlines()]
    elif format_ == "yaml":
        (found,) = yaml.safe_load_all(result.out)
    else:
        found = json.loads(result.out)
    schemas.validator(command).validate(found)
    return found


@pytest.mark.parametrize("format_", ["json", "jsonl", "yaml"])
@pytest.mark.parametrize("command", MISSING)
def test_what_does_not_exist_gives_a_document(
    cloud: Cloud, words: dict[str, str], command: str, format_: str
) -> None:
    typed = shlex.split(MISSING[command].format(**{**words, "guest": "no-such-server"}))
    result = novadev(cloud, *typed, "-f", format_)
    assert result.code == 2, result
    assert "Error: " in result.err
    found = documents(command, format_, result)
    if command in DOCUMENTS:
        assert (found["plans"], found["run"]) == ([], None)
        reasons = " ".join(item["reason"] for item in found["skipped"])
        assert "no-such-server" in reasons or "4711" in reasons
    else:
        assert found == []


@pytest.mark.parametrize("format_", ["json", "jsonl", "yaml"])
@pytest.mark.parametrize("command", PRINTING)
def test_databases_that_cannot_be_reached_give_a_document(
    cloud: Cloud, words: dict[str, str], tmp_path: Path, command: str, format_: str
) -> None:
    config = tmp_path / "nova.conf"
    text = cloud.config_file.read_text()
    config.write_text(re.sub(r"(?m)^((?:state_)?connection) = .*", rf"\1 = {NOWHERE}", text))
    unreachable = cast(Cloud, SimpleNamespace(config_file=config))
    typed = shlex.split(TYPED[command].format(**words).replace(" --no-database", ""))
    result = novadev(unreachable, *typed, "-f", format_)
    assert result.code == 8, result
    found = documents(command, format_, result)
    if command in DOCUMENTS:
        assert found["result"] in ("failed", "nothing")
        assert found["skipped"]


NOWHERE = "mysql+pymysql://nobody@127.0.0.1:1/nothing"


def test_an_error_in_the_middle_of_a_list_leaves_a_whole_document(
    sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    from novadev.cli import output
    from novadev.errors import Unreachable

    def broken(*given: Any) -> Any:
        yield next(rows(*given))
        raise Unreachable("the connection was lost")

    rows = output._rows
    sqlite_cloud.add_instance()
    monkeypatch.setattr(output, "_rows", broken)
    for format_ in ("json", "jsonl", "yaml"):
        result = novadev(sqlite_cloud, "image-property", "list", "--all", "-f", format_)
        assert result.code == 8
        assert len(documents("image-property list", format_, result)) == 1


@pytest.mark.parametrize("command", PRINTING)
def test_a_wrong_command_line_prints_no_document(
    cloud: Cloud, words: dict[str, str], command: str
) -> None:
    typed = shlex.split(TYPED[command].format(**words))
    result = novadev(cloud, *typed, "--no-such-option", "-f", "json")
    assert (result.code, result.out) == (4, "")
