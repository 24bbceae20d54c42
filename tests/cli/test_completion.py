"""What the shells complete, and what they must never put into a command line."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from click.shell_completion import get_completion_class

from novadev.cli import candidates, root
from tests.cli.tab import COMPLETION, START, Shell
from tests.cloud import Cloud
from tests.command import novadev

HOSTILE = (
    *("$(touch pwned)", "`touch pwned`", "a b;touch pwned", "*", "-rf", "new\nline", "x\x1b[2J"),
    "only-*",
)
TYPED = {
    "image-property set --property hw_disk_bus=sat": ["hw_disk_bus=sata"],
    "image-property set --property hw_scsi_mod": ["hw_scsi_model="],
    "image-property list --where hw_vif_model=vmxnet3": ["hw_vif_model=vmxnet3"],
    "device show only-o": ["only-one"],
    "device record --host cmp": ["--host", "cmp1"],
    "audit --cell cell": ["--cell", "cell"],
    "audit --check one-si": ["--check", "one-sided"],
    "audit --capabilities my-": ["--capabilities", "my-plan.json"],
    "apply my-": ["my-plan.json"],
    "device import my-": ["my-plan.json"],
    "image-property list --from-file my-": ["--from-file", "my-plan.json"],
    "device drift --all --colo": ["--all", "--color"],
    "device --verb": ["device", "--verbose"],
    "history --log-f": ["history", "--log-file"],
    "audit --status SHUT": ["--status", "SHUTOFF"],
    "audit --status shut": ["--status", "shutoff"],
    "device drift -c recor": ["-c", "recorded"],
    "machine-type set q3": ["q35"],
    "machine-t": ["machine-type"],
    "undo 12": ["12"],
    "history --action stash-def": ["--action", "stash-defaults"],
    "history --action image-property\\ se": ["--action", "image-property set"],
    'history --action "image-property se': ["--action", "image-property set"],
    "history --action image-property\\ u": ["--action", "image-property unset"],
    "image-property list --wide -c hw_vif_mod": ["-c", "hw_vif_model"],
    "image-property list -c hw_vif_mod": ["-c", "hw_vif_mod"],
    "device list --long -c spec_": ["-c", "spec_params"],
    "history 12 -c bef": ["-c", "before"],
    "schema plan sh": ["plan", "show"],
    "schema capab": ["capabilities-file"],
    "no-such-command x": ["no-such-command", "x"],
    "device show prod": ["prod,db"],
    "image-property list lis": ["list,of,"],
    "device list --host=cm": ["list", "--host=cmp1"],
    "device list --format=jsonl": ["list", "--format=jsonl"],
    "--color=alw": ["--color=always"],
    "image-property set --property=hw_scsi_mod": ["set", "--property=hw_scsi_model="],
    "image-property set --property=hw_disk_bus=sat": ["set", "--property=hw_disk_bus=sata"],
    "audit --capabilities=my-": ["audit", "--capabilities=my-plan.json"],
    "--config-dir=a-fol": ["--config-dir=a-folder"],
    "image-property list --where hw_machine_t": ["hw_machine_type="],
    "image-property list --where hw_machine_type=q3": ["hw_machine_type=q35"],
}
"""A command line before Tab is pressed, and how it ends then."""
IN_EACH = (
    *("image-property set --property hw_disk_bus=sat", "audit --capabilities my-", "undo 12"),
    *("device show only-o", 'history --action "image-property se'),
    *("device drift --all --colo", "audit --status SHUT"),
    *("device show prod", "image-property list lis"),
    *(typed for typed in TYPED if "=" in typed),
)
"""Those that are typed in each shell; the others in one."""


@pytest.fixture
def environment(sqlite_cloud: Cloud, tmp_path: Path) -> Mapping[str, str]:
    """What the shell has: a configuration, and a file of candidates that is a day old."""
    for name in ("only-one", "prod,db", "list,of,", *HOSTILE):
        sqlite_cloud.add_instance(name=name, host="cmp1")
    (tmp_path / "my-plan.json").touch()
    return {
        "NOVADEV_CONFIG_FILE": str(sqlite_cloud.config_file),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


def test_what_is_offered_is_kept_for_its_owner_alone(
    sqlite_cloud: Cloud, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    path = _collect(sqlite_cloud.config_file)
    found = json.loads(path.read_text())
    assert (found["hosts"], found["cells"]) == (["cmp1"], ["cell0", "cell1", "cell2"])
    assert "only-one" in found["servers"]
    assert {"hw_disk_bus=sata", "hw_rng_model=virtio"} <= set(found["values"])
    assert found["columns of device drift"][-1] == "name"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert all("://" not in item for items in found.values() for item in items)


def _collect(config_file: Path) -> Path:
    arguments = json.dumps([[str(config_file)], []])
    path = candidates._file_of(arguments)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "novadev.cli.candidates", str(path), arguments]
    subprocess.run(command, check=True)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", START)
def test_tab_completes_in_a_real_shell(
    kind: str,
    sqlite_cloud: Cloud,
    environment: Mapping[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stashed = ("stash-defaults", "--all", "--yes")
    assert novadev(sqlite_cloud, *stashed).code in (0, 8)
    path = _collect(sqlite_cloud.config_file)
    (tmp_path / "shell").mkdir()
    (tmp_path / "shell" / "my-plan.json").touch()
    (tmp_path / "shell" / "a-folder").mkdir()
    shell, found = Shell(kind, tmp_path / "shell", environment), {}
    try:
        lines = TYPED if kind == "bash" else {typed: TYPED[typed] for typed in IN_EACH}
        for typed, expected in lines.items():
            path.touch()
            got = shell.press(typed)
            found[typed] = [word.rstrip("/") for word in got[-len(expected) :]]
        for name in HOSTILE:
            path.touch()
            shell.press(f"device show {name[:1] if name[0] not in '`$*' else chr(92) + name[0]}")
    finally:
        shell.end()
    assert found == dict(lines)
    assert not list(tmp_path.rglob("pwned"))


COLD = {
    "image-property set --property hw_disk_bus=sat": ["hw_disk_bus=sata"],
    "machine-type set q3": ["q35"],
    "image-property list --where hw_machine_type=q3": ["hw_machine_type=q35"],
    "audit --check one-si": ["one-sided"],
    "device drift --all --colo": ["--color"],
    "device --verb": ["--verbose"],
    "history --log-f": ["--log-file"],
    "audit --status SHUT": ["SHUTOFF"],
    "audit --status shut": ["shutoff"],
    "device drift -c recor": ["recorded"],
}


@pytest.mark.parametrize("typed", COLD)
def test_what_needs_no_database_is_offered_where_no_cache_can_be_written(
    typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    assert _offered("bash", typed) == COLD[typed]


def _offered(kind: str, typed: str) -> list[str]:
    """Return what the completion for this KIND of shell offers after ``novadev TYPED``."""
    shell = get_completion_class(kind)
    assert shell is not None
    words = typed.split()
    items = shell(root, {}, "novadev", "_NOVADEV_COMPLETE").get_completions(words[:-1], words[-1])
    return [item.value for item in items]


@pytest.mark.parametrize("kind", START)
def test_no_shell_loses_the_option_before_an_equals_sign(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bash keeps it by itself; the two others put the answer in place of the whole word."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    shell = get_completion_class(kind)
    assert shell is not None
    lost, seen = [], 0
    for words, command in _commands(root, "novadev"):
        for option in _long_options(command):
            typed = f"{words} {option}="
            monkeypatch.setenv("COMP_WORDS", typed)
            monkeypatch.setenv("COMP_CWORD", _place(kind, typed))
            answer = shell(root, {}, "novadev", "_NOVADEV_COMPLETE").complete()
            plain = [line for line in _plain_words(kind, answer) if line]
            seen += len(plain)
            begins = "" if kind == "bash" else f"{option}="
            lost += [f"{typed} → {word}" for word in plain if not word.startswith(begins)]
    assert seen > 500
    assert lost == []


def _long_options(command: click.Command) -> list[str]:
    return [
        name
        for param in command.params
        if isinstance(param, click.Option) and not param.is_flag
        for name in param.opts
        if name.startswith("--")
    ]


def _place(kind: str, typed: str) -> str:
    """Return COMP_CWORD: fish has the last word there, zsh its number, bash nothing."""
    words = typed.split()
    return words[-1] if kind == "fish" else str(len(words) - 1)


def _plain_words(kind: str, answer: str) -> list[str]:
    lines = answer.split("\n")
    if kind == "zsh":
        return [
            word for type_, word in zip(lines[::3], lines[1::3], strict=False) if type_ == "plain"
        ]
    return [line.removeprefix("plain,") for line in lines if line.startswith("plain,")]


@pytest.mark.parametrize("typed", ["", "device ", "capabilities "])
def test_fish_shows_the_whole_description_of_a_command(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    script = f"source {COMPLETION}/novadev.fish; complete --do-complete 'novadev {typed}'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True
    )
    shown = dict(line.split("\t") for line in done.stdout.splitlines())
    commands = dict(_commands(root, "novadev"))
    named = f"novadev {typed}".strip()
    assert shown
    assert shown == {
        name: commands[f"{named} {name}"].get_short_help_str(limit=200) for name in shown
    }


def test_every_parameter_of_a_file_or_a_name_is_completed() -> None:
    lacking = [
        f"{words}: {param.human_readable_name}"
        for words, command in _commands(root, "novadev")
        for param in command.params
        if _is_of_a_name(param) and param._custom_shell_complete is None
    ]
    assert lacking == []


NAMES = ("FILE", "HOST", "CELL", "INSTANCE", "PROPERTY", "PROJECT", "DIR", "RUN")


def _is_of_a_name(param: click.Parameter) -> bool:
    text = (param.metavar or str(param.name)).upper()
    return not isinstance(param.type, click.File) and any(
        text.strip("[].").startswith(name) or text.endswith(("FILE", ".JSON")) for name in NAMES
    )


def _commands(command: click.Command, words: str) -> list[tuple[str, click.Command]]:
    found = [(words, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found += _commands(child, f"{words} {name}")
    return found
