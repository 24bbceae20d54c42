"""The rules of layout beside libvirt itself, and what they say where libvirt is not needed."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from novadev.errors import NovadevError
from novadev.rules.layout import lay_out, stand_in
from novadev.virt.outline import Board, Outline
from novadev.virt.scratch import Scratch

BOARDS = 400


def disk(dev: str, bus: str = "virtio", device: str = "disk", unit: int | None = None) -> Outline:
    values = {"@device": device, "target/@dev": dev, "target/@bus": bus}
    return Outline.of("disk", values, unit)


def nic(model: str | None = "virtio", kind: str = "bridge") -> Outline:
    return Outline.of("interface", {"@type": kind, "model/@type": model})


def controller(kind: str, index: int = 0, model: str | None = None) -> Outline:
    return Outline.of("controller", {"@type": kind, "@index": str(index), "@model": model})


def ports(number: int) -> list[Outline]:
    root = [controller("pci", 0, "pcie-root")] if number else []
    return root + [controller("pci", index + 1, "pcie-root-port") for index in range(number)]


VIDEO = Outline.of("video", {"model/@type": "virtio"})
TABLET = Outline.of("input", {"@type": "tablet", "@bus": "usb"})
BALLOON = Outline.of("memballoon", {"@model": "virtio"})
RNG = Outline.of("rng", {"@model": "virtio"})
CHANNEL = Outline.of("channel", {"target/@type": "virtio"})
WATCHDOG = Outline.of("watchdog", {"@model": "i6300esb"})
SHARE = Outline.of("filesystem", {"@type": "mount"})
PCI = Outline.of("hostdev", {"@mode": "subsystem", "@type": "pci"})
MDEV = Outline.of("hostdev", {"@mode": "subsystem", "@type": "mdev", "@model": "vfio-pci"})
USB = controller("usb")
NO_USB = controller("usb", model="none")


def board(machine: str, *outlines: Outline) -> Board:
    return Board("x86_64", machine, outlines, has_graphics=VIDEO in outlines)


def test_i440fx_takes_slot_after_slot_class_by_class() -> None:
    made = board("pc", disk("vda"), disk("vdb"), nic(), nic(), VIDEO, TABLET, BALLOON, RNG, USB)
    assert lay_out(made) == (
        *("0000:00:05.0", "0000:00:06.0", "0000:00:03.0", "0000:00:04.0"),
        *("0000:00:02.0", "0:1", "0000:00:07.0", "0000:00:08.0", "0000:00:01.2"),
    )


def test_q35_gives_each_device_a_port_and_a_bridge_the_first() -> None:
    made = board("q35", disk("vda"), nic(), nic("e1000"), VIDEO, BALLOON, NO_USB, *ports(12))
    found = lay_out(made)
    assert found is not None
    assert found[:6] == (
        *("0000:03:00.0", "0000:02:00.0", "0000:0e:01.0", "0000:00:01.0", "0000:04:00.0", None),
    )


@pytest.mark.parametrize("machine", ["pc", "q35"])
@pytest.mark.parametrize("model", ["virtio", "ac97", "ich6", "sb16"])
def test_a_stand_in_gets_the_place_and_moves_nothing(machine: str, model: str) -> None:
    """Sound is the one device that older libvirts do not know and that takes a slot."""
    sound = Outline.of("sound", {"@model": model})
    made = board(machine, disk("vda"), nic(), nic("e1000"), sound, CHANNEL, BALLOON, RNG, NO_USB)
    other = stand_in(made, sound)
    assert other is not None
    places = lay_out(made)
    assert places is not None
    at = made.outlines.index(sound)
    outlines = (*made.outlines[:at], *other, *made.outlines[at + 1 :])
    kept = places if other else (*places[:at], *places[at + 1 :])
    assert lay_out(replace(made, outlines=outlines)) == kept


def test_what_has_no_stand_in_and_what_needs_none() -> None:
    unknown = Outline.of("rng", {"@model": "virtio"})
    assert stand_in(board("q35", unknown), unknown) is None
    iommu = Outline.of("iommu", {"@model": "virtio"})
    assert stand_in(board("q35", iommu), iommu) == ()
    assert stand_in(Board("aarch64", "virt", (iommu,)), iommu) is None


def test_of_another_machine_the_rules_know_nothing() -> None:
    assert lay_out(Board("aarch64", "virt", (nic(),))) is None


def random_board(random: Random) -> Board:
    machine = random.choice(("pc", "q35"))
    buses = ("virtio", "virtio", "scsi", "sata", *(("ide",) if machine == "pc" else ()))
    prefixes = {"virtio": "vd", "scsi": "sd", "sata": "sd", "ide": "hd"}
    letters = iter("abcdefghijkl")
    outlines = []
    for _ in range(random.randrange(1, 5)):
        bus = random.choice(buses)
        letter = next(letters)
        if bus != "ide" or letter < "e":
            outlines.append(disk(prefixes[bus] + letter, bus))
    random.shuffle(outlines)
    models = (
        *("virtio", "virtio", "virtio", "e1000", "e1000e", "rtl8139", None),
        *("ne2k_pci", "pcnet", "vmxnet3", "igb"),
    )
    outlines += [nic(random.choice(models)) for _ in range(random.randrange(4))]
    likely = (VIDEO, VIDEO, TABLET, BALLOON, RNG, CHANNEL)
    outlines += dict.fromkeys(item for item in likely if random.random() < 0.7)
    sound = Outline.of("sound", {"@model": random.choice(("ich6", "ich9", "ac97", "es1370"))})
    tablet = Outline.of("input", {"@type": "tablet", "@bus": "virtio"})
    rare = (WATCHDOG, SHARE, PCI, PCI, MDEV, sound, tablet, nic(kind="hostdev"))
    outlines += [item for item in rare if random.random() < 0.15]
    if random.random() < 0.4:
        outlines.append(controller("scsi", 0, random.choice(("lsilogic", "virtio-scsi"))))
    if machine == "q35":
        outlines += ports(random.choice((0, 0, 3, 12, 16)))
    uses_usb = TABLET in outlines
    usb = random.choice((None, "none", "qemu-xhci", "nec-xhci"))
    return board(machine, *outlines, controller("usb", 0, None if uses_usb else usb))


@pytest.fixture(scope="module")
def scratch() -> Iterator[Scratch]:
    with Scratch() as found:
        try:
            found.lay_out(board("pc", nic()))
        except NovadevError as error:
            pytest.skip(f"no libvirt with QEMU here: {error}")
        yield found


@pytest.mark.slow
def test_how_often_the_rules_are_right(scratch: Scratch) -> None:
    """Of boards of all kinds: each device that has an address, but for PCI bridges and ports."""
    random, right, known = Random(35), 0, 0
    addresses = correct = 0
    for _ in range(BOARDS):
        made = random_board(random)
        try:
            real = scratch.lay_out(made)
        except NovadevError:
            continue
        told = lay_out(made)
        assert told is not None
        pairs = [
            (place.address, mine)
            for item, place, mine in zip(made.outlines, real.places, told, strict=True)
            if item.tag != "controller" or item.get("@type") != "pci"
        ]
        known += 1
        right += all(one == other for one, other in pairs)
        addresses += len(pairs)
        correct += sum(one == other for one, other in pairs)
    print(f"{right} of {known} guests, {correct} of {addresses} addresses")
    assert known > 0.9 * BOARDS
    assert right / known > 0.99
