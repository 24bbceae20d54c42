"""Which disks move to another bus, and what they are called there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from novadev.nova.block_devices import BlockDevice
from novadev.rules.buses import (
    DEVICE_TYPES,
    UnsupportedBus,
    bus_for_device_type,
    bus_for_name,
    choice_of_buses,
    free_name,
    has_place,
    is_valid,
    letters,
    name_index,
    name_prefix,
)
from novadev.rules.guest import (
    ComputeRules,
    Guest,
    Rows,
    is_unnamed,
    iso_root_is_cdrom,
    property_value,
    rows_of,
    without_dev,
)

Which = Literal["matching", "all", "none"]
_EVERY_KIND = ""


@dataclass(frozen=True)
class Move:
    """One block_device_mapping row's way to another bus.

    bus_before and name_before are as stored (None is NULL), so that a write can check them.
    A moved root disk's name is also the instance's root_device_name, in that column's spelling.
    """

    block_device: int
    bus_before: str | None
    bus_after: str
    name_before: str | None
    name_after: str
    is_root: bool


def moved(
    guest: Guest, rules: ComputeRules, device_type: str, old_bus: str, new_bus: str, which: Which
) -> tuple[Move, ...]:
    """Return which rows move to new_bus when the bus of device_type changes, in Nova's order.

    guest is what is stored before the change; old_bus is the bus of device_type till now.
    ``matching`` takes the rows on old_bus, ``all`` every row not on new_bus, ``none`` no row.
    LUNs never move. A moved disk keeps its name, or else its letters, where they are free and
    new_bus has that place; each other disk gets the lowest free name. The root disk chooses before
    them, and is the first disk of its bus if it can.
    Letters that a disk which stays on new_bus has are not free: libvirt makes drive addresses from
    them, and refuses two alike.
    Raises UnsupportedBus if the virt_type lacks new_bus or a disk would move to a bus without
    names, as lxc, TooManyDisks if it has no name left.
    Source of the order and names: nova/virt/libvirt/blockinfo.py, _get_disk_mapping.
    """
    if not is_valid(new_bus, rules):
        choice = choice_of_buses(rules.virt_type)
        raise UnsupportedBus(f"{rules.virt_type_text} has no disk bus {new_bus}; {choice}")
    if which == "none" or device_type == "lun":
        return ()
    case = _Case(guest, rules, rows_of(guest), device_type, old_bus)
    going = [
        row
        for row in case.in_order()
        if case.kind(row) == device_type and _goes(case.bus(row), old_bus, new_bus, which)
    ]
    return tuple(_named(going, case, new_bus)) if going else ()


def moved_off(guest: Guest, rules: ComputeRules, old_bus: str, new_bus: str) -> tuple[Move, ...]:
    """Return which rows move when old_bus goes away: all that are on it, of whatever kind.

    guest is what is stored before the change, whose properties that name old_bus will name
    new_bus. Order and names are those of :func:`moved`, and it raises what that raises.
    """
    case = _Case(guest, rules, rows_of(guest), _EVERY_KIND, old_bus)
    going = [row for row in case.in_order() if case.bus(row) == old_bus]
    return tuple(_named(going, case, new_bus)) if going else ()


def _goes(bus: str | None, old_bus: str, new_bus: str, which: Which) -> bool:
    return bus != new_bus and (which == "all" or bus == old_bus)


@dataclass(frozen=True)
class _Case:
    """The rows of a guest, and what each is at present.

    The bus of device_type is old_bus; with _EVERY_KIND each kind has the one the rules give it.
    """

    guest: Guest
    rules: ComputeRules
    rows: Rows
    device_type: str
    old_bus: str

    def in_order(self) -> tuple[BlockDevice, ...]:
        """Return the rows that make a disk, in the order Nova names them.

        Volumes that get their name and bus only at the unshelve are left out: they follow the
        property by themselves.
        """
        rows = self.rows
        root = (rows.root,) if rows.root else ()
        swap = (rows.swap,) if rows.swap and (rows.swap.volume_size or 0) > 0 else ()
        volumes = (row for row in rows.data_volumes if not is_unnamed(row, self.guest))
        return (*root, *rows.ephemerals, *swap, *volumes)

    @property
    def root_name(self) -> str:
        """The name of the root disk, empty for none."""
        root = self.rows.root
        return without_dev((root and root.device_name) or self.guest.root_device_name)

    def is_iso_root(self, row: BlockDevice) -> bool:
        """Return whether the row's disk is on the cdrom bus whatever the row says."""
        return row is self.rows.root and iso_root_is_cdrom(self.guest, self.rules)

    def kind(self, row: BlockDevice) -> str:
        """Return the device type of the row's disk."""
        if self.is_iso_root(row):
            return "cdrom"
        return row.device_type if row.device_type in DEVICE_TYPES else "disk"

    def bus(self, row: BlockDevice) -> str | None:
        """Return the bus of the row's disk, or None if only a power-on decides it."""
        if self.is_iso_root(row):
            return self.default_bus("cdrom")
        if is_valid(row.disk_bus, self.rules):
            return row.disk_bus
        if not row.disk_bus and (row is self.rows.root or row.destination_type == "local"):
            return self.default_bus("disk")
        try:
            name = without_dev(row.device_name)
            return bus_for_name(name) if name else self.default_bus(self.kind(row))
        except UnsupportedBus:
            return None

    def default_bus(self, kind: str) -> str | None:
        """Return the bus of disks of this kind that name none; None if Nova would refuse."""
        if kind == self.device_type:
            return self.old_bus
        try:
            return bus_for_device_type(kind, self.guest, self.rules)
        except UnsupportedBus:
            return None


def _named(going: list[BlockDevice], case: _Case, new_bus: str) -> Iterator[Move]:
    """Yield a move with its name on new_bus for each row, in their order."""
    names = _names(going, case, new_bus)
    for row in going:
        name = names[row.id]
        short = row.device_name and not row.device_name.startswith("/dev/")
        after = name if short else f"/dev/{name}"
        is_root = row is case.rows.root
        yield Move(row.id, row.disk_bus, new_bus, row.device_name, after, is_root)


def _names(going: list[BlockDevice], case: _Case, new_bus: str) -> dict[int, str]:
    """Return the name of each row on new_bus, by the row's id.

    They choose in this order: the root disk, which is the first of its bus if that is free; what
    keeps its name; what keeps its letters; the rest.
    """
    used = _taken(going, case, new_bus)
    wanted = {row.id: _with_its_letters(row, case, new_bus) for row in going}
    names: dict[int, str] = {}
    root_name, others = case.root_name, going
    if going[0] is case.rows.root:
        root, *others = going
        name, first = wanted[root.id], free_name(new_bus, used, case.rules)
        keeps = name_index(first) != 0 and name is not None and name not in used
        root_name = names[root.id] = name if name and keeps else first
    used |= {root_name, *_local_disk_name(case, root_name, new_bus)}
    for row in sorted(others, key=lambda row: wanted[row.id] != without_dev(row.device_name)):
        name = wanted[row.id]
        if name is not None and name not in used:
            names[row.id] = name
            used.add(name)
    for row in others:
        if row.id not in names:
            names[row.id] = free_name(new_bus, used, case.rules)
            used.add(names[row.id])
    return names


def _with_its_letters(row: BlockDevice, case: _Case, new_bus: str) -> str | None:
    """Return the name on new_bus with the row's letters; None if there is no such place."""
    name = case.root_name if row is case.rows.root else without_dev(row.device_name)
    index = name_index(name)
    model = property_value(case.guest, "hw_scsi_model")
    if index is None or not has_place(new_bus, index, model, case.rules):
        return None
    return name_prefix(new_bus, case.rules) + letters(index)


def _taken(going: list[BlockDevice], case: _Case, new_bus: str) -> set[str]:
    """Return the names no moved disk may have."""
    ids = {row.id for row in going}
    staying = [row for row in case.guest.block_devices if row.id not in ids and not row.no_device]
    names = {without_dev(row.device_name) for row in staying}
    # A disk that names no bus itself follows the property to the new one.
    after = replace(case, old_bus=new_bus)
    there = [row for row in case.in_order() if row.id not in ids and after.bus(row) == new_bus]
    names_there = {without_dev(row.device_name) for row in there}
    if case.rows.root is None:
        names.add(without_dev(case.guest.root_device_name))
        names_there.add(without_dev(case.guest.root_device_name))
    prefix = _prefix(new_bus, case.rules)
    indexes = (name_index(name) for name in names_there)
    return names | {prefix + letters(index) for index in indexes if index is not None}


def _prefix(bus: str, rules: ComputeRules) -> str:
    try:
        return name_prefix(bus, rules)
    except UnsupportedBus as error:
        text = f"{error}, so no disk moves to it (--update-disks none stores the property alone)"
        raise UnsupportedBus(text) from None


def _local_disk_name(case: _Case, root_name: str, new_bus: str) -> set[str]:
    """Return the name of an ephemeral disk without a row: Nova drops the disk if it is taken.

    Source: nova/virt/libvirt/blockinfo.py, get_default_ephemeral_info.
    """
    if case.guest.ephemeral_gb <= 0 or case.rows.ephemerals:
        return set()
    bus = case.default_bus("disk")
    if case.device_type in ("disk", _EVERY_KIND) and bus == case.old_bus:
        bus = new_bus
    return {free_name(bus, {root_name}, case.rules)} if bus else set()
