"""Guests with every kind of device that libvirt 7.0, 9.0 and 11.3 know, the same in each run."""

import re
from collections.abc import Iterator
from uuid import NAMESPACE_DNS, uuid5

from tests import domains
from tests.device.rig import mac, port_id, volume_id

MACHINES = ("pc-i440fx-5.2", "pc-q35-5.2")
"""Machine types that every generation has."""


Kind = tuple[tuple[str, ...], tuple[str, ...]]
"""Disks of the instance's own, as target, bus and name; and other devices."""


def guests() -> Iterator[str]:
    """Some 160 definitions, without addresses: each kind of device, alone and beside others."""
    for machine in MACHINES:
        kinds = _kinds(machine)
        for name, (disks, devices) in kinds.items():
            yield _guest(machine, name, disks, devices)
        for (one, (disks, devices)), (other, (more, others)) in _beside(kinds):
            if not (disks and more) and "no usb" not in (one, other):
                yield _guest(machine, f"{one} + {other}", disks or more, devices + others)
    for path in domains.samples():
        text = re.sub("machine=(['\"])pc\\1", f"machine='{MACHINES[0]}'", path.read_text())
        yield re.sub("machine=(['\"])q35\\1", f"machine='{MACHINES[1]}'", text)


def _beside(kinds: dict[str, Kind]) -> Iterator[tuple[tuple[str, Kind], tuple[str, Kind]]]:
    """Each kind with the third, fourth and fifth after it, round about."""
    items = list(kinds.items())
    for number, one in enumerate(items):
        yield from ((one, items[(number + step) % len(items)]) for step in (3, 4, 5))


def own_disk(uuid: str, target: str, bus: str, name: str, device: str = "disk") -> str:
    """A disk of the instance's own, called as Nova calls it."""
    return domains.disk(target, bus, source=f"{domains.IMAGES}/{uuid}/{name}", device=device)


def _kinds(machine: str) -> dict[str, Kind]:
    found = {f"disks {bus}": (_DISKS[bus], _CONTROLLERS.get(bus, ())) for bus in _DISKS}
    if "q35" in machine:
        del found["disks ide"]
    found |= {name: ((), devices) for name, devices in _DEVICES.items()}
    return found


def _guest(machine: str, name: str, disks: tuple[str, ...], devices: tuple[str, ...]) -> str:
    uuid = str(uuid5(NAMESPACE_DNS, f"{machine} {name}"))
    own = [own_disk(uuid, *text.split()) for text in disks or _DISKS["virtio"]]
    card = domains.interface(mac(1), port=port_id(1), kind="bridge")
    return domains.domain(
        uuid, machine=machine, disks=own, interfaces=[card], devices=list(devices)
    )


_DISKS = {
    "virtio": ("vda virtio disk", "vdb virtio disk.eph0", "vdc virtio disk.swap"),
    "scsi": ("sda scsi disk", "sdb scsi disk.config cdrom"),
    "sata": ("sda sata disk", "sdb sata disk.config cdrom"),
    "ide": ("hda ide disk", "hdd ide disk.config cdrom"),
    "usb": ("sda usb disk", "vda virtio disk.eph0"),
    "fdc": ("vda virtio disk", "fda fdc disk.config floppy"),
}
_CONTROLLERS = {"scsi": (domains.scsi_controller(),)}
_SERIAL = "<{0} type='{1}'><target {2}/></{0}>"
_DEVICES: dict[str, tuple[str, ...]] = {
    "volume": (domains.disk("vdz", serial=volume_id(1)),),
    "cards": tuple(
        domains.interface(mac(number), port=port_id(number), kind="bridge", model=model)
        for number, model in enumerate(("e1000", "rtl8139", "virtio", "virtio"), 2)
    ),
    "video": ("<video><model type='virtio'/></video>", "<sound model='ich6'/>"),
    "sound": ("<sound model='ac97'/>",),
    "inputs": (
        "<input type='tablet' bus='usb'/>",
        "<input type='keyboard' bus='usb'/>",
        "<input type='mouse' bus='usb'/>",
        "<input type='keyboard' bus='virtio'/>",
    ),
    "usb": (
        "<controller type='usb' index='0' model='qemu-xhci'/>",
        "<redirdev bus='usb' type='tcp'><source mode='connect' host='127.0.0.1' service='4'/>"
        "</redirdev>",
        "<hub type='usb'/>",
    ),
    "no usb": ("<controller type='usb' index='0' model='none'/>",),
    "gap": (
        "<controller type='virtio-serial' index='0'/>",
        "<controller type='virtio-serial' index='4'/>",
        "<controller type='virtio-serial' index='2'/>",
    ),
    "serial": (
        _SERIAL.format("serial", "pty", "port='0'"),
        _SERIAL.format("serial", "pty", "port='1'"),
        _SERIAL.format("console", "pty", "type='serial' port='0'"),
    ),
    "console": (_SERIAL.format("console", "pty", "type='virtio' port='0'"),),
    "parallel": (_SERIAL.format("parallel", "null", "port='0'"),),
    "channels": tuple(
        f"<channel type='unix'><target type='virtio' name='{name}'/></channel>"
        for name in ("org.qemu.guest_agent.0", "org.novadev.1")
    ),
    "random": tuple(
        2 * ["<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"]
    ),
    "watchdog": ("<watchdog model='i6300esb' action='reset'/>",),
    "no balloon": ("<memballoon model='none'/>",),
    "panic": ("<panic model='isa'/>",),
    "vsock": ("<vsock model='virtio'><cid auto='no' address='7'/></vsock>",),
    "hostdevs": (
        domains.pci("0000:81:00.1"),
        domains.pci("0000:81:00.2"),
        domains.mdev("4b20d080-1b54-4048-85b3-a6a62d165c01"),
        "<hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/><product id='0xbeef'/>"
        "</source></hostdev>",
    ),
    "function": (domains.sriov(mac(9), "0000:81:00.3"),),
}
