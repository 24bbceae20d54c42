"""Where libvirt puts the devices of a guest whose definition names no places: by rules.

For where there is no libvirt to ask. What is asked of the device is its outline
(:class:`novadev.virt.outline.Outline`): its tag and what decides its place.

Source: libvirt, src/qemu/qemu_domain_address.c, qemuDomainAssignDevicePCISlots for the order of
classes, qemuDomainDeviceCalculatePCIConnectFlags for what is PCI Express, and
qemuDomainAssignDriveAddress (src/conf/domain_conf.c) for drives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from novadev.rules.buses import name_index
from novadev.rules.device import GuestDevice
from novadev.rules.slots import (
    DEFAULT_SCSI,
    DEFAULT_USB,
    LSI_UNITS,
    SATA_UNITS,
    is_conventional,
    model_of,
    slot_of,
)

if TYPE_CHECKING:
    from novadev.virt.outline import Board, Outline

_CLASSES = (
    *("filesystem", "interface", "sound", "controller", "disk", "hostdev interface", "hostdev"),
    *("memballoon", "rng", "watchdog", "input"),
)
"""In this order; an interface that is a device of the host goes before those that are none."""
_UHCI_PORTS, _IDE_UNITS = 2, 2
"""Ports of ``piix3-uhci``; disks on each of the two buses of IDE."""


def lay_out(board: Board) -> tuple[str | None, ...] | None:
    """Return the address of each outline of BOARD, or None where the rules do not know it.

    None for the whole where they know nothing of the machine type. Addresses are texts:
    ``0000:00:04.0``, of a drive ``0:0:0:1``, on USB ``0:1``.
    """
    if board.machine not in ("pc", "q35"):
        return None
    devices = _pci_devices(board)
    place = _on_q35 if board.machine == "q35" else _on_i440fx
    found = dict(place(board, devices))
    found |= dict(_integrated(board))
    found |= dict(_drives(board))
    found |= dict(_usb(board))
    found |= dict(_ports(board))
    return tuple(found.get(number) for number in range(len(board.outlines)))


def model(outline: Outline) -> str | None:
    """Return the model that the device will have; None of what has none, or is not known."""
    if outline.tag == "interface" and outline.get("@type") == "hostdev":
        return None
    return _model(outline) or None


def stand_in(board: Board, outline: Outline) -> tuple[Outline, ...] | None:
    """Return a device that every libvirt knows and puts where it would put OUTLINE.

    () where OUTLINE takes nobody's place, None where the rules know no such device. A guest has
    one sound device at most: one of PCI Express comes right behind the last interface.
    """
    if board.machine not in ("pc", "q35"):
        return None
    slot = slot_of(_device(outline), board.machine == "q35")
    kind = "any" if outline.tag == "video" or board.machine == "pc" else slot
    if outline.tag != "video" and slot == "none":
        return ()
    found = _STAND_INS.get((outline.tag, kind))
    return None if found is None else (replace(outline, tag=found[0], values=found[1]),)


_VIRTIO_NIC = ("interface", (("@type", "user"), ("model/@type", "virtio")))
_STAND_INS: Mapping[tuple[str, str], tuple[str, tuple[tuple[str, str], ...]]] = {
    ("sound", "any"): ("sound", (("@model", "ac97"),)),
    ("sound", "conventional"): ("sound", (("@model", "ac97"),)),
    ("sound", "express"): _VIRTIO_NIC,
    ("video", "any"): ("video", (("model/@type", "vga"),)),
}
"""A known device by the tag of one that is too new, and by the slot that it takes."""


Slot = tuple[int | None, str]
"""A device that gets a slot: the number of its outline (None: libvirt adds it), its model."""


def _pci_devices(board: Board) -> list[Slot]:
    """Return the devices that get a PCI slot, in libvirt's order."""
    found: list[tuple[int, Slot]] = []
    for number, outline in enumerate(board.outlines):
        tag = outline.tag
        if tag == "interface" and outline.get("@type") == "hostdev":
            tag = "hostdev interface"
        if tag in _CLASSES and _takes_slot(outline, board):
            found.append((_CLASSES.index(tag), (number, _model(outline))))
    found += [(_CLASSES.index("controller"), (None, model)) for model in _added(board)]
    if not any(outline.tag == "memballoon" for outline in board.outlines):
        found.append((_CLASSES.index("memballoon"), (None, "virtio")))
    found.sort(key=lambda item: item[0])
    return _by_target([slot for _, slot in found], board)


def _takes_slot(outline: Outline, board: Board) -> bool:
    """Whether it gets a slot here: controllers of SATA are counted by their disks."""
    device = _device(outline)
    counted = device.tag == "controller" and device.device not in ("scsi", "usb")
    return not counted and slot_of(device, board.machine == "q35") != "none"


def _by_target(slots: list[Slot], board: Board) -> list[Slot]:
    """Return SLOTS with the disks among them by their targets' names, as libvirt keeps them.

    Source: libvirt, src/conf/domain_conf.c, virDomainDiskInsert.
    """
    places = [at for at, (number, _) in enumerate(slots) if _is_disk(number, board)]
    disks = sorted((slots[at] for at in places), key=lambda slot: _index(board, slot[0] or 0))
    for at, slot in zip(places, disks, strict=True):
        slots[at] = slot
    return slots


def _is_disk(number: int | None, board: Board) -> bool:
    return number is not None and board.outlines[number].tag == "disk"


def _index(board: Board, number: int) -> int:
    return name_index(board.outlines[number].get("target/@dev") or "") or 0


def _device(outline: Outline) -> GuestDevice:
    """Return the device behind an outline, as far as its slot goes."""
    return GuestDevice(
        subject="",
        tag=outline.tag,
        device=outline.get("@type"),
        bus=outline.get("target/@bus") or outline.get("@bus"),
        model=outline.get("model/@type") or outline.get("@model"),
    )


def _is_usb(outline: Outline) -> bool:
    return outline.tag == "controller" and outline.get("@type") == "usb"


def _model(outline: Outline) -> str:
    """Return the model libvirt takes where none is named."""
    return model_of(_device(outline))


def _added(board: Board) -> Iterator[str]:
    """Yield the models of the controllers that libvirt adds and that take a slot."""
    outlines = board.outlines
    if not any(_is_usb(outline) for outline in outlines) and board.machine == "q35":
        yield "qemu-xhci"
    written = any(item.tag == "controller" and item.get("@type") == "scsi" for item in outlines)
    indices = list(_indices(board, "scsi"))
    if indices and not (written and _scsi_model(board) == "virtio-scsi"):
        number = max(indices) // LSI_UNITS + 1
        yield from [_scsi_model(board)] * (number - written)
    sata = max(_indices(board, "sata"), default=-1) // SATA_UNITS + 1
    yield from ["ahci"] * (sata - (board.machine == "q35" and sata > 0))
    if any(outline.get("target/@type") == "virtio" for outline in outlines):
        yield "virtio-serial"


def _scsi_model(board: Board) -> str:
    found = (item for item in board.outlines if item.tag == "controller")
    return next((_model(item) for item in found if item.get("@type") == "scsi"), DEFAULT_SCSI)


def _indices(board: Board, bus: str) -> Iterator[int]:
    for number, outline in enumerate(board.outlines):
        if outline.tag == "disk" and outline.get("target/@bus") == bus:
            yield _index(board, number)


def _has_video(board: Board) -> bool:
    return any(item.tag == "video" and _model(item) != "none" for item in board.outlines)


def _on_i440fx(board: Board, devices: list[Slot]) -> Iterator[tuple[int, str]]:
    """Yield the places on the one bus: host bridge, PIIX3 and video come first."""
    for slot, (number, _) in enumerate(devices, 3 if _has_video(board) else 2):
        if number is not None:
            yield number, f"0000:00:{slot:02x}.0"


def _on_q35(board: Board, devices: list[Slot]) -> Iterator[tuple[int, str]]:
    """Yield the places: each PCI Express device on a root port, the others behind one bridge.

    The bridge takes the first port, and its number follows those of the ports there were, or were
    added, when it was needed, and of one for itself.
    """
    kinds = [is_conventional(model) for _, model in devices]
    ports = iter(range(1, len(devices) + 3))
    bridge = 0
    if any(kinds):
        bridge = max(_written_ports(board), kinds.index(True)) + 2
        ports = iter([port for port in ports if port != bridge][1:])
    slots = iter(range(1, 32))
    for (number, _), conventional in zip(devices, kinds, strict=True):
        bus, slot = (bridge, next(slots, 0)) if conventional else (next(ports), 0)
        if number is not None and (slot or not conventional):
            yield number, f"0000:{bus:02x}:{slot:02x}.0"


def _written_ports(board: Board) -> int:
    return sum(item.get("@model") == "pcie-root-port" for item in board.outlines)


def _integrated(board: Board) -> Iterator[tuple[int, str]]:
    """Yield the places of what the board has at a place of its own."""
    primary = "0000:00:02.0" if board.machine == "pc" else "0000:00:01.0"
    for number, outline in enumerate(board.outlines):
        model = _model(outline)
        if outline.tag == "video" and model != "none":
            yield number, primary
        elif outline.tag == "sound" and (board.machine, model) == ("q35", "ich9"):
            yield number, "0000:00:1b.0"
        elif _is_usb(outline) and (board.machine, model) == ("pc", DEFAULT_USB):
            yield number, "0000:00:01.2"


def _drives(board: Board) -> Iterator[tuple[int, str]]:
    """Yield the places of disks on controllers, controller:bus:target:unit.

    By the name of the target, but on SCSI by the unit that Nova names.
    Source: libvirt, src/conf/domain_conf.c, virDomainDiskDefAssignAddress.
    """
    for number, outline in enumerate(board.outlines):
        if outline.tag != "disk":
            continue
        place = drive_place(outline.get("target/@bus"), _index(board, number))
        if outline.unit is not None:
            yield number, f"0:0:0:{outline.unit}"
        elif place is not None:
            yield number, "{}:{}:0:{}".format(*place)


def drive_place(bus: str | None, index: int) -> tuple[int, int, int] | None:
    """Return the controller, bus and unit of the disk whose name on BUS has this INDEX.

    None of a bus whose disks have no such place. Source: as :func:`_drives`.
    """
    if bus == "sata":
        return index // SATA_UNITS, 0, index % SATA_UNITS
    if bus == "scsi":
        return index // LSI_UNITS, 0, index % LSI_UNITS
    return (0, index // _IDE_UNITS, index % _IDE_UNITS) if bus in ("ide", "fdc") else None


def _usb(board: Board) -> Iterator[tuple[int, str]]:
    """Yield the ports of the USB controller: disks first, then inputs, then redirections.

    ``piix3-uhci`` has two: where there are more devices, a hub takes the first.
    """
    tags = ("disk", "input", "redirdev")
    found = [
        (tags.index(item.tag), _index(board, number) if item.tag == "disk" else 0, number)
        for number, item in enumerate(board.outlines)
        if item.tag in tags and "usb" in (item.get("target/@bus"), item.get("@bus"))
    ]
    models = [_model(outline) for outline in board.outlines if _is_usb(outline)]
    has_hub = len(found) > _UHCI_PORTS and models == [DEFAULT_USB]
    ports = ["2", *(f"1.{port}" for port in range(1, 9))] if has_hub else map(str, range(1, 99))
    for (*_, number), port in zip(sorted(found), ports, strict=False):
        yield number, f"0:{port}"


def _ports(board: Board) -> Iterator[tuple[int, str]]:
    """Yield the ports of the virtio-serial controller, from 1: 0 is for a console."""
    virtio = [
        number
        for number, item in enumerate(board.outlines)
        if item.tag == "channel" and item.get("target/@type") == "virtio"
    ]
    for port, number in enumerate(virtio, 1):
        yield number, f"0:0:{port}"
