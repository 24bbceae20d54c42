"""Values that a host refuses are refused in the rehearsal too, or named as not rehearsed.

novadev replaces names, numbers and secrets by its own. Each kind here has one that libvirt does not
take, on every generation or on some.
"""

from collections.abc import Mapping

import pytest
from lxml import etree

from novadev.rehearsal.on_host import prepare, rehearse
from novadev.rehearsal.shape import Shape, shape_of
from novadev.virt.domain import Domain
from novadev.virt.host import Host
from novadev.virt.trial import PREFIX
from tests import domains
from tests.audit.auditing import STASHED
from tests.capabilities.kinds import domain_of, tried, with_parts
from tests.cloud import Cloud
from tests.device.bed import reach
from tests.device.site import Site
from tests.hypervisor import Hypervisor

SECRET = "hunter2hunter2"


def disk(name: str, bus: str, inside: str, **driver: str) -> str:
    source = f"{domains.IMAGES}/{name}"
    element = etree.fromstring(domains.disk(name, bus, source=source))
    for part in etree.fromstring(f"<all>{inside}</all>"):
        element.append(part)
    found = element.find("driver")
    assert found is not None
    found.attrib.update(driver)
    return etree.tostring(element, encoding="unicode")


def devices(text: str, machine: str = "q35") -> str:
    return domain_of(machine, text)


def parts(text: str) -> str:
    return with_parts(devices(""), text)


def processors(vcpu: str, **topology: int) -> str:
    levels = " ".join(f"{name}='{value}'" for name, value in topology.items())
    return parts(f"{vcpu}<cpu><topology {levels}/></cpu>")


def smbios(entries: str) -> str:
    return parts(f"<sysinfo type='smbios'>{entries}</sysinfo>").replace(
        "</os>", "<smbios mode='sysinfo'/></os>"
    )


def board(maker: str) -> str:
    return f"<baseBoard><entry name='manufacturer'>{maker}</entry></baseBoard>"


WWN = "5000c50015ea71ad"
CARRIED: Mapping[str, str] = {
    "VNC password": devices(f"<graphics type='vnc' passwd='{SECRET}'/>"),
    "VNC password that fits": devices(f"<graphics type='vnc' passwd='{SECRET[:8]}'/>"),
    "VNC password of 8 characters and 9 bytes": devices("<graphics type='vnc' passwd='hunter2é'/>"),
    "SPICE password": devices(f"<graphics type='spice' passwd='{SECRET}'/>"),
    "sound of no audio": devices("<sound model='ich9'><audio id='7'/></sound>"),
    "board's watchdog with an action": devices("<watchdog model='itco' action='pause'/>"),
    "watchdogs of two actions": devices(
        "<watchdog model='itco' action='pause'/><watchdog model='i6300esb' action='reset'/>"
    ),
    "serial of a volume": devices(
        disk("vda", "virtio", "<serial>7a1c6f0e-5b0a-4c0e-9f57-3f6d0f2b8a11</serial>")
    ),
    "serial with a comma": devices(disk("vda", "virtio", "<serial>a,b</serial>")),
    "serial with a dot and a plus": devices(disk("vda", "virtio", "<serial>a.b+c d</serial>")),
    "equal serials": devices(
        "".join(disk(f"vd{x}", "virtio", "<serial>abc</serial>") for x in "ab")
    ),
    "short serials": devices(
        "".join(disk(f"vd{x}", "virtio", f"<serial>{x}</serial>") for x in "ab")
    ),
    "WWN": devices(disk("sda", "scsi", f"<wwn>{WWN}</wwn>")),
    "WWN with 0x": devices(disk("sda", "scsi", f"<wwn>0x{WWN}</wwn>")),
    "short WWN": devices(disk("sda", "scsi", "<wwn>5000</wwn>")),
    "WWN of no number": devices(disk("sda", "scsi", f"<wwn>{WWN[1:]}z</wwn>")),
    "equal WWNs": devices("".join(disk(f"sd{x}", "scsi", f"<wwn>{WWN}</wwn>") for x in "ab")),
    "two WWNs": devices(
        "".join(disk(f"sd{x}", "scsi", f"<wwn>500000000000000{x}</wwn>") for x in "ab")
    ),
    "WWN on virtio": devices(disk("vda", "virtio", f"<wwn>{WWN}</wwn>")),
    "native I/O through a cache": devices(
        disk("vda", "virtio", "", io="native", cache="writeback")
    ),
    "native I/O": devices(disk("vda", "virtio", "", io="native", cache="none")),
    "raw I/O of a disk": devices(disk("sda", "scsi", "").replace("<disk ", "<disk rawio='yes' ")),
    "MAC address of a group": devices(
        "<interface type='user'><mac address='01:16:3e:00:00:02'/></interface>"
    ),
    "SMBIOS": smbios("<bios><entry name='date'>01/31/2020</entry></bios>" + board("a")),
    "SMBIOS date": smbios("<bios><entry name='date'>2020-01-01</entry></bios>"),
    "SMBIOS release": smbios("<bios><entry name='release'>x.y</entry></bios>"),
    "second SMBIOS board": smbios(board("a") + board("b")),
    "SMBIOS that is missing": parts("").replace("</os>", "<smbios mode='sysinfo'/></os>"),
    "topology": processors("<vcpu>4</vcpu>", sockets=2, cores=2, threads=1),
    "topology that does not fit": processors("<vcpu>4</vcpu>", sockets=1, cores=1, threads=1),
    "topology of the most": processors("<vcpu current='2'>4</vcpu>", sockets=1, cores=4, threads=1),
    "more processors than there can be": parts("<vcpu current='5'>4</vcpu>"),
    "no processor": parts("<vcpu>0</vcpu>"),
    "clock": parts("<clock offset='variable' adjustment='-3600'/>"),
    "clock beyond time": parts("<clock offset='variable' adjustment='999999999999'/>"),
    "generation": parts("<genid>7a1c6f0e-5b0a-4c0e-9f57-3f6d0f2b8a11</genid>"),
    "generation of no number": parts("<genid>xyz</genid>"),
}
"""What the stand-in carries: its fate is the guest's own."""
NAMED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "SPICE with TLS": (
        devices("<graphics type='spice' autoport='no' port='5950' tlsPort='5951'/>"),
        ("SPICE with a TLS port",),
    ),
    "shareable qcow2": (
        devices(disk("vda", "virtio", "<shareable/>", type="qcow2")),
        ("disk format qcow2 that is shareable",),
    ),
    "SMBIOS of another guest": (
        smbios("<system><entry name='uuid'>7c9e6679-7425-40de-944b-e07fc1f90ae7</entry></system>"),
        ("sysinfo uuid",),
    ),
    "name": (parts("<name>a/b</name>"), ("name",)),
    "title": (parts("<title>a\nb</title>"), ("title",)),
}
"""What no stand-in can carry, and its words."""


def shape(text: str) -> Shape:
    return shape_of(Domain.from_xml(text))


@pytest.mark.slow
def test_a_value_is_refused_as_that_of_the_guest(any_generation: Hypervisor) -> None:
    host = Host(any_generation.name, any_generation.uri)
    stage = prepare(host, tuple(f"{PREFIX}{number}" for number in range(1, 6)), {})
    names, said, happened = list(CARRIED), {}, {}
    for at in range(0, len(names), 5):
        batch = names[at : at + 5]
        found = rehearse(host, stage, [shape(CARRIED[name]).definition for name in batch])
        said |= dict(zip(batch, found, strict=True))
    for name in names:
        result = tried(any_generation, CARRIED[name])
        happened[name] = "started" if result.outcome == "fine" else result.outcome
    wrong = {
        name: (said[name].fate, said[name].message, happened[name])
        for name in names
        if said[name].fate != happened[name]
    }
    assert wrong == {}
    assert {"started", "would not start", "cannot be defined"} == set(happened.values())


@pytest.mark.parametrize("name", CARRIED)
def test_what_is_carried_is_not_named_and_none_of_the_guest(name: str) -> None:
    found = shape(CARRIED[name])
    assert found.not_rehearsed == ()
    assert shape(found.definition) == found
    for secret in (SECRET[:7], "7a1c6f0e", "15ea71ad", "16:3e"):
        assert secret not in found.definition


@pytest.mark.parametrize("name", NAMED)
def test_what_cannot_be_carried_is_named(name: str) -> None:
    text, words = NAMED[name]
    assert shape(text).not_rehearsed == words


def test_a_sound_card_of_an_audio_that_is_left_out_is_left_to_libvirt() -> None:
    text = devices("<audio id='7' type='none'/><sound model='ich9'><audio id='7'/></sound>")
    assert shape(text) == shape(devices("<sound model='ich9'/>"))


@pytest.mark.parametrize(
    ("others", "action", "is_left_out"),
    [("", "reset", True), ("", "pause", False), ("none", "none", True), ("none", "reset", False)],
)
def test_only_the_watchdog_that_libvirt_adds_is_left_out(
    others: str, action: str, is_left_out: bool
) -> None:
    dogs = f"<watchdog model='i6300esb' action='{others}'/>" if others else ""
    text = devices(f"<watchdog model='itco' action='{action}'/>{dogs}")
    assert ("itco" not in shape(text).definition) == is_left_out


@pytest.mark.slow
def test_the_boards_watchdog_has_the_action_of_the_other_one(
    generations: dict[str, Hypervisor],
) -> None:
    """What a newer libvirt adds to the guest is what the rehearsal leaves out."""
    host = generations["trixie"]
    text = devices("<watchdog model='i6300esb' action='pause'/>")
    written = host.define(text).XMLDesc(0)
    host.empty()
    dogs = Domain.from_xml(written).root.findall("devices/watchdog")
    assert {(dog.get("model"), dog.get("action")) for dog in dogs} == {
        ("i6300esb", "pause"),
        ("itco", "pause"),
    }
    assert "itco" not in shape(written).definition


@pytest.mark.slow
def test_an_audit_tells_what_the_new_host_refuses(
    sqlite_cloud: Cloud, generations: dict[str, Hypervisor]
) -> None:
    """The passwords of a guest are read with its definition, and only their length gets away."""
    old, new = generations["bullseye"], generations["bookworm"]
    reach(sqlite_cloud, [old, new], 30)
    site = Site(sqlite_cloud, old)
    card = domains.interface("fa:16:3e:00:00:01", kind="user")
    password = domains.domain(interfaces=[card], graphics_password=SECRET)
    sound = ["<sound model='ich6'><audio id='7'/></sound>"]
    guests = [
        site.add(text, host=old.name, **STASHED)
        for text in (password, domains.domain(interfaces=[card], devices=sound))
    ]
    options = ("--check", "rehearsal", "--rehearse", new.name, "-f", "json")
    result = site.run("audit", "--all", *options)
    old.empty()
    assert result.code == 3, result.out + result.err
    found = {item["instance"]: item["details"] for item in result.json}
    assert set(found) == set(guests)
    assert "14 characters long, only 8 permitted" in found[guests[0]]
    assert "hunter" not in result.out + result.err
    assert new.connection.listAllDomains() == []


@pytest.mark.slow
def test_what_is_named_is_really_refused(any_generation: Hypervisor) -> None:
    for name, (text, _) in NAMED.items():
        assert tried(any_generation, text).outcome != "fine", name
