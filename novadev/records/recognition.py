"""Which of the devices found in a guest is which of those recorded of it.

A device keeps the id under which it is recorded, whatever Nova's databases say of its owner at the
moment, and whichever release of novadev recorded it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import replace

from novadev.records.device import VmDevice, current_label
from novadev.records.identity import made_id
from novadev.virt.alias import Alias

_SORTS = ("cdrom", "floppy")
_LUN = "lun"
_UNTARGETED = ("disk", "console")
Key = Callable[[VmDevice], Hashable | None]
Rows = Mapping[str, VmDevice]


def recognise(
    found: Sequence[VmDevice],
    recorded: Sequence[VmDevice],
    owners: Set[str],
    elsewhere: Set[str] = frozenset(),
) -> dict[str, str]:
    """Return the id that each of the devices FOUND in a guest has among those RECORDED, by its own.

    A device that is not recorded keeps its own id, or gets another one where a recorded device has
    that. OWNERS are the ids that are of owners. The surest sign comes first: what names a device in
    its guest (file, serial, MAC address, index …), or names it on the host while its address is
    the same; the owner's id, which is what Nova's databases say at the moment; a name on the host
    alone; its address; the id that was made of its kind; its place among those of its kind. Those
    that the guest had at the last record come before those that it had once.
    Devices of different classes are never the same one, nor are those with different names, but
    for one of the same owner's. Those ELSEWHERE, by their recorded ids, were recorded by another
    host: names of that host, such as the PCI address of a card, say nothing here.
    """
    plugged = {row.device_id: row for row in recorded if row.is_plugged}
    work = _Recognition(found, recorded, owners, elsewhere)
    for name in _OF_HOST:
        here = work.here(plugged)
        work.by(lambda device, name=name: _named_in_place(device, name), here)  # type: ignore[misc]
    for rows in (plugged, work.rows):
        work.by_names(NAMES.keys() - _OF_HOST, rows)
        work.by(_companion, rows)
    work.by_owner()
    for rows in (plugged, work.rows):
        work.by_names(_OF_HOST, work.here(rows))
        work.by(_place, plugged)
    work.by(lambda device: device.device_id, plugged)
    work.in_order(plugged)
    work.by(lambda device: device.device_id, work.rows)
    return work.kept | work.new_ids()


class _Recognition:
    """The devices found that have no recorded one yet, and those that have, by their ids."""

    def __init__(
        self,
        found: Sequence[VmDevice],
        recorded: Sequence[VmDevice],
        owners: Set[str],
        elsewhere: Set[str],
    ) -> None:
        self._owners, self._elsewhere = owners, elsewhere
        self._left = {device.device_id: device for device in found}
        self.rows = {row.device_id: row for row in recorded}
        self.kept: dict[str, str] = {}
        self._taken: set[str] = set()

    def here(self, rows: Rows) -> Rows:
        """Return those of ROWS whose names of their host are names of this one."""
        return {key: row for key, row in rows.items() if key not in self._elsewhere}

    def by_owner(self) -> None:
        """Pair what is left and has the id of one of the owners, whatever else is said of it."""
        for own in self._owners & self._left.keys() & (self.rows.keys() - self._taken):
            if _class(self._left[own]) == _class(self.rows[own]):
                self._pair(self._left[own], self.rows[own])

    def by_names(self, names: Collection[str], rows: Rows) -> None:
        """Pair what has the same one of NAMES, in their order."""
        for name in NAMES:
            if name in names:
                self.by(lambda device, name=name: _named(device, name), rows)  # type: ignore[misc]

    def by(self, key: Key, rows: Rows) -> None:
        """Pair devices whose KEY is equal and unique on both sides."""
        there = grouped((row for row in rows.values() if row.device_id not in self._taken), key)
        for value, members in grouped(self._left.values(), key).items():
            others = there.get(value, ())
            if len(members) == len(others) == 1 and self._may_be(members[0], others[0]):
                self._pair(members[0], others[0])

    def in_order(self, rows: Rows) -> None:
        """Pair what is left of one kind on both sides, in the order in which it is there."""
        there = grouped((row for row in rows.values() if row.device_id not in self._taken), _kind)
        for kind, members in grouped(self._left.values(), _kind).items():
            candidates = _Candidates(there.get(kind, ()))
            for device in members:
                free = (row for row in candidates.of(device) if row.device_id not in self._taken)
                row = next((row for row in free if self._may_be(device, row)), None)
                if row is not None:
                    self._pair(device, row)

    def _may_be(self, device: VmDevice, row: VmDevice) -> bool:
        """Whether nothing says that DEVICE and the recorded ROW are two devices.

        A LUN has no serial. The host may have another name of one; with another owner too, it is
        another one.
        """
        if not _may_be(device, row):
            return False
        is_other = device.device_id in self._owners and device.device_id != row.device_id
        luns = [item.spec_params.get("lun_id") for item in (device, row)]
        return not is_other or row.device_id in self._elsewhere or _agree(*luns)

    def _pair(self, device: VmDevice, row: VmDevice) -> None:
        del self._left[device.device_id]
        self._taken.add(row.device_id)
        self.kept[device.device_id] = row.device_id

    def new_ids(self) -> dict[str, str]:
        """Return an id for each device that is not recorded, which no recorded device has."""
        used = {*self.rows, *self._left}
        found: dict[str, str] = {}
        for own, device in self._left.items():
            found[own] = own
            number = 1
            while found[own] in self.rows or (found[own] != own and found[own] in used):
                number += 1
                found[own] = made_id(device.vm_id, f"{own}/{number}")
            used.add(found[own])
        return found


class _Candidates:
    """Recorded devices by each name that tells them apart in their guest.

    So that a guest with thousands of new volumes is not compared volume by volume.
    """

    def __init__(self, rows: Sequence[VmDevice]) -> None:
        self._rows = rows
        self._by_name = {
            name: grouped(rows, lambda row, name=name: (NAMES[name](row),))  # type: ignore[misc]
            for name in NAMES.keys() - _OF_HOST
        }

    def of(self, device: VmDevice) -> Sequence[VmDevice]:
        """Return all those that no name tells apart from DEVICE, in their order, and others."""
        return min((self._named(device, name) for name in self._by_name), key=len)

    def _named(self, device: VmDevice, name: str) -> Sequence[VmDevice]:
        """Return those that have the NAME of DEVICE, or, where not all have one, every one."""
        value, there = NAMES[name](device), self._by_name[name]
        if value is None or (None,) in there:
            return self._rows
        return there.get((value,), ())


def grouped(devices: Iterable[VmDevice], key: Key) -> dict[Hashable, list[VmDevice]]:
    """Return DEVICES by their KEY, those without one left out."""
    found: dict[Hashable, list[VmDevice]] = {}
    for device in devices:
        value = key(device)
        if value is not None:
            found.setdefault(value, []).append(device)
    return found


NAMES: Mapping[str, Key] = {
    "file": lambda device: device.spec_params.get("file"),
    "serial": lambda device: device.spec_params.get("serial"),
    "lun_id": lambda device: device.spec_params.get("lun_id"),
    "mac": lambda device: str(device.spec_params.get("mac", "")).lower() or None,
    "index": lambda device: controller_of(device),
    "target": lambda device: (
        None if device.type in _UNTARGETED else device.spec_params.get("target")
    ),
    "source": lambda device: device.spec_params.get("source"),
}
"""What names a device in its guest.

A disk's target is none: another bus gives it another. Nor is the port of a console, which earlier
releases recorded: see :class:`novadev.virt.devices.Console`.
"""
_OF_HOST = frozenset(("lun_id", "source"))
"""Names of the host's: those of another host may be others, and tell no two devices apart."""


def controller_of(device: VmDevice) -> tuple[str, str] | None:
    """Return the type and index of a recorded controller; None of anything else.

    From its label, ``controller usb 0``, behind which an address may stand.
    """
    words = device.label.split()
    if device.type != "controller" or len(words) < 3 or not words[2].isdecimal():
        return None
    return words[1], words[2]


def _companion(device: VmDevice) -> Hashable | None:
    """Return what tells apart controllers that share an index: USB companions have their models."""
    index = controller_of(device)
    return (index, device.model) if index and device.model else None


def _named(device: VmDevice, name: str) -> Hashable | None:
    value = NAMES[name](device)
    return None if value is None else (_class(device), value)


def _named_in_place(device: VmDevice, name: str) -> Hashable | None:
    named = _named(device, name)
    return (named, device.address) if named is not None and device.address else None


def _place(device: VmDevice) -> Hashable | None:
    return (_class(device), device.address) if device.address else None


def _class(device: VmDevice) -> Hashable:
    """Return what never changes of a device.

    The type, the sort of disk, the bus of an input, the target of a console.
    """
    if device.type == "input":
        return device.type, device.device, device.bus
    if device.type == "console":
        return device.type, device.spec_params.get("target_type", "virtio")
    sort = device.device if device.device in _SORTS else ""
    return device.type, sort if device.type == "disk" else ""


def _kind(device: VmDevice) -> Hashable:
    """Return what devices have in common that only their order tells apart."""
    told = "" if device.kind.is_host_side or device.type == "disk" else device.device
    return _class(device), told, device.model


def _may_be(device: VmDevice, row: VmDevice) -> bool:
    """Whether nothing says that DEVICE and the recorded ROW are two devices."""
    if _class(device) != _class(row):
        return False
    names = {name: (read(device), read(row)) for name, read in NAMES.items()}
    are_luns = [item.device == _LUN for item in (device, row)]
    if device.type == "disk" and not all(are_luns):
        if any(are_luns) and any(names["serial"]):
            return False
        return names["serial"][0] == names["serial"][1] and _agree(*names["file"])
    return all(_agree(*values) for name, values in names.items() if name not in _OF_HOST)


def _agree(one: Hashable | None, other: Hashable | None) -> bool:
    return one is None or other is None or one == other


def recorded_elsewhere(
    recorded: Iterable[VmDevice], recorded_on: str | None, host: str
) -> frozenset[str]:
    """Return the ids of those of RECORDED whose names of the host are not those of HOST.

    RECORDED_ON is the host of the newest record, empty where that is this one. None stands for an
    older record, of which each device alone knows where it was seen so first.
    """
    if recorded_on is None:
        return frozenset(row.device_id for row in recorded if row.host not in ("", host))
    if recorded_on in ("", host):
        return frozenset()
    return frozenset(row.device_id for row in recorded)


def identified(
    found: Sequence[VmDevice],
    recorded: Sequence[VmDevice],
    owners: Set[str],
    elsewhere: Set[str] = frozenset(),
) -> tuple[VmDevice, ...]:
    """Return the devices FOUND in a guest under the ids under which they are RECORDED.

    As :func:`recognise` finds them. A device that stays as it was recorded keeps the label of its
    row while that names it, and the host; so a stop or a start alone changes nothing.
    """
    ids = recognise(found, recorded, owners, elsewhere)
    rows = {row.device_id: row for row in recorded}
    named = (replace(device, device_id=ids[device.device_id]) for device in found)
    return tuple(_settled(device, rows.get(device.device_id)) for device in named)


def _settled(device: VmDevice, row: VmDevice | None) -> VmDevice:
    """Return DEVICE with what its ROW knows and nobody says now.

    An attached device counts as managed once Nova was seen to own it: its databases may lack a row
    for a moment. libvirt's own alias, which every start gives anew, is that of the row.
    """
    if row is None:
        return device
    alias = device.alias
    if not any(Alias(name).is_user_defined for name in (device.alias, row.alias)):
        alias = row.alias
    lost = device.kind.is_attached and row.is_managed and not device.is_managed
    order = row.boot_order if lost and device.boot_order is None else device.boot_order
    settled = replace(
        device,
        alias=alias,
        is_managed=device.is_managed or lost,
        boot_order=order,
        logical_name=row.logical_name,
    )
    same = replace(
        settled,
        label=current_label(device, row),
        host=row.host,
        custom_properties=row.custom_properties,
        snapshot_id=row.snapshot_id,
    )
    return same if same == row else settled
