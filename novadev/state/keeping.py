"""What the nova-compute of each host does with addresses and aliases, as it says itself.

``novadev-nova-compute`` writes it; doctor, audit and forecast read it. Of a host that has written
nothing here nothing is known: it may not run the script, or have another state database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from novadev.database import Database, now_of
from novadev.state.store import examine_state
from novadev.state.tables import keeping_count, keeping_host

HEARTBEAT = 60.0
"""Seconds after which a nova-compute says again what it does."""
SILENCE = timedelta(minutes=10)
"""After so long without a word it is not known any more what a nova-compute does."""
_FIRST, _WITH_ALIASES = "0007", "0008"
"""The schemas since which nova-computes say what they do with addresses, and with aliases."""
Outcome = tuple[str, str]
"""What became of a definition, and the reason, empty where it needs none."""
KEPT: Outcome = ("kept", "")
SHOWN: Outcome = ("shown", "")
PASSED = "passed"
UNRECORDED = "unrecorded"
"""What a guest had is not recorded, though Nova ended or moved it."""
REASONS: Mapping[str, str] = {
    "not-recorded": "nothing is recorded of the guest that counts on this host",
    "nothing-to-keep": "the record has nothing that the definition does not have anyway",
    "does-not-fit": "the guest has another machine type, or no room for what is recorded",
    "state-database": "the state database is away, slow, or of another release of novadev",
    "no-answer": "novadev's process gave no answer in time",
    "refused": "libvirt refused what was kept, or the guest did not start with it",
    "error": "an unexpected error, or a definition that cannot be read",
}
"""Why a definition is passed through as Nova wrote it, or a guest is not recorded."""


def passed(reason: str) -> Outcome:
    """Return the outcome of a definition that is passed through for this REASON."""
    assert reason in REASONS
    return (PASSED, reason)


def unrecorded(reason: str) -> Outcome:
    """Return the outcome of a guest that could not be recorded for this REASON."""
    assert reason in REASONS
    return (UNRECORDED, reason)


@dataclass(frozen=True)
class HostKeeping:
    """What one host said: ``mode`` (off, log or on) and ``since`` when; when it was ``seen`` last.

    Times are UTC by the database's clock. ``aliases``: the mode goes for aliases too; None of a
    nova-compute that has not said so. ``is_silent``: it has not said anything for long. ``counts``
    are of all definitions ever, by outcome.
    """

    host: str
    mode: str
    aliases: bool | None
    since: datetime
    seen: datetime
    is_silent: bool
    counts: Mapping[Outcome, int]

    @property
    def keeps(self) -> bool:
        """Whether it is known that recorded addresses are put into definitions there."""
        return self.mode == "on" and not self.is_silent

    @property
    def keeps_aliases(self) -> bool:
        """Whether it is known that aliases are put into definitions there."""
        return self.keeps and bool(self.aliases)


def write_keeping(
    database: Database, host: str, mode: str, aliases: bool, counts: Mapping[Outcome, int]
) -> None:
    """Write that HOST does MODE now, with ALIASES or without; add COUNTS to its earlier ones."""
    with database.writing() as connection:
        now = now_of(connection)
        _write_mode(connection, host, {"mode": mode, "aliases": aliases}, now)
        for (outcome, reason), number in counts.items():
            _add(connection, (host, outcome, reason), number, now)


def _write_mode(
    connection: sa.Connection, host: str, does: Mapping[str, object], now: datetime
) -> None:
    table = keeping_host
    query = sa.select(table).where(table.c.host == host).with_for_update()
    known = connection.execute(query).one_or_none()
    if known is None:
        values = {"host": host, **does, "since": now, "seen": now}
        connection.execute(sa.insert(table), values)
        return
    is_same = all(known._mapping[name] == value for name, value in does.items())
    is_same &= known.seen + SILENCE > now
    values = {**does, "since": known.since if is_same else now, "seen": now}
    connection.execute(sa.update(table).where(table.c.host == host).values(values))


def _add(connection: sa.Connection, key: tuple[str, str, str], number: int, now: datetime) -> None:
    table = keeping_count
    names = dict(zip(("host", "outcome", "reason"), key, strict=True))
    chosen = [table.c[name] == value for name, value in names.items()]
    values = {"number": table.c.number + number, "last": now}
    if not connection.execute(sa.update(table).where(*chosen).values(values)).rowcount:
        connection.execute(sa.insert(table), {**names, "number": number, "last": now})


def list_keeping(url: str) -> dict[str, HostKeeping]:
    """Return what is known in the state database at URL, by host; it is not made or upgraded.

    One with an older schema knows no aliases, or nothing. Raises as
    :func:`novadev.state.store.examine_state`.
    """
    facts = examine_state(url)
    if facts.revision is None or facts.revision < _FIRST:
        return {}
    columns = [*keeping_host.c]
    if facts.revision < _WITH_ALIASES:
        columns.remove(keeping_host.c.aliases)
    with facts.database.reading() as connection:
        now = now_of(connection)
        counts: dict[str, dict[Outcome, int]] = {}
        for row in connection.execute(sa.select(keeping_count)):
            counts.setdefault(row.host, {})[row.outcome, row.reason] = row.number
        return {
            row.host: HostKeeping(
                host=row.host,
                mode=row.mode,
                aliases=row._mapping.get("aliases"),
                since=row.since,
                seen=row.seen,
                is_silent=row.seen + SILENCE < now,
                counts=counts.get(row.host, {}),
            )
            for row in connection.execute(sa.select(*columns).order_by(keeping_host.c.host))
        }
