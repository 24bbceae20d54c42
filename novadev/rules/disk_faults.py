"""What can be wrong with the disks of the next power-on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from novadev.rules.buses import (
    BUSES,
    FLOPPIES,
    IDE_DISKS,
    SCSI_UNITS,
    letters,
    name_index,
    scsi_luns,
)
from novadev.rules.disks import GuestDisk, is_volume
from novadev.rules.fault import Case, Fault, Severity, disk_subject, identity, told
from novadev.rules.guest_os import drives_lsilogic

LSILOGIC_DISKS = 7


def disk_faults(case: Case) -> Iterator[Fault]:
    """Yield what is wrong with each disk, and with the disks together.

    Source: libvirt, src/qemu/qemu_validate.c (qemuValidateDomainDeviceDefDisk) and
    src/qemu/qemu_domain_address.c; each refusal was seen with libvirt 9.0.0. QEMU's own,
    of a floppy with a serial number (hw/block/fdc.c has no such property), with 5.2, 7.2 and 10.0.
    """
    for disk in case.disks:
        yield from _bus_faults(disk, case)
        yield from _name_faults(disk)
        yield from _lun_faults(disk, case)
    yield from _same_name(case)
    yield from _same_address(case)
    yield from _too_many(case)
    yield from _beyond_luns(case)
    yield from _scsi_controller(case)


def _fault(
    rule: str,
    disk: GuestDisk,
    why: str,
    severity: Severity = "error",
    to_set: tuple[str, str] | None = None,
) -> Fault:
    subject = disk_subject(disk)
    if rule == "device-name":
        subject += f" {disk.dev}"
    return Fault(rule, severity, f"{told(disk)}: {why}", subject, to_set)


def _on_wrong_bus(rule: str, disk: GuestDisk, why: str, case: Case) -> Fault:
    """Return the fault of a disk that has to be on another bus, which its property names."""
    name, bus = f"hw_{disk.type}_bus", _working_bus(disk, case)
    move = " and move the disk with it" if disk.block_device is not None else ""
    return _fault(rule, disk, f"{why}; set {name}={bus}{move}", to_set=(name, bus))


def _working_bus(disk: GuestDisk, case: Case) -> str:
    """Return the bus that Nova itself gives such a device; SATA to a disk that was on IDE.

    Source: nova/virt/libvirt/blockinfo.py, get_disk_bus_for_device_type, which gives a cdrom IDE
    also on machines that have none, such as virt of armv7l.
    """
    if disk.type == "floppy":
        return "fdc"
    if disk.type == "disk" and not (case.is_q35 and disk.bus == "ide"):
        return "virtio"
    if case.is_q35:
        return "sata"
    return "ide" if case.is_x86 and not case.lacks_ide else "scsi"


_NO_SERIAL = "Nova gives each volume a serial number, and QEMU refuses one for a floppy"


def _bus_faults(disk: GuestDisk, case: Case) -> Iterator[Fault]:
    """Yield that a disk is on a bus where it cannot be; that of a LUN is a rule of its own."""
    virt_type = case.rules.virt_type
    if disk.bus not in BUSES.get(virt_type, ()):
        allowed = ", ".join(BUSES.get(virt_type, ()))
        why = f"{case.rules.virt_type_text} has no such bus; use {allowed}"
        yield _fault("bus-virt-type", disk, why)
    elif disk.type == "lun":
        return
    elif (disk.type == "floppy") != (disk.bus == "fdc"):
        yield _of_fdc(disk, case)
    elif disk.bus == "ide" and case.lacks_ide:
        why = f"machine type {case.machine_type} has no IDE controller"
        yield _on_wrong_bus("ide-machine-type", disk, why, case)
    elif disk.type == "cdrom" and disk.bus == "virtio":
        yield _on_wrong_bus("cdrom-on-virtio", disk, "virtio has no removable media", case)
    elif disk.type == "floppy" and is_volume(disk):
        yield _fault("floppy-volume", disk, f"{_NO_SERIAL}; detach this volume")


def _of_fdc(disk: GuestDisk, case: Case) -> Fault:
    """Return that a floppy is on another bus, which a volume cannot leave, or no floppy on fdc."""
    why = "bus fdc is only for floppies, and floppies need bus fdc"
    if disk.type == "floppy" and is_volume(disk):
        return _fault("fdc", disk, f"{why}. {_NO_SERIAL}; detach this volume")
    return _on_wrong_bus("fdc", disk, why, case)


def _name_faults(disk: GuestDisk) -> Iterator[Fault]:
    index = name_index(disk.dev)
    if index is None and disk.dev:
        yield _fault(
            "device-name",
            disk,
            "libvirt does not accept such a name; use a name of its bus, such as vdb",
        )
    elif disk.dev and disk.type != "cdrom" and disk.dev.startswith("fd") != (disk.type == "floppy"):
        why = "names with fd are only for floppies, and floppies need such a name"
        yield _fault("device-name", disk, f"{why}; give it a name of its bus")
    elif index is not None and disk.bus == "ide" and index >= IDE_DISKS:
        why = f"IDE has {IDE_DISKS} places, hda to hd{'abcd'[IDE_DISKS - 1]}"
        yield _fault("device-name", disk, f"{why}; give it a free one of these names")
    elif index is not None and disk.bus == "fdc" and index >= FLOPPIES:
        yield _fault("device-name", disk, "there are two floppies, fda and fdb; detach this one")


def _lun_faults(disk: GuestDisk, case: Case) -> Iterator[Fault]:
    if disk.type != "lun":
        return
    if disk.bus not in ("scsi", "virtio"):
        why = (
            "a LUN can only be on bus scsi or virtio; create the server again with disk_bus=scsi "
            "for this block device, and with hw_scsi_model=virtio-scsi"
        )
        yield _fault("lun-bus", disk, why)
    elif disk.bus == "scsi" and case.value("hw_scsi_model") != "virtio-scsi":
        name, model = wanted = ("hw_scsi_model", "virtio-scsi")
        why = f"SCSI pass-through is reliable only with {name}={model}; set it"
        yield _fault("lun-scsi-model", disk, why, "warning", wanted)
    if not is_volume(disk) and disk.name != "root":
        why = "a LUN needs a block device, and a local disk is rarely one; use a volume"
        yield _fault("lun-local", disk, why, "warning")


def _same_name(case: Case) -> Iterator[Fault]:
    by_name: dict[str, list[GuestDisk]] = defaultdict(list)
    for disk in case.disks:
        by_name[disk.dev].append(disk)
    for name, disks in by_name.items():
        if name and len(disks) > 1:
            both = " and ".join(told(disk) for disk in disks)
            message = f"{both} have the same name; give one of them a free name"
            yield Fault("duplicate-name", "error", message, _subject(disks))


def _same_address(case: Case) -> Iterator[Fault]:
    """Yield disks for which libvirt would make one drive address.

    With hw_scsi_model=virtio-scsi Nova gives the SCSI disks their addresses itself.
    """
    by_place: dict[tuple[str, int], list[GuestDisk]] = defaultdict(list)
    own_units = case.value("hw_scsi_model") == "virtio-scsi"
    for disk in case.on("ide", "sata", "fdc", *(() if own_units else ("scsi",))):
        index = name_index(disk.dev)
        if index is not None:
            by_place[disk.bus, index].append(disk)
    for disks in by_place.values():
        if len({disk.dev for disk in disks}) > 1:
            both = " and ".join(told(disk) for disk in disks)
            message = f"{both} would get the same drive address; give one of them a free name"
            yield Fault("duplicate-address", "error", message, _subject(disks))


def _subject(disks: list[GuestDisk]) -> str:
    return " ".join(sorted(f"{identity(disk)} {disk.bus} {disk.dev}" for disk in disks))


def _too_many(case: Case) -> Iterator[Fault]:
    ide = len(case.on("ide"))
    if ide > IDE_DISKS:
        message = (
            f"{ide} disks are on bus ide, which holds only {IDE_DISKS}; move the others to sata"
        )
        yield Fault("ide-too-many", "error", message, str(ide))
    scsi = len(case.on("scsi"))
    if scsi > LSILOGIC_DISKS and case.value("hw_scsi_model") in ("", "lsilogic") and case.is_x86:
        message = (
            f"{scsi} disks are on SCSI model lsilogic with {LSILOGIC_DISKS} per controller, so "
            "libvirt adds controllers; set hw_scsi_model=virtio-scsi to need only one"
        )
        yield Fault("lsilogic-too-many", "warning", message, str(scsi))


def _beyond_luns(case: Case) -> Iterator[Fault]:
    """Yield the SCSI disks whose place the controller does not have."""
    model = case.value("hw_scsi_model")
    limit = scsi_luns(model)
    for disk in case.on("scsi") if limit else ():
        index = name_index(disk.dev)
        if limit and index is not None and index % SCSI_UNITS >= limit:
            names = " and ".join(f"sd{letters(number)}" for number in range(limit))
            why = f"on SCSI model {model} QEMU accepts only {names}; set hw_scsi_model=virtio-scsi"
            yield _fault("scsi-lun", disk, why)


def _scsi_controller(case: Case) -> Iterator[Fault]:
    """Yield SCSI disks on the controller that nobody chose: an error where the guest boots from it.

    The guest starts all the same; a config drive or a volume that it cannot see is not its end.
    """
    scsi = case.on("scsi")
    if not scsi or case.value("hw_scsi_model") or not case.is_x86:
        return
    boots = scsi[0] is case.disks[0] and not drives_lsilogic(case.guest)
    sees = (
        "boots from it only with a driver for this model"
        if boots
        else "sees it only with a driver for this model"
    )
    message = (
        f"hw_scsi_model is not set and {told(scsi[0])} needs a SCSI controller: libvirt chooses "
        f"lsilogic, and the guest {sees}, which few systems include; set hw_scsi_model=virtio-scsi"
    )
    if boots:
        yield Fault("scsi-model-missing", "error", message, "hw_scsi_model of the root disk")
    else:
        yield Fault("scsi-model-missing", "warning", message, "hw_scsi_model")
