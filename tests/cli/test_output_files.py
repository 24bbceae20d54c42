"""Files that are written: which cannot be, which must not be replaced, and what notes may hold.

A file that cannot be written is told before anything is asked: there is no host here.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from novadev import cli
from tests.cloud import Cloud
from tests.command import novadev

COMMANDS = (
    ("device", "report", "web-1", "-o"),
    ("device", "show", "web-1", "--svg"),
    ("capabilities", "save", "--host", "cmp1", "-o"),
    ("device", "export", "web-1", "-o"),
    ("image-property", "set", "--property", "hw_disk_bus=sata", "web-1", "--plan-out"),
    ("audit", "web-1", "--report"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", ["missing/file", "folder", "link"])
def test_a_file_that_cannot_be_written_is_the_first_thing_said(
    sqlite_cloud: Cloud, tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    sqlite_cloud.add_instance(name="web-1", host="cmp1", vm_state="stopped")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    result = novadev(sqlite_cloud, *command, str(tmp_path / name))
    assert (result.code, result.out) == (4, ""), result.err
    assert name in result.err
    assert ("is a symbolic link" in result.err) is (name == "link")
    assert {path.name for path in tmp_path.iterdir() if not path.is_symlink()} >= {"folder"}
    assert not (tmp_path / "elsewhere").exists()


TO_STDOUT = COMMANDS[:4]
TO_FILES = (
    *COMMANDS[4:],
    ("image-property", "list", "--all", "--log-file"),
    ("audit", "--all", "--rehearse", "cmp1", "--shapes"),
)
MAY = "- means stdout"


@pytest.mark.parametrize("command", [*TO_STDOUT, *TO_FILES], ids=" ".join)
def test_a_dash_is_standard_output_or_refused_and_never_a_file(
    sqlite_cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    sqlite_cloud.add_instance(name="web-1", host="cmp1", vm_state="stopped")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    result = novadev(sqlite_cloud, *command, "-")
    assert list(Path().iterdir()) == []
    is_refused = result.code == 4 and "'-'" in result.err
    assert is_refused is (command in TO_FILES), result.err


def test_every_option_that_names_a_file_to_write_is_among_them() -> None:
    """Those that say so in their help; a mutating command's are the same everywhere."""
    found = {
        (name, MAY in (option.help or ""))
        for command in commands()
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag
        if re.search(WRITES, option.help or "")
        for name in option.opts
    }
    known = {(command[-1], command in TO_STDOUT) for command in [*TO_STDOUT, *TO_FILES]}
    assert found == known | {("--output", True)}


WRITES = r"(?i)^(write|save|draw|append|the (HTML )?file to write)\b"


def commands(group: click.Command = cli.root) -> Iterator[click.Command]:
    yield group
    if isinstance(group, click.Group):
        for name in group.list_commands(context := click.Context(group)):
            if (below := group.get_command(context, name)) is not None:
                yield from commands(below)


SET = ("image-property", "set", "--property", "hw_disk_bus=sata", "web-1", "--plan-out")


def test_a_saved_plan_is_replaced_only_on_demand(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    sqlite_cloud.add_instance(name="web-1", host="cmp1", vm_state="stopped")
    file = tmp_path / "tonight.plan"
    file.touch()
    assert novadev(sqlite_cloud, *SET, str(file)).code == 0
    approved = file.read_bytes()
    refused = novadev(sqlite_cloud, *SET, str(file))
    assert (refused.code, refused.out) == (4, "")
    assert "exists" in refused.err
    assert "--overwrite" in refused.err
    assert file.read_bytes() == approved
    assert novadev(sqlite_cloud, *SET, str(file), "--overwrite", "-m", "CHG-2").code == 0
    assert b"CHG-2" in file.read_bytes()
    alone = novadev(sqlite_cloud, *SET[:-1], "--dry-run", "--overwrite")
    assert (alone.code, "--overwrite goes with --plan-out" in alone.err) == (4, True)


def test_a_note_is_short(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(name="web-1", host="cmp1", vm_state="stopped")
    refused = novadev(sqlite_cloud, *SET[:-1], "--yes", "-m", "x" * 256)
    assert (refused.code, "at most 255" in refused.err) == (4, True)
    assert novadev(sqlite_cloud, "history", "-f", "json").json == []
    assert novadev(sqlite_cloud, *SET[:-1], "--yes", "-m", "x" * 255).code == 0


def test_every_line_of_values_has_all_columns(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(name="web-1", hw_disk_bus="sata")
    chosen = ("-c", "property", "-c", "value", "-c", "agrees")
    asked = ("image-property", "list", "--all", *chosen, "-f")
    lines = [line.split(" ") for line in novadev(sqlite_cloud, *asked, "value").out.splitlines()]
    assert {len(line) for line in lines} == {3}
    assert ["hw_disk_bus", "sata", "True"] in lines
    assert ["hw_vif_model", "None", "True"] in lines
    assert "hw_vif_model,,True\n" in novadev(sqlite_cloud, *asked, "csv").out
