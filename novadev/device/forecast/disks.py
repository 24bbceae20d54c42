"""The disks of a guest's next power-on, each with the entry that it is now.

Source: nova/virt/libvirt/driver.py, _get_guest_storage_config.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from string import ascii_lowercase

from novadev.device.forecast.decided import Decided, DecidedDisk
from novadev.device.forecast.wanted import Wanted, kept, tag_of
from novadev.device.inventory import Entry, Inventory
from novadev.virt.devices import Disk
from novadev.virt.outline import Outline
from novadev.virt.own_disks import own_disk_name

_OWN_NAMES = {"disk": "root"}
_CONFIG_DRIVE = "disk.config"
_UNIT_MODEL = "virtio-scsi"


def wanted_disks(inventory: Inventory, decided: Decided) -> list[Wanted]:
    """Return the disks as DECIDED has them; without databases those the guest has."""
    entries = [entry for entry in inventory.entries if tag_of(entry) == "disk"]
    if decided.disks is None:
        return list(kept(entries, "disk"))
    by_row, by_name = _rows(inventory), _own_names(inventory, entries)
    pairs = [(disk, by_row.get(disk.row or -1) or by_name.get(disk.name)) for disk in decided.disks]
    # What only the host's rules would add is not told where they are not known.
    pairs = [(disk, entry) for disk, entry in pairs if entry or disk.row or not disk.is_assumed]
    settled = _named([_settled(disk, entry) for disk, entry in pairs])
    units = _Units(decided)
    found = []
    for disk, (_, entry) in zip(settled, pairs, strict=True):
        values = {"@device": disk.type, "target/@dev": disk.dev, "target/@bus": disk.bus}
        outline = Outline.of("disk", values, units.of(disk, disk.bus))
        found.append(Wanted(entry, entry.label if entry else f"disk {disk.dev}", outline))
    return found


def _settled(disk: DecidedDisk, entry: Entry | None) -> DecidedDisk:
    """Return DISK with what the guest has where the host's rules would have to tell."""
    device = entry.device if entry else None
    if not disk.is_assumed or not isinstance(device, Disk) or _is_told(disk, device):
        return disk
    return replace(
        disk,
        bus=device.bus or disk.bus,
        dev=device.target or disk.dev,
        type=device.device or disk.type,
    )


def _is_told(disk: DecidedDisk, device: Disk) -> bool:
    """Whether a cdrom's bus is known all the same: sata comes of what is stored alone."""
    return disk.bus == "sata" and disk.type == device.device == "cdrom"


def _named(disks: Sequence[DecidedDisk]) -> list[DecidedDisk]:
    """Return DISKS, each assumed one that Nova has no row of with the name Nova finds for it.

    A name that another disk has is not free, whoever has it now. Nova looks for the config drive's
    anew each time; any other such disk keeps the one it has while nothing else gets that.
    """
    found = list(disks)
    for place, disk in enumerate(disks):
        others = {one.dev for one in (*found[:place], *found[place + 1 :])}
        is_sought = disk.name == _CONFIG_DRIVE or (
            disk.row is None and disk.name != "root" and disk.dev in others
        )
        if disk.is_assumed and is_sought:
            found[place] = replace(disk, dev=_free_name(disk.dev, others))
    return found


def _free_name(now: str, taken: Set[str]) -> str:
    """Return the first name like NOW's that is not TAKEN.

    Source: nova/virt/libvirt/blockinfo.py, find_disk_dev_for_disk_bus.
    """
    names = (now[:2] + letter for letter in ascii_lowercase)
    return next((name for name in names if name not in taken), now)


def _rows(inventory: Inventory) -> dict[int, Entry]:
    """Return the entries of disks, ghosts too, by their row in block_device_mapping."""
    attachments = inventory.instance.attachments
    if attachments is None:
        return {}
    volumes = {volume.uuid: volume.row for volume in attachments.volumes}
    local = {disk.device_name: disk.row for disk in attachments.local_disks if disk.device_name}
    found: dict[int, Entry] = {}
    for entry in inventory.entries:
        owner = entry.owner
        if owner is None or owner.type not in ("volume", "local"):
            continue
        row = volumes.get(owner.id or "")
        for name in owner.values.get("target", ()):
            row = local.get(name) if row is None else row
        if row is not None and entry.device is not None:
            found[row] = entry
        elif row is not None:
            found.setdefault(row, entry)
    return found


def _own_names(inventory: Inventory, entries: Sequence[Entry]) -> dict[str, Entry]:
    """Return the entries of the instance's own disks, by Nova's names of them."""
    found = {}
    for entry in entries:
        if isinstance(entry.device, Disk):
            name = own_disk_name(inventory.instance.uuid, entry.device)
            if name is not None:
                found[_OWN_NAMES.get(name, name)] = entry
    return found


class _Units:
    """The units Nova gives disks on a virtio-scsi controller, and on no other.

    The volume that is booted has 0, the others count on from 1 then, whatever bus they are on;
    the guest's own disks count where they are on SCSI.
    """

    def __init__(self, decided: Decided) -> None:
        self._counts = decided.models.get("hw_scsi_model") == _UNIT_MODEL
        disks = decided.disks or ()
        self._next = 1 if any(disk.is_boot_volume for disk in disks) else 0

    def of(self, disk: DecidedDisk, bus: str) -> int | None:
        """Return the unit of the next disk; None where Nova names none."""
        if not self._counts or not (disk.is_volume or bus == "scsi"):
            return None
        unit = 0 if disk.is_boot_volume else self._next
        if not disk.is_boot_volume:
            self._next += 1
        return unit if bus == "scsi" else None
