"""``novadev device watch``: the service."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import help, options
from novadev.cli.grouping import labelled
from novadev.cli.notify import Notifier
from novadev.cli.session import Session, pass_session
from novadev.cli.talk import say
from novadev.errors import Interrupted
from novadev.text import many, printable

if TYPE_CHECKING:
    from novadev.records.drift import Drift
    from novadev.records.watch import Alive, News, Watch
    from novadev.records.watch_jobs import Recorded

_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CHANGES = 4
"""Changes of one guest that a line tells, and guests of one sweep that get a line."""


@help.command(short_help="Run as a service that records guests as they change.")
@options.compute_hosts(
    "Watch this compute host, such as cmp1 or 'cmp*'; may be repeated.  [default: all of them]"
)
@options.guest
@options.no_database
@click.option(
    "--every",
    type=click.IntRange(60, 7 * 24 * 3600),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="How often to check all guests of a host for changes that no event reported.",
)
@pass_session
def watch(
    session: Session, hosts: tuple[str, ...], asks_guest: bool, no_database: bool, every: int
) -> None:
    """Record guests as soon as their devices change, until the command is stopped.

    novadev keeps a connection to the libvirt of each compute host. It records a guest within two
    seconds of a change, in the same way as "device record". A device that is attached to a guest
    that is shut off fires no event in older libvirt, so novadev looks for that every 30 seconds.
    It checks all guests when it starts, when a host comes back, and once an hour. With --guest,
    novadev asks the guest agent for the name of each new disk, and repeats the question at growing
    intervals until there is an answer.

    The command changes nothing in Nova or libvirt. SIGTERM and SIGHUP end it with exit code 0,
    Ctrl-C with 130. It reports on stderr each change, and each host or database that does not
    answer.

    Example: novadev device watch --guest --host cmp1 --host cmp2
    """
    from novadev.records.watch import Watch

    service = Watch(session.deployment.config, hosts, asks_guest, no_database, every)
    with _stopped_by_signals(service) as signals:
        _serve(session, service)
    if signal.SIGINT in signals:
        raise click.exceptions.Exit(Interrupted.exit_code)


@contextmanager
def _stopped_by_signals(service: Watch) -> Iterator[list[int]]:
    """End SERVICE when the process is told to end; yields the signals that did.

    A signal that is ignored stays so: ``nohup`` has it ignore the end of the terminal.
    """
    came: list[int] = []

    def stop(number: int, _frame: object) -> None:
        came.append(number)
        service.stop()

    heeded = [number for number in _ENDS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heeded}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(session: Session, service: Watch) -> None:
    from novadev.records.watch import Alive

    notifier, lines, is_ready = Notifier(), Lines(), False
    for news in service.run():
        if isinstance(news, Alive):
            notifier.tell(READY=1, WATCHDOG=1, STATUS=_status(news))
            if not is_ready:
                session.say(f"Watching {many(news.hosts, 'host')}.")
            is_ready = True
        for is_error, line in lines.of(news):
            (say if is_error else session.say)(printable(line))
    notifier.tell(STOPPING=1)
    session.say("Stopped.")


def _status(alive: Alive) -> str:
    text = f"Watching {alive.connected} of {many(alive.hosts, 'host')}"
    return f"{text}; {many(alive.waiting, 'guest')} to record" if alive.waiting else text


class Lines:
    """The lines of the log, including the return of a host that was reported as lost."""

    def __init__(self) -> None:
        self._lost: set[str] = set()

    def of(self, news: News) -> Iterator[tuple[bool, str]]:
        """Yield the lines about NEWS, each with whether it is an error."""
        from novadev.records import watch

        match news:
            case watch.HostLost(host, error):
                self._lost.add(host)
                yield True, f"Error: {error}"
            case watch.HostOpened(host) if host in self._lost:
                self._lost.remove(host)
                yield False, f"host {host} is watched again"
            case watch.Trouble(error):
                yield (
                    True,
                    f"Error: {error}; what changes there meanwhile is recorded once that is over",
                )
            case watch.Mended(error):
                yield False, f"recording continues; the error before was: {error}"
            case watch.Written(host, guest):
                yield from ((False, line) for line in _changed(host, guest))
            case watch.Swept(host, written):
                yield from ((False, line) for line in _swept(host, written))
            case watch.Held(host, guest):
                for note in guest.pin_notes:
                    told = f"note: host {host}: instance {guest.uuid}: {note}"
                    yield False, labelled(told, guest.uuid, guest.name)
            case watch.Flapping(host, uuid, name):
                told = (
                    f"instance {uuid} changes all the time; it is recorded a few times a "
                    "minute only"
                )
                yield False, labelled(f"note: host {host}: {told}", uuid, name)
            case watch.Unnamed(host, uuid, disks, name):
                told = f"its agent answers but has no name for {', '.join(disks[:_CHANGES])}"
                yield False, labelled(f"note: host {host}: instance {uuid}: {told}", uuid, name)


def _swept(host: str, written: tuple[Recorded, ...]) -> Iterator[str]:
    """Yield what a sweep found: guest by guest where they are few."""
    if len(written) > _CHANGES:
        yield f"host {host}: {many(len(written), 'guest')} recorded that changed or were new"
        return
    for guest in written:
        yield from _changed(host, guest)


def _changed(host: str, guest: Recorded) -> Iterator[str]:
    """Yield a line about a guest of which anything changed that it sees."""
    told: list[Any] = [_in_words(change) for change in guest.changes[:_CHANGES]]
    if guest.is_first:
        told = [f"recorded for the first time, with {many(guest.devices, 'device')}"]
    elif len(guest.changes) > _CHANGES:
        told.append(f"and {len(guest.changes) - _CHANGES} more")
    if told:
        text = f"host {host}: instance {guest.uuid}: {'; '.join(told)} (record {guest.record})"
        yield labelled(text, guest.uuid, guest.name)


def _in_words(change: Drift) -> str:
    label = change.label + " (pinned)" * change.pinned
    if change.field == "device" and change.recorded is None:
        return f"{label} is new"
    if change.field == "device" and change.found is None:
        return f"{label} is gone"
    if change.field == "logical_name" and change.found:
        return f"{label} is {change.found} in the guest"
    name = "name in the guest" if change.field == "logical_name" else change.field
    return f"{label}: {name} was {change.recorded or 'none'}, is {change.found or 'none'}"
