"""Each rule of validity by example: what it says and what it does not."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from novadev.rules.guest import ComputeRules, Guest
from novadev.rules.moves import moved
from novadev.rules.outcome import outcome_notes
from novadev.rules.validity import NO_EFFECT, Fault, ends, faults, new_faults
from tests.rules.guests import ephemeral, guest, image, volume, with_moves, with_properties

KVM = ComputeRules()
ROOT = image(1, disk_bus="virtio", device_name="/dev/vda")
SCSI_ROOT = image(1, disk_bus="scsi", device_name="/dev/sda")
SCSI_DISKS = [volume(n, disk_bus="scsi", device_name=f"/dev/sd{'abcdefgh'[n]}") for n in range(8)]


def rules_broken(made: Guest, rules: ComputeRules = KVM) -> list[str]:
    return [f"{fault.severity} {fault.rule}" for fault in faults(made, rules)]


CASES = {
    "error ide-machine-type": [
        guest(image(1, disk_bus="ide", device_name="/dev/hda"), hw_machine_type="q35"),
        guest(ROOT, config_drive=True, hw_machine_type="pc-q35-7.2", hw_cdrom_bus="ide"),
        guest(ROOT, config_drive=True, hw_machine_type="virt", hw_cdrom_bus="ide"),
    ],
    "error cdrom-on-virtio": [guest(ROOT, config_drive=True, hw_cdrom_bus="virtio")],
    "error bus-virt-type": [guest(ROOT, hw_disk_bus="xen"), guest(ROOT, hw_cdrom_bus="lxc")],
    "error scsi-model-missing": [
        guest(SCSI_ROOT),
        guest(SCSI_ROOT, os_distro="debian12"),
        guest(image(1, disk_bus="scsi", device_name="/dev/sda"), config_drive=True),
    ],
    "warning scsi-model-missing": [
        guest(ROOT, config_drive=True, hw_cdrom_bus="scsi"),
        guest(ROOT, volume(2, disk_bus="scsi", device_name="/dev/sda")),
        guest(SCSI_ROOT, os_distro="openbsd7.6"),
        guest(SCSI_ROOT, os_distro="http://netbsd.org/netbsd/9.0"),
    ],
    "error scsi-model": [
        guest(ROOT, hw_scsi_model="buslogic"),
        guest(ROOT, hw_scsi_model="ibmvscsi", hw_machine_type="q35"),
    ],
    "warning lsilogic-too-many": [guest(*SCSI_DISKS, root="/dev/vda", hw_scsi_model="lsilogic")],
    "warning usb-model-ignored": [guest(ROOT, hw_usb_model="none", hw_input_bus="usb")],
    "error video-model": [guest(ROOT, hw_video_model="gop"), guest(ROOT, hw_video_model="xen")],
    "error vif-model-virt-type": [
        guest(ROOT, hw_vif_model="netfront"),
        guest(ROOT, hw_vif_model="VirtualVmxnet"),
        guest(ROOT, hw_vif_model="lan9118"),
    ],
    "error vif-model-machine-type": [guest(ROOT, hw_vif_model="spapr-vlan")],
    "warning vif-model-conventional": [
        guest(ROOT, hw_vif_model="e1000", hw_machine_type="q35"),
        guest(ROOT, hw_vif_model="VirtualE1000", hw_machine_type="q35"),
    ],
    "error vif-model-packed-ring": [
        guest(ROOT, hw_vif_model=card, hw_virtio_packed_ring="true")
        for card in ("e1000", "e1000e", "rtl8139", "igb", "VirtualE1000")
    ],
    "warning no-effect": [guest(ROOT, hw_rng_model="virtio"), guest(ROOT, hw_rescue_bus="usb")],
    "warning pointer-model-ignored": [
        guest(ROOT, hw_pointer_model="usbtablet", hw_input_bus="virtio")
    ],
    "error lun-bus": [
        guest(ROOT, volume(2, disk_bus=bus, device_name=f"/dev/{name}", device_type="lun"), **more)
        for bus, name, more in (
            ("sata", "sda", {}),
            ("ide", "hda", {"hw_machine_type": "q35"}),
            ("usb", "sda", {}),
        )
    ],
    "error duplicate-name": [guest(ROOT, volume(2, disk_bus="virtio", device_name="vda"))],
    "error duplicate-address": [
        guest(
            image(1, disk_bus="sata", device_name="/dev/vda"),
            volume(2, disk_bus="sata", device_name="/dev/sda"),
        )
    ],
    "error fdc": [
        guest(image(1, disk_bus="fdc", device_name="/dev/sda")),
        *(
            guest(ROOT, ephemeral(2, disk_bus=bus, device_name="fdb", device_type="floppy"), **more)
            for bus, more in (("ide", {"hw_machine_type": "q35"}), ("sata", {}), ("virtio", {}))
        ),
    ],
    "error scsi-lun": [
        guest(
            image(1, disk_bus="scsi", device_name="/dev/sda"),
            volume(2, disk_bus="scsi", device_name="/dev/sdb"),
            hw_disk_bus="scsi",
            hw_scsi_model=model,
        )
        for model in ("vmpvscsi", "paravirtual")
    ],
    "error floppy-volume": [
        guest(ROOT, volume(2, disk_bus="fdc", device_name="/dev/fda", device_type="floppy"))
    ],
    "error device-name": [guest(image(1, disk_bus="virtio", device_name="/dev/vda1"))],
    "error secure-boot": [guest(ROOT, os_secure_boot="required", hw_firmware_type="uefi")],
    "error too-many-disks": [
        guest(
            *[volume(n, disk_bus="ide", device_name=f"/dev/hd{'abcd'[n]}") for n in range(4)],
            root="/dev/vda",
            config_drive=True,
        )
    ],
}


@pytest.mark.parametrize(
    ("expected", "made"), [(rule, made) for rule, guests in CASES.items() for made in guests]
)
def test_broken(expected: str, made: Guest) -> None:
    assert rules_broken(made) == [expected]
    [fault] = faults(made, KVM)
    assert "\n" not in fault.message
    assert ";" in fault.message  # the remedy


FAMILIES: tuple[Mapping[str, str], ...] = (
    {"hw_machine_type": "pc"},
    {"hw_machine_type": "q35"},
    {"hw_machine_type": "pc-q35-7.2"},
    {"hw_machine_type": "microvm"},
    {"hw_architecture": "aarch64"},
    {"hw_architecture": "armv7l"},
    {"hw_architecture": "ppc64le"},
    {"hw_architecture": "s390x"},
)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: next(iter(family.values())))
@pytest.mark.parametrize("bus", ["ide", "virtio", "fdc"])
@pytest.mark.parametrize("kind", ["disk", "cdrom", "floppy"])
@pytest.mark.parametrize("is_volume", [False, True])
def test_the_bus_in_the_message_is_the_one_to_set_and_ends_the_fault(
    family: Mapping[str, str], bus: str, kind: str, is_volume: bool
) -> None:
    """Whatever the machine: a bus that works there, and that Nova gives such a device."""
    make = volume if is_volume else ephemeral
    row = make(2, disk_bus=bus, device_name=f"{PREFIXES[bus]}b", device_type=kind)
    before = guest(ROOT, row, hw_scsi_model="virtio-scsi", **family)
    found = [fault for fault in faults(before, KVM) if fault.rule in ON_WRONG_BUS]
    for fault in found:
        if fault.to_set is None:
            assert (kind, is_volume) == ("floppy", True), "QEMU takes none on any bus"
            continue
        name, value = fault.to_set
        assert fault.message.endswith(f"; set {name}={value} and move the disk with it")
        moves = moved(before, KVM, kind, "", value, "all")
        moves = tuple(move for move in moves if move.block_device == 2)
        after = with_moves(with_properties(before, **{name: value}), moves)
        assert ends(fault.key, before, after, KVM)
        assert not {item.rule for item in faults(after, KVM)} & ON_WRONG_BUS


ON_WRONG_BUS = {"ide-machine-type", "cdrom-on-virtio", "fdc"}
PREFIXES = {"ide": "hd", "virtio": "vd", "fdc": "fd", "sata": "sd"}


@pytest.mark.parametrize(
    ("made", "to_set"),
    [
        (guest(ROOT, hw_scsi_model="buslogic"), ("hw_scsi_model", "virtio-scsi")),
        (guest(ROOT, hw_video_model="gop"), ("hw_video_model", "virtio")),
        (guest(ROOT, hw_vif_model="netfront"), ("hw_vif_model", "virtio")),
        (guest(ROOT, hw_vif_model="spapr-vlan"), ("hw_vif_model", "virtio")),
        (guest(ROOT, hw_vif_model="igb", hw_virtio_packed_ring="1"), ("hw_vif_model", "virtio")),
        (
            guest(
                ROOT,
                volume(2, disk_bus="scsi", device_name="sda", device_type="lun"),
                hw_scsi_model="lsilogic",
            ),
            ("hw_scsi_model", "virtio-scsi"),
        ),
    ],
)
def test_a_value_to_set_ends_the_fault(made: Guest, to_set: tuple[str, str]) -> None:
    [fault] = faults(made, KVM)
    assert fault.to_set == to_set
    assert to_set[1] in fault.message
    after = with_properties(made, **{to_set[0]: to_set[1]})
    assert ends(fault.key, made, after, KVM)
    assert not ends(fault.key, made, made, KVM)


def test_a_change_that_moves_a_healthy_disk_is_no_end_of_a_fault() -> None:
    before = guest(
        ROOT,
        volume(2, disk_bus="ide", device_name="hdb"),
        volume(3, disk_bus="ide", device_name="hdc"),
        hw_machine_type="q35",
    )
    fault = next(item for item in faults(before, KVM) if "row 2" in item.subject)
    row = volume(2, disk_bus="sata", device_name="sda")
    other = volume(3, disk_bus="sata", device_name="sdb")
    root = image(1, disk_bus="sata", device_name="sdc")
    for rows, expected in (((ROOT, row, other), True), ((root, row, other), False)):
        assert ends(fault.key, before, replace(before, block_devices=rows), KVM) is expected


@pytest.mark.parametrize("virt_type", ["lxc", "xen", "uml"])
def test_a_virt_type_without_interface_models_has_none_to_choose_from(virt_type: str) -> None:
    made = guest(hw_vif_model="virtio", root="/dev/sda")
    found = faults(made, ComputeRules(virt_type=virt_type))
    [fault] = [fault for fault in found if fault.rule == "vif-model-virt-type"]
    assert fault.message.endswith(f"virt_type {virt_type} has no interface models; leave it out")
    assert fault.to_set is None


@pytest.mark.parametrize(
    "made",
    [
        guest(ROOT, config_drive=True),
        guest(ROOT, config_drive=True, hw_machine_type="q35"),
        guest(SCSI_ROOT, hw_scsi_model="virtio-scsi"),
        guest(SCSI_ROOT, hw_architecture="aarch64"),
        guest(*SCSI_DISKS[:7], root="/dev/vda", hw_scsi_model="virtio-scsi"),
        guest(ROOT, hw_pointer_model="usbtablet", hw_input_bus="usb"),
        guest(ROOT, hw_usb_model="none"),
        guest(ROOT, hw_vif_model="e1000", hw_machine_type="pc"),
        guest(ROOT, hw_vif_model=None, hw_video_model=None, hw_rng_model=None),
        guest(ROOT, hw_vif_model="igb"),
        guest(ROOT, hw_vif_model="virtio", hw_virtio_packed_ring="true"),
        guest(ROOT, hw_vif_model="e1000", hw_virtio_packed_ring="false"),
    ],
)
def test_sound(made: Guest) -> None:
    assert faults(made, KVM) == ()


@pytest.mark.parametrize(
    "rules", [replace(KVM, release=28), replace(KVM, virt_type="parallels")], ids=str
)
def test_packed_rings_are_asked_for_by_a_newer_nova_of_libvirt_s_qemu(rules: ComputeRules) -> None:
    made = guest(ROOT, hw_vif_model="e1000", hw_virtio_packed_ring="true")
    assert "error vif-model-packed-ring" not in rules_broken(made, rules)


def test_a_root_that_moves_to_a_controller_nobody_chose_is_an_error_though_a_volume_is_there() -> (
    None
):
    there = volume(2, disk_bus="scsi", device_name="/dev/sdb")
    before = guest(ROOT, there)
    found = new_faults(before, guest(SCSI_ROOT, there), KVM)
    assert [(fault.severity, fault.rule) for fault in found] == [("error", "scsi-model-missing")]


@pytest.mark.parametrize("made", [guest(ROOT, hw_disk_bus="xen"), guest(ROOT, hw_vif_model="xen")])
def test_a_virt_type_that_is_assumed_is_said_to_be(made: Guest) -> None:
    for rules, text in (
        (replace(KVM, virt_type="qemu"), "virt_type qemu has"),
        (
            replace(KVM, is_assumed=True),
            "virt_type kvm (assumed, because its host's virt_type is not known) has",
        ),
    ):
        [fault] = faults(made, rules)
        assert text in fault.message


def test_the_table_is_of_the_virt_type() -> None:
    made = guest(ROOT, hw_vif_model="lan9118", hw_architecture="aarch64", hw_machine_type="virt")
    assert rules_broken(made) == ["error vif-model-virt-type"]
    assert rules_broken(made, ComputeRules(virt_type="qemu")) == []


def brought(before: Guest, **properties: str | None) -> list[Fault]:
    return list(new_faults(before, with_properties(before, **properties), KVM))


def test_a_fault_that_was_there_does_not_count() -> None:
    before = guest(ROOT, config_drive=True, hw_machine_type="q35", hw_cdrom_bus="ide")
    assert brought(before, hw_vif_model="virtio") == []
    assert brought(before, hw_machine_type="pc-q35-9.2") == []
    assert [fault.rule for fault in brought(before, hw_cdrom_bus="virtio")] == ["cdrom-on-virtio"]
    assert [fault.rule for fault in brought(before, hw_video_model="gop")] == ["video-model"]


def test_the_change_of_machine_type_alone() -> None:
    before = guest(ROOT, config_drive=True, hw_machine_type="pc", hw_cdrom_bus="ide")
    [fault] = brought(before, hw_machine_type="q35")
    assert fault.message == (
        "disk.config (cdrom hda on bus ide): machine type q35 has no IDE controller; "
        "set hw_cdrom_bus=sata"
    )
    assert brought(before, hw_machine_type="q35", hw_cdrom_bus="sata") == []


def test_a_guest_nova_refuses_can_be_put_right() -> None:
    before = guest(ROOT, hw_disk_bus="xen")
    assert brought(before, hw_disk_bus="virtio") == []


@pytest.mark.parametrize(
    "before",
    [
        guest(SCSI_ROOT, hw_disk_bus="SCSI"),
        guest(SCSI_ROOT, hw_disk_bus="nvme"),
        guest(SCSI_ROOT, hw_disk_bus="SCSI", hw_cdrom_bus="IDE"),
        guest(image(1), root="/dev/sda", hw_disk_bus="SCSI"),
        guest(image(1), root="/dev/sda", hw_disk_bus="scsi", hw_cdrom_bus="IDE"),
    ],
)
def test_a_fault_that_a_refused_bus_hid_is_a_warning(before: Guest) -> None:
    """The bus in Nova's own spelling brings nothing new; a controller's model is still missing."""
    for mended in ({"hw_disk_bus": "scsi"}, {"hw_disk_bus": "scsi", "hw_cdrom_bus": None}):
        after = with_properties(before, **mended)
        found = {(fault.severity, fault.rule) for fault in new_faults(before, after, KVM)}
        left = (
            {("warning", "bus-virt-type")} if after.image_properties.get("hw_cdrom_bus") else set()
        )
        assert found == {("warning", "scsi-model-missing"), *left}


def test_a_refused_bus_excuses_nothing_that_a_change_brings() -> None:
    before = guest(image(1), config_drive=True, hw_cdrom_bus="IDE")
    [fault] = brought(before, hw_cdrom_bus=None, hw_disk_bus="scsi")
    assert (fault.severity, fault.rule) == ("error", "scsi-model-missing")
    [fault] = brought(before, hw_cdrom_bus="lxc")
    assert (fault.severity, fault.rule) == ("error", "bus-virt-type")


def test_too_many_disks_hide_no_fault_that_was_there() -> None:
    disks = [ephemeral(number) for number in range(2, 6)]
    stored = {"hw_machine_type": "q35", "hw_cdrom_bus": "ide", "hw_disk_bus": "ide"}
    before = guest(image(1), *disks, config_drive=True, **stored)
    assert "error too-many-disks" in rules_broken(before)
    assert {fault.severity for fault in brought(before, hw_vif_model="virtio")} == {"warning"}
    errors = [fault for fault in brought(before, hw_disk_bus="scsi") if fault.severity == "error"]
    assert [fault.rule for fault in errors] == ["scsi-model-missing"]


def test_a_disk_that_would_be_left_out() -> None:
    before = guest(ROOT, volume(2, disk_bus="scsi", device_name="/dev/sda"), ephemeral_gb=5)
    before = with_properties(before, hw_scsi_model="virtio-scsi")
    assert [fault.rule for fault in brought(before, hw_disk_bus="scsi")] == ["disk-lost"]


@pytest.mark.parametrize("hint", [{"os_type": "Windows"}, {"os_distro": "win2k19"}])
def test_windows_and_its_boot_disk(hint: dict[str, str | None]) -> None:
    before = guest(image(1, device_name="/dev/vda"), hw_machine_type="pc", **hint)
    [fault] = brought(before, hw_disk_bus="sata")
    assert fault.message.startswith("root disk bus virtio becomes sata: Windows stops")
    [fault] = brought(before, hw_machine_type="q35")
    assert fault.rule == "windows-boot"
    assert brought(before, hw_machine_type="pc-i440fx-9.0") == []


@pytest.mark.parametrize("name", ["ubuntu", "rhel6.6.0", "pc-0.14", "pc-i440fx-bionic"])
def test_all_names_of_a_board_are_the_same_board_for_windows(name: str) -> None:
    before = guest(image(1, device_name="/dev/vda"), hw_machine_type=name, os_type="windows")
    assert brought(before, hw_machine_type="pc-i440fx-5.2") == []
    (fault,) = brought(before, hw_machine_type="pc-q35-5.2")
    assert "machine family pc becomes q35" in fault.message


def test_what_has_no_effect_says_where_that_is_written() -> None:
    assert set(NO_EFFECT) == {"hw_rescue_bus", "hw_rng_model"}
    assert all("nova/" in reason for reason in NO_EFFECT.values())


def test_another_name_of_a_volume_is_said() -> None:
    """Between a change and the next start Nova's rows and the definition name it differently."""
    before = guest(ROOT, volume(2, disk_bus="virtio", device_name="/dev/vdb"))
    renamed = replace(before.block_devices[1], disk_bus="scsi", device_name="/dev/sdb")
    after = replace(before, block_devices=(before.block_devices[0], renamed))
    (note,) = [text for text in outcome_notes(before, after, ComputeRules()) if "names" in text]
    assert note.startswith("names of volumes change (vdb becomes sdb): start the server once")
    root = replace(before.block_devices[0], device_name="/dev/sda")
    local = replace(before, block_devices=(root, before.block_devices[1]))
    for same in (before, local):
        assert not any("names" in text for text in outcome_notes(before, same, ComputeRules()))


def test_a_name_that_nova_may_give_while_the_definition_has_it_is_said() -> None:
    """sdc is free by the rows, and the definition still has it; vdc could never be chosen."""
    before = guest(
        image(1, disk_bus="sata", device_name="/dev/sda"),
        volume(2, disk_bus="sata", device_name="/dev/sdc"),
        volume(3, disk_bus="virtio", device_name="/dev/vdd"),
        hw_disk_bus="sata",
    )
    rows = list(before.block_devices)
    rows[1] = replace(rows[1], disk_bus="scsi", device_name="/dev/sdb")
    rows[2] = replace(rows[2], disk_bus="scsi", device_name="/dev/sdd")
    after = replace(with_properties(before, hw_disk_bus="scsi"), block_devices=tuple(rows))
    told = [text for text in outcome_notes(before, after, ComputeRules()) if "attachment" in text]
    assert len(told) == 1
    assert told[0].endswith("that the server's definition still has (sdc)")
    kept = replace(after, block_devices=(*rows[:1], before.block_devices[1], rows[2]))
    assert not [text for text in outcome_notes(before, kept, ComputeRules()) if "attach" in text]
