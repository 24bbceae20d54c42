"""Runs that are stopped, resumed, undone, taken over or applied elsewhere: each tells the truth."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from novadev.image_property import applying
from novadev.runs import carry_out
from novadev.runs.journal import Journal
from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.state.places import place_journal

E1000 = ("image-property", "set", "--property", "hw_vif_model=e1000")


def models(cloud: Cloud, uuids: list[str]) -> list[str | None]:
    """What the cells store of each as its hw_vif_model."""
    return [cloud.system_metadata(uuid).get("image_hw_vif_model") for uuid in uuids]


def servers(cloud: Cloud, number: int) -> list[str]:
    return cloud.add_instances(number, hw_vif_model="virtio")


def runs(cloud: Cloud, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = novadev(cloud, "history", *arguments, "-f", "json").json
    return found


@contextmanager
def journal_rows(cloud: Cloud) -> Iterator[sa.Connection]:
    engine = sa.create_engine(f"sqlite:///{cloud.folder}/state.sqlite")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """One plan a batch, so that few servers make many batches."""
    monkeypatch.setattr(carry_out, "BATCH", 1)


def stopped(cloud: Cloud, uuids: list[str]) -> None:
    """Run `set` for all, stopped by --max-failures: the third of them is changed by another."""
    file = str(cloud.folder / "stopped.plan")
    assert novadev(cloud, *E1000, *uuids, "--plan-out", file).code == 0
    third = cloud.system_metadata(uuids[2])
    assert third["image_hw_vif_model"] == "virtio"
    cloud.update(
        "instance_system_metadata",
        "cell1",
        {"instance_uuid": uuids[2], "key": "image_hw_vif_model"},
        value="ne2k_pci",
    )
    result = novadev(cloud, "apply", file, "--yes", "--max-failures", "0")
    assert result.code == 7, result.err
    assert "Not finished" in result.err


def test_the_rest_of_an_undone_run_is_dropped_for_good(
    sqlite_cloud: Cloud, small_batches: None
) -> None:
    uuids = servers(sqlite_cloud, 6)
    stopped(sqlite_cloud, uuids)
    there = models(sqlite_cloud, uuids)
    assert sorted(there) == ["e1000"] * 2 + ["ne2k_pci"] + ["virtio"] * 3
    for choice, code in ((("--dry-run",), 0), ((), 4), (("--yes",), 0)):
        undone = novadev(sqlite_cloud, "undo", "1", *choice)
        assert undone.code == code
        assert "Run 1: 3 plans it had not begun will not be carried out" in undone.err
    before = ["virtio", "virtio", "ne2k_pci", "virtio", "virtio", "virtio"]
    assert models(sqlite_cloud, uuids) == before
    bare = novadev(sqlite_cloud, "resume", "--yes")
    assert (bare.code, bare.err.strip()) == (0, "There is no run to resume.")
    named = novadev(sqlite_cloud, "resume", "1", "--yes")
    assert named.code == 3
    assert "run 1 was undone by run 2" in named.err
    assert models(sqlite_cloud, uuids) == before
    states = [item["state"] for item in novadev(sqlite_cloud, "history", "1", "-f", "json").json]
    assert {*states} == {"undone", "stale", "abandoned"}
    assert [run["state"] for run in runs(sqlite_cloud)] == ["applied", "undone"]


def test_an_undo_with_nothing_to_take_back_drops_the_rest_too(
    sqlite_cloud: Cloud, small_batches: None
) -> None:
    uuids = servers(sqlite_cloud, 3)
    file = str(sqlite_cloud.folder / "p")
    assert novadev(sqlite_cloud, *E1000, *uuids, "--plan-out", file).code == 0
    for uuid in uuids:
        sqlite_cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")
    assert novadev(sqlite_cloud, "apply", file, "--yes", "--max-failures", "0").code == 7
    dry = novadev(sqlite_cloud, "undo", "1", "--dry-run")
    assert "nothing was changed" in dry.err
    assert "Run 1: 2 plans it had not begun will not be carried out" in dry.err
    assert runs(sqlite_cloud)[0]["plans"] == 3
    undone = novadev(sqlite_cloud, "undo", "1", "--yes")
    assert undone.code == 0
    assert "Run 1: 2 plans it had not begun will not be carried out" in undone.err
    assert "no run to resume" in novadev(sqlite_cloud, "resume", "--yes").err


def test_undo_of_undo_and_undo_again(sqlite_cloud: Cloud) -> None:
    """Whatever the number of undos: what a run says of itself is what is stored."""
    uuids = servers(sqlite_cloud, 2)
    assert novadev(sqlite_cloud, *E1000, *uuids, "--yes").code == 0
    for number, state in ((1, "virtio"), (2, "e1000"), (3, "virtio"), (4, "e1000")):
        assert novadev(sqlite_cloud, "undo", str(number), "--yes").code == 0
        assert models(sqlite_cloud, uuids) == [state] * 2, number
    told = {run["run"]: run["state"] for run in runs(sqlite_cloud)}
    assert told == {1: "applied", 2: "undone", 3: "applied", 4: "undone", 5: "applied"}
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert models(sqlite_cloud, uuids) == ["virtio"] * 2
    told = {run["run"]: (run["undoes"], run["undone_by"]) for run in runs(sqlite_cloud)}
    assert told[1] == (None, 6)
    assert told[6] == (1, None)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["question", "file"])
def test_a_run_that_went_on_after_its_undo_was_planned(
    sqlite_cloud: Cloud, small_batches: None, how: str
) -> None:
    """Its undo would leave what was written since: it is refused, and nothing is changed."""
    uuids = servers(sqlite_cloud, 6)
    stopped(sqlite_cloud, uuids)
    file = str(sqlite_cloud.folder / "undo.plan")
    if how == "question":
        with _asking(sqlite_cloud, "undo", "1") as (process, answer):
            assert novadev(sqlite_cloud, "resume", "1", "--yes").code == 0
            answer("y\n")
            assert process.wait(timeout=60) == 7
    else:
        assert novadev(sqlite_cloud, "undo", "1", "--plan-out", file).code == 0
        assert novadev(sqlite_cloud, "resume", "1", "--yes").code == 0
        refused = novadev(sqlite_cloud, "apply", file, "--yes")
        assert refused.code == 7
        assert "run 1 has changed since this undo was planned" in refused.err
    assert models(sqlite_cloud, uuids).count("e1000") == 5
    assert [run["run"] for run in runs(sqlite_cloud)] == [1]
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert "e1000" not in models(sqlite_cloud, uuids)


def test_a_run_that_is_carried_on_while_its_undo_finds_nothing(
    sqlite_cloud: Cloud, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuids = servers(sqlite_cloud, 3)
    _all_left(sqlite_cloud, uuids)
    real = Journal.end_undone

    def resumed_first(*arguments: Any) -> int:
        monkeypatch.setattr(Journal, "end_undone", real)
        assert novadev(sqlite_cloud, "resume", "1", "--yes").code == 0
        return real(*arguments)

    monkeypatch.setattr(Journal, "end_undone", resumed_first)
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 7
    assert models(sqlite_cloud, uuids).count("e1000") == 2
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert models(sqlite_cloud, uuids) == ["virtio"] * 3


def _all_left(cloud: Cloud, uuids: list[str]) -> None:
    """Begin a run that ends after its first server, which had been started meanwhile."""
    file = str(cloud.folder / "left.plan")
    assert novadev(cloud, *E1000, *uuids, "--plan-out", file).code == 0
    for state in ("active", "stopped"):
        for uuid in uuids:
            cloud.update("instances", "cell1", {"uuid": uuid}, vm_state=state)
        if state == "active":
            assert novadev(cloud, "apply", file, "--yes", "--max-failures", "0").code == 7


@pytest.mark.slow
def test_a_run_that_another_finished_while_resume_asked(
    sqlite_cloud: Cloud, small_batches: None
) -> None:
    uuids = servers(sqlite_cloud, 6)
    stopped(sqlite_cloud, uuids)
    with _asking(sqlite_cloud, "resume", "1") as (process, answer):
        assert novadev(sqlite_cloud, "resume", "1", "--yes").code == 0
        answer("y\n")
        assert process.wait(timeout=60) == 3
    assert runs(sqlite_cloud)[0]["state"] == "partial"


@pytest.mark.slow
def test_nobody_deletes_what_another_is_about_to_do(sqlite_cloud: Cloud) -> None:
    """A's question is open while B changes other servers: A's run is there when it is answered."""
    mine, theirs = servers(sqlite_cloud, 2)
    with _asking(sqlite_cloud, *E1000, mine) as (process, answer):
        assert novadev(sqlite_cloud, *E1000, theirs, "--yes").code == 0
        assert [run["run"] for run in runs(sqlite_cloud)] == [1]
        answer("y\n")
        assert process.wait(timeout=60) == 0
    assert models(sqlite_cloud, [mine, theirs]) == ["e1000", "e1000"]


@pytest.mark.slow
def test_numbers_of_runs_do_not_skip(sqlite_cloud: Cloud) -> None:
    """Neither for a dry run, nor for one that was declined, nor where nothing was to be done."""
    uuid, other = servers(sqlite_cloud, 2)
    for answer in ("n\n", "\x03"):
        with _asking(sqlite_cloud, *E1000, uuid) as (process, give):
            assert _insist(process, give, answer) in (9, 130)
    assert novadev(sqlite_cloud, *E1000, uuid, "--dry-run").code == 0
    assert novadev(sqlite_cloud, *E1000, uuid, "--yes").code == 0
    assert novadev(sqlite_cloud, *E1000, uuid, "--yes").code == 0
    assert novadev(sqlite_cloud, *E1000, other, "--yes").code == 0
    assert [run["run"] for run in runs(sqlite_cloud)] == [2, 1]


def _insist(process: "subprocess.Popen[bytes]", give: Any, answer: str) -> int:
    """Give an answer until it is heard: Python misses a Ctrl-C just before it reads a line."""
    for _ in range(12):
        give(answer)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=5)
    raise AssertionError("no answer was heard")


@contextmanager
def _asking(cloud: Cloud, *arguments: str) -> Iterator[Any]:
    """A novadev at a terminal of its own, whose question is open; answer it by the function."""
    master, slave = os.openpty()
    command = [sys.executable, "-m", "novadev", "--config-file", str(cloud.config_file)]
    process = subprocess.Popen(
        [*command, *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(slave)
    said = b""
    while b"?" not in said:
        said += os.read(master, 4096)
    reader = threading.Thread(target=_drain, args=(master,), daemon=True)
    reader.start()
    try:
        yield process, lambda text: os.write(master, text.encode())
    finally:
        process.kill()
        process.wait()
        reader.join()
        os.close(master)


def _drain(master: int) -> None:
    """Read what is still said, as a terminal does, until its other end is closed."""
    with suppress(OSError):
        while os.read(master, 4096):
            pass


def _take_terminal() -> None:
    import fcntl
    import termios

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_who_slept_while_another_took_over(
    sqlite_cloud: Cloud, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loses its lease after two batches; B finishes; A ends with 7 and changes no state."""
    uuids = servers(sqlite_cloud, 5)
    written = 0
    real = applying.apply

    def apply(*arguments: Any, **more: Any) -> Any:
        nonlocal written
        written += 1
        if written == 3:
            monkeypatch.setattr(applying, "apply", real)
            _pretend_it_was_left(sqlite_cloud)
            taken = novadev(sqlite_cloud, "resume", "1", "--yes", "--take-over")
            assert taken.code == 0, taken.err
        return real(*arguments, **more)

    monkeypatch.setattr(applying, "apply", apply)
    slept = novadev(sqlite_cloud, *E1000, *uuids, "--yes", "-f", "json")
    assert slept.code == 7
    assert "run 1 was taken over by another novadev" in slept.err
    assert slept.json["result"] == "partial"
    assert models(sqlite_cloud, uuids) == ["e1000"] * 5
    states = {item["state"] for item in novadev(sqlite_cloud, "history", "1", "-f", "json").json}
    assert states == {"applied"}
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert models(sqlite_cloud, uuids) == ["virtio"] * 5


def _pretend_it_was_left(cloud: Cloud) -> None:
    """Make the newest run one of another host, whose lease has run out."""
    with journal_rows(cloud) as connection:
        connection.execute(
            sa.text("UPDATE runs SET host = 'elsewhere', heartbeat = '2026-01-01 00:00:00.000000'")
        )


def test_a_run_of_another_host(sqlite_cloud: Cloud, small_batches: None) -> None:
    """Leased, it is left alone; run out, it is named, and taken over only where that is said."""
    uuids = servers(sqlite_cloud, 4)
    stopped(sqlite_cloud, uuids)
    with journal_rows(sqlite_cloud) as connection:
        values = "host = 'cmp9', machine = 'm', lease = 'l', finished = NULL, state = 'running'"
        connection.execute(sa.text(f"UPDATE runs SET {values}"))
    for command in (("resume", "1"), ("undo", "1"), ("resume", "1", "--take-over")):
        refused = novadev(sqlite_cloud, *command, "--yes")
        assert refused.code == 3
        assert "run 1 is leased to process" in refused.err
        assert "on cmp9 until 2" in refused.err
    bare = novadev(sqlite_cloud, "resume", "--yes")
    assert bare.code == 0
    assert "left alone: run 1 is leased" in bare.err
    with journal_rows(sqlite_cloud) as connection:
        connection.execute(sa.text("UPDATE runs SET heartbeat = '2026-01-01 00:00:00.000000'"))
    left = novadev(sqlite_cloud, "resume", "--yes")
    assert left.code == 3
    assert "run 1 was left by process" in left.err
    assert "add --take-over" in left.err
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 3
    assert novadev(sqlite_cloud, "resume", "--take-over", "--yes").code == 0
    assert models(sqlite_cloud, uuids) == ["e1000", "e1000", "ne2k_pci", "e1000"]


# Saved plans on two controllers


@pytest.fixture
def other_controller(sqlite_cloud: Cloud) -> str:
    """The journal of a second controller: `state_connection` to give to place_journal."""
    return f"sqlite:///{sqlite_cloud.folder}/other.sqlite"


@pytest.mark.slow
def test_a_saved_undo_counts_in_its_own_journal_alone(
    sqlite_cloud: Cloud, other_controller: str
) -> None:
    uuid, other = servers(sqlite_cloud, 2)
    file = str(sqlite_cloud.folder / "undo.plan")
    assert novadev(sqlite_cloud, *E1000, uuid, "--yes").code == 0
    assert novadev(sqlite_cloud, "undo", "1", "--plan-out", file).code == 0
    place_journal(sqlite_cloud, other_controller)
    assert novadev(sqlite_cloud, *E1000, other, "--yes").code == 0
    refused = novadev(sqlite_cloud, "apply", file, "--yes")
    assert refused.code == 4
    assert "undoes run 1 of another journal" in refused.err
    assert runs(sqlite_cloud)[0]["state"] == "applied"
    assert models(sqlite_cloud, [uuid, other]) == ["e1000", "e1000"]
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert models(sqlite_cloud, [uuid, other]) == ["e1000", "virtio"]


def test_a_saved_undo_of_what_was_undone_meanwhile(sqlite_cloud: Cloud) -> None:
    """Also where the same is set again: the saved undo is not of that run."""
    uuids = servers(sqlite_cloud, 2)
    file = str(sqlite_cloud.folder / "undo.plan")
    assert novadev(sqlite_cloud, *E1000, *uuids, "--yes").code == 0
    assert novadev(sqlite_cloud, "undo", "1", "--plan-out", file).code == 0
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    assert novadev(sqlite_cloud, *E1000, *uuids, "--yes").code == 0
    late = novadev(sqlite_cloud, "apply", file, "--yes")
    assert late.code == 7
    assert "its plan in run 1 is undone" in late.err
    assert models(sqlite_cloud, uuids) == ["e1000"] * 2


def test_a_saved_undo_that_is_applied(sqlite_cloud: Cloud) -> None:
    uuids = servers(sqlite_cloud, 2)
    file = str(sqlite_cloud.folder / "undo.plan")
    assert novadev(sqlite_cloud, *E1000, *uuids, "--yes").code == 0
    assert novadev(sqlite_cloud, "undo", "1", "--plan-out", file).code == 0
    assert novadev(sqlite_cloud, "apply", file, "--yes").code == 0
    assert models(sqlite_cloud, uuids) == ["virtio"] * 2
    assert [run["state"] for run in runs(sqlite_cloud)] == ["applied", "undone"]


def test_the_sum_of_a_saved_plan(sqlite_cloud: Cloud) -> None:
    (uuid,) = servers(sqlite_cloud, 1)
    file = str(sqlite_cloud.folder / "saved.plan")
    saved = novadev(sqlite_cloud, *E1000, uuid, "--plan-out", file, "-m", "CHG-7 \x1b[31m")
    total = saved.err.partition("SHA-256: ")[2].split()[0]
    shown = novadev(sqlite_cloud, "plan", "show", file)
    assert shown.code == 0
    assert hashlib.sha256(Path(file).read_bytes()).hexdigest() == total
    assert f"sha256: {total}" in shown.out
    assert "message: CHG-7 \\x1b[31m" in shown.out
    assert "cell1 (" in shown.out
    assert uuid in shown.out
    as_json = novadev(sqlite_cloud, "plan", "show", file, "-f", "json").json
    assert as_json["sha256"] == total
    assert as_json["plans"][0]["instance"] == uuid
    refused = novadev(sqlite_cloud, "apply", file, "--yes", "--sha256", "0" * 64)
    assert refused.code == 4
    assert models(sqlite_cloud, [uuid]) == ["virtio"]
    applied = novadev(sqlite_cloud, "apply", file, "--yes", "--sha256", total.upper())
    assert applied.code == 0
    assert f"SHA-256: {total}" in applied.err


def test_a_file_of_the_version_before(sqlite_cloud: Cloud) -> None:
    (uuid,) = servers(sqlite_cloud, 1)
    file = sqlite_cloud.folder / "saved.plan"
    assert novadev(sqlite_cloud, *E1000, uuid, "--plan-out", str(file)).code == 0
    _as_version_1(file)
    refused = novadev(sqlite_cloud, "apply", str(file), "--yes")
    assert refused.code == 4
    assert "is of another version of novadev: make the plan again" in refused.err


def _as_version_1(file: Path) -> None:

    _, plan, _ = file.read_text().splitlines(keepends=True)
    head = json.dumps({"novadev_plan": 1, "action": "image-property set", "undoes": None}) + "\n"
    total = hashlib.sha256((head + plan).encode()).hexdigest()
    file.write_text(head + plan + json.dumps({"plans": 1, "sha256": total}) + "\n")


# What is wrong with the input comes first


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("undo", "99"), 2, "there is no run 99"),
        (("resume", "99"), 2, "there is no run 99"),
        (("apply", "/nonexist"), 4, "/nonexist cannot be read"),
        ((*E1000, "nosuch"), 2, "nosuch"),
        (("device", "restore", "nosuch"), 2, "nosuch"),
        (("device", "import", "/nonexist"), 4, "/nonexist"),
        (("machine-type", "set", "q35", "nosuch"), 2, "nosuch"),
        (("stash-defaults", "nosuch"), 2, "nosuch"),
    ],
)
def test_without_a_terminal(
    sqlite_cloud: Cloud, command: tuple[str, ...], code: int, words: str
) -> None:
    result = novadev(sqlite_cloud, *command)
    assert result.code == code, result.err
    assert words in result.err
    assert "terminal" not in result.err


def test_the_question_without_a_terminal(sqlite_cloud: Cloud) -> None:
    (uuid,) = servers(sqlite_cloud, 1)
    result = novadev(sqlite_cloud, *E1000, uuid)
    assert result.code == 4
    assert "no terminal to ask for confirmation: add --yes or --dry-run" in result.err
    assert runs(sqlite_cloud) == []


@pytest.mark.parametrize("command", ["undo", "resume", "apply", "device detach"])
def test_no_filters_and_no_failing_on_skips(command: str) -> None:
    assert "--fail-on-skip" not in novadev(None, *command.split(), "--help").out
    assert "--fail-on-skip" in novadev(None, "image-property", "set", "--help").out


# Output that nobody reads


def closed(cloud: Cloud, *arguments: str) -> Result:
    """Run novadev as a process whose standard output is closed at once."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "novadev", "--config-file", str(cloud.config_file)]
    result = subprocess.run(
        [*command, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writer)
    return Result(result.returncode, "", result.stderr)


@pytest.mark.slow
def test_a_closed_stdout_ends_the_printing_only(sqlite_cloud: Cloud) -> None:
    uuids = servers(sqlite_cloud, 3)
    file = sqlite_cloud.folder / "x.plan"
    saved = closed(sqlite_cloud, *E1000, *uuids, "--plan-out", str(file))
    assert (saved.code, saved.err.splitlines()[0]) == (0, f"3 plans saved: novadev apply {file}")
    assert novadev(sqlite_cloud, "plan", "show", str(file)).code == 0
    for arguments in (("-f", "json"), ()):
        done = closed(sqlite_cloud, *E1000, *uuids[:1], "--yes", *arguments)
        assert (done.code, "Traceback" in done.err) == (0, False), done.err
    assert closed(sqlite_cloud, "apply", str(file), "--yes", "-f", "json").code == 7
    assert models(sqlite_cloud, uuids) == ["e1000"] * 3


@pytest.mark.slow
def test_a_full_disk_behind_stdout(sqlite_cloud: Cloud) -> None:
    """What was to be printed is lost, which is told; what was to be written is written."""
    uuids = servers(sqlite_cloud, 3)
    command = [sys.executable, "-m", "novadev", "--config-file", str(sqlite_cloud.config_file)]
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [*command, *E1000, *uuids, "--yes", "-f", "json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert models(sqlite_cloud, uuids) == ["e1000"] * 3
    assert runs(sqlite_cloud)[0]["state"] == "applied"


# History


def test_questions_after_an_accident(sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = novadev(sqlite_cloud, "history")
    assert (empty.code, empty.err.strip()) == (
        0,
        "There is no run yet: novadev has not changed anything.",
    )
    one, two = servers(sqlite_cloud, 2)
    name = sqlite_cloud.instance(one)["display_name"]
    monkeypatch.setenv("SUDO_USER", "alice")
    assert novadev(sqlite_cloud, *E1000, one, "--yes", "-m", "CHG-1").code == 0
    monkeypatch.setenv("SUDO_USER", "bob")
    assert novadev(sqlite_cloud, *E1000, two, "--yes").code == 0
    assert novadev(sqlite_cloud, "undo", "2", "--yes").code == 0
    for arguments, expected in (
        (("--instance", one), [1]),
        (("--instance", two), [3, 2]),
        (("--instance", two.replace("-", "").upper()), [3, 2]),
        (("--user", "alice"), [1]),
        (("--action", "undo"), [3]),
        (("--action", "image-property set"), [2, 1]),
        (("--limit", "1"), [3]),
        (("--since", "2026-01-01"), [3, 2, 1]),
        (("--since", "2999-01-01T00:00"), []),
    ):
        assert [run["run"] for run in runs(sqlite_cloud, *arguments)] == expected, arguments
    if name != sqlite_cloud.instance(two)["display_name"]:
        assert [run["run"] for run in runs(sqlite_cloud, "--instance", name)] == [1]
    assert "No run matches these options." in novadev(sqlite_cloud, "history", "--user", "eve").err
    third, second, first = runs(sqlite_cloud)
    assert (first["message"], first["user"], first["state"]) == ("CHG-1", "alice", "applied")
    assert (second["state"], second["undone_by"], third["undoes"]) == ("undone", 3, 2)
    assert "--property hw_vif_model=e1000" in first["asked"]
    table = novadev(sqlite_cloud, "history", "2")
    assert "undone by run 3" in table.err
    assert "both" in novadev(sqlite_cloud, "history", "2", "--limit", "1").err


def test_what_was_asked_holds_no_password(sqlite_cloud: Cloud) -> None:
    (uuid,) = servers(sqlite_cloud, 1)
    message = "see mysql://nova:secret@db/nova"
    assert novadev(sqlite_cloud, *E1000, uuid, "--yes", "-m", message).code == 0
    assert "secret" not in runs(sqlite_cloud)[0]["asked"]


def test_the_systems_log(
    sqlite_cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    path = str(tmp_path / "log")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(path)
    listener.settimeout(10)
    monkeypatch.setattr("novadev.cli.syslog.SOCKET", path)
    monkeypatch.setenv("SUDO_USER", "alice")
    (uuid, other) = servers(sqlite_cloud, 2)
    assert novadev(sqlite_cloud, *E1000, uuid, "--yes").code == 0
    with sqlite_cloud.config_file.open("a") as file:
        file.write("syslog = true\n")
    assert novadev(sqlite_cloud, *E1000, other, "--yes", "-m", "CHG-2\n").code == 0
    lines = [listener.recv(4096).decode().rstrip("\0") for _ in range(2)]
    assert 'novadev: run 2 begins: alice, image-property set, "CHG-2\\n", 1 plans' in lines[0]
    assert "novadev: run 2 ends: alice, image-property set" in lines[1]
    assert "applied (1 applied)" in lines[1]
    listener.close()
    for gone in (path, str(tmp_path / "none")):  # nobody listens, and nobody ever did
        monkeypatch.setattr("novadev.cli.syslog.SOCKET", gone)
        last = novadev(sqlite_cloud, *E1000, servers(sqlite_cloud, 1)[0], "--yes")
        assert (last.code, "1 applied" in last.err) == (0, True)


# A journal that is old, away or full


def test_a_journal_that_cannot_be_written_stops_before_anything(sqlite_cloud: Cloud) -> None:
    (uuid,) = servers(sqlite_cloud, 1)
    place_journal(sqlite_cloud, "sqlite:////proc/none/state.sqlite")
    result = novadev(sqlite_cloud, *E1000, uuid, "--yes")
    assert result.code == 8
    assert models(sqlite_cloud, [uuid]) == ["virtio"]


def test_no_room_for_the_plans(sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    (uuid,) = servers(sqlite_cloud, 1)
    monkeypatch.setattr(
        "novadev.runs.spool.tempfile.TemporaryFile",
        lambda *_, **__: open("/dev/full", "w+"),  # noqa: SIM115
    )
    result = novadev(sqlite_cloud, *E1000, uuid, "--yes")
    assert result.code == 1
    assert "the plans cannot be written to a temporary file" in result.err
    assert "No space left on device (nothing was done)" in result.err
    assert models(sqlite_cloud, [uuid]) == ["virtio"]
    assert runs(sqlite_cloud) == []


def test_an_old_journal_is_upgraded_with_its_runs(sqlite_cloud: Cloud) -> None:
    """One that novadev 0.1 wrote: applied and undone, applied, killed between the databases."""
    import sqlite3

    from tests.image_property.guests import add_guest, on_scsi, stored

    text = (Path(__file__).parents[1] / "state" / "journal-0002.sql").read_text()
    rows = [line for line in text.splitlines() if line.startswith('INSERT INTO "plans"')]
    found = list(dict.fromkeys(row.split("'")[1] for row in rows))
    uuids = [add_guest(sqlite_cloud, uuid=uuid, cell=_cell(rows, uuid)) for uuid in found]
    before = {uuid: stored(sqlite_cloud, uuid) for uuid in uuids}
    (sqlite_cloud.folder / "state.sqlite").unlink()
    database = sqlite3.connect(sqlite_cloud.folder / "state.sqlite")
    database.executescript(text.replace("HOST", os.uname().nodename))
    database.close()
    told = {run["run"]: run["state"] for run in runs(sqlite_cloud)}
    assert told == {1: "undone", 2: "applied", 3: "applied", 4: "interrupted"}
    resumed = novadev(sqlite_cloud, "resume", "--yes")
    assert resumed.code == 0, resumed.err
    assert [stored(sqlite_cloud, uuid) for uuid in uuids[3:]] == [
        on_scsi(before[uuid]) for uuid in uuids[3:]
    ]
    assert novadev(sqlite_cloud, "undo", "4", "--yes").code == 0
    assert stored(sqlite_cloud, uuids[3]) == before[uuids[3]]


def _cell(rows: list[str], uuid: str) -> str:
    (row, *_) = [row for row in rows if uuid in row]
    return "cell2" if "22222222-2222" in row else "cell1"
