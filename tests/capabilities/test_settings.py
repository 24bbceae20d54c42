"""Nothing of a definition is left out of a verdict by accident."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from lxml import etree

from novadev.capabilities.content import Capabilities
from novadev.capabilities.device_verdicts import _JUDGES as DEVICE_JUDGES
from novadev.capabilities.facts import facts_of_domain
from novadev.capabilities.neutral import OF_DEVICES
from novadev.capabilities.settings import settings_of
from novadev.capabilities.verdicts import check
from novadev.virt.domain import Domain
from tests import domains
from tests.capabilities.samples import SAMPLE

WHOLE = domains.domain(
    machine="pc-q35-7.2",
    disks=[domains.disk("vda")],
    interfaces=[domains.interface("52:54:00:00:00:01", kind="user")],
    devices=[
        "<video><model type='virtio'/></video>",
        "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
        "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>",
        "<serial type='pty'><target type='isa-serial' port='0'/></serial>",
    ],
)
_NOT_LOOKED_INTO = {"domain", "devices", "os", "emulator", "features", "acpi", "apic", "vcpu"}


def changed() -> Iterator[tuple[str, str]]:
    """A definition with one more element or attribute that nobody knows, at every place."""
    for number, element in enumerate(etree.fromstring(WHOLE).iter(etree.Element)):
        is_free_text = any(item.tag == "metadata" for item in (element, *element.iterancestors()))
        if is_free_text or element.tag in _NOT_LOOKED_INTO:
            continue
        for what in ("<novelty>", "@novelty"):
            again = etree.fromstring(WHOLE)
            place = list(again.iter(etree.Element))[number]
            if what == "@novelty":
                place.set("novelty", "yes")
            else:
                etree.SubElement(place, "novelty", on="yes")
            yield f"{what} in {element.tag}", etree.tostring(again, encoding="unicode")


@pytest.mark.parametrize(("where", "xml"), tuple(changed()), ids=lambda value: value[:30])
def test_what_nobody_knows_is_not_checked(where: str, xml: str) -> None:
    verdicts = check(facts_of_domain(Domain.from_xml(xml)), SAMPLE)
    told = [one for one in verdicts if "novelty" in one.subject]
    assert [one.outcome for one in told] == ["not checked"], where


def _disk(bus: str, part: str) -> str:
    return (
        "<disk type='file' device='disk'><source file='/x'/>"
        f"<target dev='sda' bus='{bus}'/>{part}</disk>"
    )


def _card(kind: str, part: str) -> str:
    return f"<interface type='{kind}'><model type='virtio'/>{part}</interface>"


def _controller(part: str, model: str = "virtio-scsi") -> str:
    return f"<controller type='scsi' index='0' model='{model}'>{part}</controller>"


def _hole(unit: str, size: int) -> str:
    inside = f"<pcihole64 unit='{unit}'>{size}</pcihole64>"
    return f"<controller type='pci' index='0' model='pcie-root'>{inside}</controller>"


LONG = "a" * 37
VALUES = {
    _disk("scsi", f"<serial>{LONG[1:]}</serial><vendor>SEAGATE</vendor>"): True,
    _disk("scsi", f"<serial>{LONG}</serial>"): False,
    _disk("sata", "<product>ST3146707LC</product>"): False,
    _disk("virtio", "<boot order='1'/><iotune><read_bytes_sec>1</read_bytes_sec></iotune>"): True,
    _disk("virtio", "<boot order='1' loadparm='x'/>"): False,
    _disk("virtio", "<blockio logical_block_size='4096'/>"): True,
    _disk("sata", "<blockio logical_block_size='4096'/>"): False,
    _disk("virtio", "<blockio discard_granularity='4096'/>"): False,
    _disk("usb", "").replace("'usb'", "'usb' removable='on'"): True,
    _disk("scsi", "").replace("'scsi'", "'scsi' removable='on'"): False,
    _disk("virtio", "<backingStore type='file'><format type='qcow2'/></backingStore>"): True,
    _disk("virtio", "<backingStore type='file'><format type='vmdk'/></backingStore>"): False,
    _disk("virtio", "<encryption format='luks' engine='librbd'/>"): False,
    _card("vhostuser", "<driver tx_queue_size='1024' rx_queue_size='1024'/>"): True,
    _card("bridge", "<driver tx_queue_size='1024'/>"): False,
    _card("bridge", "<driver rx_queue_size='1024'/><mtu size='1500'/>"): True,
    _card("user", "<backend type='passt'/>"): False,
    _card("user", "<portForward proto='tcp'><range start='1'/></portForward>"): False,
    _card("bridge", "<vlan><tag id='5'/></vlan>"): False,
    _card("null", ""): False,
    "<controller type='pci' model='pcie-root-port'><target hotplug='off'/></controller>": True,
    "<controller type='pci' model='pcie-root'><target hotplug='off'/></controller>": False,
    "<controller type='pci' model='pcie-to-pci-bridge'><target memReserve='1'/></controller>": (
        False
    ),
    "<iommu model='intel'><driver caching_mode='on'/></iommu>": True,
    "<iommu model='intel'><driver intremap='on' eim='on'/></iommu>": True,
    "<iommu model='intel'><driver dma_translation='off'/></iommu>": False,
    "<iommu model='virtio'><driver caching_mode='on'/></iommu>": False,
    "<filesystem type='mount'><driver type='mtp'/></filesystem>": False,
    "<graphics type='vnc'><listen type='address' address='::1'/></graphics>": True,
    "<graphics type='spice' defaultMode='secure'/>": False,
    "<on_poweroff>destroy</on_poweroff>": True,
    "<on_poweroff>preserve</on_poweroff>": False,
    "<resource><partition>/machine</partition></resource>": True,
    "<resource><partition>/elsewhere</partition></resource>": False,
    "<blkiotune><weight>500</weight></blkiotune>": False,
    "<memtune><hard_limit>1024</hard_limit></memtune>": True,
    "<memtune><swap_hard_limit>1024</swap_hard_limit></memtune>": False,
    "<cputune><shares>10000</shares></cputune>": True,
    "<cputune><shares>10001</shares></cputune>": False,
    "<cputune><quota>-1</quota><emulator_quota>17592186044415</emulator_quota></cputune>": True,
    "<cputune><period>1000</period><iothread_quota>1000</iothread_quota></cputune>": True,
    "<cputune><period>999</period></cputune>": False,
    "<cputune><emulator_period>1000001</emulator_period></cputune>": False,
    "<cputune><iothread_quota>-2</iothread_quota></cputune>": False,
    "<cputune><novelty_quota>1000</novelty_quota></cputune>": False,
    _controller("<driver max_sectors='512' queues='4'/>"): True,
    _controller("<driver max_sectors='-1'/>"): False,
    _controller("<driver queues='99999999999'/>"): False,
    _controller("<driver packed='on'/>"): True,
    _controller("<driver packed='on'/>", "lsilogic"): False,
    _hole("KiB", 33554432): True,
    _hole("GiB", 32): True,
    _hole("GiB", 33): False,
    _hole("EiB", 1): False,
    "<video><driver iommu='on'/><model type='virtio'/></video>": True,
    "<video><driver iommu='on'/><model type='vga'/></video>": False,
    "<memballoon model='none'><driver packed='on'/></memballoon>": False,
    "<memballoon model='virtio'><stats period='-1'/></memballoon>": False,
    "<input type='tablet' bus='usb'><driver ats='on'/></input>": False,
    _disk("virtio", "<driver name='qemu' iothread='1'/>"): True,
    _disk("sata", "<driver name='qemu' iothread='1'/>"): False,
    _disk("virtio", "<readonly/>"): True,
    _disk("sata", "<readonly/>"): False,
    _disk("sata", "<readonly/>").replace("'disk'", "'cdrom'"): True,
    _disk("virtio", "<driver name='qemu' copy_on_read='on'/>"): True,
    _disk("virtio", "<readonly/><driver name='qemu' copy_on_read='on'/>"): False,
    "<serial type='pty'><target type='isa-serial' port='3'/></serial>": True,
    "<serial type='pty'><target type='isa-serial' port='-1'/></serial>": False,
    "<serial type='pty'><target type='pci-serial' port='4'/></serial>": True,
    "<os><loader type='rom'>/x/OVMF.fd</loader></os>": False,
    "<os><bios rebootTimeout='-1'/></os>": True,
    "<os><bios rebootTimeout='-2'/></os>": False,
    **{
        _card("user", f"<address type='{kind}'/>"): kind == "pci"
        for kind in ("pci", "ccw", "unassigned", "virtio-mmio", "spapr-vio", "drive", "novelty")
    },
    _disk("scsi", "<address type='drive'/>"): True,
    _disk("scsi", "<address type='pci'/>"): False,
    "<features><hyperv mode='custom'><relaxed state='off'/></hyperv></features>": True,
    "<features><hyperv mode='passthrough'/></features>": False,
    "<graphics type='spice' tlsPort='5902'/>": False,
    "<graphics type='spice' tlsPort='-1'/>": False,
    "<graphics type='spice' autoport='yes' tlsPort='5902'/>": True,
    "<graphics type='vnc' passwd='12345678'/>": True,
    "<video><model type='qxl' heads='4'/></video>": True,
    "<video><model type='vga' heads='1'/></video>": True,
    "<resource><fibrechannel appid='x'/></resource>": False,
    "<features><kvm><hidden state='off'/></kvm></features>": True,
    "<features><kvm><pv-ipi state='off'/></kvm></features>": False,
    "<features><hyperv><stimer state='off'><direct state='on'/></stimer></hyperv></features>": (
        False
    ),
    "<os firmware='efi'><loader stateless='yes'/></os>": False,
    "<os><loader type='rom' format='qcow2'/></os>": False,
    "<cpu mode='custom' match='minimum'><model>EPYC</model></cpu>": False,
    "<cpu><topology sockets='1' cores='2' clusters='1'/></cpu>": True,
    "<cpu><topology sockets='1' cores='2' clusters='2'/></cpu>": False,
    "<cpu><numa><interconnects><latency value='5'/></interconnects></numa></cpu>": False,
    "<clock offset='utc'><timer name='rtc' present='no' track='wall'/></clock>": False,
}
"""A device or another part of a definition, and whether all in it is plain on every host."""


@pytest.mark.parametrize("part", VALUES)
def test_a_value_that_no_check_has_looked_at_is_not_checked(part: str) -> None:
    root = etree.fromstring(WHOLE)
    element = etree.fromstring(part)
    is_device = element.tag in OF_DEVICES
    (root.find("devices") if is_device else root).append(element)  # type: ignore[union-attr]
    before = {one.subject for one in settings_of(Domain.from_xml(WHOLE))}
    new = {one.subject for one in settings_of(Domain(root))} - before
    guest = facts_of_domain(Domain(root))
    found = [one for one in check(guest, SAMPLE) if one.subject in new]
    known = [one for one in guest.settings if one.subject in new and one.kind == "firmware"]
    unknown = [one for one in found if one.outcome == "not checked"]
    assert bool(len(unknown) - len(known) <= 0) is VALUES[part], unknown


@pytest.mark.parametrize(
    ("dogs", "libvirt", "expected"),
    [
        (("i6300esb", "ib700"), "9.0.0", ["cannot be defined"]),
        (("i6300esb", "ib700"), "11.3.0", ["fine"]),
        (("i6300esb", "itco"), "9.0.0", []),
    ],
)
def test_several_watchdogs(dogs: tuple[str, ...], libvirt: str, expected: list[str]) -> None:
    """Of those of the board libvirt adds one by itself, so that it does not count."""
    devices = [f"<watchdog model='{model}' action='reset'/>" for model in dogs]
    domain = Domain.from_xml(domains.domain(machine="pc-q35-7.2", devices=devices))
    host = replace(SAMPLE, versions=replace(SAMPLE.versions, libvirt=libvirt))
    found = check(facts_of_domain(domain), host)
    assert [one.outcome for one in found if one.subject == "several watchdogs"] == expected


@pytest.mark.parametrize(
    "part",
    [
        "<novelty/>",
        "<numatune><memory mode='strict' nodeset='0'/></numatune>",
        "<cputune><vcpupin vcpu='0' cpuset='1'/></cputune>",
        "<features><novelty state='on'/></features>",
        "<features><ioapic driver='qemu'/></features>",
        "<features><hyperv><novelty state='on'/></hyperv></features>",
        "<cpu mode='custom'><model>EPYC</model></cpu>",
        "<cpu mode='host-model'><feature policy='require' name='novelty'/></cpu>",
        "<memoryBacking><hugepages/></memoryBacking>",
        "<launchSecurity type='sev'/>",
        "<os><loader type='pflash' readonly='yes'>/x/OVMF.fd</loader><nvram/></os>",
        "<os><kernel>/x/vmlinuz</kernel></os>",
        "<vcpu>300</vcpu>",
        "<clock offset='utc'><timer name='novelty'/></clock>",
        "<seclabel type='static' model='selinux'/>",
        "<seclabel type='dynamic' model='selinux' relabel='yes'/>",
        "<seclabel type='none' model='selinux'/>",
        "<clock offset='novelty'/>",
        "<clock offset='utc'><novelty/></clock>",
        "<os><smbios mode='host'/></os>",
        "<sysinfo type='fwcfg'><entry name='opt/x' file='/x'/></sysinfo>",
        "<c:commandline xmlns:c='http://libvirt.org/schemas/domain/qemu/1.0'/>",
    ],
)
def test_a_file_that_does_not_tell_makes_no_guest_fine(part: str) -> None:
    """SAMPLE is of the format before processors and firmware were in it."""
    root = etree.fromstring(WHOLE)
    root.append(etree.fromstring(part))
    domain = Domain(root)
    before = {one.subject for one in settings_of(Domain.from_xml(WHOLE))}
    new = {one.subject for one in settings_of(domain)} - before
    verdicts = [one for one in check(facts_of_domain(domain), SAMPLE) if one.subject in new]
    assert verdicts
    assert {one.outcome for one in verdicts} <= {"not checked", "cannot be defined"}


def test_every_device_with_a_judge_has_a_table_of_what_is_plain() -> None:
    assert set(DEVICE_JUDGES) <= set(OF_DEVICES)


def test_what_shares_and_quotas_say_is_no_need() -> None:
    root = etree.fromstring(WHOLE)
    root.append(etree.fromstring("<cputune><shares>1024</shares></cputune>"))
    assert set(settings_of(Domain(root))) == set(settings_of(Domain.from_xml(WHOLE)))


@pytest.mark.parametrize(
    ("libvirt", "outcome"), [("8.3.0", "cannot be defined"), ("8.4.0", "fine")]
)
def test_an_absolute_clock_takes_a_libvirt_that_knows_it(libvirt: str, outcome: str) -> None:
    root = etree.fromstring(WHOLE)
    root.append(etree.fromstring("<clock offset='absolute' start='0'/>"))
    host = replace(SAMPLE, versions=replace(SAMPLE.versions, libvirt=libvirt))
    found = check(facts_of_domain(Domain(root)), host)
    assert [one.outcome for one in found if one.subject == "clock offset absolute"] == [outcome]


@pytest.mark.parametrize(
    ("drivers", "libvirt", "over", "outcome"),
    [
        (("nbd", "rbd"), "9.0.0", "rbd", "fine"),
        (("nbd",), "9.0.0", "rbd", "would not start"),
        (("nbd",), "11.3.0", "rbd", "would not start"),
        (("nbd",), "9.0.0", "https", "would not start"),
        (("nbd",), "11.3.0", "https", "not checked"),
        (None, "9.0.0", "rbd", "not checked"),
    ],
)
def test_what_a_disk_is_reached_over(
    drivers: tuple[str, ...] | None, libvirt: str, over: str, outcome: str
) -> None:
    """In a copy that is being made, too: its source is one like any other."""
    host = replace(
        SAMPLE, versions=replace(SAMPLE.versions, libvirt=libvirt), block_drivers=drivers
    )
    image = domains.disk(kind="network", source="pool/image").replace('"rbd"', f'"{over}"')
    nested = etree.fromstring(domains.disk(source="/x"))
    etree.SubElement(nested, "mirror").append(etree.fromstring(image)[1])
    for xml in (image, etree.tostring(nested, encoding="unicode")):
        domain = Domain.from_xml(domains.domain(machine="pc-q35-7.2", disks=[xml]))
        found = {one.subject: one.outcome for one in check(facts_of_domain(domain), host)}
        assert found[f"disk over {over}"] == outcome


@pytest.mark.parametrize("action", ["none", "pause", "poweroff", "reset"])
def test_the_watchdog_of_the_board_is_a_need_where_a_migration_sends_it(action: str) -> None:
    dog = f"<watchdog model='itco' action='{action}'/>"
    xml = domains.domain(machine="pc-q35-7.2", disks=[domains.disk("vda")], devices=[dog])
    outcomes = {
        is_carried: {
            one.outcome
            for one in check(facts_of_domain(Domain.from_xml(xml), is_carried), SAMPLE)
            if "itco" in one.subject
        }
        for is_carried in (False, True)
    }
    assert outcomes == {False: set(), True: {"cannot be defined"}}


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ("", "would not start"),
        ("<feature policy='disable' name='hle'/>", "not checked"),
        ("<feature policy='require' name='aes'/>", "would not start"),
    ],
)
def test_a_processor_without_features_that_the_guest_switches_off(
    features: str, expected: str
) -> None:
    """libvirt subtracts these before it compares (``x86Compute``)."""
    cpu = f"<cpu mode='custom' check='partial'><model>Haswell</model>{features}</cpu>"
    root = etree.fromstring(WHOLE.replace('type="qemu"', 'type="kvm"', 1))
    root.append(etree.fromstring(cpu))
    found = check(facts_of_domain(Domain(root)), with_processors("Haswell", usable=()))
    assert {one.outcome for one in found if one.subject == "cpu model Haswell"} == {expected}


def test_a_feature_that_is_forbidden_is_not_checked() -> None:
    root = etree.fromstring(WHOLE)
    forbidden = "<feature policy='forbid' name='aes'/>"
    root.append(etree.fromstring(f"<cpu mode='custom'><model>EPYC</model>{forbidden}</cpu>"))
    found = check(facts_of_domain(Domain(root)), with_processors("EPYC", features=("aes",)))
    assert {one.outcome for one in found if "aes" in one.subject} == {"not checked"}


def with_processors(
    model: str, usable: tuple[str, ...] = (), features: tuple[str, ...] = ()
) -> Capabilities:
    """SAMPLE with a host that knows a model of a processor."""
    known = {"cpu_models": (model,), "cpu_usable": usable, "cpu_features": features}
    known["cpu_modes"] = ("custom",)
    there = SAMPLE.domain_capabilities or {}
    found = {key: replace(item, **known) for key, item in there.items()}
    return replace(SAMPLE, domain_capabilities=found, processors=(model,))


@pytest.mark.parametrize(
    ("part", "libvirt", "expected"),
    [
        ("<serial type='pty'/>" * 4, "9.0.0", []),
        ("<serial type='pty'/>" * 5, "9.0.0", ["would not start"]),
        ("<serial type='pty'/>" * 5, "7.0.0", ["not checked"]),
        ("<serial type='pty'><target type='isa-serial' port='4'/></serial>", "9.0.0", ["refused"]),
        ("<sound model='ich6'><audio id='1'/></sound>", "9.0.0", []),
        ("<sound model='ich6'><audio id='7'/></sound>", "9.0.0", ["refused"]),
        ("<sound model='ich6'><audio id='1'/></sound><audio id='7'/>", "9.0.0", ["refused"]),
        ("<memballoon model='virtio' freePageReporting='on'/>", "9.0.0", ["fine"]),
        ("<memballoon model='virtio' freePageReporting='on'/>", "6.8.0", ["not checked"]),
    ],
)
def test_what_a_newer_libvirt_looks_at(part: str, libvirt: str, expected: list[str]) -> None:
    plain = domains.domain(machine="pc-q35-7.2")
    domain = Domain.from_xml(domains.domain(machine="pc-q35-7.2"))
    place = domain.root.find("devices")
    assert place is not None
    place.extend(etree.fromstring(f"<all>{part}</all>"))
    new = set(settings_of(domain)) - set(settings_of(Domain.from_xml(plain)))
    host = replace(SAMPLE, versions=replace(SAMPLE.versions, libvirt=libvirt))
    found = check(facts_of_domain(domain), host)
    told = [one.outcome for one in found if one.subject in {setting.subject for setting in new}]
    assert told == ["cannot be defined" if one == "refused" else one for one in expected]


@pytest.mark.parametrize(
    ("libvirt", "expected"), [("7.0.0", "cannot be defined"), ("7.2.0", "fine")]
)
def test_audio_is_a_need_where_a_migration_sends_it(libvirt: str, expected: str) -> None:
    host = replace(SAMPLE, versions=replace(SAMPLE.versions, libvirt=libvirt))
    xml = domains.domain(machine="pc-q35-7.2", devices=["<audio id='1' type='none'/>"])
    for is_carried in (False, True):
        found = check(facts_of_domain(Domain.from_xml(xml), is_carried), host)
        told = [one.outcome for one in found if one.subject.startswith("audio")]
        assert told == ([expected] if is_carried else [])


@pytest.mark.parametrize(("shares", "libvirt"), [("0", "9.0.0"), ("0", "11.3.0"), ("1", "11.3.0")])
def test_shares_that_may_be_taken_are_not_refused(shares: str, libvirt: str) -> None:
    root = etree.fromstring(WHOLE)
    root.append(etree.fromstring(f"<cputune><shares>{shares}</shares></cputune>"))
    host = replace(SAMPLE, versions=replace(SAMPLE.versions, libvirt=libvirt))
    found = check(facts_of_domain(Domain(root)), host)
    assert [one.outcome for one in found if "shares" in one.subject] == ["not checked"]


# Security drivers

_MADE = "<label>a</label><imagelabel>b</imagelabel>"


@pytest.mark.parametrize(
    ("label", "models", "is_carried", "expected"),
    [
        ("type='dynamic' model='selinux' relabel='yes'", ("selinux", "dac"), True, "fine"),
        ("type='dynamic' model='selinux' relabel='yes'", ("apparmor", "dac"), True, "refused"),
        ("type='dynamic' model='selinux' relabel='yes'", None, True, "not checked"),
        ("type='dynamic' model='selinux' relabel='yes'", ("none", "dac"), False, "refused"),
        ("type='none' model='selinux'", ("none", "dac"), False, "refused"),
        ("type='dynamic' model='dac' relabel='yes'", None, True, None),
        ("type='none'", ("none", "dac"), True, None),
    ],
)
def test_a_security_driver_that_a_label_names(
    label: str, models: tuple[str, ...] | None, is_carried: bool, expected: str | None
) -> None:
    found = drivers(f"<seclabel {label}/>", models, is_carried)
    outcome = "would not start" if expected == "refused" else expected
    assert found == ([] if outcome is None else [outcome])


def drivers(label: str, models: tuple[str, ...] | None, is_carried: bool) -> list[str]:
    root = etree.fromstring(WHOLE)
    root.append(etree.fromstring(label))
    host = replace(SAMPLE, security_models=models)
    verdicts = check(facts_of_domain(Domain(root), is_carried), host)
    return [one.outcome for one in verdicts if one.subject.startswith("security driver")]


@pytest.mark.parametrize(("is_carried", "expected"), [(False, []), (True, ["would not start"])])
def test_a_label_that_libvirt_made_is_a_need_where_a_migration_sends_it(
    is_carried: bool, expected: list[str]
) -> None:
    label = f"<seclabel type='dynamic' model='selinux' relabel='yes'>{_MADE}</seclabel>"
    assert drivers(label, ("none", "dac"), is_carried) == expected


def test_since_libvirt_12_3_no_label_of_an_absent_driver_is_a_matter() -> None:
    root = etree.fromstring(WHOLE)
    root.append(etree.fromstring("<seclabel type='none' model='selinux'/>"))
    versions = replace(SAMPLE.versions, libvirt="12.3.0")
    host = replace(SAMPLE, versions=versions, security_models=("dac",))
    found = check(facts_of_domain(Domain(root)), host)
    assert [one.outcome for one in found if "security driver" in one.subject] == ["fine"]


def test_what_launch_security_names_of_one_host_is_not_checked() -> None:
    root = etree.fromstring(WHOLE)
    inside = "<policy>{}</policy><cbitpos>47</cbitpos><reducedPhysBits>1</reducedPhysBits>"
    for policy, kernel, expected in (
        ("0x0003", "", ["cbitpos", "reducedPhysBits"]),
        ("0x0007", "kernelHashes='yes'", ["kernelHashes", "policy", "cbitpos", "reducedPhysBits"]),
    ):
        text = f"<launchSecurity type='sev' {kernel}>{inside.format(policy)}</launchSecurity>"
        root.append(etree.fromstring(text))
        found = check(facts_of_domain(Domain(root)), SAMPLE)
        told = [one for one in found if one.subject.startswith("launch security sev ")]
        assert [one.subject.split()[-1] for one in told] == expected
        assert {one.outcome for one in told} == {"not checked"}
        root.remove(root[-1])
