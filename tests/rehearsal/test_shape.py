"""Shapes: what guests have in common, and that nothing of a host is in one."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from novadev.capabilities.settings import settings_of
from novadev.rehearsal.definition import Backends, definition
from novadev.rehearsal.shape import Shape, shape_of
from novadev.virt.domain import Domain
from novadev.virt.trial import NAMESPACE, Nature
from tests import domains
from tests.capabilities.kinds import kinds
from tests.device.rig import mac, port_id

KINDS = {kind.name: kind for kind in kinds()}
NATURE = Nature("x86_64", "qemu", ("none", "dac"))
ALLOWED = re.compile(r"/dev/null|/dev/urandom|/usr/share/OVMF/.*|/nowhere/OVMF.fd")
VOLUME = "7a1c6f0e-5b0a-4c0e-9f57-3f6d0f2b8a11"


def shape(text: str) -> Shape:
    return shape_of(Domain.from_xml(text))


def everything() -> list[str]:
    texts = [kind.xml for kind in KINDS.values()]
    return [*texts, *(path.read_text() for path in domains.samples())]


def changed(text: str, path: str, change: Callable[[Any], object]) -> str:
    """TEXT with every element at PATH changed."""
    root = etree.fromstring(text)
    found = root.findall(path)
    assert found, path
    for element in found:
        change(element)
    return etree.tostring(root, encoding="unicode")


def guest(number: int = 0, **more: Any) -> str:
    """A guest like any other, but with names, sizes and sources of its own."""
    volume = VOLUME[:-1] + str(number)
    text = domains.domain(
        machine="q35",
        disks=[domains.disk("vda"), domains.disk("vdb", serial=volume, alias=f"ua-{volume}")],
        interfaces=[domains.interface(mac(number), port=port_id(number))],
        graphics_password=f"secret{number}",
        **more,
    )
    text = changed(text, "memory", lambda item: setattr(item, "text", str(64 + number)))
    return changed(text, "vcpu", lambda item: setattr(item, "text", str(1 + number)))


@given(st.integers(1, 9))
def test_guests_that_differ_in_names_sizes_and_sources_have_one_shape(number: int) -> None:
    assert shape(guest(number)) == shape(guest())


@pytest.mark.parametrize(
    "text",
    [
        domains.domain(machine="pc", disks=[domains.disk("vda")]),
        domains.domain(machine="q35", disks=[domains.disk("sda", "sata")]),
        domains.domain(machine="q35", disks=[domains.disk("vda")] * 1),
        guest(devices=["<watchdog model='i6300esb' action='reset'/>"]),
    ],
)
def test_guests_with_other_hardware_have_another(text: str) -> None:
    assert shape(text).digest != shape(guest()).digest


def test_a_shape_is_a_shape_of_itself() -> None:
    for text in everything():
        found = shape(text)
        again = shape(found.definition)
        assert again.definition == found.definition


def test_nothing_of_a_host_or_of_a_guest_is_in_one() -> None:
    """No path but of firmware, no address, no secret, no argument of QEMU."""
    for text in everything():
        root = etree.fromstring(shape(text).definition)
        texts = [
            value for item in root.iter() for value in (*item.attrib.values(), item.text or "")
        ]
        paths = [value for value in texts if value.strip().startswith("/")]
        assert [value for value in paths if not ALLOWED.fullmatch(value.strip())] == []
        assert {item.tag for item in root.iter() if item.tag.startswith("{")} == set()
        tags = {item.tag for item in root.iterfind("devices/*")}
        assert tags & {"hostdev", "filesystem", "shmem", "vsock", "emulator", "smartcard"} == set()
        assert {item.get("type") for item in root.iterfind("devices/interface")} <= {"user"}
        assert {item.get("listen") for item in root.iter("graphics")} <= {None}
        assert "secret" not in shape(text).definition
        assert [set(item.get("passwd", "")) - {"x"} for item in root.iter("graphics")] == [
            set() for _ in root.iter("graphics")
        ]


UNKNOWN = ("<newdevice model='x'/>", "<hostdev mode='subsystem' type='usb'/>", "<vsock/>")


@pytest.mark.parametrize("device", UNKNOWN)
def test_a_device_that_novadev_does_not_know_is_left_out_and_named(device: str) -> None:
    found = shape(guest(devices=[device]))
    assert found.definition == shape(guest()).definition
    assert len(found.not_rehearsed) == 1
    assert found.not_rehearsed[0].split()[0] in device


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("<newfeature/>", "newfeature"),
        ("<numatune><memory mode='strict' nodeset='7'/></numatune>", "numatune"),
        ("<cputune><vcpupin vcpu='0' cpuset='9'/></cputune>", "cputune vcpupin"),
        ("<seclabel type='static' model='dac'><label>+0:+0</label></seclabel>", "seclabel"),
        ("<seclabel type='dynamic' model='selinux' relabel='yes'/>", "seclabel"),
        ("<sysinfo type='fwcfg'><entry name='opt/x' file='/x'/></sysinfo>", "sysinfo"),
        (
            "<commandline xmlns='http://libvirt.org/schemas/domain/qemu/1.0'><arg value='-x'/>"
            "</commandline>",
            "arguments of QEMU",
        ),
    ],
)
def test_a_setting_that_is_of_one_host_is_left_out_and_named(part: str, told: str) -> None:
    text = guest().replace("<devices>", f"{part}<devices>")
    assert shape(text).not_rehearsed == (told,)


def test_smbios_of_the_host_and_unusual_formats_are_named() -> None:
    text = guest().replace("</os>", "<smbios mode='host'/></os>")
    text = changed(text, "devices/disk[1]/driver", lambda item: item.set("type", "vmdk"))
    text = changed(text, "devices/disk[2]/driver", lambda item: item.set("type", "qcow2"))
    assert shape(text).not_rehearsed == ("disk format vmdk", "os smbios")


@pytest.mark.parametrize(
    "label",
    [
        "<seclabel type='dynamic' model='selinux' relabel='yes'><label>a</label></seclabel>",
        "<seclabel type='dynamic' model='dac' relabel='yes'/>",
        "<seclabel type='none' model='none'/>",
    ],
)
def test_a_label_that_libvirt_writes_for_every_guest_is_no_matter(label: str) -> None:
    text = guest().replace("</os>", "<smbios mode='sysinfo'/></os><sysinfo type='smbios'/>")
    assert shape(text.replace("<devices>", f"{label}<devices>")) == shape(guest())
    domain = Domain.from_xml(text.replace("<devices>", f"{label}<devices>"))
    assert set(settings_of(domain)) == set(settings_of(Domain.from_xml(guest())))


def test_what_a_network_disk_and_a_vhost_card_were_is_named() -> None:
    disks = [domains.disk("vda", kind="network", source="pool/image")]
    cards = [domains.sriov(mac(0), "0000:81:00.1"), domains.interface(mac(1), kind="user")]
    text = domains.domain(disks=disks, interfaces=cards)
    found = shape(text.replace('type="user"', 'type="vhostuser"'))
    assert found.not_rehearsed == (
        "disk over rbd",
        "interface of a device of the host",
        "interface of type vhostuser",
    )


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("<backend type='passt'/>", "interface backend"),
        ("<portForward proto='tcp'><range start='2022' to='22'/></portForward>",
         "interface portForward"),
    ],
)  # fmt: skip
def test_a_way_through_the_hosts_network_is_named(part: str, told: str) -> None:
    text = guest().replace("</interface>", f"{part}</interface>")
    assert shape(text).not_rehearsed == (told,)


@pytest.mark.parametrize(
    ("number", "rehearsed"), [("1", "1"), ("64", "1"), ("65", "65"), ("288", "288")]
)
def test_processors_are_as_few_as_their_number_allows(number: str, rehearsed: str) -> None:
    text = changed(guest(), "vcpu", lambda item: setattr(item, "text", number))
    assert etree.fromstring(shape(text).definition).findtext("vcpu") == rehearsed


@pytest.mark.parametrize(
    ("attributes", "topology", "rehearsed"),
    [
        ("", "sockets='2' cores='1' threads='1'", "1"),
        ("", "sockets='1' cores='2' threads='1'", "2"),
        ("", "sockets='1' cores='1' threads='2'", "2"),
        ("check='full'", "sockets='2' cores='1' threads='1'", "2"),
        ("mode='host-model'", "sockets='1' cores='2' threads='1'", "1"),
    ],
)
def test_processors_stay_where_libvirt_compares_the_features_that_they_bring(
    attributes: str, topology: str, rehearsed: str
) -> None:
    model = "" if "host-model" in attributes else "<model>Nehalem</model>"
    cpu = f"<cpu {attributes}>{model}<topology {topology}/></cpu>"
    text = changed(guest(), "vcpu", lambda item: setattr(item, "text", "2"))
    root = etree.fromstring(shape(text.replace("<features>", f"{cpu}<features>")).definition)
    assert root.findtext("vcpu") == rehearsed
    assert (root.find("cpu/topology") is not None) is (rehearsed == "2")


@pytest.mark.parametrize(
    ("backing", "memory"),
    [("", "64"), ("size='2' unit='MiB'", "64"), ("size='1' unit='G'", "1024")],
)
def test_memory_is_as_little_as_its_pages_allow(backing: str, memory: str) -> None:
    pages = f"<memoryBacking><hugepages><page {backing}/></hugepages></memoryBacking>"
    text = guest().replace("<vcpu>", (pages if backing else "") + "<vcpu>")
    root = etree.fromstring(shape(text).definition)
    assert [(item.text, item.get("unit")) for item in root.findall("memory")] == [(memory, "MiB")]


def test_a_guest_with_numa_cells_keeps_its_processors() -> None:
    cells = "".join(f"<cell id='{n}' cpus='{n}' memory='2' unit='GiB'/>" for n in range(2))
    text = changed(guest(1), "vcpu", lambda item: setattr(item, "text", "2"))
    text = text.replace("<features>", f"<cpu><numa>{cells}</numa></cpu><features>")
    root = etree.fromstring(shape(text).definition)
    assert root.findtext("vcpu") == "2"
    assert root.findtext("memory") == "128"
    assert [item.get("memory") for item in root.iter("cell")] == ["64", "64"]


def test_the_domain_of_a_shape_has_the_mark_a_name_and_a_new_uuid() -> None:
    text = shape(guest()).definition
    made = [definition(text, "name", {"pid": "1"}, NATURE, Backends()) for _ in range(2)]
    roots = [etree.fromstring(one) for one in made]
    marks = [root.find(f"metadata/{{{NAMESPACE}}}rehearsal") for root in roots]
    assert [mark is not None and mark.get("pid") for mark in marks] == ["1", "1"]
    assert len({root.findtext("uuid") for root in roots}) == 2
    assert {root.findtext("name") for root in roots} == {"name"}


@pytest.mark.parametrize("backends", [Backends(), Backends("file", "udp")])
def test_no_security_driver_labels_a_null_disk(backends: Backends) -> None:
    """A label would change ``/dev/null`` of the host."""
    text = definition(shape(guest()).definition, "name", {}, NATURE, backends)
    root = etree.fromstring(text)
    sources = root.findall("devices/disk/source")
    assert len(sources) == 2
    for source in sources:
        assert {source.get("dev"), source.get("file")} == {"/dev/null", None}
        labels = {label.get("model"): label.get("relabel") for label in source}
        assert labels == {"none": "no", "dac": "no"}
    types = {item.get("type") for item in root.iterfind("devices/interface")}
    assert types == {backends.network}
