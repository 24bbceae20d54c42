"""What a guest has, by its definition and by its own view, before and after a step."""

from contextlib import closing
from dataclasses import dataclass, replace

from cloud.settings import NOVA_CONF
from novadev import config
from novadev.keep.definition import Record
from novadev.records.store import VmDevices
from novadev.state.store import open_state
from tests.keep.guests import record_of
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
    def of(cls, server: Server, before: "View | None" = None) -> "View":
        """Look at SERVER; devices that it had BEFORE keep their ids."""
        guest = server.guest
        record = record_of(guest.text, before.record if before else None)
        if guest.number < 0:
            before = before or cls(record, {}, {}, frozenset(), False)
            return replace(before, record=record, runs=False)
        ids = frozenset(row.device_id for row in record.devices if row.address)
        return cls(record, guest.pci(), guest.cards(), ids, True)

    @classmethod
    def recorded(cls, server: Server) -> "View":
        """Return what the hosts' state database has of SERVER: all that a dead host leaves.

        What it was attached since its last power-off is not among it (docs/keep_addresses.rst).
        """
        url = config.load([str(NOVA_CONF)], []).state_connection
        with closing(open_state(url)) as database:
            devices = VmDevices(database).list_devices([server.uuid]).get(server.uuid, ())
        return cls(Record(tuple(devices)), {}, {}, frozenset(), False)

    def lost(self, after: "View") -> list[str]:
        """Return what is elsewhere AFTER, of devices that are still there."""
        now = {row.device_id: row for row in after.record.devices}
        return [
            f"{row.label} was at {row.address}, is at {now[row.device_id].address}"
            for row in self.record.devices
            if row.address and row.device_id in now and now[row.device_id].address != row.address
        ]

    def unseen(self, after: "View") -> list[str]:
        """Return what the guest finds otherwise AFTER."""
        found = [
            f"the guest had {what} at {place}, has {after.pci[place]}"
            for place, what in self.pci.items()
            if after.pci.get(place, what) != what
        ]
        found += [
            f"the guest had card {mac} as {' at '.join(card)}, has {after.cards[mac]}"
            for mac, card in self.cards.items()
            if after.cards.get(mac, card) != card
        ]
        is_other = (self.pci, self.cards) != (after.pci, after.cards)
        if self.seen == after.seen and is_other:
            found.append(f"the guest has {after.pci} {after.cards}, had {self.pci} {self.cards}")
        return found
