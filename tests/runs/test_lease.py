"""Who may take a run over: by process, machine, host and time; and that fences hold."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from novadev.database import Database
from novadev.errors import TakenOver
from novadev.runs import lease
from novadev.runs.journal import Journal
from novadev.runs.journal_rows import Asked
from novadev.runs.lease import LEASE, Holder, refusal
from novadev.state.store import open_state

NOW = datetime(2026, 3, 1, 3, 0)
HERE = Holder.of_this_process()
DEAD = replace(HERE, pid_started="1")
CONTAINER = replace(HERE, machine="another boot 4026531836")
ELSEWHERE = replace(CONTAINER, host="elsewhere")
FRESH, RUN_OUT = NOW - timedelta(seconds=30), NOW - LEASE


@pytest.mark.parametrize(
    ("holder", "renewed", "take_over", "reason"),
    [
        (HERE, RUN_OUT, True, "is being carried out by process"),
        (DEAD, FRESH, False, None),
        (replace(HERE, machine=None), RUN_OUT, False, "is being carried out"),
        (replace(DEAD, machine=None), FRESH, False, None),
        (CONTAINER, FRESH, True, "is leased to process"),
        (CONTAINER, RUN_OUT, False, None),
        (ELSEWHERE, FRESH, True, "until 2026-03-01T03:02:30Z"),
        (ELSEWHERE, RUN_OUT, False, "add --take-over"),
        (ELSEWHERE, RUN_OUT, True, None),
        # a clock that was set back by a day: nobody has renewed it tomorrow
        (ELSEWHERE, NOW + timedelta(days=1), True, None),
        (ELSEWHERE, NOW + timedelta(seconds=5), True, "is leased to process"),
    ],
)
def test_who_may_take_over(
    holder: Holder, renewed: datetime, take_over: bool, reason: str | None
) -> None:
    found = refusal(holder, renewed, NOW, take_over)
    assert (found is None) is (reason is None), found
    assert (reason or "") in (found or "")


def test_a_zombie_is_no_longer_running() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    holder = replace(HERE, pid=process.pid, pid_started="1")
    assert not holder.is_running
    process.wait()


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose UID has no entry in passwd."""
    for name in ("SUDO_USER", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert lease.user() == f"uid {os.getuid()}"
    monkeypatch.setenv("SUDO_USER", "alice")
    assert lease.user() == "alice"


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_state(f"sqlite:///{tmp_path}/state.sqlite")


def test_a_fence_and_its_renewal(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread renews the lease; once it is lost, the fence says so and nothing is renewed."""
    monkeypatch.setattr(lease, "RENEWAL", 0.02)
    journal = Journal(database)
    run = journal.start(Asked("image-property set"))
    _age(database, run.id)
    with journal.renewing(run) as fence:
        _wait_until(lambda: journal.get(run.id).heartbeat >= run.started)
        fence()
        _lose(database, run.id)
        _age(database, run.id)
        with pytest.raises(TakenOver):
            fence()
    assert journal.get(run.id).heartbeat < run.started
    for change in (
        lambda: journal.begin(run, 0),
        lambda: journal.add(run, []),
        lambda: journal.mark_started(run, []),
        lambda: journal.mark(run, [], []),
        lambda: journal.finish(run),
    ):
        with pytest.raises(TakenOver, match="taken over"):
            change()
    journal.discard(run)
    assert journal.get(run.id).state == "planning"


def _lose(database: Database, run: int) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE runs SET lease = 'theirs' WHERE id = ?", (run,))


def _age(database: Database, run: int) -> None:
    with database.writing() as connection:
        old = "2026-01-01 00:00:00.000000"
        connection.exec_driver_sql("UPDATE runs SET heartbeat = ? WHERE id = ?", (old, run))


def _wait_until(condition: object) -> None:
    import time

    assert callable(condition)
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_that_another_is_about_to_begin_is_not_forgotten(database: Database) -> None:
    """In another container its process number means nothing: only after a day it is forgotten."""
    journal = Journal(database)
    theirs = journal.start(Asked("image-property set"))
    _hold_elsewhere(database, theirs.id)
    _age(database, theirs.id)
    with database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE runs SET heartbeat = ? WHERE id = ?",
            (str(datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(hours=1)), theirs.id),
        )
    journal.start(Asked("image-property set"))
    assert journal.get(theirs.id).state == "planning"


def _hold_elsewhere(database: Database, run: int) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql(
            "UPDATE runs SET machine = 'another', host = ? WHERE id = ?",
            (socket.gethostname(), run),
        )
