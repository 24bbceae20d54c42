"""`make cloud` says in one line why a machine can have no cloud, and leaves nothing behind."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud import run as cloud
from tests.hypervisor import PRIVILEGED


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout with the programs of the cloud, whose machine can have one."""
    environment, programs = tmp_path / "nova", tmp_path / "programs"
    for name, file in ((environment, "installed"), (programs, "unpacked")):
        name.mkdir()
        (name / file).touch()
    paths = {"FOLDER": tmp_path, "RUN": tmp_path / "run", "LOGS": tmp_path / "log"}
    paths |= {"LOCK": tmp_path / "lock", "RC": tmp_path / "rc", "ROOT": Path("/checkout")}
    paths |= {"PROGRAMS": programs, "STARTING": tmp_path / "starting"}
    for name, path in paths.items():
        monkeypatch.setattr(cloud, name, path)
    newest = replace(cloud.NOVA, environment=environment)
    monkeypatch.setattr(cloud, "NOVA", newest)
    monkeypatch.setitem(cloud.RELEASES, cloud.NEWEST, newest)
    monkeypatch.setattr(cloud, "unsupported", str)
    monkeypatch.setattr(cloud, "_free_memory", lambda: cloud.MEMORY)
    monkeypatch.setattr(cloud.os, "getuid", int)
    yield tmp_path
    left = {path.name for path in tmp_path.iterdir()}
    assert left <= {"nova", "programs", "lock", "starting", "log"}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (
            "unsupported",
            lambda: "unshare failed",
            "no namespaces for compute hosts: unshare failed.",
        ),
        ("_free_memory", lambda: 1 << 20, "only 1024 MiB of memory are free"),
        ("ROOT", Path("/" + "x" * 80), "is too long for sockets"),
        ("ROOT", Path("/var/novadev"), "Move the checkout /var/novadev elsewhere"),
        ("PROGRAMS", Path("/nowhere"), 'Run "tools/setup cloud" first'),
    ],
)
def test_a_machine_that_can_have_none(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, told: str
) -> None:
    monkeypatch.setattr(cloud, name, value)
    with pytest.raises(cloud.NoCloud) as error:
        cloud.up()
    assert told in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not PRIVILEGED, reason="a process namespace of its own takes root")
def test_what_does_not_come_up_is_removed_and_its_logs_are_kept(
    monkeypatch: pytest.MonkeyPatch, checkout: Path
) -> None:
    first = checkout / "nova" / "first"
    first.write_text("#!/bin/sh\necho no disk is left >&2\n")
    first.chmod(0o755)
    monkeypatch.setattr(cloud.sys, "executable", str(first))
    monkeypatch.setattr(cloud, "ROOT", Path("/"))
    with pytest.raises(cloud.NoCloud, match=r"^the cloud did not come up: no disk is left\. "):
        cloud.up()
    assert (checkout / "log/cloud.log").exists()


def test_what_a_killed_start_left_is_removed(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "run").mkdir()
    (checkout / "rc").touch()
    cloud.down()
    cloud.down()
    assert capsys.readouterr().out == "The cloud is down.\nNo cloud runs.\n"
