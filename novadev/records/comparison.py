"""Finds guests that differ from their record, and reads only those in full."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Generic, TypeVar

from novadev.deployment import Deployment
from novadev.device.hosted_instance import HostedInstance
from novadev.device.selecting import attached, is_without_databases, iter_hosted, on_no_host
from novadev.errors import NotAsNeeded, NovadevError
from novadev.nova.instances import Instance
from novadev.records.baseline import Baseline
from novadev.records.device import (
    AsOf,
    Merged,
    Pins,
    VmDevice,
    VmDynamic,
    as_pinned,
    hash_of,
    merge,
)
from novadev.records.on_host import (
    RESCUED,
    Fingerprint,
    Question,
    Seen,
    fingerprints,
    see,
)
from novadev.records.store import Newest
from novadev.runs.plan import Skip
from novadev.selection import Chunk, Selection, iter_by_host, of_chunks

AT_ONCE = 250
"""Guests whose fingerprints are asked for in one call, which has the host's time limit."""
NoteSink = Callable[[Iterable[str]], None]
"""What takes the notes of a guest: what its agent said, or why there is no answer."""


@dataclass(frozen=True)
class Look:
    """An instance, what is recorded of it, and what it has now.

    ``seen`` is None where its host has the very text that was recorded: nothing has changed. Else
    ``devices`` are those that are recorded, ``pins`` their pinned addresses, which do not count
    against the past, and ``newest`` is what was recorded last before the look. ``found`` are the
    devices as they were last found, beside their pins.
    """

    instance: Instance | HostedInstance
    recorded: VmDynamic | None
    seen: Seen | None
    devices: tuple[VmDevice, ...] = ()
    pins: Pins = field(default_factory=dict)
    newest: Newest = field(default_factory=Newest)
    found: tuple[VmDevice, ...] = ()

    @property
    def hash(self) -> str:
        """The hash of what the guest has now."""
        if self.seen is not None:
            return self.seen.dynamic.hash
        return self.recorded.hash if self.recorded else ""

    @property
    def recorded_hash(self) -> str | None:
        """The hash of what is recorded; None where nothing is.

        Made anew of the devices: an earlier release of novadev may have counted others.
        """
        if self.recorded is None:
            return None
        return self.recorded.hash if self.seen is None else hash_of(self.wanted)

    @property
    def found_hash(self) -> str | None:
        """The hash of what was last found, which a record of it had; None where nothing is.

        While the guest has the hash of its newest record, that is it: an earlier release has
        written nothing into the history of where it found a pinned device.
        """
        if self.recorded is None:
            return None
        is_known = self.seen is None or self.recorded.hash == self.seen.dynamic.hash
        return self.recorded.hash if is_known else hash_of(self.found)

    @property
    def wanted(self) -> tuple[VmDevice, ...]:
        """The recorded devices; a pinned device that is gone has its pinned address."""
        return as_pinned(self.devices, self.pins)

    @property
    def absent(self) -> tuple[VmDevice, ...]:
        """The pinned devices that the guest lacks, with their pinned addresses."""
        there = {device.device_id for device in self.seen.devices} if self.seen else set()
        wanted = (device for device in self.wanted if device.device_id in self.pins)
        return tuple(device for device in wanted if self.seen and device.device_id not in there)

    @property
    def is_changed(self) -> bool:
        """Whether the guest has other devices than are recorded, or nothing is recorded."""
        return self.hash != self.recorded_hash

    @property
    def is_new(self) -> bool:
        """Whether there is anything to write: news of a device, or another text of them."""
        if self.seen is None:
            return False
        fingerprint = "" if self._merged.is_held else self.seen.dynamic.fingerprint
        dynamic = replace(self.seen.dynamic, host=self.host_recorded, fingerprint=fingerprint)
        return dynamic != self.recorded or self.has_news or bool(self._merged.written)

    @property
    def has_news(self) -> bool:
        """Whether any device has changed since it was last found, maybe just its alias.

        Only that makes a record with a number.
        """
        return bool(self._merged.versions or self._merged.dropped)

    @cached_property
    def _merged(self) -> Merged:
        seen = self.seen.devices if self.seen is not None else self.devices
        return merge(self.devices, seen, self.pins, self.found)

    @property
    def held(self) -> tuple[VmDevice, ...]:
        """The pinned devices that are not at their pinned address, as the guest has them."""
        return tuple(
            device
            for device in (self.seen.devices if self.seen else ())
            if self.pins.get(device.device_id, device.address) != device.address
        )

    @property
    def name(self) -> str:
        """The name of the server; empty if only its XML has the name and was not read."""
        return self.instance.name or (self.seen.name if self.seen else "")

    @property
    def notes(self) -> tuple[str, ...]:
        """What the guest's agent said, or why there is no answer; empty where it was not asked."""
        return self.seen.notes if self.seen else ()

    @property
    def host_recorded(self) -> str:
        """The host on which the guest was recorded."""
        return self.recorded.host if self.recorded else ""


def ignored(_notes: Iterable[str]) -> None:
    """Take the notes of a guest where nobody reads them."""


def iter_looks(
    deployment: Deployment,
    selection: Selection,
    asks_guest: bool = False,
    full: bool = False,
    as_of: AsOf | None = None,
    no_database: bool = False,
) -> Iterator[list[Look | Skip]]:
    """Yield a look at each selected instance, a chunk at a time, and skips for the others.

    ASKS_GUEST asks every running guest what it calls its disks; FULL reads all of every guest,
    changed or not. What is recorded is that of the newest record, or AS OF a moment. With
    NO_DATABASE the host's libvirt alone says which guests there are and what they have. Raises as
    :func:`novadev.selection.iter_by_host` and :meth:`Baseline.of`, and Unreachable without the
    state database.
    """
    baseline = Baseline.of(deployment, as_of)
    if is_without_databases(deployment, no_database):
        for items in iter_hosted(deployment, selection, no_database):
            hosted = [item for item in items if isinstance(item, HostedInstance)]
            work = _Guests(deployment, hosted, _themselves, selection.is_named, baseline)
            yield [item for item in items if isinstance(item, Skip)]
            yield list(work.looks(asks_guest, full))
        return

    def looks(chunk: Chunk) -> Iterator[list[Look | Skip]]:
        def with_attachments(instances: Sequence[Instance]) -> Iterator[HostedInstance]:
            return attached(deployment, chunk.cell, instances, selection.is_named)

        guests = chunk.instances
        work = _Guests(deployment, guests, with_attachments, selection.is_named, baseline)
        yield list(work.looks(asks_guest, full))

    chunks = iter_by_host(deployment, replace(selection, with_metadata=False))
    for found in of_chunks(chunks, looks, selection.is_named):
        yield [found] if isinstance(found, Skip) else found


G = TypeVar("G", bound=Instance | HostedInstance)


class _Guests(Generic[G]):
    """Some instances, and what is recorded of them.

    HOSTED gives what is told of some of them to the process of their host.
    """

    def __init__(
        self,
        deployment: Deployment,
        instances: Sequence[G],
        hosted: Callable[[Sequence[G]], Iterator[HostedInstance]],
        named: bool,
        baseline: Baseline,
    ) -> None:
        self._deployment, self._hosted, self._named = deployment, hosted, named
        self._baseline = baseline
        self._instances = {instance.uuid: instance for instance in instances}
        self._recorded = baseline.list_dynamics(list(self._instances))

    def looks(self, asks_guest: bool, full: bool) -> Iterator[Look | Skip]:
        for instance in self._instances.values():
            reason = _why_passed_over(instance)
            if reason is not None:
                yield self._skip(instance.uuid, NotAsNeeded(reason))
        here = [item for item in self._instances.values() if _why_passed_over(item) is None]
        has_text = {uuid for uuid, recorded in self._recorded.items() if recorded.fingerprint}
        known = [item for item in here if item.uuid in has_text and not (full or asks_guest)]
        new = {item.uuid for item in here} - {item.uuid for item in known}
        for uuid, found in self._fingerprints(known):
            if isinstance(found, str) and found == self._recorded[uuid].fingerprint:
                yield Look(self._instances[uuid], self._recorded[uuid], None)
            elif isinstance(found, str):
                new.add(uuid)
            else:
                yield self._skip(uuid, found)
        yield from self._in_full([item for item in here if item.uuid in new], asks_guest)

    def _fingerprints(self, instances: Sequence[G]) -> Iterator[tuple[str, Fingerprint]]:
        """Yield what is new of each instance at a glance."""
        by_host: dict[str, list[str]] = defaultdict(list)
        for instance in instances:
            by_host[str(instance.host)].append(instance.uuid)
        work = {host: _parts(uuids) for host, uuids in by_host.items()}
        for answer in self._deployment.hosts.run(fingerprints, work):
            uuids: Sequence[str] = answer.arguments[0]
            found = (answer.error,) * len(uuids) if answer.error else answer.result()
            yield from zip(uuids, found, strict=True)

    def _in_full(self, instances: Sequence[G], asks_guest: bool) -> Iterator[Look | Skip]:
        if not instances:
            return
        uuids = [instance.uuid for instance in instances]
        newest = self._baseline.vm_devices.list_newest(uuids)
        recorded = self._baseline.list_devices(uuids)
        pins = self._baseline.list_pins(uuids)
        last_found = self._baseline.vm_devices.list_found(recorded, pins)
        special = self._deployment.config.special_managed_devices
        work: dict[str, list[tuple[HostedInstance, Question]]] = defaultdict(list)
        for hosted in self._hosted(instances):
            last = newest[hosted.uuid].dynamic
            host = None if self._baseline.as_of else last.host if last else ""
            question = Question(special, last_found.get(hosted.uuid, ()), asks_guest, host)
            work[hosted.host].append((hosted, question))
        for answer in self._deployment.hosts.run(see, work):
            uuid = answer.arguments[0].uuid
            if answer.error is not None:
                yield self._skip(uuid, answer.error)
            else:
                look = Look(
                    self._instances[uuid],
                    self._recorded.get(uuid),
                    answer.result(),
                    recorded.get(uuid, ()),
                    pins.get(uuid, {}),
                    newest[uuid],
                    last_found.get(uuid, ()),
                )
                self._deployment.remember_names({uuid: look.name})
                yield look

    def _skip(self, uuid: str, error: NovadevError) -> Skip:
        return Skip.of(uuid, error, self._named)


def _themselves(instances: Sequence[HostedInstance]) -> Iterator[HostedInstance]:
    return iter(instances)


def _why_passed_over(instance: Instance | HostedInstance) -> str | None:
    """Return why there is nothing to look at, None where there is."""
    if isinstance(instance, Instance) and instance.host is None:
        return on_no_host(instance)
    return f"instance {instance.uuid} {RESCUED}" if instance.vm_state == "rescued" else None


def _parts(uuids: Sequence[str]) -> Iterator[tuple[Sequence[str]]]:
    for first in range(0, len(uuids), AT_ONCE):
        yield (uuids[first : first + AT_ONCE],)
