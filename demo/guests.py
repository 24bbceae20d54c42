"""The guests of the demo's servers, and what Nova's records say is attached to them.

Two of them run, without an operating system. An ordinary user's hosts have no taps and no virtiofs:
there the interfaces of those that run are of the kind "user", and nobody has a share.
"""

import uuid
from collections.abc import Iterable

from demo.deployment import Deployment, Port, Server
from tests import domains
from tests.hypervisor import PRIVILEGED

LUN = "/dev/disk/by-path/ip-192.0.2.10:3260-iscsi-iqn.2010-10.org.openstack:volume-{}-lun-1"
FPGA = "0000:81:00.1"
MAC = "fa:16:3e:5d:00:{:02x}"
TABLET = "<input type='tablet' bus='usb'/>"


def definitions(cloud: Deployment) -> dict[str, str]:
    """Attach what the servers have in Nova's records; return the definition of each by its name."""
    makers = (busy_1, web_1, web_2, shop_1, mail_1, db_1)
    return {maker.__name__.replace("_", "-"): maker(cloud) for maker in makers}


def busy_1(cloud: Deployment) -> str:
    """Give busy-1, which runs, a volume and two ports."""
    server = cloud.servers["busy-1"]
    ports = cloud.add_ports(server, MAC.format(1), MAC.format(2))
    return _guest(server, [_volume(server, "vdb")], _interfaces(server, ports))


def web_1(cloud: Deployment) -> str:
    """Give web-1 an orphan: a disk at vdc, whose volume Nova has forgotten."""
    server = cloud.servers["web-1"]
    orphan = domains.disk("vdc", serial=str(uuid.uuid4()))
    ports = cloud.add_ports(server, MAC.format(3))
    return _guest(server, [_volume(server, "vdb"), orphan], _interfaces(server, ports))


def web_2(cloud: Deployment) -> str:
    """Give web-2 a share, and a newer machine type."""
    server = cloud.servers["web-2"]
    shares = [domains.share(cloud.add_share(server))] if PRIVILEGED else []
    ports = cloud.add_ports(server, MAC.format(4))
    interfaces = _interfaces(server, ports)
    return _guest(server, [_volume(server, "vdb")], interfaces, shares, machine="q35")


def shop_1(cloud: Deployment) -> str:
    """Give shop-1, which runs, a volume and a port."""
    server = cloud.servers["shop-1"]
    ports = cloud.add_ports(server, MAC.format(5))
    return _guest(server, [_volume(server, "vdb")], _interfaces(server, ports))


def mail_1(cloud: Deployment) -> str:
    """Give mail-1 a ghost: a volume at vdb in Nova's records, and no device for it."""
    server = cloud.servers["mail-1"]
    server.volumes["vdb"] = str(uuid.uuid4())
    cloud.add_volume(server, "vdb", "virtio")
    return _guest(server, [], _interfaces(server, cloud.add_ports(server, MAC.format(6))))


def db_1(cloud: Deployment) -> str:
    """Give db-1 a LUN, a PCI device, and two ports with one MAC address."""
    server = cloud.servers["db-1"]
    server.volumes["sda"] = volume = str(uuid.uuid4())
    place = LUN.format(volume)
    cloud.add_volume(server, "sda", "scsi", "lun", device_path=place)
    cloud.add_pci_device(server, FPGA)
    ports = cloud.add_ports(server, MAC.format(7), MAC.format(7))
    lun = domains.disk("sda", "scsi", kind="block", device="lun", source=place)
    devices = [domains.scsi_controller(), domains.pci(FPGA)]
    return _guest(server, [_volume(server, "vdb"), lun], _interfaces(server, ports), devices)


def _volume(server: Server, target: str) -> str:
    return domains.disk(target, serial=server.volumes[target])


def _interfaces(server: Server, ports: Iterable[Port]) -> list[str]:
    kind = "ovs" if PRIVILEGED or not server.is_active else "user"
    return [domains.interface(port.mac, port=port.uuid, kind=kind) for port in ports]


def _guest(
    server: Server,
    disks: list[str],
    interfaces: list[str],
    devices: Iterable[str] = (),
    machine: str = "pc",
) -> str:
    """Return the definition Nova would write: with root disk, config drive and pointer."""
    text = domains.domain(
        server.uuid,
        name=server.domain,
        machine=machine,
        disks=[_own_disk(server, "vda", "disk"), *disks, _config_drive(server, machine)],
        interfaces=interfaces,
        devices=[TABLET, *devices],
    )
    return text.replace(f"{server.domain}</nova:name>", f"{server.name}</nova:name>")


def _own_disk(
    server: Server, target: str, file: str, bus: str = "virtio", kind: str = "disk"
) -> str:
    source = f"{domains.IMAGES}/{server.uuid}/{file}"
    return domains.disk(target, bus, source=source, device=kind)


def _config_drive(server: Server, machine: str) -> str:
    target, bus = ("sda", "sata") if machine == "q35" else ("hda", "ide")
    return _own_disk(server, target, "disk.config", bus, "cdrom")
