"""`--log-file`, `[novadev] log_file` and `-v`: what is done, without secrets."""

import logging
import os
import pwd
import re
import stat
from pathlib import Path

import pytest

from novadev.cli import log, session
from tests.cloud import Cloud
from tests.command import novadev

PASSWORD = "hunter2"


def change(cloud: Cloud, *options: str) -> str:
    uuid = cloud.add_instance(hw_vif_model="e1000")
    message = f"see mysql://root:{PASSWORD}@db/nova"
    command = ["image-property", "set", "--property", "hw_vif_model=virtio", uuid, "-y"]
    result = novadev(cloud, *command, "-m", message, *options)
    assert result.code == 0, result.err
    return uuid


@pytest.mark.parametrize("configured", [False, True], ids=["--log-file", "log_file"])
def test_a_file_has_all_that_was_done(
    sqlite_cloud: Cloud, tmp_path: Path, configured: bool
) -> None:
    """And all that was said; a second run is added, and nobody else can read it."""
    file = tmp_path / "novadev.log"
    options = [] if configured else ["--log-file", str(file)]
    if configured:
        with sqlite_cloud.config_file.open("a") as config:
            config.write(f"log_file = {file}\n")
    first, second = change(sqlite_cloud, *options), change(sqlite_cloud, *options)
    lines = file.read_text().splitlines()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert all(re.match(rf"\d{{4}}-\d\d-\d\dT[\d:]+Z {os.getpid()} INFO ", line) for line in lines)
    text = "\n".join(lines)
    for number, uuid in enumerate((first, second), 1):
        assert f"run {number}: image-property set of instance web-1 ({uuid}): applied" in text
        assert f"Undo it with: novadev undo {number}" in text
    assert text.count("novadev ends with exit code 0 after ") == 2
    assert "cell cell1: opened with sqlite" in text
    assert PASSWORD not in text
    assert "mysql://***@db/nova" in text
    assert not logging.getLogger("novadev").handlers


def test_verbose_logs_on_stderr_alone(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance()
    plain = novadev(sqlite_cloud, "image-property", "list", uuid, "-f", "json")
    verbose = novadev(sqlite_cloud, "-v", "image-property", "list", uuid, "-f", "json")
    assert (plain.out, plain.err) == (verbose.out, "")
    assert "cell cell1: opened with sqlite" in verbose.err
    assert "novadev ends with exit code 0" in verbose.err
    assert verbose.err.count(f"image-property list {uuid}") == 1


def test_a_line_of_somebody_else_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "log"
    log.to_file(str(file))
    log.LOGGER.info("one\n2026-11-29T00:00:00Z 1 INFO two")
    log.end()
    assert len(file.read_text().splitlines()) == 1


def test_a_file_that_cannot_be_written_is_an_error(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    result = novadev(sqlite_cloud, "history", "--log-file", str(tmp_path))
    assert (result.code, result.out) == (4, "")
    assert f"the log file {tmp_path} cannot be written" in result.err


@pytest.mark.parametrize("is_configured", [False, True])
def test_a_full_disk_below_the_log_changes_no_exit_code(
    sqlite_cloud: Cloud, is_configured: bool
) -> None:
    """What the command did is said as ever, and once that the log is not whole."""
    uuid = sqlite_cloud.add_instance(hw_vif_model="virtio")
    option = [] if is_configured else ["--log-file", "/dev/full"]
    if is_configured:
        with sqlite_cloud.config_file.open("a") as file:
            file.write("\n[novadev]\nlog_file = /dev/full\n")
    command = ["image-property", "set", "--property", "hw_vif_model=e1000", uuid, "--yes"]
    result = novadev(sqlite_cloud, *option, *command)
    assert (result.code, sqlite_cloud.system_metadata(uuid)["image_hw_vif_model"]) == (0, "e1000")
    assert result.err.count("The log file /dev/full cannot be written; lines are missing.") == 1
    assert "Traceback" not in result.err


def test_journald_gets_the_priority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As sd-daemon(3) has it, where stderr is what systemd says it is, and nowhere else."""
    with (tmp_path / "stream").open("w+") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        found = os.fstat(stream.fileno())
        for journal, is_it in ((f"{found.st_dev}:{found.st_ino}", True), ("1:2", False)):
            monkeypatch.setenv("JOURNAL_STREAM", journal)
            assert log.is_journal() is is_it
            log.to_screen()
            log.LOGGER.error("host cmp1: lost")
            log.LOGGER.info("run 1")
            log.end()
    lines = (tmp_path / "stream").read_text().splitlines()
    assert lines == ["<3>host cmp1: lost", "<6>run 1", "host cmp1: lost", "run 1"]


def test_the_command_line_has_no_password() -> None:
    found = session.Session()
    found.arguments = ("history", f"http://a:{PASSWORD}@b")
    assert PASSWORD not in found.asked


def test_the_log_names_who_runs_it(sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for variables, name in (({"SUDO_USER": "alice"}, "alice"), ({}, f"uid {os.getuid()}")):
        for variable in ("SUDO_USER", "LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.delenv(variable, raising=False)
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setattr(pwd, "getpwuid", nobody)
        err = novadev(sqlite_cloud, "-v", "history").err
        assert f"run by {name}: " in err


def nobody(uid: int) -> None:
    raise KeyError(uid)
