"""What a guest has, by its definition and by its own view, before and after a step."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cloud.settings import NOVA_CONF
from novadev import config
from novadev.keep.definition import Record
from novadev.records.store import VmDevices
from novadev.state.store import open_state
from tests.keep.guests import record_of

if TYPE_CHECKING:  # the tests have no client of OpenStack
    from tests.running_nova.nova import Server


@dataclass(frozen=True)
class View:
    """Its record by its definition, and its PCI bus and network cards by its agent.

    Where it does not run, `pci` and `cards` are what it saw when it did, with the devices `seen`.
    """

    record: Record
    pci: dict[str, str]
    cards: dict[str, tuple[str, str]]
    seen: frozenset[str]
    runs: bool

    @classmethod
    def of(cls, server: Server, before: View | None = None) -> View:
        """Look at SERVER; devices that it had BEFORE keep their ids."""
        guest = server.guest
        record = record_of(guest.text, before.record if before else None)
        if guest.number < 0:
            before = before or cls(record, {}, {}, frozenset(), False)
            return replace(before, record=record, runs=False)
        ids = frozenset(row.device_id for row in record.devices if row.address)
        return cls(record, guest.pci(), guest.cards(), ids, True)

    @classmethod
    def recorded(cls, server: Server) -> View:
        """Return what the hosts' state database has of SERVER: all that a dead host leaves.

        What it was attached since its last power-off is not among it (docs/keep_addresses.rst).
        """
        url = config.load([str(NOVA_CONF)], []).state_connection
        with closing(open_state(url)) as database:
            devices = VmDevices(database).list_devices([server.uuid]).get(server.uuid, ())
        return cls(Record(tuple(devices)), {}, {}, frozenset(), False)

    def lost(self, after: View) -> list[str]:
        """Return what is elsewhere AFTER, of devices that are still there."""
        now = {row.device_id: row for row in after.record.devices}
        return [
            f"{row.label} was at {row.address}, is at {now[row.device_id].address}"
            for row in self.record.devices
            if row.address and row.device_id in now and now[row.device_id].address != row.address
        ]

    def is_back(self, before: View, after: View) -> bool:
        """Whether the guest has got this older layout back, which it had lost BEFORE.

        A device that is newer than this layout stays where it was, unless an older one is there.
        """
        old = {row.device_id: row.address for row in self.record.devices if row.address}
        now = {row.device_id for row in after.record.devices}
        taken = {address for device, address in old.items() if device in now}
        rows = (
            replace(row, address=old[row.device_id])
            if row.device_id in old
            else replace(row, address="" if row.address in taken else row.address)
            for row in before.record.devices
        )
        return not replace(before, record=Record(tuple(rows))).lost(after)

    def unseen(self, after: View) -> list[str]:
        """Return what the guest finds otherwise AFTER.

        A new device may be in the place of one that is gone.
        """
        found = [
            f"the guest had {what} at {place}, has {after.pci[place]}"
            for place, what in self.pci.items()
            if after.pci.get(place, what) != what
        ]
        gone, new = self.seen - after.seen, after.seen - self.seen
        if len(found) <= min(len(gone), len(new)):
            found = []
        found += [
            f"the guest had card {mac} as {' at '.join(card)}, has {after.cards[mac]}"
            for mac, card in self.cards.items()
            if after.cards.get(mac, card) != card
        ]
        if self.seen == after.seen:
            had, has = ({*one.pci.items(), *one.cards.items()} for one in (self, after))
            if had != has:
                found.append(f"the guest has {sorted(has - had)}, had {sorted(had - has)}")
        return found
