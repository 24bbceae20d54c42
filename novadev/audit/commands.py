"""The commands of an audit: one for all servers with the same remedy, in an order that works.

A shell takes them as they are. Nothing of a guest's stands in a remark beside them: some shells
read a pasted remark as a command.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from novadev.text import many

MAX_WORDS = 20
"""So many servers stand in the command; more are lines below it."""
_ORDER = (
    *("nova-manage", "novadev image-property unset --yes --duplicates"),
    *("novadev image-property set", "novadev image-property unset --yes --unreadable"),
    *("novadev image-property unset", "novadev machine-type set", "novadev stash-defaults"),
    *("novadev image-property sync", "novadev device alias-migrate", "novadev device restore"),
)
"""What Nova cannot read goes first: other commands stop at it. What is recorded goes last.

Such a value is replaced, where it can be, before the others are taken out: a guest may not boot
without any value.
"""
_HEADS = {
    "command": "# {checks}: {servers}",
    "stop": "# {checks}: {servers}, once stopped (then remove the first # of the lines below)",
    "wait": (
        "# {checks}: {servers}, once no task is in progress (then remove the first # of "
        "the lines below)"
    ),
}


def rank(remedy: str) -> int:
    """Return the place of REMEDY among the commands, from 0."""
    return next(
        (place for place, start in enumerate(_ORDER) if remedy.startswith(start)), len(_ORDER)
    )


@dataclass(frozen=True)
class Command:
    """A command for SERVERS, and the checks that ask for it.

    ``takes_many``: their UUIDs are still to be added. ``needs`` is that of their findings.
    """

    text: str
    checks: str
    needs: str
    takes_many: bool
    servers: int


def lines_of(command: Command, uuids: Iterable[str], max_words: int = MAX_WORDS) -> Iterator[str]:
    """Yield COMMAND for the servers UUIDS as a shell takes it, below a remark.

    What has to wait is a remark too: it would be refused now. More than MAX_WORDS servers are on
    lines of their own.
    """
    head = _HEADS[command.needs]
    yield head.format(checks=command.checks, servers=many(command.servers, "server"))
    mark = "" if command.needs == "command" else "# "
    yield from (f"{mark}{line}" for line in _words(command, uuids, max_words))


def _words(command: Command, uuids: Iterable[str], max_words: int) -> Iterator[str]:
    if not command.takes_many:
        yield command.text
    elif command.servers <= max_words:
        yield " ".join((command.text, *uuids))
    else:
        yield f"{command.text} --from-file - <<'END'"
        yield from uuids
        yield "END"
