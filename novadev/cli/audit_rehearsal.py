"""The options and the output of ``audit --rehearse``."""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from novadev.cli import completion, options
from novadev.cli.session import Session

if TYPE_CHECKING:
    from novadev.audit.rehearsal import Rehearsals

F = TypeVar("F", bound=Callable[..., Any])
MAX_PARALLEL = 5
"""Of :mod:`novadev.rehearsal.rehearsing`, which is not imported for help alone."""


@dataclass(frozen=True)
class Wanted:
    """The rehearsal that was asked for: its host, whose guests may run on, its budget, its file."""

    host: str
    allow_busy: bool
    max_shapes: int
    timeout: int
    parallel: int
    file_name: str | None


def rehearsal(function: F) -> Callable[..., Any]:
    """Give the command the options of a rehearsal; it gets them as one ``wanted``, or None."""

    @functools.wraps(function)
    def command(
        rehearse: str | None,
        allow_busy: bool,
        max_shapes: int,
        timeout: int,
        parallel: int,
        shapes_name: str | None,
        **values: Any,
    ) -> Any:
        if rehearse is None:
            _refuse_others()
            return function(wanted=None, **values)
        wanted = Wanted(rehearse, allow_busy, max_shapes, timeout, parallel, shapes_name)
        return function(wanted=wanted, **values)

    for decorate in reversed(_OPTIONS):
        command = decorate(command)
    return command


def _refuse_others() -> None:
    """Raise UsageError if an option of the rehearsal was given without its host."""
    source = click.get_current_context().get_parameter_source
    options_of = {"shapes": "shapes_name"}
    for name in ("allow-busy", "max-shapes", "timeout", "parallel", "shapes"):
        if source(options_of.get(name, name.replace("-", "_"))) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} needs --rehearse HOST")


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--rehearse",
        shell_complete=completion.hosts,
        type=options.TEXT,
        metavar="HOST",
        help="Define one guest of each shape on this host, start it paused, and remove it again.",
    ),
    click.option(
        "--allow-busy",
        is_flag=True,
        help="Rehearse even if the host has guests. They are not touched.",
    ),
    click.option(
        "--max-shapes",
        type=click.IntRange(min=1),
        default=500,
        show_default=True,
        metavar="N",
        help="Rehearse at most N shapes, those with the most guests first.",
    ),
    click.option(
        "--timeout",
        type=click.IntRange(min=1),
        default=1800,
        show_default=True,
        metavar="SECONDS",
        help="Begin no new shape after this time.",
    ),
    click.option(
        "--parallel",
        type=click.IntRange(1, MAX_PARALLEL),
        default=2,
        show_default=True,
        metavar="N",
        help="Number of shapes to rehearse at the same time.",
    ),
    click.option(
        "--shapes",
        "shapes_name",
        shell_complete=completion.files,
        type=options.TEXT,
        metavar="FILE.json",
        help="Write every shape, its guests and its result to this file.",
    ),
)


def rehearsals_of(session: Session, wanted: Wanted | None) -> Rehearsals | None:
    """Return the rehearsal that was WANTED; raises BadInput where its file cannot be."""
    if wanted is None:
        return None
    from novadev.audit.rehearsal import Rehearsals, check_file
    from novadev.rehearsal.rehearsing import Budget, Rehearsal

    if wanted.file_name is not None:
        check_file(wanted.file_name)
    budget = Budget(wanted.max_shapes, wanted.timeout, wanted.parallel)
    hosts = session.deployment.hosts
    return Rehearsals(Rehearsal(hosts, wanted.host, budget, wanted.allow_busy))


_ENDS = (signal.SIGTERM, signal.SIGHUP)
"""The end of a service or of ``timeout``, and a connection that is lost."""


@contextmanager
def cleaning_up(rehearsals: Rehearsals | None) -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the body as Ctrl-C does, and end REHEARSALS with it.

    The first signal raises KeyboardInterrupt; more of them do not stop the cleaning up. Under nohup
    SIGHUP changes nothing. Without a rehearsal all signals do what they always do.
    """
    if rehearsals is None:
        yield
        return
    has_ended = False

    def end(_signal: int, _frame: object) -> None:
        nonlocal has_ended
        if not has_ended:
            has_ended = True
            raise KeyboardInterrupt

    heeded = [number for number in _ENDS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in heeded}
    try:
        yield
    finally:
        rehearsals.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def report(session: Session, wanted: Wanted, rehearsals: Rehearsals) -> None:
    """Say in a line what the rehearsal gave, and write its file; raises BadInput if it cannot."""
    session.say(rehearsals.summary())
    if wanted.file_name is not None:
        from novadev.audit.rehearsal import write_shapes

        write_shapes(wanted.file_name, rehearsals.shapes)
