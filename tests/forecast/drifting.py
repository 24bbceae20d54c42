"""Guests that Nova's own driver builds, and what becomes of them while they live.

A guest is built, defined on a host, and drifts: volumes and ports come and go, on both sides or on
one, and properties change. Then Nova builds it again: that is what a forecast must have told.
"""

import json
import string
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import libvirt

from tests import domains
from tests.cloud import Cloud

Case = dict[str, Any]
Build = Callable[[Sequence[Case]], list[dict[str, Any]]]
CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG
PROPERTIES = {
    "hw_disk_bus": ("virtio", "virtio", "scsi", "sata", "ide", "usb"),
    "hw_cdrom_bus": ("ide", "sata", "scsi"),
    "hw_input_bus": ("usb", "virtio"),
    "hw_pointer_model": ("usbtablet",),
    "hw_scsi_model": ("virtio-scsi", "virtio-scsi", "lsilogic"),
    "hw_video_model": ("vga", "cirrus", "virtio", "bochs", "none"),
    "hw_vif_model": ("virtio", "virtio", "e1000", "e1000e", "rtl8139"),
    "hw_machine_type": ("pc", "q35", "q35"),
    "hw_qemu_guest_agent": ("yes",),
    "hw_sound_model": ("ich6", "ich9", "ac97"),
    "hw_watchdog_action": ("reset",),
    "hw_usb_model": ("qemu-xhci", "nec-xhci", "none"),
}
PREFIXES = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}


@dataclass
class Guest:
    """A guest: its UUID and Nova's case of it, which drifting changes."""

    uuid: str
    case: Case
    random: Random
    drifts: list[str] = field(default_factory=list)
    number: int = 0

    @property
    def bdms(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.case["bdms"]
        return rows

    @property
    def vifs(self) -> list[dict[str, Any]]:
        vifs: list[dict[str, Any]] = self.case["vifs"]
        return vifs


def config(random: Random) -> dict[str, Any]:
    """A compute host's nova.conf: it decides for all guests on it."""
    vnc, spice = random.choice(((True, False), (True, False), (True, True), (False, False)))
    return {
        "DEFAULT": {
            "instances_path": domains.IMAGES,
            "pointer_model": random.choice(("usbtablet", "usbtablet", "ps2mouse")),
            "config_drive_format": random.choice(("iso9660", "vfat")),
        },
        "libvirt": {
            "virt_type": "qemu",
            "use_virtio_for_bridges": random.random() < 0.8,
            "hw_machine_type": random.choice(([], ["x86_64=q35"], ["x86_64=pc"])),
            "num_pcie_ports": random.choice((0, 0, 12, 16)),
            "mem_stats_period_seconds": random.choice((10, 10, 0)),
        },
        "vnc": {"enabled": vnc},
        "spice": {"enabled": spice, "agent_enabled": random.random() < 0.5},
    }


def as_text(settings: dict[str, Any]) -> str:
    """The same as a nova.conf."""
    lines = []
    for group, options in settings.items():
        lines.append(f"[{group}]")
        for name, value in options.items():
            lines.append(f"{name} = {','.join(value) if isinstance(value, list) else value}")
    return "\n".join(lines) + "\n"


def guest(
    random: Random,
    number: int,
    settings: dict[str, Any],
    properties: Mapping[str, Sequence[str]] = PROPERTIES,
) -> Guest:
    """A guest at its first start: no row has a name yet."""
    uuid = f"c1a5{number:04x}-1111-4a01-8b01-{number:012x}"
    names = [name for name in properties if random.random() < 0.35]
    made = Guest(uuid, {}, random)
    root = {"boot_index": 0, "device_type": "disk", "volume_size": 1}
    if random.random() < 0.5:
        rows = [{**root, "source_type": "image", "destination_type": "local"}]
    else:
        rows = [{**root, **_volume(made)}]
    if random.random() < 0.2:
        local = {"source_type": "blank", "destination_type": "local", "device_type": "disk"}
        rows.append({**local, "volume_size": 1})
    for _ in range(random.choice((0, 1, 2, 3))):
        bus = random.choice((None, None, "virtio", "scsi"))
        rows.append({**_volume(made), "device_type": "disk", "disk_bus": bus})
    made.case = {
        "instance": {
            "id": number + 1,
            "uuid": uuid,
            "root_device_name": None,
            "config_drive": random.choice(("", "True")),
            "flavor": {"swap": random.choice((0, 512)), "ephemeral_gb": random.choice((0, 1))},
        },
        "bdms": rows,
        "image_properties": {name: random.choice(properties[name]) for name in names},
        "vifs": [_vif(made) for _ in range(random.choice((0, 1, 1, 2, 3)))],
        "config": settings,
        "whole": True,
    }
    return made


def _volume(guest: Guest) -> dict[str, Any]:
    guest.number += 1
    serial = f"701e{guest.number:04x}-1111-4a01-8b01-{guest.uuid[24:]}"
    place = {"source_type": "volume", "destination_type": "volume", "volume_id": serial}
    return {**place, "volume_size": 1, "connection_info": json.dumps({"serial": serial})}


def _vif(guest: Guest) -> dict[str, Any]:
    guest.number += 1
    port = f"9027{guest.number:04x}-1111-4a01-8b01-{guest.uuid[24:]}"
    tail = guest.uuid[-4:]
    mac = f"fa:16:3e:{tail[:2]}:{tail[2:]}:{guest.number:02x}"
    if guest.random.random() < 0.15:
        place = {"profile": {"pci_slot": f"0000:81:00.{guest.number % 8}"}, "type": "hw_veb"}
        more = {"vnic_type": "direct", "details": {"vlan": "100"}}
        return {"port": port, "mac": mac, **place, **more}
    return {"port": port, "mac": mac}


def name_rows(guest: Guest, rows: Sequence[Sequence[Any]]) -> None:
    """Store what Nova made of the rows, as it saves them."""
    columns = ("device_name", "disk_bus", "device_type")
    for bdm, row in zip(guest.bdms, rows, strict=True):
        bdm.update(zip(columns, row, strict=True))
    guest.case["instance"]["root_device_name"] = rows[0][0]


# What becomes of a guest


def drift(guest: Guest, domain: Any) -> None:
    """Do a few things to a guest, each as Nova or somebody else would."""
    steps = (_plug, _plug, _unplug, _plug_port, _unplug_port, _lose, _add_orphan, _ghost, _change)
    for step in guest.random.choices(steps, k=guest.random.choice((0, 1, 2, 3, 4))):
        with suppress(libvirt.libvirtError):
            step(guest, domain)
            guest.drifts.append(step.__name__)


def _free_name(guest: Guest, domain: Any, bus: str) -> str:
    text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    used = {f"{bdm.get('device_name')}".removeprefix("/dev/") for bdm in guest.bdms}
    names = (PREFIXES[bus] + letter for letter in string.ascii_lowercase)
    return next(name for name in names if name not in used and f"dev='{name}'" not in text)


def _plug(guest: Guest, domain: Any) -> None:
    bus = guest.random.choice(("virtio", "virtio", "virtio", "scsi"))
    name, row = _free_name(guest, domain, bus), _volume(guest)
    _attach_disk(domain, name, bus, row["volume_id"])
    _store(guest, row, name, bus)


def _attach_disk(domain: Any, name: str, bus: str, serial: str) -> None:
    text = domains.disk(name, bus, serial=serial, kind="network", alias=f"ua-{serial}")
    domain.attachDeviceFlags(text, CONFIG)


def _store(guest: Guest, row: dict[str, Any], name: str, bus: str) -> None:
    place = {"device_name": f"/dev/{name}", "disk_bus": bus, "device_type": "disk"}
    guest.bdms.append({**row, **place})


def _data_volume(guest: Guest) -> dict[str, Any] | None:
    found = [bdm for bdm in guest.bdms if bdm.get("volume_id") and bdm.get("boot_index") != 0]
    return guest.random.choice(found) if found else None


def _unplug(guest: Guest, domain: Any) -> None:
    bdm = _data_volume(guest)
    if bdm is not None and _lose(guest, domain, bdm):
        guest.bdms.remove(bdm)


def _lose(guest: Guest, domain: Any, bdm: dict[str, Any] | None = None) -> bool:
    """Take a volume out of the definition alone: Nova will give it to the guest again."""
    bdm = bdm or _data_volume(guest)
    if bdm is None:
        return False
    name = bdm["device_name"].removeprefix("/dev/")
    text = domains.disk(name, bdm["disk_bus"], kind="network", source="volumes/x")
    domain.detachDeviceFlags(text, CONFIG)
    return True


def _ghost(guest: Guest, domain: Any) -> None:
    name = _free_name(guest, domain, "virtio")
    _store(guest, _volume(guest), name, "virtio")


def _add_orphan(guest: Guest, domain: Any) -> None:
    _attach_disk(domain, _free_name(guest, domain, "virtio"), "virtio", _volume(guest)["volume_id"])


def _plug_port(guest: Guest, domain: Any) -> None:
    vif = {key: value for key, value in _vif(guest).items() if key in ("port", "mac")}
    text = domains.interface(vif["mac"], port=vif["port"], model="virtio")
    domain.attachDeviceFlags(text, CONFIG)
    guest.vifs.append(vif)


def _unplug_port(guest: Guest, domain: Any) -> None:
    plain = [vif for vif in guest.vifs if "type" not in vif]
    if plain:
        vif = guest.random.choice(plain)
        text = domains.interface(vif["mac"], port=vif["port"])
        domain.detachDeviceFlags(text, CONFIG)
        guest.vifs.remove(vif)


def _change(guest: Guest, _domain: Any) -> None:
    name = guest.random.choice(("hw_vif_model", "hw_video_model", "hw_machine_type"))
    guest.case["image_properties"][name] = guest.random.choice(PROPERTIES[name])


def change_board(guest: Guest, _domain: Any) -> None:
    """Give every other guest the other machine type; nothing else happens to any."""
    if guest.random.random() < 0.5:
        now = guest.case["image_properties"].get("hw_machine_type")
        guest.case["image_properties"]["hw_machine_type"] = "pc" if now == "q35" else "q35"
        guest.drifts.append("change_board")


# Where a guest is kept


def place(guest: Guest, cloud: Cloud, host: str) -> None:
    """Write what Nova has stored of the guest."""
    instance = guest.case["instance"]
    cloud.add_instance(
        uuid=guest.uuid,
        host=host,
        name=f"guest-{guest.uuid[-6:]}",
        root_device_name=instance["root_device_name"],
        image_ref="" if guest.bdms[0].get("volume_id") else "11111111-1111-4111-8111-111111111111",
        image_properties=guest.case["image_properties"],
        flavor=instance["flavor"],
        columns={
            "config_drive": instance["config_drive"],
            "ephemeral_gb": instance["flavor"]["ephemeral_gb"],
        },
    )
    for bdm in guest.bdms:
        row = {"boot_index": None, "volume_id": None, "disk_bus": None, "device_name": None, **bdm}
        cloud.add_disk(guest.uuid, **row)
    for vif in guest.vifs:
        fields = {key: value for key, value in vif.items() if key not in ("port", "mac")}
        if fields:
            fields |= {"ovs_interfaceid": None}
            cloud.add_pci_device(guest.uuid, fields["profile"]["pci_slot"], host=f"n{guest.uuid}")
        cloud.add_port(guest.uuid, vif["port"], vif["mac"], **fields)


def look_again(guest: Guest, cloud: Cloud) -> None:
    """Take what Nova has stored of the guest now for what it builds the guest from."""
    rows = cloud.disks(guest.uuid)
    for bdm, row in zip(guest.bdms, rows, strict=True):
        bdm.update({name: row[name] for name in ("device_name", "disk_bus", "device_type")})
    guest.case["instance"]["root_device_name"] = cloud.instance(guest.uuid)["root_device_name"]
    metadata = cloud.system_metadata(guest.uuid)
    names = {name.removeprefix("image_"): name for name in metadata}
    guest.case["image_properties"] = {
        name: metadata[key] for name, key in names.items() if name.startswith(("hw_", "os_"))
    }
