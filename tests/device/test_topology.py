"""`device show --tree` and `--svg`: which device is on which bus, and what is free."""

from collections.abc import Iterator, Sequence
from typing import Any

from lxml import etree

from novadev.device.show_on_host import ShownDevice
from novadev.device.topology import Node, placed
from novadev.device.topology import topology as topology_of
from novadev.pages.picture import picture

EVIL = "a\x1b]0;owned\x07<script>&\u202e"


def shown(label: str, address: str | None = None, /, **values: Any) -> ShownDevice:
    """A device of a running guest; the type is the first word of LABEL."""
    empty = dict.fromkeys(ShownDevice.__dataclass_fields__)
    fixed = {"definition": "both", "managed": True, "plugged": True, "disagreements": ()}
    given = {"label": label, "type": label.split()[0], "live_address": address, "address": address}
    return ShownDevice(**{**empty, **fixed, **given, **values})


def topology(records: Sequence[ShownDevice], is_running: bool) -> tuple[Node, ...]:
    return topology_of([placed(record, is_running) for record in records])


def drawn(roots: Sequence[Node], depth: int = 0) -> Iterator[str]:
    for node in roots:
        yield "  " * depth + f"{node.place} {node.name}".strip()
        yield from drawn(node.children, depth + 1)


PORTS = [
    shown(f"controller pci {number + 1}", f"0000:00:02.{number}", model="pcie-root-port")
    for number in range(6)
]
Q35 = [
    shown("controller pci 0", model="pcie-root"),
    *PORTS,
    shown("controller pci 7", "0000:01:00.0", model="pcie-to-pci-bridge"),
    shown("interface tap0", "0000:02:00.0", model="e1000", owner_type="port", owner_id="P"),
    shown("sound ich6", "0000:07:03.0", model="ich6"),
    shown("controller sata 0", "0000:00:1f.2"),
    shown("disk sdb", "0:0:0:1", bus="sata"),
    shown("disk sda", "0:0:0:0", bus="sata"),
    shown("graphics vnc"),
]


def test_buses_nest_and_free_root_ports_are_counted() -> None:
    assert [*drawn(topology(Q35, True))] == [
        "pcie-root, PCI bus 00",
        "  02.0 pcie-root-port, PCI bus 01",
        "    00.0 pcie-to-pci-bridge, PCI bus 07",
        "      03.0 sound ich6",
        "      free: 01-02, 04-1f",
        "  02.1 pcie-root-port, PCI bus 02",
        "    00.0 interface tap0 (e1000)",
        "  02.2 … 4 pcie-root-ports: free",
        "  1f.2 controller sata 0",
        "    0:0:0 disk sda (sata)",
        "    0:0:1 disk sdb (sata)",
        "graphics vnc",
    ]


def test_each_kind_of_bus_has_its_devices() -> None:
    guest = [
        shown("controller pci 0", model="pci-root"),
        shown("controller usb 0 (0000:00:01.2)", "0000:00:01.2", model="piix3-uhci"),
        shown("controller usb 0 (0000:00:01.3)", "0000:00:01.3", model="ich9-uhci1"),
        shown("controller virtio-serial 0", "0000:00:05.0"),
        shown("controller scsi 1", "0000:00:06.0", model="virtio-scsi"),
        shown("input tablet usb", "0:1", bus="usb"),
        shown("disk sda", "0:0:0:3", bus="usb"),
        shown("channel org.qemu.guest_agent.0", "0:0:1"),
        shown("hostdev scsi_host2", "1:0:0:4", bus="scsi"),
        shown("disk sdz", "9:0:0:0", bus="scsi"),
    ]
    assert [*drawn(topology(guest, True))] == [
        "pci-root, PCI bus 00",
        "  01.2 controller usb 0 (piix3-uhci)",
        "    0:0:3 disk sda (usb)",
        "    1 input tablet usb",
        "  01.3 controller usb 0 (ich9-uhci1)",
        "  05.0 controller virtio-serial 0",
        "    0:1 channel org.qemu.guest_agent.0",
        "  06.0 controller scsi 1 (virtio-scsi)",
        "    0:0:4 hostdev scsi_host2 (scsi)",
        "  free: 02-04, 07-1f",
        "0:0:0 disk sdz (scsi)",
    ]


def test_every_device_is_drawn_once_whatever_its_address() -> None:
    """Two of one index, one on its own bus, two on each other's, addresses of no bus."""
    odd = [
        shown("controller pci 7", "0000:07:01.0", model="pci-bridge"),
        shown("controller pci 21", "0000:15:01.0", model="pci-bridge"),
        shown("controller pci 22", "0000:17:01.0", model="pci-bridge"),
        shown("controller pci 23", "0000:16:01.0", model="pci-bridge"),
        shown("rng virtio", "0000:17:02.0"),
        shown("rng virtio", "0000:44:00.0"),
        shown("disk vda", "0001:00:05.0", bus="virtio"),
        shown("disk vdb", None, definition="none", owner_type="volume", owner_id="V"),
        shown("memory dimm", "dimm slot=0"),
    ]
    names = [*drawn(topology([*Q35, *odd], True))]
    assert sum("rng virtio" in name for name in names) == 2
    assert sum(" pci-bridge" in name or "(pci-bridge)" in name for name in names) == 4
    assert sum("free" not in name for name in names) == len(Q35) - 4 + len(odd)


def test_the_definition_s_addresses_of_a_guest_that_is_shut_off() -> None:
    moved = shown("disk vda", "0000:00:09.0", address="0000:00:04.0", bus="virtio", alias="ua-x")
    roots = topology([shown("controller pci 0", model="pci-root"), moved], False)
    assert (roots[0].children[0].place, roots[0].children[0].alias) == ("04.0", "ua-x")
    assert topology([moved], True)[0].alias == ""


def test_the_picture_has_every_device_and_no_markup_of_others() -> None:
    guest = [*Q35, shown(f"disk {EVIL}", "0:0:0:5", bus="sata", disagreements=("it",))]
    roots = topology(guest, True)
    image = etree.fromstring(picture(f"web {EVIL}", roots))
    texts = ["".join(line.itertext()) for line in image.iterfind("{*}text")]
    assert len(texts) == 1 + len([*drawn(roots)])
    assert any("! disk" in text for text in texts)
    assert [*image.iter("{*}script")] == []
    text = picture(f"web {EVIL}", roots)
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert etree.fromstring(text).get("viewBox")
