"""Guests that Nova's own driver built and libvirt took, as Nova's databases keep them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import libvirt
from lxml import etree

from novadev.config import load_driver_options
from novadev.virt.capabilities import MachineType, read_capabilities
from novadev.virt.host import Host
from tests.capabilities.samples import saved
from tests.cloud import Cloud
from tests.forecast.drifting import Guest, as_text, config, look_again, name_rows, place
from tests.hypervisor import Hypervisor
from tests.nova_process import NovaProcess

INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
PROPERTIES = {
    "hw_disk_bus": ("ide", "ide", "ide", "virtio", "scsi", "sata", "usb"),
    "hw_cdrom_bus": ("ide", "ide", "sata", "scsi", "usb"),
    "hw_input_bus": ("usb", "virtio"),
    "hw_qemu_guest_agent": ("yes",),
    "hw_scsi_model": ("virtio-scsi", "virtio-scsi", "lsilogic", "lsisas1068", "vmpvscsi"),
    "hw_sound_model": ("ich6", "ich9", "ac97"),
    "hw_usb_model": ("qemu-xhci", "none"),
    "hw_video_model": ("vga", "cirrus", "virtio", "none"),
    "hw_vif_model": ("virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "vmxnet3"),
    "hw_watchdog_action": ("reset",),
    "os_distro": ("ubuntu", "rhel"),
}
VMS = {"i440fx": ("pc", "pc", "pc-i440fx-7.2", "pc-i440fx-6.2"), "q35": ("q35", "pc-q35-7.1")}


class Fleet:
    """Guests of one family of machines on hosts of several configurations.

    Hosts with an even number have a capability file, the others their nova.conf alone.
    """

    def __init__(
        self,
        cloud: Cloud,
        hypervisor: Hypervisor,
        nova: NovaProcess,
        family: str,
        size: tuple[int, int],
        seed: int,
    ) -> None:
        self.cloud, self.hypervisor, self.nova = cloud, hypervisor, nova
        self.random, self.guests = Random(seed), list[Guest]()
        self.before: dict[str, str] = {}
        self._machines = machine_types(hypervisor)
        folder = cloud.folder / "hosts"
        folder.mkdir()
        with cloud.config_file.open("a") as file:
            file.write(f"[novadev]\ncompute_config_dir = {folder}\n")
        hosts, guests = size
        for number in range(hosts):
            settings = config(self.random)
            settings["libvirt"]["hw_machine_type"] = [f"x86_64={VMS[family][0]}"]
            know(cloud, f"cmp{number}", settings, None if number % 2 else self._machines)
            made = [
                a_guest(self.random, number * guests + n, settings, family) for n in range(guests)
            ]
            self._fill(f"cmp{number}", made)

    def _fill(self, host: str, made: Sequence[Guest]) -> None:
        """Keep those guests that Nova builds and libvirt defines."""
        for guest, built in zip(made, self.build(made), strict=True):
            definition = self.define(built)
            if definition:
                name_rows(guest, built["rows"])
                place(guest, self.cloud, host)
                self.guests.append(guest)
                self.before[guest.uuid] = definition

    def build(self, guests: Sequence[Guest]) -> list[dict[str, Any]]:
        """What Nova's driver makes of the guests."""
        return list(self.nova.call("guest_xml_many", cases=[guest.case for guest in guests]))

    def define(self, built: dict[str, Any]) -> str:
        """The definition that libvirt makes of what Nova built, empty where either refuses."""
        if "xml" not in built:
            return ""
        try:
            domain = self.hypervisor.connection.defineXML(built["xml"])
        except libvirt.libvirtError:
            return ""
        text = str(domain.XMLDesc(INACTIVE))
        domain.undefine()
        return text

    def look_again(self, guest: Guest) -> None:
        """Take what is stored of the guest now for what Nova builds it from."""
        look_again(guest, self.cloud)


def machine_types(hypervisor: Hypervisor) -> dict[str, dict[str, MachineType]]:
    """The machine types of a host, as a capability file has them."""
    with Host(hypervisor.name, hypervisor.uri) as host:
        found = read_capabilities(host).machine_types
    return {arch: dict(machines) for arch, machines in found.items()}


def know(
    cloud: Cloud,
    host: str,
    settings: dict[str, Any],
    machines: dict[str, dict[str, MachineType]] | None,
) -> None:
    """Have the host's nova.conf; with MACHINES a capability file in its place."""
    path = cloud.folder / "hosts" / f"{host}.conf"
    path.write_text(as_text(settings))
    if machines is None:
        return
    options = load_driver_options(str(path))[1]
    path.unlink()
    driver = {"driver": options, "machine_types": machines, "recommendations": None}
    known = {"domain_capabilities": None, "devices": None, **driver}
    saved(path.parent, f"{host}.json", host=host, saved_on=host, **known)


def a_guest(random: Random, number: int, settings: dict[str, Any], family: str) -> Guest:
    """A guest at its first start: no row has a name yet."""
    uuid = f"c1a5{number:04x}-1111-4a01-8b01-{number:012x}"
    names = [name for name in PROPERTIES if random.random() < 0.4]
    properties = {name: random.choice(PROPERTIES[name]) for name in names}
    if random.random() < 0.7:
        properties["hw_machine_type"] = random.choice(VMS[family])
    made = Guest(uuid, {}, random)
    sizes = {"swap": random.choice((0, 512)), "ephemeral_gb": random.choice((0, 0, 1))}
    made.case = {
        "instance": {
            "id": number + 1,
            "uuid": uuid,
            "root_device_name": None,
            "config_drive": random.choice(("", "True")),
            "flavor": sizes,
        },
        "bdms": list(_rows(made)),
        "image_properties": properties,
        "vifs": [_vif(made) for _ in range(random.choice((0, 1, 1, 2, 3)))],
        "config": settings,
        "whole": True,
    }
    return made


def _rows(guest: Guest) -> Iterator[dict[str, Any]]:
    random = guest.random
    root = {"boot_index": 0, "device_type": "disk", "volume_size": 1}
    if random.random() < 0.5:
        yield {**root, "source_type": "image", "destination_type": "local"}
    else:
        yield {**root, **_volume(guest)}
    if random.random() < 0.3:
        local = {"source_type": "blank", "destination_type": "local", "device_type": "disk"}
        yield {**local, "volume_size": 1, "disk_bus": random.choice((None, "ide", "virtio"))}
    for _ in range(random.choice((0, 1, 2))):
        kind = random.choice(("disk", "disk", "cdrom"))
        bus = random.choice((None, None, "ide", "virtio", "scsi", "sata"))
        is_possible = (kind, bus) != ("cdrom", "virtio")
        yield {**_volume(guest), "device_type": kind, "disk_bus": bus if is_possible else None}


def _volume(guest: Guest) -> dict[str, Any]:
    guest.number += 1
    serial = f"701e{guest.number:04x}-1111-4a01-8b01-{guest.uuid[24:]}"
    place = {"source_type": "volume", "destination_type": "volume", "volume_id": serial}
    return {**place, "volume_size": 1, "connection_info": json.dumps({"serial": serial})}


def _vif(guest: Guest) -> dict[str, Any]:
    guest.number += 1
    tail = f"{guest.number:02x}"
    port = f"9027{guest.number:04x}-1111-4a01-8b01-{guest.uuid[24:]}"
    vif = {"port": port, "mac": f"fa:16:3e:{guest.uuid[-4:-2]}:{guest.uuid[-2:]}:{tail}"}
    if guest.random.random() < 0.15:
        place = {"profile": {"pci_slot": f"0000:81:00.{guest.number % 8}"}, "type": "hw_veb"}
        return {**vif, **place, "vnic_type": "direct", "details": {"vlan": "100"}}
    return vif


@dataclass(frozen=True)
class Machine:
    """What a definition says of a guest."""

    xml: str

    @property
    def root(self) -> Any:
        return etree.fromstring(self.xml)

    @property
    def machine_type(self) -> str:
        return str(self.root.find("os/type").get("machine"))

    @property
    def disks(self) -> list[str]:
        """Bus and name of every disk, as plans tell them."""
        targets = [item.find("target") for item in self.root.iterfind("devices/disk")]
        return sorted(f"{target.get('bus')} {target.get('dev')}" for target in targets)

    @property
    def models(self) -> list[tuple[str, ...]]:
        """What must not change with the machine: every other device with its model."""
        found = []
        for item in self.root.iterfind("devices/*"):
            model = item.find("model")
            kind = None if model is None else model.get("type", model.get("name"))
            if item.tag == "controller":
                if item.get("type") == "scsi":
                    found.append((item.tag, str(item.get("model"))))
            elif item.tag not in ("disk", "emulator"):
                words = (kind, item.get("model"), item.get("type"), item.get("bus"))
                found.append((item.tag, *map(str, words)))
        return sorted(found)

    @property
    def root_ports(self) -> tuple[int, int]:
        """How many root ports of PCI Express are taken, and how many are free."""
        controllers = list(self.root.iterfind("devices/controller[@model='pcie-root-port']"))
        ports = {int(item.get("index", "")) for item in controllers}
        places = self.root.iterfind("devices//address[@type='pci']")
        taken = {int(place.get("bus", "0"), 16) for place in places} & ports
        return len(taken), len(ports - taken)
