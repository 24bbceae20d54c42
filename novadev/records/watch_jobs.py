"""The threads of a watch, which record guests on several hosts at the same time.

Each job is a small ``device record``, with a deployment of its own: it opens the databases and, if
there is anything to read, a child process for the host, and leaves nothing open. So a database that
was away, or moved, is found again, and an idle watch holds nothing but its connections to libvirt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from time import sleep

from novadev.config import Config
from novadev.deployment import Deployment
from novadev.device.selecting import is_without_databases
from novadev.errors import NotFound, NovadevError, Unreachable
from novadev.filters import HOST, check_known
from novadev.nova.exact import WILD, in_full
from novadev.nova.instances import InstanceFilter
from novadev.nova.known_names import list_hosts
from novadev.records.comparison import Look, iter_looks
from novadev.records.device import VmDevice
from novadev.records.drift import Drift, compare
from novadev.records.record import pin_notes, write_looks
from novadev.records.store import VmDevices
from novadev.runs.journal import Journal
from novadev.runs.plan import Skip
from novadev.selection import Selection

_NAMED = ("disk", "lun")
"""Disks that a guest has a name for; of the others it has one only with a medium."""


@dataclass(frozen=True)
class Recorded:
    """What came of a guest: its ``changes``, under the number ``record`` where they were written.

    ``is_written``: something was written of it, maybe no more than that its XML has another text,
    which is no record. ``is_first``: nothing was recorded of it before. ``unnamed`` are the disks
    for which the guest has told no name. ``is_outdated``: another one wrote the guest while this
    one looked at it, so nothing was written. ``is_running`` and ``has_answered`` are None of a
    guest that was not read. ``name`` is empty where only the XML would tell it, and was not read.
    ``held`` is in what pinned devices are not where they are pinned, whatever was recorded since;
    ``pin_notes`` are the notes that ``device record`` gives for them.
    """

    uuid: str
    name: str = ""
    record: int | None = None
    is_written: bool = False
    changes: tuple[Drift, ...] = ()
    devices: int = 0
    is_first: bool = False
    unnamed: tuple[str, ...] = ()
    is_outdated: bool = False
    is_running: bool | None = None
    has_answered: bool = False
    notes: tuple[str, ...] = ()
    held: tuple[Drift, ...] = ()
    pin_notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotRecorded:
    """Why nothing is known of a guest now; ``uuid`` is None for a whole host or cell."""

    uuid: str | None
    reason: str
    exit_code: int
    database: str | None = None


Result = Recorded | NotRecorded


class Recorder:
    """Records guests of the deployment that CONFIG describes, in several threads at a time.

    Two jobs may look at the same guest, and other processes too. Who looked first and writes last
    would put back what was: so what another one has written since is not written over.
    """

    def __init__(self, config: Config, no_database: bool) -> None:
        self._config, self._no_database = config, no_database
        self._lock = Lock()
        self._has_state = False
        self._journal = ""

    def list_hosts(self, wanted: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the hosts to watch: those WANTED (names or patterns), else all.

        It opens the state database, too.

        Raises NotFound for one that the deployment does not have, Unreachable without a database,
        and what a host's URI raises where none of the hosts has one.
        """
        with self._deployment() as deployment:
            VmDevices(deployment.state).list_dynamics([])
            self._has_state = True
            self._check_state(deployment)
            if is_without_databases(deployment, self._no_database):
                known = [self._config.host]
            else:
                list(check_known(deployment, [(HOST, host) for host in wanted]))
                is_exact = wanted and not any(WILD & {*name} for name in wanted)
                known = [] if is_exact else sorted(_known_hosts(deployment))
            found = set(in_full(wanted or known, known))
            if wanted and not found:
                raise NotFound(f"no compute host is like {' or '.join(wanted):.80}")
            errors = [error for host in found if (error := _no_uri(deployment, host))]
        if errors and (wanted or len(errors) == len(found)):
            raise errors[0]
        return tuple(sorted(found))

    def _deployment(self) -> Deployment:
        """Return the deployment; a state database that was there is not made anew."""
        return Deployment(self._config, self._has_state)

    def _check_state(self, deployment: Deployment) -> None:
        """Raise Unreachable where the state database is not the one with which the watch began.

        Another command makes a new one where it is gone, without the records and the pins.
        """
        found = Journal(deployment.state).id
        self._journal = self._journal or found
        if found != self._journal:
            raise Unreachable(
                "the state database is another one than when the watch began, so it may lack "
                "records and pins: bring back the former one, or restart the watch"
            )

    def sweep(self, host: str, asks_names: bool) -> list[Result]:
        """Record every changed guest of HOST; with ASKS_NAMES report guests with unnamed disks.

        Raises as :func:`novadev.records.comparison.iter_looks`.
        """
        narrow = InstanceFilter(hosts=(host,))
        return self._record(Selection(narrow=narrow), asks_guest=False, asks_names=asks_names)

    def record(
        self, host: str, uuids: Sequence[str], asks_guest: bool = False, wait: float = 0
    ) -> list[Result]:
        """Record these guests of HOST; ASKS_GUEST: with what they call their disks.

        WAIT is how many seconds must pass before they are looked at. One that Nova has on another
        host comes back as NotRecorded. Raises as `sweep`.
        """
        narrow = InstanceFilter(hosts=(host,))
        return self._record(Selection(names=uuids, narrow=narrow), asks_guest, wait=wait)

    def _record(
        self,
        selection: Selection,
        asks_guest: bool,
        asks_names: bool = False,
        wait: float = 0,
    ) -> list[Result]:
        results: list[Result] = []
        with self._deployment() as deployment:
            self._check_state(deployment)
            if selection.is_named:
                deployment.hosts.warm()
            sleep(wait)
            record = None
            for items in iter_looks(
                deployment, selection, asks_guest, no_database=self._no_database
            ):
                looks = [item for item in items if isinstance(item, Look)]
                record, written = self._write(deployment, looks, record)
                named = _recorded_devices(deployment, looks) if asks_names else {}
                results += map(_not_recorded, (item for item in items if isinstance(item, Skip)))
                for look in looks:
                    is_written = look.instance.uuid in written
                    results.append(_recorded(look, is_written, record, named))
        return results

    def _write(
        self, deployment: Deployment, looks: Iterable[Look], record: int | None
    ) -> tuple[int | None, set[str]]:
        """Write the looks that are news, and return the record's number and whose they are."""
        new = [look for look in looks if look.is_new]
        with self._lock:
            record, left = write_looks(VmDevices(deployment.state), new, record)
        return record, {look.instance.uuid for look in new}.difference(left)


def _known_hosts(deployment: Deployment) -> Iterator[str]:
    for cell in deployment.cells:
        with deployment.cell_database(cell).reading() as connection:
            yield from list_hosts(connection)


def _no_uri(deployment: Deployment, host: str) -> NovadevError | None:
    try:
        deployment.host_uri(host)
    except NovadevError as error:
        return error
    return None


def _recorded_devices(
    deployment: Deployment, looks: Sequence[Look]
) -> dict[str, tuple[VmDevice, ...]]:
    """Return what is recorded of the guests that were not read, because they have not changed."""
    unread = [look.instance.uuid for look in looks if look.seen is None]
    return VmDevices(deployment.state).list_devices(unread)


def _recorded(
    look: Look, is_written: bool, record: int | None, named: dict[str, tuple[VmDevice, ...]]
) -> Recorded:
    uuid, seen = look.instance.uuid, look.seen
    if seen is None:
        return Recorded(uuid, look.name, unnamed=_unnamed(named.get(uuid, ())))
    return Recorded(
        uuid,
        look.name,
        record=record if is_written and look.has_news else None,
        is_written=is_written,
        changes=tuple(_changes(look, seen.devices)),
        devices=len(seen.devices),
        is_first=look.recorded is None,
        unnamed=_unnamed(seen.devices),
        is_outdated=look.is_new and not is_written,
        is_running=seen.is_running,
        has_answered=seen.has_answered,
        notes=seen.notes,
        held=tuple(_held(look, seen.devices)),
        pin_notes=tuple(pin_notes(look)),
    )


def _changes(look: Look, found: Sequence[VmDevice]) -> Iterator[Drift]:
    """Yield what has changed since the guest was last found."""
    for item in compare(look.found, found) if look.hash != look.found_hash else ():
        yield replace(item, pinned=item.device_id in look.pins)


def _held(look: Look, found: Sequence[VmDevice]) -> Iterator[Drift]:
    for item in compare(look.devices, found, look.pins):
        if item.pinned and (item.field == "address" or item.found is None):
            yield item


def _unnamed(devices: Iterable[VmDevice]) -> tuple[str, ...]:
    disks = (item for item in devices if item.type == "disk" and item.device in _NAMED)
    return tuple(item.label for item in disks if item.is_plugged and not item.logical_name)


def _not_recorded(skip: Skip) -> NotRecorded:
    return NotRecorded(skip.instance, skip.reason, skip.exit_code, skip.database)
