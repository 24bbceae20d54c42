"""Random records, right and wrong: whatever is planned, libvirt takes it as it is, and QEMU runs.

No define fails, none makes libvirt add a controller or move a device of its own accord.
"""

from collections import Counter
from random import Random

import libvirt
import pytest

from novadev.errors import NotAsNeeded
from novadev.records.device import VmDevice
from novadev.records.restore_layout import lay_out
from novadev.virt.address import Address
from novadev.virt.device import Device
from novadev.virt.domain import Domain
from novadev.virt.host import PERSISTENT
from tests import domains
from tests.device.restoring import CHANNEL, MAC, OTHER_MAC, RNG, guest
from tests.hypervisor import PRIVILEGED, Hypervisor

pytestmark = pytest.mark.slow

CASES, STARTED = 150, 3
RUNNABLE = ("virtio-scsi", "lsilogic")
"""Of lsisas1068 libvirt itself gives the second disk a unit that QEMU has not."""


def everything(machine: str, model: str) -> str:
    """A guest with devices on every kind of bus."""
    disks = [domains.disk(name) for name in ("vda", "vdb", "vdc")]
    disks += [domains.disk(name, "scsi") for name in ("sda", "sdb")]
    disks += [domains.disk("sdc", "sata"), domains.disk("sdd", "sata")]
    disks += [domains.disk("sde", "usb"), domains.disk("fda", "fdc", device="floppy")]
    if machine == "pc":
        disks += [domains.disk("hda", "ide"), domains.disk("hdc", "ide", device="cdrom")]
    kind = "ovs" if PRIVILEGED else "user"
    interfaces = [domains.interface(mac, kind=kind) for mac in (MAC, OTHER_MAC)]
    interfaces.append(domains.interface("fa:16:3e:00:00:03", kind=kind, model="e1000"))
    devices = [domains.scsi_controller(model), RNG, RNG, *map(CHANNEL.format, "abc")]
    devices += ['<input type="tablet" bus="usb"/>', '<input type="keyboard" bus="usb"/>']
    devices += ['<video><model type="virtio"/></video>', '<watchdog model="i6300esb"/>']
    return guest(machine=machine, disks=disks, interfaces=interfaces, devices=devices)


class Records:
    """Makes records of one definition, most of them with something odd in them."""

    def __init__(self, domain: Domain, seed: int) -> None:
        self._random = Random(seed)
        self._devices = [device for device in domain.devices if device.address]
        self._places = [device.address for device in self._devices if device.address]

    def make(self) -> dict[Device, VmDevice]:
        """A row for most devices; some in others' places, or in places that may not be."""
        known = {device: device.address for device in self._devices if self._random.random() < 0.98}
        bridges = self._random.random() < 0.1
        likely = [device for device in known if bridges or "controller pci" not in device.label]
        chosen = self._random.sample(likely, self._random.randint(1, 4))
        if self._random.random() < 0.7:
            places = [known[device] for device in chosen]
            for device, place in zip(chosen, [*places[1:], places[0]], strict=True):
                known[device] = place
        else:
            for device in chosen:
                known[device] = self._any(device)
        return {device: self._row(device, address) for device, address in known.items() if address}

    def _row(self, device: Device, address: Address) -> VmDevice:
        other = {"bus": "ide", "model": "other"} if self._random.random() < 0.05 else {}
        values = {"bus": device.bus, "model": device.model, **other}
        params = {key: value for key, value in values.items() if value}
        text = address.ovirt_text
        return VmDevice("", "", device.type, device.device or "", text, spec_params=params)

    def _any(self, device: Device) -> Address:
        assert device.address
        kind = device.address.type
        if self._random.random() < 0.3:
            return self._random.choice([place for place in self._places if place.type == kind])
        return Address.of(getattr(self, "_" + kind.replace("-", "_"))(), kind)

    def _pci(self) -> dict[str, str]:
        bus = self._random.choice([0, 0, 0, 1, 2, 3, 12, 13, 14, 15, 40])
        slot = self._random.choice([0, 0, 0, 1, 2, 30, 31, 32, self._random.randrange(32)])
        function = self._random.choice([0, 0, 0, 0, 0, 1, 3, 7, 8])
        domain = self._random.choice([0] * 30 + [1])
        parts = {"domain": domain, "bus": bus, "slot": slot, "function": function}
        return {key: hex(value) for key, value in parts.items()}

    def _drive(self) -> dict[str, str]:
        most = {"controller": [0, 0, 0, 0, 1, 5], "bus": [0, 0, 0, 1, 2], "target": [0, 0, 0, 1, 7]}
        values = {key: self._random.choice(numbers) for key, numbers in most.items()}
        values["unit"] = self._random.choice([0, 1, 2, 5, 6, 7, 255, 20000])
        return {key: str(value) for key, value in values.items()}

    def _usb(self) -> dict[str, str]:
        port = self._random.choice(["0", "1", "2", "3", "4", "5", "1.1", "2.9", "x"])
        return {"bus": self._random.choice("0001"), "port": port}

    def _virtio_serial(self) -> dict[str, str]:
        port = self._random.choice([0, 1, 2, 3, 4, 30, 31, 32])
        controller, bus = self._random.choice("0001"), self._random.choice("0001")
        return {"controller": controller, "bus": bus, "port": str(port)}


@pytest.mark.parametrize("model", ["virtio-scsi", "lsilogic", "lsisas1068"])
@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_libvirt_takes_whatever_is_planned(
    hypervisor: Hypervisor, machine: str, model: str
) -> None:
    handle = hypervisor.define(everything(machine, model))
    handle = hypervisor.connection.defineXML(handle.XMLDesc(PERSISTENT))
    original = Domain.from_xml(handle.XMLDesc(PERSISTENT))
    records = Records(original, seed=len(machine) + len(model))
    counts: Counter[str] = Counter()
    for _ in range(CASES):
        try:
            layout = lay_out(original, records.make())
        except NotAsNeeded:
            counts["refused"] += 1
            continue
        counts["moved"] += len(layout.moves)
        counts["planned"] += bool(layout.moves)
        text = original.with_addresses(layout.moves)
        handle = hypervisor.connection.defineXML(text)
        assert Domain.from_xml(handle.XMLDesc(PERSISTENT)).canonical == (
            Domain.from_xml(text).canonical
        )
        if layout.moves and counts["started"] < STARTED and model in RUNNABLE:
            counts["started"] += 1
            handle.create()
            handle.destroy()
    assert counts["planned"] > CASES / 8
    assert counts["refused"] > CASES / 8
    assert counts["started"] == STARTED * (model in RUNNABLE)


def test_what_libvirt_takes_is_not_refused_without_need(hypervisor: Hypervisor) -> None:
    """Of random permutations of addresses that libvirt takes unchanged, all are planned."""
    random, counts = Random(7), Counter[str]()
    for machine in ("pc", "q35"):
        handle = hypervisor.define(everything(machine, "virtio-scsi"))
        handle = hypervisor.connection.defineXML(handle.XMLDesc(PERSISTENT))
        original = Domain.from_xml(handle.XMLDesc(PERSISTENT))
        for _ in range(60):
            moves = _permuted(original, random)
            planned = _is_planned(original, moves)
            taken = _is_taken(hypervisor, original.with_addresses(moves))
            counts[f"{planned=} {taken=}"] += 1
    assert counts["planned=True taken=True"] > 40
    assert counts["planned=True taken=False"] == 0
    assert counts["planned=False taken=True"] == 0


def _permuted(domain: Domain, random: Random) -> dict[Device, Address]:
    """Some devices of one bus in each other's places."""
    kinds: dict[tuple[str, str | None], list[Device]] = {}
    for device in domain.devices:
        if device.address:
            kinds.setdefault((device.address.type, device.bus), []).append(device)
    same = random.choice(list(kinds.values()))
    chosen = random.sample(same, min(len(same), random.randint(2, 4)))
    turned = zip(chosen, [*chosen[1:], chosen[0]], strict=True)
    return {device: other.address for device, other in turned if other.address}


def _is_planned(domain: Domain, moves: dict[Device, Address]) -> bool:
    rows = {}
    for device in domain.devices:
        address = moves.get(device, device.address)
        if address is not None:
            rows[device] = VmDevice("", "", device.type, "", address.ovirt_text)
    try:
        lay_out(domain, rows)
    except NotAsNeeded:
        return False
    return True


def _is_taken(host: Hypervisor, text: str) -> bool:
    """Whether libvirt defines it, and nothing else than it."""
    try:
        handle = host.connection.defineXML(text)
    except libvirt.libvirtError:
        return False
    return Domain.from_xml(handle.XMLDesc(PERSISTENT)).canonical == (
        Domain.from_xml(text).canonical
    )
