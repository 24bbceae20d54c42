"""A device is never given an address of a type that it cannot have: QEMU would not start."""

import re
from dataclasses import replace
from pathlib import Path

import libvirt
import pytest

from novadev.keep.definition import Record, keep
from novadev.records.device import VmDevice
from tests import domains
from tests.hypervisor import Hypervisor
from tests.keep.guests import as_nova, record_of, unfit

PLACES = {
    "usb": "{type=usb, bus=0, port=1}",
    "drive": "{type=drive, controller=0, bus=0, target=0, unit=3}",
    "virtio-serial": "{type=virtio-serial, controller=0, bus=0, port=5}",
    "pci": "{type=pci, slot=0x09, bus=0x00, domain=0x0000, function=0x0}",
}
CARD = "<interface type='user'><mac address='fa:16:3e:00:00:09'/><model type='{}'/></interface>"
DEVICES = {
    **{CARD.format(model): "pci" for model in ("e1000", "virtio", "rtl8139")},
    **{f"<sound model='{model}'/>": "pci" for model in ("ich6", "ich9", "ac97", "es1370")},
    "<sound model='usb'/>": "usb",
    "<sound model='sb16'/>": "",
    "<watchdog model='i6300esb' action='reset'/>": "pci",
    "<watchdog model='ib700' action='reset'/>": "",
    "<input type='tablet' bus='usb'/>": "usb",
    "<input type='mouse' bus='ps2'/>": "",
    "<serial type='pty'/>": "",
    "<serial type='pty'><target type='usb-serial'/></serial>": "usb",
    "<serial type='pty'><target type='pci-serial'/></serial>": "pci",
    "<parallel type='pty'/>": "",
    "<console type='pty'><target type='virtio'/></console>": "virtio-serial",
    "<channel type='pty'><target type='virtio' name='a.b'/></channel>": "virtio-serial",
    "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>": "pci",
    "<video><model type='cirrus'/></video>": "pci",
    "<panic model='isa'/>": "",
    "<controller type='sata' index='1'/>": "pci",
    "<controller type='virtio-serial' index='1'/>": "pci",
    "<controller type='scsi' index='1' model='lsilogic'/>": "pci",
    "<controller type='scsi' index='1' model='virtio-scsi'/>": "pci",
    "<controller type='ccid' index='0'/>": "usb",
    "<smartcard mode='passthrough' type='spicevmc'/>": "",
}
"""Devices, and which of PLACES they can be at."""
CASES = [(device, type_) for device in DEVICES for type_ in PLACES]
SCSI = "<controller type='scsi' index='0' model='virtio-scsi'/>"
PORT = "<channel type='pty'><target type='virtio' name='x.y'/></channel>"
USB = "<controller type='usb' index='0' model='piix3-uhci'/>"
SPICE = "<graphics type='spice' autoport='yes'/>"


def guest(device: str) -> str:
    uuid = "11111111-2222-3333-4444-555555555555"
    disks = [domains.disk("vda", source=f"{domains.IMAGES}/{uuid}/disk")]
    more = [SPICE] if "spicevmc" in device else []
    return as_nova(domains.domain(uuid, disks=disks, devices=[SCSI, PORT, USB, *more, device]))


def is_of(row: VmDevice, device: str) -> bool:
    tag = re.match(r"<(\w+)", device)
    index = re.search(r"index='(\d)'", device)
    name = re.search(r"name='(a\.b)'", device)
    ends = [found[1] for found in (index, name) if found]
    return tag is not None and row.type == tag[1] and all(end in row.label for end in ends)


def kept_at(device: str, type_: str) -> tuple[str, str]:
    """The definition, as Nova writes it and with the device recorded at a place of this type."""
    text = guest(device)
    rows = list(record_of(text).devices)
    number = [number for number, row in enumerate(rows) if is_of(row, device)][-1]
    rows[number] = replace(rows[number], address=PLACES[type_])
    return text, keep(text, Record(tuple(rows))).text


@pytest.mark.parametrize(("device", "type_"), CASES)
def test_it_is_kept_where_it_can_be_and_nowhere_else(device: str, type_: str) -> None:
    text, kept = kept_at(device, type_)
    assert (kept != text) == (type_ == DEVICES[device]), kept


@pytest.mark.parametrize("path", domains.samples(), ids=lambda path: path.stem)
def test_every_device_of_a_real_definition_can_be_where_it_is(path: Path) -> None:
    assert unfit(path.read_text()) == []


@pytest.mark.slow
def test_a_guest_starts_with_every_place_that_is_kept(hypervisor: Hypervisor) -> None:
    tried = []
    for device, type_ in CASES:
        text, kept = kept_at(device, type_)
        if kept != text and starts(hypervisor, text):
            assert starts(hypervisor, kept), kept
            tried.append(device)
    assert len(tried) > 12


def starts(host: Hypervisor, text: str) -> bool:
    try:
        domain = host.define(text)
    except libvirt.libvirtError:
        return False
    try:
        domain.create()
        domain.destroy()
    except libvirt.libvirtError:
        return False
    finally:
        domain.undefine()
    return True
