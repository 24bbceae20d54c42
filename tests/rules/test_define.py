"""Moved disks on a real libvirt: what the rules call an error is what libvirt refuses."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import pytest
from lxml import etree
from lxml.builder import E

from novadev.rules.buses import TooManyDisks
from novadev.rules.disks import GuestDisk, guest_disks
from novadev.rules.guest import ComputeRules, Guest, machine_type
from novadev.rules.moves import moved
from novadev.rules.validity import Fault, faults
from tests.mortal import MORTAL
from tests.rules.guests import ephemeral, guest, image, swap, volume, with_moves, with_properties

BUSES = ("ide", "sata", "scsi", "usb", "virtio")
PREFIXES = {"ide": "hd", "sata": "sd", "scsi": "sd", "usb": "sd", "virtio": "vd"}
QEMU = ComputeRules(virt_type="qemu")

Define = Callable[[Guest], str]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def define() -> Iterator[Define]:
    """`define(guest)`: why libvirt refuses the guest's disks, empty if it takes them."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*MORTAL, sys.executable, "-m", "tests.rules.embedded_libvirt", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin
        assert process.stdout
        to, back = process.stdin, process.stdout

        def ask(guest: Guest) -> str:
            to.write(json.dumps(domain_xml(guest)) + "\n")
            to.flush()
            return str(json.loads(back.readline()))

        yield ask
        to.close()
        process.wait(timeout=20)
        back.close()


def domain_xml(guest: Guest) -> str:
    """The least a domain needs, with the disks and controllers Nova would write."""
    model = guest.image_properties.get("hw_scsi_model")
    video = guest.image_properties.get("hw_video_model")
    devices = E.devices(*disk_elements(guest_disks(guest, QEMU), model))
    if model:
        devices.append(E.controller(type="scsi", index="0", model=model))
    if video:
        devices.append(E.video(E.model(type=video)))
    domain = E.domain(
        E.name("guest"),
        E.memory("65536"),
        E.os(E.type("hvm", arch="x86_64", machine=machine_type(guest, QEMU) or "pc")),
        devices,
        type="qemu",
    )
    return etree.tostring(domain).decode()


def disk_elements(disks: tuple[GuestDisk, ...], model: str | None) -> Iterator[etree._Element]:
    for unit, disk in enumerate(disks):
        kind, attribute = ("block", "dev") if disk.type == "lun" else ("file", "file")
        element = E.disk(
            E.source({attribute: f"/nowhere/{unit}"}),
            E.target(dev=disk.dev, bus=disk.bus),
            type=kind,
            device=disk.type,
        )
        if disk.bus == "scsi" and model == "virtio-scsi":
            element.append(E.address(type="drive", controller="0", unit=str(unit)))
        yield element


def a_guest(bus: str, machine: str, **values: str | None) -> Guest:
    """Root and two volumes on the bus, an ephemeral disk without a row, swap, a config drive."""
    prefix = PREFIXES[bus]
    return guest(
        image(1, disk_bus=bus, device_name=f"/dev/{prefix}a"),
        volume(2, disk_bus=bus, device_name=f"/dev/{prefix}c"),
        swap(3, disk_bus=bus, device_name=f"/dev/{prefix}d"),
        root=f"/dev/{prefix}a",
        config_drive=True,
        **{"hw_disk_bus": bus, "hw_machine_type": machine, **values},
    )


AT_THE_START = {"scsi-model-missing", "scsi-lun", "floppy-volume"}
"""Rules of what happens when a defined guest starts."""


def errors(guest: Guest) -> list[Fault]:
    """The errors, without those that concern booting and not defining."""
    found = [fault for fault in faults(guest, QEMU) if fault.severity == "error"]
    return [fault for fault in found if fault.rule not in AT_THE_START]


def assert_agreed(define: Define, made: Guest) -> None:
    """Errors and libvirt's refusal go together; what Nova cannot build has no XML to define."""
    expected = errors(made)
    if any(fault.rule in ("too-many-disks", "bus-virt-type") for fault in expected):
        return
    refusal = define(made)
    assert bool(refusal) == bool(expected), (refusal, expected, guest_disks(made, QEMU))


CASES = list(product(BUSES, BUSES, ("pc", "q35"), (None, "virtio-scsi")))


@pytest.mark.parametrize(("old", "new", "machine", "model"), CASES)
def test_moved_disks(define: Define, old: str, new: str, machine: str, model: str | None) -> None:
    before = a_guest(old, machine, hw_scsi_model=model)
    moves = moved(before, QEMU, "disk", old, new, "matching")
    assert len(moves) == (0 if old == new else 3)
    after = with_moves(with_properties(before, hw_disk_bus=new), moves)
    assert_agreed(define, before)
    assert_agreed(define, after)


@pytest.mark.parametrize(("old", "new", "machine"), list(product(BUSES, BUSES, ("pc", "q35"))))
def test_moved_disks_with_an_ephemeral_disk_that_has_a_row(
    define: Define, old: str, new: str, machine: str
) -> None:
    before = a_guest(old, machine, hw_cdrom_bus="sata")
    row = ephemeral(4, disk_bus=old, device_name=f"/dev/{PREFIXES[old]}b")
    before = replace(before, block_devices=(*before.block_devices, row), ephemeral_gb=5)
    moves = moved(before, QEMU, "disk", old, new, "all")
    after = with_moves(with_properties(before, hw_disk_bus=new), moves)
    assert_agreed(define, after)
    assert len({disk.dev for disk in guest_disks(after, QEMU)}) == 5


@pytest.mark.parametrize(("old", "new", "machine"), list(product(BUSES, BUSES, ("pc", "q35"))))
def test_a_moved_cdrom(define: Define, old: str, new: str, machine: str) -> None:
    name = f"/dev/{PREFIXES[old]}b"
    cdrom = volume(9, disk_bus=old, device_name=name, device_type="cdrom")
    before = guest(
        image(1, disk_bus="virtio", device_name="/dev/vda"),
        cdrom,
        config_drive=True,
        hw_cdrom_bus=old,
        hw_machine_type=machine,
    )
    moves = moved(before, QEMU, "cdrom", old, new, "matching")
    assert_agreed(define, with_moves(with_properties(before, hw_cdrom_bus=new), moves))


@pytest.mark.parametrize("new", ["sata", "scsi", "usb", "ide"])
def test_the_bus_without_the_name_is_what_libvirt_refuses(define: Define, new: str) -> None:
    before = guest(
        image(1, disk_bus="virtio", device_name="/dev/vda"),
        volume(2, disk_bus=new, device_name=f"/dev/{PREFIXES[new]}a"),
        root="/dev/vda",
        hw_disk_bus="virtio",
    )
    bus_only = replace(
        before,
        block_devices=tuple(replace(row, disk_bus=new) for row in before.block_devices),
    )
    if new == "usb":  # no address is made from the name there
        assert define(bus_only) == ""
    else:
        assert "duplicate drive address" in define(bus_only)
        assert "duplicate-address" in {fault.rule for fault in errors(bus_only)}
    moves = moved(before, QEMU, "disk", "virtio", new, "matching")
    assert define(with_moves(before, moves)) == ""


ODD_DISKS = [
    volume(2, disk_bus=bus, device_name=f"/dev/{name}", device_type=kind)
    for bus, name, kind in product(
        (*BUSES, "fdc"),
        ("hda", "hde", "sda", "vdb", "fda", "fdc", "vda1", "foo", "xvdb", "vdaa"),
        ("disk", "cdrom", "floppy", "lun"),
    )
]


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_odd_disks(define: Define, machine: str) -> None:
    root = image(1, disk_bus="virtio", device_name="/dev/vdz")
    for row in ODD_DISKS:
        assert_agreed(define, guest(root, row, hw_machine_type=machine))


@pytest.mark.parametrize("machine", ["pc", "q35"])
@pytest.mark.parametrize("bus", [*BUSES, "fdc"])
def test_two_disks_of_one_letter_or_name(define: Define, bus: str, machine: str) -> None:
    root = image(1, disk_bus=bus, device_name="/dev/vdb")
    for name, model in product(("vdb", "sdb", "sdc", "hdb"), (None, "lsilogic", "virtio-scsi")):
        row = volume(2, disk_bus=bus, device_name=f"/dev/{name}")
        made = guest(root, row, hw_machine_type=machine, hw_scsi_model=model)
        assert_agreed(define, made)


@pytest.mark.parametrize("model", ["lsilogic", "buslogic", "lsisas1068", "vmpvscsi", "virtio-scsi"])
def test_scsi_models(define: Define, model: str) -> None:
    root = image(1, disk_bus="scsi", device_name="/dev/sda")
    assert_agreed(define, guest(root, hw_scsi_model=model, hw_machine_type="q35"))


@pytest.mark.parametrize("model", ["cirrus", "qxl", "vga", "vmvga", "xen", "virtio", "gop", "none"])
def test_video_models(define: Define, model: str) -> None:
    root = image(1, disk_bus="virtio", device_name="/dev/vda")
    assert_agreed(define, guest(root, hw_video_model=model, hw_machine_type="q35"))


def test_a_fifth_ide_disk_has_no_name() -> None:
    disks = [volume(n, disk_bus="virtio", device_name=f"/dev/vd{c}") for n, c in enumerate("abcde")]
    with pytest.raises(TooManyDisks):
        moved(guest(*disks), QEMU, "disk", "virtio", "ide", "matching")
