"""Devices as views of their elements: labels, oVirt's words, identities, and aliases set."""

import pytest
from lxml import etree

from novadev.errors import BadInput
from novadev.virt.alias import Alias
from novadev.virt.device import Device
from novadev.virt.devices import Disk, Filesystem, Hostdev, Interface, device_of
from tests import domains

MDEV = "4b20d080-1b54-4048-85b3-a6a62d165c01"


def view(xml: str) -> Device:
    return device_of(etree.fromstring(xml))


@pytest.mark.parametrize(
    ("xml", "label", "kind", "device", "bus", "model"),
    [
        (domains.disk("vdb"), "disk vdb", "disk", "disk", "virtio", None),
        (domains.disk("sda", "scsi", device="lun"), "disk sda", "disk", "lun", "scsi", None),
        (domains.disk("hda", "ide", device="cdrom"), "disk hda", "disk", "cdrom", "ide", None),
        (
            domains.interface("fa:16:3e:00:00:01", port=MDEV),
            *("interface tap4b20d080-1b", "interface", "bridge", None, "virtio"),
        ),
        (
            domains.sriov("fa:16:3e:00:00:01", "0000:81:00.1"),
            *("interface fa:16:3e:00:00:01", "interface", "hostdev", None, None),
        ),
        (domains.pci("0000:81:00.1"), "hostdev 0000:81:00.1", "hostdev", "pci", None, None),
        (domains.mdev(MDEV), f"hostdev {MDEV}", "hostdev", "mdev", None, "vfio-pci"),
        (
            "<hostdev type='usb'><source><vendor id='0x1'/><product id='0x2'/></source></hostdev>",
            *("hostdev 0x1", "hostdev", "usb", None, None),
        ),
        (
            "<hostdev type='usb'><source><address bus='1' device='3'/></source></hostdev>",
            *("hostdev usb bus=1 device=3", "hostdev", "usb", None, None),
        ),
        (
            "<hostdev mode='capabilities' type='storage'><source><block>/dev/x</block></source>"
            "</hostdev>",
            *("hostdev /dev/x", "hostdev", "storage", None, None),
        ),
        (domains.share(MDEV), f"filesystem {MDEV}", "filesystem", "mount", None, "virtiofs"),
        (
            domains.scsi_controller(),
            *("controller scsi 0", "controller", "virtio-scsi", None, "virtio-scsi"),
        ),
        (
            "<controller type='usb' index='0' model='none'/>",
            *("controller usb 0", "controller", "usb", None, "none"),
        ),
        (
            "<input type='tablet' bus='usb'/>",
            *("input tablet usb", "input", "tablet", "usb", None),
        ),
        (
            "<video><model type='qxl'/></video>",
            *("video qxl", "video", "qxl", None, "qxl"),
        ),
        ("<rng model='virtio'/>", "rng virtio", "rng", "virtio", None, "virtio"),
        ("<sound model='ich6'/>", "sound ich6", "sound", "ich6", None, "ich6"),
        ("<graphics type='vnc'/>", "graphics vnc", "graphics", "vnc", None, None),
        (
            "<memballoon model='virtio'/>",
            *("memballoon virtio", "balloon", "memballoon", None, "virtio"),
        ),
        (
            "<watchdog model='i6300esb'/>",
            *("watchdog i6300esb", "watchdog", "watchdog", None, "i6300esb"),
        ),
        ("<tpm model='tpm-crb'/>", "tpm tpm-crb", "tpm", "tpm", None, "tpm-crb"),
        (
            "<redirdev bus='usb' type='spicevmc'/>",
            *("redirdev spicevmc", "redir", "spicevmc", "usb", None),
        ),
        (
            "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>",
            *("channel org.qemu.guest_agent.0", "channel", "unix", None, None),
        ),
        (
            "<console type='pty'><target type='serial' port='0'/></console>",
            *("console serial", "console", "console", None, None),
        ),
        ("<novelty/>", "novelty", "novelty", None, None, None),
    ],
)
def test_words(
    xml: str, label: str, kind: str, device: str | None, bus: str | None, model: str | None
) -> None:
    found = view(xml)
    assert (found.label, found.type, found.device) == (label, kind, device)
    assert (found.bus, found.model) == (bus, model)


def test_identities_of_a_disk() -> None:
    disk = view(
        "<disk type='network' device='disk'><source protocol='rbd' name='volumes/volume-1'/>"
        "<target dev='vdb' bus='virtio'/><serial> 0f8f </serial><readonly/><boot order='2'/></disk>"
    )
    assert isinstance(disk, Disk)
    assert (disk.serial, disk.target, disk.source) == ("0f8f", "vdb", "volumes/volume-1")
    assert (disk.protocol, disk.source_type, disk.is_lun) == ("rbd", "network", False)
    assert (disk.readonly, disk.boot_order, disk.alias, disk.address) == (True, 2, None, None)


def test_identities_of_interfaces() -> None:
    ovs = view(domains.interface("fa:16:3e:00:00:01", port=MDEV))
    assert isinstance(ovs, Interface)
    assert (ovs.mac, ovs.interface_id) == ("fa:16:3e:00:00:01", MDEV)
    assert (ovs.target, ovs.source, ovs.host_address) == ("tap4b20d080-1b", "br-int", None)
    sriov = view(domains.sriov("fa:16:3e:00:00:02", "0000:81:00.1"))
    assert isinstance(sriov, Interface)
    assert (str(sriov.host_address), sriov.interface_id) == ("0000:81:00.1", None)


def test_the_address_in_a_hostdevs_source_is_the_hosts() -> None:
    hostdev = view(domains.pci("0000:81:00.1"))
    assert isinstance(hostdev, Hostdev)
    assert (str(hostdev.host_address), hostdev.address) == ("0000:81:00.1", None)
    assert (hostdev.managed, hostdev.uuid) == ("yes", None)
    mdev = view(domains.mdev(MDEV))
    assert isinstance(mdev, Hostdev)
    assert (mdev.uuid, mdev.host_address) == (MDEV, None)
    share = view(domains.share(MDEV))
    assert isinstance(share, Filesystem)
    assert (share.target, str(share.source).endswith(MDEV)) == (MDEV, True)


def test_labels_are_told_apart() -> None:
    devices = etree.fromstring(
        "<devices>"
        "<rng model='virtio'/><rng model='virtio'/>"
        "<interface><mac address='m'/><address type='usb' bus='0' port='1'/></interface>"
        "<interface><mac address='m'/><address type='usb' bus='0' port='2'/></interface>"
        "<interface><mac address='m'/></interface>"
        "</devices>"
    )
    assert [device_of(element).label for element in devices] == [
        "rng virtio #1",
        "rng virtio #2",
        "interface m at 0:1",
        "interface m at 0:2",
        "interface m #3",
    ]


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<d><a/><address/></d>", '<d><a/><alias name="ua-1"/><address/></d>'),
        ("<d><a/><rom/><address/></d>", '<d><a/><alias name="ua-1"/><rom/><address/></d>'),
        ("<d>\n  <a/>\n</d>", '<d>\n  <a/>\n  <alias name="ua-1"/>\n</d>'),
        (
            "<d>\n  <a/>\n  <address/>\n</d>",
            '<d>\n  <a/>\n  <alias name="ua-1"/>\n  <address/>\n</d>',
        ),
        ("<d>\n  <address/>\n</d>", '<d>\n  <alias name="ua-1"/>\n  <address/>\n</d>'),
        ("<d/>", '<d><alias name="ua-1"/></d>'),
        (
            "<d><source><address/><alias/></source></d>",
            '<d><source><address/><alias/></source><alias name="ua-1"/></d>',
        ),
    ],
)
def test_an_alias_is_set_and_taken_out(xml: str, expected: str) -> None:
    device = view(xml)
    device.alias = Alias("ua-1")
    assert etree.tostring(device.element, encoding="unicode") == expected
    device.alias = None
    assert etree.tostring(device.element, encoding="unicode") == xml
    device.alias = None
    assert device.alias is None


def test_an_alias_is_changed_in_place() -> None:
    device = view("<d><alias name='virtio-disk0' more='kept'/><address/></d>")
    device.alias = Alias("ua-1")
    text = etree.tostring(device.element, encoding="unicode")
    assert text == '<d><alias name="ua-1" more="kept"/><address/></d>'


def test_a_bad_alias_is_refused() -> None:
    device = view("<d/>")
    with pytest.raises(BadInput):
        device.alias = Alias("virtio-disk0")
    assert device.alias is None
