"""Bus and name of every disk at the next power-on (Nova's blockinfo)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from novadev.nova.block_devices import BlockDevice
from novadev.rules.buses import (
    DEVICE_TYPES,
    bus_for_device_type,
    bus_for_name,
    free_name,
    is_valid,
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


@dataclass(frozen=True)
class GuestDisk:
    """One disk of the guest, under Nova's name for it.

    name is ``root``, ``disk.local``, ``disk.eph0``, ``disk.swap``, ``/dev/vdb`` (a volume) or
    ``disk.config``; dev the target name without ``/dev/`` (empty for lxc); type ``disk``,
    ``cdrom``, ``floppy`` or ``lun``; block_device the id of its row, None without a row.
    """

    name: str
    bus: str
    dev: str
    type: str
    block_device: int | None


def is_volume(disk: GuestDisk) -> bool:
    """Whether it is a volume that is not the root disk: it goes by its name in the guest."""
    return disk.name.startswith("/dev/")


def guest_disks(guest: Guest, rules: ComputeRules) -> tuple[GuestDisk, ...]:
    """Return the disks Nova will give the guest at the next power-on, in Nova's order.

    The root disk comes first and once, also when it is a volume. Two volumes with one name are
    both in the result, though Nova's own mapping keeps only the later. Raises UnsupportedBus and
    TooManyDisks where Nova would refuse to build the guest.
    Source: nova/virt/libvirt/blockinfo.py, get_disk_info and _get_disk_mapping.
    """
    return _guest_disks(_unshelved(guest, rules), rules)


def _unshelved(guest: Guest, rules: ComputeRules) -> Guest:
    """Return the guest with the names that an unshelve first gives to the rows that have none.

    Nova looks for a name beside those of all disks, among them one for the row itself: the name is
    the next but one. The bus is not stored, so it is then the one that the name tells.
    Source: nova/compute/manager.py, _add_missing_dev_names; nova/virt/libvirt/driver.py,
    get_device_name_for_instance.
    """
    for row in guest.block_devices:
        if is_unnamed(row, guest):
            used = _used(list(_guest_disks(guest, rules)))
            name = _from_row("", row, guest, rules, used).dev
            named = replace(row, device_name=f"/dev/{name}")
            devices = (named if one is row else one for one in guest.block_devices)
            guest = replace(guest, block_devices=tuple(devices))
    return guest


def _guest_disks(guest: Guest, rules: ComputeRules) -> tuple[GuestDisk, ...]:
    disk_bus = bus_for_device_type("disk", guest, rules)
    # Nova asks for this bus also when there is no cdrom, and so refuses a bad value.
    cdrom_bus = bus_for_device_type("cdrom", guest, rules)
    rows = rows_of(guest)
    disks = [_root(rows, guest, rules, disk_bus, cdrom_bus)]
    for found in _local_disks(rows, guest, rules, disks, disk_bus):
        disks.append(found)
    for row in rows.data_volumes:
        disk = _from_row("", row, guest, rules, _used(disks) | rows.names)
        disks.append(replace(disk, name=f"/dev/{disk.dev}"))
    if has_config_drive(guest):
        disks.append(_config_drive(guest, rules, disks))
    return tuple(disks)


def has_config_drive(guest: Guest) -> bool:
    """Return whether the guest gets a config drive.

    Source: nova/virt/configdrive.py, required_by, for an instance that was launched before.
    """
    return guest.config_drive or property_value(guest, "img_config_drive") == "mandatory"


def config_drive_type(rules: ComputeRules) -> str:
    """Return ``disk`` for a vfat config drive, else ``cdrom``.

    Source: nova/virt/libvirt/blockinfo.py, get_config_drive_type.
    """
    return "disk" if rules.config_drive_format == "vfat" else "cdrom"


def _root(
    rows: Rows, guest: Guest, rules: ComputeRules, disk_bus: str | None, cdrom_bus: str | None
) -> GuestDisk:
    """Return the root disk (nova/virt/libvirt/blockinfo.py, get_root_info).

    An ISO image is a cdrom on the cdrom bus; in older releases only if it has no row.
    """
    is_iso = guest.disk_format == "iso"
    bus, kind = (cdrom_bus, "cdrom") if is_iso else (disk_bus, "disk")
    name = without_dev(guest.root_device_name)
    row = rows.root
    if row is None:
        return GuestDisk("root", bus or "", name or free_name(bus, (), rules), kind, None)
    if iso_root_is_cdrom(guest, rules):
        row = replace(row, disk_bus=bus, device_type=kind)
    named = replace(row, device_name=row.device_name or name)
    return _from_row("root", named, guest, rules, set(), disk_bus)


def _local_disks(
    rows: Rows, guest: Guest, rules: ComputeRules, disks: list[GuestDisk], bus: str | None
) -> Iterator[GuestDisk]:
    """Yield the ephemeral disks and swap; disks must grow by each before the next is asked for."""
    if guest.ephemeral_gb > 0 and not rows.ephemerals:
        name = free_name(bus, _used(disks), rules)
        if name not in _names_in_the_way(rows):
            yield GuestDisk("disk.local", bus or "", name, "disk", None)
    for index, row in enumerate(rows.ephemerals):
        used = _used(disks) | rows.names
        yield _from_row(f"disk.eph{index}", row, guest, rules, used, bus)
    if rows.swap and (rows.swap.volume_size or 0) > 0:
        yield _from_row("disk.swap", rows.swap, guest, rules, _used(disks), bus)
    elif guest.swap_mb > 0:
        name = free_name(bus, _used(disks) | rows.names, rules)
        yield GuestDisk("disk.swap", bus or "", name, "disk", None)


def _names_in_the_way(rows: Rows) -> set[str]:
    """Return the names that make Nova drop an ephemeral disk without a row.

    Source: nova/block_device.py, volume_in_mapping.
    """
    swap = rows.swap if rows.swap and (rows.swap.volume_size or 0) > 0 else None
    return Rows((), (), swap, rows.volumes).names


def _config_drive(guest: Guest, rules: ComputeRules, disks: list[GuestDisk]) -> GuestDisk:
    kind = config_drive_type(rules)
    bus = bus_for_device_type(kind, guest, rules)
    return GuestDisk("disk.config", bus or "", free_name(bus, _used(disks), rules), kind, None)


def _used(disks: list[GuestDisk]) -> set[str]:
    return {disk.dev for disk in disks}


def _from_row(
    name: str,
    row: BlockDevice,
    guest: Guest,
    rules: ComputeRules,
    used: set[str],
    default_bus: str | None = None,
) -> GuestDisk:
    """Return the disk of a row: its own bus, else the default, else the one its name tells.

    Source: nova/virt/libvirt/blockinfo.py, get_info_from_bdm.
    """
    kind = row.device_type if row.device_type in DEVICE_TYPES else "disk"
    stored = without_dev(row.device_name)
    bus = row.disk_bus or default_bus
    if not is_valid(bus, rules):
        bus = bus_for_name(stored) if stored else bus_for_device_type(kind, guest, rules)
    return GuestDisk(name, bus or "", stored or free_name(bus, used, rules), kind, row.id)
