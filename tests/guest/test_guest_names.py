"""Which device a guest's disk is: by its address, by its serial, and not where these disagree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novadev.device.guest_names import guest_names, has_serial
from novadev.virt.domain import Domain
from novadev.virt.guest_answer import GuestAddress, GuestDisk
from tests.device.rig import volume_id


def pci(slot: int, bus: int = 0) -> str:
    where = f"domain='0x0000' bus='{bus:#04x}' slot='{slot:#04x}' function='0x0'"
    return f"<address type='pci' {where}/>"


def disk(target: str, bus: str, address: str, serial: str | None = None) -> str:
    said = f"<serial>{serial}</serial>" if serial else ""
    return f"<disk device='disk'><target dev='{target}' bus='{bus}'/>{said}{address}</disk>"


def drive(controller: int, unit: int, target: int = 0) -> str:
    where = f"controller='{controller}' bus='0' target='{target}' unit='{unit}'"
    return f"<address type='drive' {where}/>"


def controller(kind: str, index: int, address: str = "", model: str = "x") -> str:
    return f"<controller type='{kind}' index='{index}' model='{model}'>{address}</controller>"


def live(*devices: str) -> Domain:
    return Domain.from_xml(f"<domain id='1'><devices>{''.join(devices)}</devices></domain>")


def seen(
    name: str, kind: str, place: str | None, unit: int = 0, serial: str | None = None
) -> GuestDisk:
    address = GuestAddress(kind, f"0000:{place}", (0, 0, unit)) if place else None
    return GuestDisk(name, address, serial)


def found(domain: Domain, *disks: GuestDisk) -> dict[str, str]:
    names, _ = guest_names(domain, disks)
    return {device.label: name for device, name in names.items()}


def doubts(domain: Domain, *disks: GuestDisk) -> dict[str, str]:
    return {device.label: doubt for device, doubt in guest_names(domain, disks)[1].items()}


GUEST = live(
    controller("scsi", 0, pci(3)),
    controller("scsi", 1, pci(5)),
    controller("sata", 0, pci(6)),
    disk("vda", "virtio", pci(4)),
    disk("sda", "scsi", drive(0, 1)),
    disk("sdb", "scsi", drive(1, 1)),
    disk("sdc", "sata", drive(0, 1), volume_id(1)),
    "<hostdev type='pci'><source><address domain='0' bus='0x81' slot='0' function='0'/></source>"
    f"{pci(7)}</hostdev>",
)


def test_by_address() -> None:
    disks = [
        seen("/dev/vdx", "virtio", "00:04.0"),
        seen("/dev/sdx", "scsi", "00:03.0", 1),
        seen("/dev/sdy", "scsi", "00:05.0", 1),
        seen("/dev/sdz", "sata", "00:06.0", 1),
        seen("/dev/nvme0n1", "nvme", "00:07.0"),
        seen("/dev/sdq", "scsi", "00:03.0", 2),
        seen("/dev/vdq", "virtio", "00:09.0"),
        seen("/dev/sdv", "usb", "00:07.0"),
    ]
    assert found(GUEST, *disks) == {
        "disk vda": "/dev/vdx",
        "disk sda": "/dev/sdx",
        "disk sdb": "/dev/sdy",
        "disk sdc": "/dev/sdz",
        "hostdev 0000:81:00.0": "/dev/nvme0n1",
    }
    assert doubts(GUEST, *disks) == {}


WINDOWS = live(
    controller("scsi", 0, pci(3)),
    controller("sata", 0, pci(6)),
    disk("vda", "virtio", pci(4)),
    disk("sda", "scsi", drive(0, 1)),
    *(disk(f"sd{'bcd'[unit]}", "sata", drive(0, unit)) for unit in range(3)),
)


def windows(number: int, kind: str, place: str, bus: int = 0, unit: int = 0) -> GuestDisk:
    """A disk as Windows has it, without a serial."""
    address = GuestAddress(kind, f"0000:{place}", (bus, 0, unit))
    return GuestDisk(f"\\\\.\\PHYSICALDRIVE{number}", address)


def test_by_the_address_that_windows_gives() -> None:
    """viostor says scsi, vioscsi sas; the port of a SATA disk is its bus."""
    disks = [
        windows(0, "scsi", "00:04.0"),
        windows(1, "sas", "00:03.0", unit=1),
        *(windows(2 + port, "sata", "00:06.0", bus=port) for port in range(3)),
    ]
    assert found(WINDOWS, *disks) == {
        f"disk {target}": f"\\\\.\\PHYSICALDRIVE{number}"
        for number, target in enumerate(("vda", "sda", "sdb", "sdc", "sdd"))
    }


@pytest.mark.parametrize(
    ("serial", "said", "fits"),
    [
        (volume_id(1), volume_id(1)[:20], True),
        (volume_id(1), volume_id(1).replace("-", ""), True),
        (volume_id(1).replace("-", ""), volume_id(1)[:20], False),
        (volume_id(1).replace("-", ""), volume_id(1), True),
        (volume_id(1), f"0QEMU_QEMU_HARDDISK_{volume_id(1)}", True),
        (volume_id(1), f"QEMU_NVMe_Ctrl_{volume_id(1)[:20]}_1", True),
        (volume_id(1), volume_id(2)[:20], False),
        (volume_id(1), volume_id(1)[:19], False),
        ("WD-1", "QEMU_HARDDISK_WD-1", True),
        ("WD-1", "QEMU_NVMe_Ctrl_WD-1_1", True),
        ("WD-1", "WD-12", False),
        ("1", "QEMU_HARDDISK_QM00011", False),
        (None, "x", False),
        ("x", None, False),
        ("", "", False),
    ],
)
def test_by_serial(serial: str | None, said: str | None, fits: bool) -> None:
    assert has_serial(said, serial) is fits


def test_by_serial_alone() -> None:
    said = seen("/dev/sdk", "usb", None, serial=volume_id(1)[:20])
    assert found(GUEST, said) == {"disk sdc": "/dev/sdk"}


def test_address_and_serial_disagree() -> None:
    said = seen("/dev/vda", "virtio", "00:04.0", serial=volume_id(1)[:20])
    assert found(GUEST, said) == {}
    assert doubts(GUEST, said) == {
        "disk vda": "the guest's /dev/vda may be disk sdc as well",
        "disk sdc": "the guest's /dev/vda may be disk vda as well",
    }


def test_two_volumes_that_differ_late() -> None:
    same = [volume_id(1), volume_id(1)[:-1] + "0"]
    domain = live(
        *(disk(f"vd{x}", "virtio", pci(n), s) for x, n, s in zip("ab", (4, 5), same, strict=True))
    )
    said = seen("/dev/vda", "virtio", None, serial=same[0][:20])
    assert found(domain, said) == {}
    assert len(doubts(domain, said)) == 2


def test_a_device_that_has_two_names() -> None:
    said = [seen(f"/dev/vd{x}", "virtio", "00:04.0") for x in "ab"]
    assert found(GUEST, *said) == {}
    assert doubts(GUEST, *said) == {"disk vda": "the guest calls it /dev/vda and /dev/vdb"}


def test_buses_as_firmware_numbers_them() -> None:
    domain = live(
        controller("pci", 0, model="pcie-root"),
        controller("pci", 1, pci(2), "pcie-root-port"),
        controller("pci", 2, pci(3), "pcie-root-port"),
        controller("pci", 3, pci(0, bus=1), "pcie-to-pci-bridge"),
        disk("vda", "virtio", pci(1, bus=3)),
        disk("vdb", "virtio", pci(0, bus=2)),
    )
    said = [seen("/dev/vda", "virtio", "02:01.0"), seen("/dev/vdb", "virtio", "03:00.0")]
    assert found(domain, *said) == {"disk vda": "/dev/vda", "disk vdb": "/dev/vdb"}


def test_controllers_in_a_ring_do_not_hang() -> None:
    domain = live(
        controller("pci", 1, pci(2, bus=2)),
        controller("pci", 2, pci(2, bus=1)),
        disk("vda", "virtio", pci(1, bus=1)),
    )
    assert found(domain, seen("/dev/vda", "virtio", "01:01.0")) == {"disk vda": "/dev/vda"}


serials = st.sampled_from([None, volume_id(1)[:20], volume_id(2)[:20], "0QEMU_x_" + volume_id(2)])
places = st.sampled_from([None, "00:04.0", "00:05.0", "00:06.0"])
answers = st.dictionaries(
    st.sampled_from([f"/dev/vd{x}" for x in "abcde"]), st.tuples(places, serials)
)


@given(answers)
def test_a_name_is_one_devices_and_a_device_has_one_name(
    said: dict[str, tuple[str | None, str | None]],
) -> None:
    domain = live(
        disk("vda", "virtio", pci(4)),
        disk("vdb", "virtio", pci(5), volume_id(1)),
        disk("vdc", "virtio", pci(6), volume_id(2)),
    )
    disks = [seen(name, "virtio", place, serial=serial) for name, (place, serial) in said.items()]
    names, why = guest_names(domain, disks)
    assert len(set(names.values())) == len(names)
    assert not set(names) & set(why)
    for device, name in names.items():
        place, serial = said[name]
        at = {"vda": "00:04.0", "vdb": "00:05.0", "vdc": "00:06.0"}[str(device.short_name)]
        assert place in (None, at)
        assert place == at or serial is not None
