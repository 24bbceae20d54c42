"""What happens between a plan and its answer, beside a run, and in forged files."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from novadev.cli import mutating
from novadev.image_property import applying
from novadev.runs.journal_rows import fit
from tests.cloud import Cloud
from tests.command import novadev
from tests.runs.test_off_the_straight_way import (
    E1000,
    journal_rows,
    models,
    runs,
    servers,
    small_batches,
    stopped,
)
from tests.state.places import journal_on_mariadb

__all__ = ["small_batches"]


def when_asked(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something else while the next question is open; it is answered yes."""
    real = mutating.confirm

    def confirm(*arguments: Any) -> None:
        monkeypatch.setattr(mutating, "confirm", real)
        act()

    monkeypatch.setattr(mutating, "confirm", confirm)


def test_a_run_that_is_carried_on_while_its_undo_is_asked_about(
    sqlite_cloud: Cloud, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuids = servers(sqlite_cloud, 6)
    stopped(sqlite_cloud, uuids)
    when_asked(monkeypatch, lambda: novadev(sqlite_cloud, "resume", "1", "--yes"))
    late = novadev(sqlite_cloud, "undo", "1", "--yes")
    assert late.code == 7
    assert "run 1 has changed since this undo was planned" in late.err
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert models(sqlite_cloud, uuids) == ["virtio"] * 2 + ["ne2k_pci"] + ["virtio"] * 3


def test_the_same_is_done_again_while_an_undo_is_asked_about(
    sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Bob set is Bob's, although it is the value that the undone run had set."""
    uuids = servers(sqlite_cloud, 2)
    assert novadev(sqlite_cloud, *E1000, *uuids, "--yes").code == 0

    def bob() -> None:
        assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
        assert novadev(sqlite_cloud, *E1000, *uuids, "--yes").code == 0

    when_asked(monkeypatch, bob)
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 7
    assert models(sqlite_cloud, uuids) == ["e1000"] * 2
    assert [run["state"] for run in runs(sqlite_cloud)] == ["applied", "applied", "undone"]


def test_a_saved_undo_of_a_run_that_was_carried_on(
    sqlite_cloud: Cloud, small_batches: None
) -> None:
    uuids = servers(sqlite_cloud, 5)
    stopped(sqlite_cloud, uuids)
    file = str(sqlite_cloud.folder / "undo.plan")
    assert novadev(sqlite_cloud, "undo", "1", "--plan-out", file).code == 0
    assert novadev(sqlite_cloud, "resume", "1", "--yes").code == 0
    assert novadev(sqlite_cloud, "apply", file, "--yes").code == 7
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert "e1000" not in models(sqlite_cloud, uuids)


def test_a_run_that_somebody_finished_while_it_was_asked_about(
    sqlite_cloud: Cloud, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuids = servers(sqlite_cloud, 4)
    stopped(sqlite_cloud, uuids)
    from novadev.cli import history

    real = history.confirm

    def confirm(*_: Any) -> None:
        monkeypatch.setattr(history, "confirm", real)
        assert novadev(sqlite_cloud, "resume", "--yes").code == 0

    monkeypatch.setattr(history, "confirm", confirm)
    late = novadev(sqlite_cloud, "resume", "--yes")
    assert late.code == 3
    assert "has nothing left to do any more" in late.err
    assert runs(sqlite_cloud)[0]["finished"] is not None


def test_undo_of_what_an_undo_of_the_undo_has_begun_to_put_back(sqlite_cloud: Cloud) -> None:
    """Run 1 is undone by 2, and 3, which undoes that, is stopped: a part of 1 may be there."""
    uuids = servers(sqlite_cloud, 2)
    assert novadev(sqlite_cloud, *E1000, *uuids, "--yes").code == 0
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert novadev(sqlite_cloud, "undo", "2", "--yes").code == 0
    with journal_rows(sqlite_cloud) as connection:
        connection.execute(sa.text("UPDATE plans SET state = 'started' WHERE run_id = 3"))
        connection.execute(sa.text("UPDATE plans SET state = 'applied' WHERE run_id = 2"))
        connection.execute(sa.text("UPDATE plans SET state = 'undone' WHERE run_id = 1"))
    late = novadev(sqlite_cloud, "undo", "1", "--yes")
    assert late.code == 7
    assert late.err.count("run 3 has undone a part of it") == 2
    assert novadev(sqlite_cloud, "resume", "3", "--yes").code == 0
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert models(sqlite_cloud, uuids) == ["virtio"] * 2


@pytest.mark.parametrize("choice", ["--dry-run", "--yes"])
def test_an_undo_while_another_undo_is_at_work(
    sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    """Both choices say so at once, before they show a plan."""
    uuids = servers(sqlite_cloud, 2)
    assert novadev(sqlite_cloud, *E1000, *uuids, "--yes").code == 0
    real, others = applying.apply, []

    def apply(*arguments: Any, **more: Any) -> Any:
        monkeypatch.setattr(applying, "apply", real)
        others.append(novadev(sqlite_cloud, "undo", "1", choice))
        return real(*arguments, **more)

    monkeypatch.setattr(applying, "apply", apply)
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    (other,) = others
    assert (other.code, other.out) == (3, "")
    assert "run 2 is being carried out by process" in other.err


@pytest.mark.parametrize("choice", ["--dry-run", "--yes"])
def test_an_undo_after_an_undo_that_was_stopped_says_what_it_drops_of_which_run(
    sqlite_cloud: Cloud, small_batches: None, choice: str
) -> None:
    uuids = servers(sqlite_cloud, 3)
    assert novadev(sqlite_cloud, *E1000, *uuids, "--yes").code == 0
    file = str(sqlite_cloud.folder / "p")
    assert novadev(sqlite_cloud, "undo", "1", "--plan-out", file).code == 0
    sqlite_cloud.update("instances", "cell1", {"uuid": uuids[2]}, vm_state="active")
    assert novadev(sqlite_cloud, "apply", file, "--yes", "--max-failures", "0").code == 7
    sqlite_cloud.update("instances", "cell1", {"uuid": uuids[2]}, vm_state="stopped")
    undone = novadev(sqlite_cloud, "undo", "1", choice)
    assert undone.code == 0
    assert "Run 2: 2 plans it had not begun will not be carried out." in undone.err
    assert "Run 1: " not in undone.err


def test_dropping_the_rest_is_asked_about(sqlite_cloud: Cloud, small_batches: None) -> None:
    uuids = servers(sqlite_cloud, 3)
    file = str(sqlite_cloud.folder / "p")
    assert novadev(sqlite_cloud, *E1000, *uuids, "--plan-out", file).code == 0
    for uuid in uuids:
        sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")
    assert novadev(sqlite_cloud, "apply", file, "--yes", "--max-failures", "0").code == 7
    assert novadev(sqlite_cloud, "undo", "1").code == 4
    rest = novadev(sqlite_cloud, "history", "1", "-f", "json").json
    assert "abandoned" not in {item["state"] for item in rest}


@pytest.mark.parametrize(
    ("plans", "state"),
    [("planned", "interrupted"), ("applied", "applied"), ("half", "interrupted")],
)
@pytest.mark.parametrize("host", ["here", "elsewhere"])
def test_a_run_whose_process_is_gone_is_not_running(
    sqlite_cloud: Cloud, plans: str, state: str, host: str
) -> None:
    uuids = servers(sqlite_cloud, 2)
    assert novadev(sqlite_cloud, *E1000, *uuids, "--yes").code == 0
    with journal_rows(sqlite_cloud) as connection:
        values = "finished = NULL, state = 'running', lease = 'x', pid_started = '1'"
        if host == "elsewhere":
            values += ", machine = 'm', heartbeat = '2026-01-01 00:00:00.000000'"
        connection.execute(sa.text(f"UPDATE runs SET {values}"))
        connection.execute(sa.text(f"UPDATE plans SET state = '{plans}'"))
    assert runs(sqlite_cloud)[0]["state"] == state


# Texts that a database does not take


def test_text_that_fits() -> None:
    assert fit("short \U0001f600") == "short ?"
    assert fit("y" * 70_000) == "y" * 1999 + "…"
    assert fit("\ud800") == "?"
    assert fit("äöü€") == "äöü€"


@pytest.mark.slow
@pytest.mark.parametrize("text", ["\U0001f600", "y" * 200, "\N{EURO SIGN}"])
def test_a_value_of_the_world_in_a_journal_on_mariadb(mariadb_cloud: Cloud, text: str) -> None:
    uuids = servers(mariadb_cloud, 2)
    with journal_on_mariadb(mariadb_cloud):
        file = str(mariadb_cloud.folder / "p")
        assert novadev(mariadb_cloud, *E1000, *uuids, "--plan-out", file).code == 0
        spec = mariadb_cloud.rows("request_specs", "api", instance_uuid=uuids[0])[0]["spec"]
        changed = spec.replace('"hw_vif_model": "virtio"', f'"hw_vif_model": {json.dumps(text)}')
        assert changed != spec
        mariadb_cloud.update("request_specs", "api", {"instance_uuid": uuids[0]}, spec=changed)
        applied = novadev(mariadb_cloud, "apply", file, "--yes", "-m", f"CHG {text}")
        assert applied.code == 7, applied.err
        assert runs(mariadb_cloud)[0]["state"] == "partial"
        assert novadev(mariadb_cloud, "undo", "1", "--yes").code == 0
    assert models(mariadb_cloud, uuids) == ["virtio"] * 2


# Listeners that go away


@pytest.mark.slow
@pytest.mark.parametrize("redirect", ["2>/dev/full", ">&- 2>&-", "2>&1 | head -1", "2>&- <&-"])
def test_nobody_listens(sqlite_cloud: Cloud, redirect: str) -> None:
    uuids = servers(sqlite_cloud, 4)
    sqlite_cloud.update("instances", "cell1", {"uuid": uuids[3]}, vm_state="active")
    command = f"{sys.executable} -m novadev --config-file {sqlite_cloud.config_file}"
    line = f"set -o pipefail; {command} {' '.join(E1000)} --all --yes {redirect}"
    done = subprocess.run(["bash", "-c", line], stdout=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0
    assert models(sqlite_cloud, uuids) == ["e1000"] * 3 + ["virtio"]
    assert runs(sqlite_cloud)[0]["state"] == "applied"


# Damaged files


def cut(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    parts = [text[:number] for number in (30, len(text) // 2, len(text) - 1 - len(lines[-1]))]
    more = ["".join([*lines[:at], odd, *lines[at:]]) for at in (1, 2, 3) for odd in ("\n", "x\n")]
    return [*parts, *more, text.replace("e1000", "e1001"), "".join(lines[:-1]), lines[0]]


def test_a_damaged_plan_file_is_told_from_any_other(sqlite_cloud: Cloud) -> None:
    """Its first line says whether novadev wrote it."""
    (uuid,) = servers(sqlite_cloud, 1)
    file = sqlite_cloud.folder / "p"
    assert novadev(sqlite_cloud, *E1000, uuid, "--plan-out", str(file)).code == 0
    for text in cut(file.read_text()):
        file.write_text(text)
        for command in (("apply", str(file), "--dry-run"), ("plan", "show", str(file))):
            refused = novadev(sqlite_cloud, *command)
            assert refused.code == 4
            assert "p is incomplete or was edited: plan again" in refused.err, text
    for foreign in ("", "\n", "{}\n", "[1]\n", "\x00", "web-1\n"):
        file.write_text(foreign)
        assert "p is not a plan file written by novadev" in novadev(sqlite_cloud, *command).err


# Forged files


def forged(file: Path, edit: Callable[[list[Any]], None]) -> None:
    """Edit the head and the plans of a saved file, and make its sum anew."""
    lines = [json.loads(line) for line in file.read_text().splitlines()[:-1]]
    edit(lines)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    end = {"plans": len(lines) - 1, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    file.write_text(text + json.dumps(end) + "\n")


@pytest.mark.parametrize(
    "edit",
    [
        lambda lines: lines[0].update(action="device detach"),
        lambda lines: lines[0].update(action="\x1b[31mred\n"),
        lambda lines: lines[0].update(undoes=1),
        lambda lines: lines[0].update(extra=1),
        lambda lines: lines[0].update(cells=[]),
        lambda lines: lines[1]["plan"].update(partly=True),
        lambda lines: lines[1]["plan"].update(action="image-property unset"),
        lambda lines: lines[1].update(undoes=1),
        lambda lines: lines[1].update(undoes="x"),
        lambda lines: lines.append(lines[1]),
    ],
)
def test_a_file_whose_head_is_not_of_its_plans(
    sqlite_cloud: Cloud, edit: Callable[[list[Any]], None]
) -> None:
    (uuid,) = servers(sqlite_cloud, 1)
    file = sqlite_cloud.folder / "p"
    assert novadev(sqlite_cloud, *E1000, uuid, "--plan-out", str(file)).code == 0
    forged(file, edit)
    refused = novadev(sqlite_cloud, "apply", str(file), "--yes")
    assert refused.code == 4, refused.err
    assert "\x1b" not in refused.err
    assert models(sqlite_cloud, [uuid]) == ["virtio"]
    assert runs(sqlite_cloud) == []


def test_what_is_no_file_and_what_is_too_deep(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    pipe, deep = tmp_path / "pipe", tmp_path / "deep"
    os.mkfifo(pipe)
    text = "[" * 200_000 + "\n"
    end = {"plans": 0, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    deep.write_text(text + json.dumps(end) + "\n")
    for name in (pipe, deep, tmp_path):
        refused = novadev(sqlite_cloud, "apply", str(name), "--yes")
        assert refused.code == 4, refused.err


def test_who_and_why_go_with_a_saved_plan_and_with_resume(
    sqlite_cloud: Cloud, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuids = servers(sqlite_cloud, 4)
    file = str(sqlite_cloud.folder / "p")
    assert novadev(sqlite_cloud, *E1000, *uuids, "--plan-out", file, "-m", "CHG-1").code == 0
    sqlite_cloud.update("instances", "cell1", {"uuid": uuids[1]}, vm_state="active")
    monkeypatch.setenv("SUDO_USER", "alice")
    assert novadev(sqlite_cloud, "apply", file, "--yes", "--max-failures", "0").code == 7
    monkeypatch.setenv("SUDO_USER", "bob")
    assert novadev(sqlite_cloud, "resume", "--yes", "-m", "CHG-2").code == 0
    (run,) = runs(sqlite_cloud)
    assert (run["user"], run["message"]) == ("alice", "CHG-1; resumed by bob: CHG-2")
    assert "(saved by: " in run["asked"]
    assert "hw_vif_model=e1000" in run["asked"]
