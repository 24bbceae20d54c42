"""Many hosts, each in its own process, on libvirt's test driver and on real hosts."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from novadev.errors import BadInput, Busy, NotAsNeeded, NovadevError, Unreachable
from novadev.virt.asking import MUCH, Answer, Lane
from novadev.virt.pool import Pool, host_uri
from tests import domains
from tests.hypervisor import Hypervisor
from tests.virt import questions

TEST = "test:///default"


def of(_host: str) -> str:
    return TEST


def test_asks_a_host() -> None:
    with Pool(of) as pool:
        (found,) = pool.call("cmp1", questions.domains_of)
        assert (found.name, found.is_active) == ("test", True)
        assert pool.call("cmp1", questions.name_of) == "cmp1"
        assert pool.call("cmp1", questions.persistent, found.uuid).name == "test"


def test_a_child_is_kept_and_ends_with_the_pool() -> None:
    with Pool(of) as pool:
        first = pool.call("cmp1", questions.pid)
        assert pool.call("cmp1", questions.pid) == first != os.getpid()
        left = pool.call("cmp1", questions.leave_a_process)
        assert questions.alive(first)
    assert not questions.alive(first)
    assert ends(left)


def ends(pid: int) -> bool:
    """Whether a process that was killed, and that is not ours to wait for, ends soon."""
    deadline = time.monotonic() + 5
    while questions.alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not questions.alive(pid)


def test_at_most_workers_children() -> None:
    with Pool(of, workers=2) as pool:
        work = {f"cmp{number}": [(None,), (None,)] for number in range(5)}
        answers = list(pool.run(questions.pid, work))
        pids = {answer.result() for answer in answers}
        assert (len(answers), len(pids)) == (10, 2)
        assert sum(map(questions.alive, pids)) == 2


def test_a_child_that_is_done_with_a_host_speaks_to_the_next_one() -> None:
    with Pool(of, workers=1) as pool:
        first = pool.call("cmp1", questions.pid)
        pool.call("cmp1", questions.print_on_stderr)
        pool.call("cmp1", questions.hang_when_closed)
        assert pool.call("cmp2", questions.name_of) == "cmp2"
        assert pool.call("cmp2", questions.pid) == first
        (found,) = pool.call("cmp2", questions.domains_of)
        assert found.name == "test"
        with pytest.raises(Unreachable, match=r"host cmp3 .*ended with 3: the last words$"):
            pool.call("cmp3", questions.end)
        assert pool.call("cmp1", questions.pid) != first


def test_what_one_host_said_is_not_said_of_the_next(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Pool(of, workers=1) as pool:
        pool.call("cmp1", questions.print_on_stderr)
        pool.call("cmp2", questions.name_of)
        pool.drop(Lane("cmp2"))
    assert "host cmp1: chatter" in caplog.text
    assert "host cmp2: chatter" not in caplog.text


@pytest.mark.parametrize("seconds", [0.0, 0.5])
@pytest.mark.parametrize("speak", [questions.speak_later, questions.speak_when_closed])
def test_what_one_host_says_late_is_not_said_of_the_next(
    speak: Callable[..., None], seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    """By a process of its, or by its connection as that is closed; later lines keep their host."""
    with caplog.at_level(logging.INFO), Pool(of, workers=1) as pool:
        first = pool.call("cmp1", questions.pid)
        pool.call("cmp1", speak, seconds)
        assert pool.call("cmp2", questions.pid) == first
        pool.call("cmp2", questions.wait, 1.0)
        assert pool.call("cmp3", questions.pid) == first
        pool.call("cmp3", questions.print_on_stderr)
        pool.drop(Lane("cmp3"))
    assert "host cmp2: chatter" not in caplog.text
    assert "host cmp3: chatter" in caplog.text


def test_a_child_that_has_not_answered_is_not_kept_for_another_host() -> None:
    """It may hang in the connection to its own."""
    with Pool(of, workers=1) as pool:
        process, _ = pool.process(Lane("cmp1"), ())
        other, starts = pool.process(Lane("cmp2"), ())
        assert starts
        assert other is not process
        assert not process.is_alive()


MANY = [(number,) for number in range(60)]


def test_a_host_with_much_to_do_gets_a_second_child() -> None:
    """As soon as no other host waits for one, and not beyond the number of workers."""
    with Pool(of, workers=2) as pool:
        list(pool.run(questions.short, {"cmp1": MANY[:MUCH]}))
        assert len({answer.result() for answer in pool.run(questions.pid, {"cmp1": [()]})}) == 1
        answers = list(pool.run(questions.short, {"cmp1": MANY}))
        assert [answer.arguments for answer in answers] == MANY
        assert [answer.value[0] for answer in answers if answer.value] == [n for (n,) in MANY]
        assert len(pids(answers)) == 2
        answers = list(pool.run(questions.short, {"cmp1": MANY, "cmp2": MANY}))
        for host in ("cmp1", "cmp2"):
            assert [answer.arguments for answer in answers if answer.host == host] == MANY
        assert sum(map(questions.alive, pids(answers))) <= 2
    with Pool(of, workers=1) as pool:
        assert len(pids(list(pool.run(questions.short, {"cmp1": MANY})))) == 1


def pids(answers: Sequence[Answer[tuple[int, int]]]) -> set[int]:
    return {answer.value[1] for answer in answers if answer.value}


def test_a_second_child_that_cannot_connect_costs_nothing() -> None:
    """As where the daemon takes no more connections of a client, or ssh none at a time."""
    uris = iter([TEST])
    with Pool(lambda _: next(uris, "test:///missing.xml")) as pool:
        for _ in range(2):
            answers = list(pool.run(questions.short, {"cmp1": MANY}))
            assert [answer.error for answer in answers] == [None] * len(MANY)
            assert len(pids(answers)) == 1


def test_a_host_is_not_given_up_for_a_second_child_that_never_answered() -> None:
    with Pool(of, workers=2) as pool:
        first = pool.call("cmp1", questions.pid)
        pool.process(Lane("cmp1", 1), ())
        pool.lose(Lane("cmp1", 1), Unreachable("host cmp1 was lost"))
        assert pool.call("cmp1", questions.pid) == first


@pytest.mark.slow
@pytest.mark.parametrize("place", range(20, 24))
@pytest.mark.parametrize("fault", ["hang", "end"])
def test_what_fails_in_one_of_two_children_costs_itself_alone(place: int, fault: str) -> None:
    """Whichever of the two has it; the others come in their order, each of them once."""
    work = [(f"guest{number}", fault if number == place else "") for number in range(60)]
    with Pool(of, timeout=2, workers=2) as pool:
        answers = list(pool.run(questions.about_or, {"cmp1": work}))
    assert [answer.arguments for answer in answers] == work
    assert [at for at, answer in enumerate(answers) if answer.error] == [place]
    assert answers[place].was_asked


@pytest.mark.slow
def test_answers_of_a_host_come_in_order_and_hosts_side_by_side() -> None:
    with Pool(of, workers=3) as pool:
        work = {"slow": [(1.0,)], "quick": [(0.0,), (0.1,)], "other": [(0.05,)], "idle": []}
        answers = list(pool.run(questions.wait, work))
    assert [answer.value for answer in answers if answer.host == "quick"] == [0.0, 0.1]
    assert answers[-1].host == "slow"
    assert {answer.host for answer in answers} == {"slow", "quick", "other"}


@pytest.mark.parametrize(
    ("question", "error", "text"),
    [
        (questions.refuse, NotAsNeeded, "^cmp1 does not want to$"),
        (questions.fail, NovadevError, "^host cmp1: ZeroDivisionError: a bug$"),
        (questions.give_what_cannot_be_sent, NovadevError, "^host cmp1: "),
        (questions.end, Unreachable, "ended with 3: the last words$"),
    ],
)
def test_errors_come_back(
    question: object, error: type[NovadevError], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Pool(of) as pool:
        pool.call("cmp1", questions.echo, "there")
        with pytest.raises(error, match=text) as caught:
            pool.call("cmp1", question)  # type: ignore[arg-type]
        assert type(caught.value) is error
        assert pool.call("cmp1", questions.echo, "still there") == "still there"


def test_log_records_come_back(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    logging.getLogger().setLevel(logging.INFO)
    with Pool(of) as pool:
        pool.call("cmp1", questions.log, "a word")
        pool.call("cmp1", questions.print_on_stderr)
        with pytest.raises(NovadevError):
            pool.call("cmp1", questions.wrong_call)
    assert ("novadev.test", logging.WARNING, "a word") in caplog.record_tuples
    assert "host cmp1: chatter" in caplog.text
    assert "libvirt: Domain not found" in caplog.text
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_call_that_takes_too_long() -> None:
    with Pool(of, timeout=1) as pool:
        pid = pool.call("cmp1", questions.pid)
        started = time.monotonic()
        work = {"cmp1": [(30,), (0,), (0,)], "cmp2": [(0,)]}
        answers = list(pool.run(questions.wait, work))
        assert time.monotonic() - started < 5
        assert not questions.alive(pid)
        assert [(a.host, a.arguments, bool(a.error)) for a in answers] == [
            ("cmp2", (0,), False),
            ("cmp1", (30,), True),
            ("cmp1", (0,), True),
            ("cmp1", (0,), True),
        ]
        assert [answer.was_asked for answer in answers] == [True, True, False, False]
        with pytest.raises(Unreachable, match="no answer within 1 s"):
            answers[1].result()
        assert pool.call("cmp1", questions.echo, 1) == 1


@pytest.mark.slow
def test_a_guest_that_takes_too_long_costs_itself_alone() -> None:
    """After others of its host were answered; a host of which nothing was heard is lost."""
    with Pool(of, timeout=1) as pool:
        guests = [("a", 0), ("b", 30), ("c", 0)]
        answers = list(pool.run(questions.about, {"cmp1": guests}))
        assert [answer.value for answer in answers] == ["a", None, "c"]
        assert type(answers[1].error) is Busy
        assert str(answers[1].error) == "host cmp1: domain b: no answer within 1 s"
        lost = list(pool.run(questions.about, {"cmp2": [("b", 30), ("c", 0)]}))
        assert [(type(answer.error), answer.was_asked) for answer in lost] == [
            (Unreachable, True),
            (Unreachable, False),
        ]


@pytest.mark.slow
def test_a_host_that_is_lost_names_a_guest_to_that_guest_alone() -> None:
    """The others were not asked: they hear that their host was lost, not of which guest."""
    work = {"cmp1": [(f"guest{number}", number == 1) for number in range(4)]}
    with Pool(of, workers=1) as pool:
        first, asked, *others = pool.run(questions.lose_the_host, work)
    assert first.result() == "guest0"
    assert str(asked.error) == "host cmp1: domain guest1: no reason given"
    assert [answer.was_asked for answer in others] == [False, False]
    assert {str(answer.error) for answer in others} == {"host cmp1 was lost: no reason given"}
    assert {type(answer.error) for answer in others} == {Unreachable}


def test_a_host_that_is_given_up_names_no_guest() -> None:
    with Pool(of) as pool:
        told = []
        for name in ("guest0", "guest1"):
            with pytest.raises(Unreachable) as lost:
                pool.call("cmp1", questions.lose_the_host, name)
            told.append(str(lost.value))
        with pytest.raises(Unreachable) as lost:
            pool.call("cmp2", questions.lose_the_host, ("guest0", "guest1"))
    assert told == [
        "host cmp1: domain guest0: no reason given",
        "host cmp1 was lost: no reason given",
    ]
    assert str(lost.value) == "host cmp2 was lost: no reason given"


def test_another_limit_for_a_run() -> None:
    with Pool(of, timeout=1) as pool:
        assert [a.value for a in pool.run(questions.wait, {"c": [(1.5,)]}, timeout=10)] == [1.5]


@pytest.mark.slow
def test_an_answer_that_came_in_time_is_not_overdue_because_nobody_looked() -> None:
    with Pool(of, timeout=1) as pool:
        for answer in pool.run(questions.wait, {"a": [(0,)], "b": [(0.3,)]}):
            assert answer.error is None
            time.sleep(1.5)


def test_a_run_that_is_given_up() -> None:
    with Pool(of) as pool:
        pid = pool.call("slow", questions.pid)
        for answer in pool.run(questions.wait, {"slow": [(30,)], "quick": [(0,)]}):
            assert answer.host == "quick"
            break
        assert not questions.alive(pid)


def test_a_child_that_died_idle_is_replaced() -> None:
    with Pool(of) as pool:
        pid = pool.call("cmp1", questions.pid)
        os.kill(pid, 9)
        time.sleep(0.1)
        assert pool.call("cmp1", questions.pid) != pid


def test_a_child_imports_nothing_from_the_folder_it_is_started_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lxml", "logging", "novadev"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    with Pool(of) as pool:
        assert pool.call("cmp1", questions.echo, "there") == "there"


def test_large_values() -> None:
    with Pool(of) as pool:
        assert pool.call("cmp1", questions.echo, "x" * 5_000_000) == "x" * 5_000_000


def test_a_host_without_a_uri() -> None:
    def uri(host: str) -> str:
        return host_uri("qemu+ssh://root@{host}/system", host) if host != "cmp1" else TEST

    bad = "x/system?command=/bin/sh"
    with Pool(uri) as pool:
        answers = list(pool.run(questions.echo, {bad: [(1,), (2,)], "cmp1": [(3,)]}))
    assert [answer.value for answer in answers] == [None, None, 3]
    assert [answer.was_asked for answer in answers] == [False, False, True]
    with pytest.raises(BadInput, match="cannot be put into a URI"):
        answers[0].result()


def test_uris() -> None:
    assert host_uri("qemu+ssh://root@{host}/system", "cmp1.example") == (
        "qemu+ssh://root@cmp1.example/system"
    )
    assert host_uri("qemu:///system", "a b") == "qemu:///system"


def addresses(hosts: list[Hypervisor]) -> dict[str, str]:
    return {host.name: host.uri for host in hosts}


@pytest.mark.slow
def test_a_hung_and_a_dead_host_cost_their_own_time_only(hypervisors3: list[Hypervisor]) -> None:
    hung, dead, good = hypervisors3
    uuid = good.define(domains.domain()).UUIDString()
    uris = addresses(hypervisors3)
    hung.pause()
    dead.kill()
    with Pool(uris.__getitem__, timeout=2, workers=3) as pool:
        started = time.monotonic()
        seen = {}
        for answer in pool.run(questions.domains_of, {name: [()] for name in uris}):
            seen[answer.host] = (time.monotonic() - started, answer)
    assert [domain.uuid for domain in seen[good.name][1].result()] == [uuid]
    assert seen[good.name][0] < seen[hung.name][0] < 8
    for name in (hung.name, dead.name):
        with pytest.raises(Unreachable, match=f"^host {name} could not be reached"):
            seen[name][1].result()


@pytest.mark.slow
def test_a_host_that_hangs_in_the_middle(hypervisors3: list[Hypervisor]) -> None:
    hung, *others = hypervisors3
    uris = addresses(hypervisors3)
    with Pool(uris.__getitem__, timeout=4, workers=3) as pool:
        work: dict[str, list[tuple[object, ...]]] = {name: [()] for name in uris}
        assert [a.value for a in pool.run(questions.domains_of, work)] == [(), (), ()]
        hung.pause()
        started = time.monotonic()
        answers = {
            a.host: a
            for a in pool.run(
                questions.domains_of, {hung.name: [(), ()], **{host.name: [()] for host in others}}
            )
            if a.error or a.value == ()
        }
        assert time.monotonic() - started < 6
        assert [answers[host.name].error for host in others] == [None, None]
        assert isinstance(answers[hung.name].error, Unreachable)
        hung.resume()
        assert pool.call(hung.name, questions.domains_of) == ()


@pytest.mark.slow
def test_hosts_that_never_answered_are_not_tried_again(hypervisors3: list[Hypervisor]) -> None:
    hung, dead, good = hypervisors3
    uris = addresses(hypervisors3)
    work: dict[str, list[tuple[object, ...]]] = {name: [(), ()] for name in uris}
    hung.pause()
    dead.kill()
    with Pool(uris.__getitem__, timeout=2, workers=2) as pool:
        first = {(a.host, a.was_asked): a.error for a in pool.run(questions.domains_of, work)}
        assert {key for key, error in first.items() if error} == {
            (host.name, asked) for host in (hung, dead) for asked in (True, False)
        }
        hung.resume()
        dead.restart()
        started = time.monotonic()
        for _ in range(3):
            answers = list(pool.run(questions.domains_of, work))
            assert [a.host for a in answers if a.error is None] == [good.name] * 2
            lost = [a for a in answers if a.error]
            assert {(a.host, a.was_asked) for a in lost} == {
                (hung.name, False),
                (dead.name, False),
            }
            assert all(a.error is first[a.host, True] for a in lost)
        assert time.monotonic() - started < 1
        with pytest.raises(Unreachable, match=f"^host {hung.name} could not be reached"):
            pool.call(hung.name, questions.domains_of)
    with Pool(uris.__getitem__, timeout=2) as pool:
        assert [a.value for a in pool.run(questions.domains_of, work)] == [()] * 6


@pytest.mark.slow
def test_a_host_that_had_answered_is_tried_once_more(hypervisor: Hypervisor) -> None:
    with Pool(lambda _: hypervisor.uri, timeout=2) as pool:
        assert pool.call("cmp1", questions.domains_of) == ()
        hypervisor.pause()
        for asked in (True, True, False, False):
            (answer,) = pool.run(questions.domains_of, {"cmp1": [()]})
            assert (type(answer.error), answer.was_asked) == (Unreachable, asked)


@pytest.mark.slow
def test_a_daemon_that_was_restarted_is_reached_again(hypervisor: Hypervisor) -> None:
    with Pool(lambda _: hypervisor.uri) as pool:
        assert pool.call("cmp1", questions.domains_of) == ()
        hypervisor.restart()
        try:
            pool.call("cmp1", questions.domains_of)
        except Unreachable:
            assert pool.call("cmp1", questions.domains_of) == ()
