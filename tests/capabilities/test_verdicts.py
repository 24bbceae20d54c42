"""What becomes of a guest on a host of which more or less is known."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novadev.capabilities import file
from novadev.capabilities.content import Capabilities
from novadev.capabilities.device_names import names_of
from novadev.capabilities.facts import GuestFacts, facts_of_domain
from novadev.capabilities.stored_facts import facts_of_guest, with_flavor, with_packed_rings
from novadev.capabilities.target import BEST_FIRST
from novadev.capabilities.verdicts import Verdict, check, why_missing, worst
from novadev.foreign_file import read_text
from novadev.rules.buses import UnsupportedBus
from novadev.rules.device import GuestDevice
from novadev.rules.guest import DriverRules
from novadev.rules.image_meta import UnreadableProperty
from novadev.rules.osinfo import Recommendation
from novadev.virt.capabilities import MachineType
from novadev.virt.domain import Domain
from tests import domains
from tests.capabilities.samples import SAMPLE
from tests.rules.guests import guest, image, volume

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "capabilities"


def example(name: str) -> Capabilities:
    path = EXAMPLES / f"{name}.json"
    return file.loads(read_text(path), path)


def needs(*facts: GuestDevice, machine: str | None = "q35", arch: str = "x86_64") -> GuestFacts:
    return GuestFacts(arch, "kvm", machine, facts)


def outcome(fact: GuestDevice, host: Capabilities, machine: str = "q35") -> str:
    return check(needs(fact, machine=machine), host)[-1].outcome


def disk(kind: str, bus: str) -> GuestDevice:
    return GuestDevice("disk x", "disk", kind, bus)


def model(tag: str, name: str | None) -> GuestDevice:
    return GuestDevice(f"{tag} {name}", tag, model=name)


def scsi(name: str | None) -> GuestDevice:
    return GuestDevice("controller scsi 0", "controller", "scsi", model=name)


@pytest.mark.parametrize("name", ["debian-12", "el9", "ubuntu-24.04"])
def test_the_examples_are_capability_files_that_say_what_they_are(name: str) -> None:
    found = example(name)
    assert found.host == f"example-{name}"
    assert found.example is not None
    assert len(found.example.source) > 100
    assert found.domain_types is None
    assert found.domain_capabilities is not None
    for machines in found.machine_types.values():
        for machine in machines.values():
            assert machines[machine.canonical] == MachineType(machine.canonical, machine.deprecated)
    canonical = {machine.canonical for machine in found.machine_types["x86_64"].values()}
    assert set(found.domain_capabilities) <= canonical


def test_the_examples_are_what_the_script_makes() -> None:
    script = EXAMPLES.parents[1] / "example_capabilities.py"
    made = runpy.run_path(str(script))
    for name in ("el9", "ubuntu-24.04"):
        function = name.replace("-", "_").replace(".", "_")
        assert (EXAMPLES / f"{name}.json").read_text() == file.dumps(made[function]())
    captured = made["debian_12"](EXAMPLES / "debian-12.json")
    assert captured == example("debian-12")


EL9 = {
    **{model("video", name): "fine" for name in ("vga", "virtio", "bochs", "none")},
    model("video", "cirrus"): "deprecated",
    **{model("video", name): "cannot be defined" for name in ("qxl", "vmvga", "gop")},
    **{model("interface", name): "fine" for name in ("virtio", "e1000e", "rtl8139", None)},
    **{model("interface", name): "would not start" for name in ("vmxnet3", "pcnet", "ne2k_pci")},
    **{model("sound", name): "would not start" for name in ("ac97", "es1370", "sb16")},
    GuestDevice("", "disk", "disk", "virtio", "virtio-transitional"): "fine",
    GuestDevice("", "disk", "disk", "virtio", "foo"): "not checked",
    GuestDevice("", "channel", "unix", model="virtio"): "fine",
    scsi("virtio-scsi"): "fine",
    scsi("lsilogic"): "cannot be defined",
    scsi("ibmvscsi"): "would not start",
    disk("disk", "sata"): "fine",
    disk("disk", "ide"): "cannot be defined",
    disk("floppy", "fdc"): "would not start",
    GuestDevice("", "graphics", "spice"): "cannot be defined",
    GuestDevice("", "input", "tablet", "usb"): "fine",
    model("rng", "virtio"): "not checked",
    model("tpm", "tpm-tis"): "not checked",
    model("hostdev", None): "not checked",
}


@pytest.mark.parametrize("fact", EL9, ids=str)
def test_el9(fact: GuestDevice) -> None:
    assert outcome(fact, example("el9")) == EL9[fact]


def test_el9_of_older_boards() -> None:
    host = example("el9")
    assert outcome(disk("floppy", "fdc"), host, "pc") == "fine"
    assert outcome(disk("cdrom", "ide"), host, "pc") == "fine"
    verdicts = [check(needs(machine=name), host)[1] for name in ("q35", "pc", "pc-i440fx-7.2")]
    assert verdicts == [
        Verdict("machine type q35", "fine", "q35 is pc-q35-rhel9.2.0 there"),
        Verdict(
            "machine type pc", "deprecated", "pc is pc-i440fx-rhel7.6.0 there, which is deprecated"
        ),
        Verdict(
            "machine type pc-i440fx-7.2",
            "cannot be defined",
            "the host has no machine type of the kind of pc-i440fx-7.2",
        ),
    ]


def test_ubuntu_24_04_of_which_less_is_known() -> None:
    host = example("ubuntu-24.04")
    assert outcome(model("video", "qxl"), host) == "cannot be defined"
    assert outcome(model("video", "cirrus"), host) == "fine"
    assert outcome(disk("cdrom", "sata"), host) == "fine"
    for fact in (model("interface", "e1000"), scsi("lsilogic"), scsi(None), disk("lun", "virtio")):
        assert outcome(fact, host) == "not checked"
    machines = {
        "pc-q35-jammy": "fine",
        "pc-i440fx-focal": "fine",
        "pc-i440fx-2.0": "deprecated",
        "pc-i440fx-wily": "not checked",
        "pc": "not checked",
    }
    for name, expected in machines.items():
        assert check(needs(machine=name), host)[1].outcome == expected


def test_a_guest_without_its_machine_type_has_no_other_verdicts() -> None:
    verdicts = check(needs(model("video", "qxl"), machine="pc-q35-9.2"), SAMPLE)
    assert [verdict.outcome for verdict in verdicts] == ["fine", "cannot be defined"]
    assert verdicts[1].message.endswith("newer than the newest of its kind that the host has, "
                                        "pc-q35-7.2")  # fmt: skip
    assert worst(verdicts) == "cannot be defined"
    assert worst(()) == "fine"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("pc-i440fx-1.3", "older than the oldest of its kind that the host has, pc-i440fx-1.4"),
        ("pc-0.12", "older than the oldest"),
        ("pc-i440fx-2.9", "although it has older and newer ones"),
        ("pc-i440fx-10.0", "newer than the newest of its kind that the host has, pc-i440fx-7.2"),
        ("pc-i440fx-rhel7.6.0", "no machine type of the kind"),
        ("pc-q35-noble", "the host has no machine type pc-q35-noble"),
        ("pc-i440fx-" + "9." * 5000 + "9", "the host has no machine type"),
        ("", "the host has no machine type"),
    ],
)
def test_why_a_machine_type_is_missing(name: str, why: str) -> None:
    assert why in why_missing(name, SAMPLE.machine_types["x86_64"])


def test_a_machine_type_that_is_not_named() -> None:
    verdicts = check(needs(model("video", "vga"), machine=None), SAMPLE)
    assert {verdict.outcome for verdict in verdicts[1:]} == {"not checked"}


def test_domain_types() -> None:
    host = replace(SAMPLE, domain_types={"x86_64": ("qemu",)})
    assert check(needs(), host)[0] == Verdict(
        "domain type kvm", "cannot be defined", "for x86_64 the host has qemu"
    )
    assert check(needs(), replace(host, domain_types=None))[0].outcome == "not checked"


FACTS = st.builds(
    GuestDevice,
    st.just("x"),
    st.sampled_from(
        ("disk", "interface", "video", "rng", "input", "controller", "tpm", "sound", "graphics")
    ),
    st.sampled_from(("disk", "cdrom", "floppy", "lun", "scsi", "usb", "tablet", "vnc", None)),
    st.sampled_from(("virtio", "scsi", "usb", "sata", "fdc", "ide", None)),
    st.sampled_from(("virtio", "e1000", "virtio-scsi", "vga", "tpm-tis", "ich9", None)),
)


@given(FACTS)
def test_what_nothing_tells_of_is_never_fine(fact: GuestDevice) -> None:
    """A file of the first format, and a guest of another architecture than the host's own."""
    old = replace(SAMPLE, domain_capabilities=None, devices=None, domain_types=None)
    is_on_board = (fact.tag, fact.device) in {("controller", "sata")}
    if not is_on_board and not (fact.tag == "disk" and fact.bus is None):
        assert outcome(fact, old) not in ("fine", "deprecated")
    foreign = needs(fact, machine="virt", arch="aarch64")
    assert check(foreign, SAMPLE)[-1].outcome not in ("fine", "deprecated")


def test_a_remote_host_without_qemus_list() -> None:
    host = replace(example("debian-12"), devices=None)
    unknown = [
        model("interface", "e1000"),
        scsi("lsilogic"),
        GuestDevice("", "input", "tablet", "usb"),
    ]
    for fact in unknown:
        verdict = check(needs(fact), host)[-1]
        assert (verdict.outcome, "no list of the devices" in verdict.message) == (
            "not checked",
            True,
        )
    assert outcome(model("video", "qxl"), host) == "fine"
    assert outcome(disk("disk", "ide"), host) == "cannot be defined"


def test_other_architectures_than_the_hosts() -> None:
    assert check(needs(machine="pseries", arch="ppc64"), SAMPLE)[1] == Verdict(
        "machine type pseries",
        "cannot be defined",
        "the host is of another architecture, x86_64, and has no emulator for ppc64",
    )
    i686 = {**SAMPLE.machine_types, "i686": SAMPLE.machine_types["x86_64"]}
    verdicts = check(
        needs(disk("disk", "virtio"), machine="pc", arch="i686"),
        replace(SAMPLE, machine_types=i686),
    )
    assert verdicts[-1].outcome == "not checked"


def test_on_other_processors_than_x86_only_virtio_is_fine() -> None:
    assert SAMPLE.domain_capabilities is not None
    domain = SAMPLE.domain_capabilities["pc-q35-7.2"]
    host = replace(
        SAMPLE,
        architecture="aarch64",
        domain_capabilities={"virt-7.2": domain},
        devices={"virtio-net-pci": "PCI", "rtl8139": "PCI", "usb-tablet": "usb-bus"},
    )
    for fact, expected in {
        model("interface", "virtio"): "fine",
        model("interface", "rtl8139"): "not checked",
        model("interface", "e1000"): "would not start",
        model("interface", None): "not checked",
        model("video", "vga"): "fine",
        GuestDevice("", "tpm", "emulator", model="tpm-tis"): "fine",
        GuestDevice("", "input", "tablet", "usb"): "not checked",
        GuestDevice("", "input", "mouse", "ps2"): "not checked",
        scsi(None): "not checked",
    }.items():
        facts = needs(fact, machine="virt-7.2", arch="aarch64")
        machines = {"aarch64": {"virt-7.2": MachineType("virt-7.2")}}
        assert check(facts, replace(host, machine_types=machines))[-1].outcome == expected, fact


def test_names_on_s390x() -> None:
    assert names_of(model("interface", "virtio"), "s390x") == ("virtio-net-ccw",)
    assert names_of(model("interface", "rtl8139"), "s390x") == ("rtl8139",)


def test_boards_without_rules() -> None:
    host = example("debian-12")
    for name in ("microvm", "isapc", "x-remote"):
        verdicts = check(needs(disk("disk", "virtio"), machine=name), host)
        assert [verdict.outcome for verdict in verdicts[1:]] == ["fine", "not checked"]


def test_a_definition_as_facts() -> None:
    xml = domains.domain(
        machine="pc-i440fx-7.2",
        disks=[domains.disk("vda"), domains.disk("hda", "ide", device="cdrom")],
        interfaces=[domains.interface("52:54:00:00:00:01", kind="user", model="e1000")],
        devices=[
            domains.scsi_controller("lsilogic"),
            "<tpm model='tpm-crb'><backend type='emulator'/></tpm>",
            "<serial type='pty'><target type='isa-serial'/></serial>",
            "<input type='tablet' bus='usb'/>",
            "<video><model type='qxl'/></video>",
            "<audio id='1' type='none'/>",
        ],
    )
    facts = facts_of_domain(Domain.from_xml(xml))
    assert (facts.architecture, facts.domain_type) == ("x86_64", "qemu")
    assert facts.machine_type == "pc-i440fx-7.2"
    assert facts.devices == (
        GuestDevice("disk vda", "disk", "disk", "virtio"),
        GuestDevice("disk hda", "disk", "cdrom", "ide"),
        GuestDevice("interface 52:54:00:00:00:01", "interface", "user", model="e1000"),
        scsi("lsilogic"),
        GuestDevice("tpm tpm-crb", "tpm", "emulator", model="tpm-crb"),
        GuestDevice("serial pty", "serial", "pty", model="isa-serial"),
        GuestDevice("input tablet usb", "input", "tablet", "usb"),
        GuestDevice("video qxl", "video", model="qxl"),
        GuestDevice("graphics vnc", "graphics", "vnc"),
    )


@pytest.mark.parametrize("path", domains.samples(), ids=lambda path: path.stem)
def test_every_sample_has_a_verdict_on_each_device(path: Path) -> None:
    domain = Domain.from_xml(path.read_text())
    verdicts = check(facts_of_domain(domain), example("debian-12"))
    if verdicts[1].outcome != "cannot be defined":
        subjects = {verdict.subject for verdict in verdicts}
        assert {device.label for device in domain.devices} <= subjects
    assert {verdict.outcome for verdict in verdicts} <= set(BEST_FIRST)
    assert all(verdict.message for verdict in verdicts if verdict.outcome not in ("fine",))


def test_stored_properties_as_facts() -> None:
    made = guest(
        image(1, disk_bus="scsi"),
        volume(2, disk_bus="fdc", device_type="floppy", device_name="/dev/fda"),
        config_drive=True,
        hw_machine_type="pc-q35-8.2",
        hw_scsi_model="LsiLogic",
        hw_vif_model="VirtualE1000",
        hw_input_bus="virtio",
        hw_watchdog_action="reset",
        hw_tpm_version="2.0",
    )
    rules = DriverRules(spice_enabled=True, release=30, mem_stats_period_seconds=0)
    facts = facts_of_guest(made, rules)
    assert (facts.architecture, facts.domain_type) == ("x86_64", "kvm")
    assert facts.machine_type == "pc-q35-8.2"
    assert facts.devices == (
        GuestDevice("disk sda", "disk", "disk", "scsi"),
        GuestDevice("disk fda", "disk", "floppy", "fdc", serial_length=36),
        GuestDevice("disk sdb", "disk", "cdrom", "sata"),
        GuestDevice("hw_scsi_model=lsilogic", "controller", "scsi", model="lsilogic"),
        GuestDevice("graphics vnc", "graphics", "vnc"),
        GuestDevice("graphics spice", "graphics", "spice"),
        GuestDevice("channel spice", "channel", "spicevmc", model="virtio"),
        GuestDevice("hw_video_model=qxl", "video", model="qxl"),
        GuestDevice("input tablet virtio", "input", "tablet", "virtio"),
        GuestDevice("input keyboard virtio", "input", "keyboard", "virtio"),
        GuestDevice("hw_tpm_model=tpm-tis", "tpm", "emulator", model="tpm-tis"),
        GuestDevice("watchdog i6300esb", "watchdog", model="i6300esb"),
        GuestDevice("hw_vif_model=e1000", "interface", model="e1000"),
        model("rng", "virtio"),
        model("memballoon", "none"),
        GuestDevice("controller usb 0", "controller", "usb", model="none"),
    )


@pytest.mark.parametrize(
    ("name", "value", "is_told"),
    [
        ("hw_firmware_stateless", "true", True),
        ("hw_firmware_stateless", "false", False),
        ("hw_serial_port_count", "4", False),
        ("hw_serial_port_count", "5", True),
    ],
)
def test_a_stored_value_that_is_judged_in_a_definition(
    name: str, value: str, is_told: bool
) -> None:
    made = guest(image(1), hw_machine_type="pc-q35-7.2", hw_firmware_type="uefi", **{name: value})
    facts = facts_of_guest(made, DriverRules())
    told = [one.outcome for one in check(facts, SAMPLE) if one.subject == f"{name}={value}"]
    assert told == ["not checked"] * is_told


def test_a_guest_that_stores_nothing() -> None:
    rules = DriverRules(vnc_enabled=False)
    facts = facts_of_guest(guest(image(1)), rules, Recommendation("scsi", "e1000e"))
    assert [fact.subject for fact in facts.devices] == [
        *("disk sda", "controller scsi 0", "hw_vif_model=e1000e", "rng virtio"),
        *("memballoon virtio", "controller usb 0"),
    ]
    choice = check(facts, example("el9"))[3]
    assert choice == Verdict(
        "controller scsi 0", "fine", "libvirt chooses its model, virtio-scsi there"
    )


@pytest.mark.parametrize("name", ["hw_emulation_architecture", "hw_architecture"])
@pytest.mark.parametrize("spelled", ["aarch64", "AARCH64"])
def test_a_guest_of_another_architecture_is_judged_by_that(name: str, spelled: str) -> None:
    """Emulated or not: the machine types of the host's own architecture say nothing of it."""
    made = guest(image(1), hw_machine_type="virt-7.2", **{name: spelled})
    facts = facts_of_guest(made, DriverRules(virt_type="qemu"))
    assert facts.architecture == "aarch64"
    host = example("debian-12")
    assert "aarch64" not in host.machine_types
    assert worst(check(facts, host)) != "fine"


def test_redirected_ports_are_needs() -> None:
    """Nova adds them, with SPICE or without, since release 32, and for the flavor too."""
    made = guest(image(1), hw_redirected_usb_ports="2")
    for release, number in ((31, 0), (32, 2)):
        facts = facts_of_guest(made, DriverRules(release=release))
        assert sum(item.tag == "redirdev" for item in facts.devices) == number
    found = {item.outcome for item in check(facts, example("el9")) if "redirdev" in item.subject}
    assert found == {"cannot be defined"}
    flavored = with_flavor(
        facts_of_guest(guest(image(1)), DriverRules()), {"hw:redirected_usb_ports": "1"}
    )
    assert any("hw:redirected_usb_ports=1" in item.subject for item in flavored.settings)


PACKED = {"hw:virtio_packed_ring": "true"}


@pytest.mark.parametrize("card", ["e1000", "e1000e", "rtl8139", "virtio"])
@pytest.mark.parametrize(("release", "asks"), [(28, False), (29, True), (34, True)])
def test_packed_rings_are_for_virtio_cards(card: str, release: int, asks: bool) -> None:
    """Whether a property or the flavor asks for them; Nova writes them for every card."""
    board, rules = "pc-i440fx-7.2", DriverRules(release=release)
    by_property = guest(
        image(1), hw_machine_type=board, hw_vif_model=card, hw_virtio_packed_ring="true"
    )
    by_flavor = guest(image(1), hw_machine_type=board, hw_vif_model=card)
    for facts in (
        facts_of_guest(by_property, rules),
        with_packed_rings(facts_of_guest(by_property, rules), PACKED, release),
        with_packed_rings(facts_of_guest(by_flavor, rules), PACKED, release),
    ):
        told = [one for one in check(facts, SAMPLE) if one.outcome == "cannot be defined"]
        packed = [one.subject for one in told if one.subject.endswith("with packed rings")]
        wanted = asks and card != "virtio"
        assert packed == [f"hw_vif_model={card} with packed rings"] * wanted


def test_guests_that_nova_itself_would_not_build() -> None:
    with pytest.raises(UnsupportedBus):
        facts_of_guest(guest(image(1), hw_disk_bus="xen"), DriverRules())
    with pytest.raises(UnreadableProperty):
        facts_of_guest(guest(image(1), hw_video_model="vgaa"), DriverRules())


@pytest.mark.parametrize(
    ("qemu", "bus", "length", "expected"),
    [
        ("7.2.0", "usb", 36, "fine"),
        ("9.0.0", "usb", 36, "not checked"),
        ("10.0.0", "usb", 36, "would not start"),
        ("10.0.0", "usb", 20, "fine"),
        ("10.0.0", "scsi", 36, "fine"),
    ],
)
def test_a_serial_that_is_too_long_on_usb(qemu: str, bus: str, length: int, expected: str) -> None:
    """QEMU 10.0 refuses what 7.2 shortened; a volume's serial is its UUID."""
    host = example("debian-12")
    host = replace(host, versions=replace(host.versions, qemu=qemu))
    fact = replace(disk("disk", bus), serial_length=length)
    assert outcome(fact, host, "pc-i440fx-7.2") == expected
