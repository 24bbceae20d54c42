"""What a plan says of the disks of the guest that it leaves, whatever the guest was before."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.rules.buses import TooManyDisks, UnsupportedBus, bus_for_device_type, name_prefix
from novadev.rules.disks import GuestDisk, guest_disks
from novadev.rules.fault import identity
from novadev.rules.guest import ComputeRules, Guest, property_value, without_dev
from novadev.rules.validity import faults

COLD_BUSES = ("ide", "sata", "fdc")
"""Buses on which libvirt plugs and unplugs no disk of a running guest.

Source: libvirt, src/qemu/qemu_hotplug.c, qemuDomainDetachPrepDisk and
qemuDomainAttachDeviceDiskLiveInternal.
"""
_NAMED_SO = ("ide", "fdc")
"""Nova stores no bus of a volume that is attached, and takes ``sdb`` for scsi, not for sata.

Source: nova/virt/libvirt/blockinfo.py, get_info_from_bdm and get_disk_bus_for_disk_dev.
"""


def outcome_notes(
    before: Guest, after: Guest, rules: ComputeRules, earlier: tuple[Guest, ...] = ()
) -> tuple[str, ...]:
    """Return what is to be known of the disks of AFTER, which is BEFORE with a change.

    The definition may be that of one of the EARLIER guests: of a server that was not started since.
    A guest whose disks Nova refuses has no notes: a fault says so.
    """
    try:
        disks = guest_disks(after, rules)
    except (UnsupportedBus, TooManyDisks):
        return ()
    return (
        *_without_scsi_model(after, disks, rules),
        *_without_hotplug(before, after, disks, rules),
        *_renamed_volumes(before, after),
        *_names_in_the_way((before, *earlier), after, disks, rules),
    )


def _without_scsi_model(
    after: Guest, disks: tuple[GuestDisk, ...], rules: ComputeRules
) -> Iterator[str]:
    """Yield that libvirt chooses the controller: a fault too where only the change brings it."""
    if any(disk.bus == "scsi" for disk in disks) and not property_value(after, "hw_scsi_model"):
        found = faults(after, rules)
        yield from (fault.message for fault in found if fault.rule == "scsi-model-missing")


def _without_hotplug(
    before: Guest, after: Guest, disks: tuple[GuestDisk, ...], rules: ComputeRules
) -> Iterator[str]:
    """Yield which volumes move to a bus on which none can be detached from a running guest."""
    rows = {row.id for row in after.block_devices if row.destination_type == "volume"}
    there = [disk for disk in disks if disk.block_device in rows and disk.bus in COLD_BUSES]
    old = _buses(before, rules) if there else {}
    moved = [disk for disk in there if old.get(identity(disk)) != disk.bus]
    if not moved or rules.virt_type not in ("kvm", "qemu"):
        return
    names = ", ".join(disk.dev for disk in moved)
    buses = " or ".join(sorted({disk.bus for disk in moved}))
    detach = f"detach {'volume' if len(moved) == 1 else 'volumes'} {names}"
    what = f"cannot {detach}"
    if bus_for_device_type("disk", after, rules) in _NAMED_SO:
        what = f"can neither attach a volume nor {detach}"
    yield (
        f"while the server runs, Nova {what}: libvirt does not support this on bus {buses}. Stop "
        "the server first"
    )


def _renamed_volumes(before: Guest, after: Guest) -> Iterator[str]:
    """Yield what Nova cannot do while the definition has another name of a volume than its row.

    A resize and a cold migration take a volume for a local disk then, and copy it: the server ends
    in ERROR. An offloaded server has no definition, and neither can be done to it.
    After a rescue Nova defines what was there before. Source: nova/virt/libvirt/driver.py,
    _get_instance_disk_info_from_config and unrescue.
    """
    old = {row.id: row.device_name for row in before.block_devices}
    moved = [
        (old.get(row.id), row.device_name)
        for row in after.block_devices
        if row.destination_type == "volume" and old.get(row.id) not in (None, row.device_name)
    ]
    if moved and not after.is_offloaded:
        names = ", ".join(f"{without_dev(was)} becomes {without_dev(name)}" for was, name in moved)
        yield (
            f"names of volumes change ({names}): start the server once (a rescue does not count) "
            "before a resize or a cold migration, which can fail until its definition has these "
            "names"
        )


def _names_in_the_way(
    there: tuple[Guest, ...], after: Guest, disks: tuple[GuestDisk, ...], rules: ComputeRules
) -> Iterator[str]:
    """Yield which names Nova may give to another volume while the definition still has them.

    THERE is what is stored now, and what was before. Nova looks for a free name by what is stored,
    and libvirt refuses one that is there. Source: nova/virt/libvirt/driver.py,
    get_device_name_for_instance.
    """
    try:
        prefix = name_prefix(bus_for_device_type("disk", after, rules), rules)
    except UnsupportedBus:
        return
    present, *others = (_names(guest, rules) for guest in there)
    own = {disk.dev for disk in disks}
    left = sorted(present.union(*others) - own)
    taken = ", ".join(name for name in left if name.startswith(prefix))
    if taken and not after.is_offloaded:
        has = "may still have" if others else "still has"
        yield (
            "until the next start, the attachment of a volume can fail: Nova may give it a name "
            f"that the server's definition {has} ({taken})"
        )


def _names(guest: Guest, rules: ComputeRules) -> frozenset[str]:
    """Return the names of the guest's disks; none where Nova refuses them."""
    try:
        return frozenset(disk.dev for disk in guest_disks(guest, rules))
    except (UnsupportedBus, TooManyDisks):
        return frozenset()


def _buses(guest: Guest, rules: ComputeRules) -> dict[str, str]:
    try:
        return {identity(disk): disk.bus for disk in guest_disks(guest, rules)}
    except (UnsupportedBus, TooManyDisks):
        return {}


def unsaid(notes: tuple[str, ...], said: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of NOTES that none of what is SAID has, alone or after a word as ``forced:``."""
    return tuple(note for note in notes if not any(text.endswith(note) for text in said))
