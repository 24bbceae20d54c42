"""Which disks move to another bus, and the names they get."""

from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from novadev.rules.buses import TooManyDisks, UnsupportedBus, name_index
from novadev.rules.disks import guest_disks
from novadev.rules.guest import ComputeRules, Guest, rows_of
from novadev.rules.moves import Move, moved, moved_off
from novadev.rules.validity import new_faults
from tests.rules.guests import ephemeral, guest, image, swap, volume, with_moves, with_properties

KVM = ComputeRules()


def in_short(moves: tuple[Move, ...]) -> list[str]:
    return [
        f"{move.block_device}: {move.bus_before} {move.name_before} -> {move.name_after}"
        for move in moves
    ]


def test_every_disk_on_the_old_bus_in_novas_order() -> None:
    made = guest(
        volume(1, disk_bus="virtio", device_name="/dev/vdb"),
        image(2, disk_bus="virtio", device_name="/dev/vda"),
        swap(3, disk_bus="virtio", device_name="/dev/vdd"),
        ephemeral(4, disk_bus="virtio", device_name="/dev/vdc"),
    )
    found = moved(made, KVM, "disk", "virtio", "scsi", "matching")
    assert in_short(found) == [
        "2: virtio /dev/vda -> /dev/sda",
        "4: virtio /dev/vdc -> /dev/sdc",
        "3: virtio /dev/vdd -> /dev/sdd",
        "1: virtio /dev/vdb -> /dev/sdb",
    ]
    assert [move.is_root for move in found] == [True, False, False, False]


@pytest.mark.parametrize("bus", ["lxc", "xen", "uml"])
def test_a_bus_without_names_may_be_stored_and_takes_no_disk(bus: str) -> None:
    rules = ComputeRules(virt_type=bus)
    there, other = (image(1, disk_bus=name, device_name="/dev/vda") for name in (bus, "virtio"))
    assert moved(guest(there), rules, "disk", bus, bus, "all") == ()
    assert moved(guest(other), rules, "disk", bus, bus, "matching") == ()
    with pytest.raises(UnsupportedBus, match="so no disk moves to it"):
        moved(guest(other), rules, "disk", bus, bus, "all")


@pytest.mark.parametrize(
    ("virt_type", "choice"),
    [("lxc", "use lxc"), ("parallels", "use one of ide, scsi"), ("xen", "use one of xen, ide")],
)
def test_a_bus_that_the_virt_type_lacks_is_answered_with_those_it_has(
    virt_type: str, choice: str
) -> None:
    with pytest.raises(UnsupportedBus, match=f"has no disk bus usb; {choice}$"):
        moved(guest(image(1)), ComputeRules(virt_type=virt_type), "disk", "", "usb", "matching")


def test_a_name_that_stays_is_not_given_again() -> None:
    made = guest(
        image(1, disk_bus="virtio", device_name="/dev/vda"),
        volume(2, disk_bus="sata", device_name="/dev/sda"),
        volume(3, disk_bus="usb", device_name="/dev/sdc", device_type="cdrom"),
        volume(4, disk_bus="virtio", device_name="vdb"),
    )
    found = moved(made, KVM, "disk", "virtio", "scsi", "matching")
    assert in_short(found) == ["1: virtio /dev/vda -> /dev/sdb", "4: virtio vdb -> sdd"]


def test_letters_stay_where_another_disk_is_gone() -> None:
    made = guest(
        image(1, disk_bus="virtio", device_name="/dev/vda"),
        volume(2, disk_bus="virtio", device_name="/dev/vdc"),
        volume(3, disk_bus="virtio", device_name="vdaa"),
    )
    found = moved(made, KVM, "disk", "virtio", "scsi", "matching")
    assert in_short(found) == [
        "1: virtio /dev/vda -> /dev/sda",
        "2: virtio /dev/vdc -> /dev/sdc",
        "3: virtio vdaa -> sdaa",
    ]


def test_a_name_stays_where_the_buses_have_the_same_ones() -> None:
    """Also if a disk with other letters comes before it in Nova's order."""
    made = guest(
        image(1, disk_bus="sata", device_name="/dev/sda"),
        volume(2, disk_bus="virtio", device_name="/dev/vdd"),
        volume(3, disk_bus="sata", device_name="/dev/sdd"),
    )
    found = moved(made, KVM, "disk", "sata", "scsi", "all")
    assert in_short(found) == [
        "1: sata /dev/sda -> /dev/sda",
        "2: virtio /dev/vdd -> /dev/sdb",
        "3: sata /dev/sdd -> /dev/sdd",
    ]


def test_the_root_disk_is_the_first_of_its_bus_or_keeps_its_letters() -> None:
    root = image(1, disk_bus="virtio", device_name="/dev/vdc")
    other = volume(2, disk_bus="virtio", device_name="/dev/vdb")
    found = moved(guest(root, other), KVM, "disk", "virtio", "scsi", "matching")
    assert [move.name_after for move in found] == ["/dev/sda", "/dev/sdb"]
    there = volume(3, disk_bus="scsi", device_name="/dev/sda")
    found = moved(guest(root, other, there), KVM, "disk", "virtio", "scsi", "matching")
    assert [move.name_after for move in found] == ["/dev/sdc", "/dev/sdb"]


@pytest.mark.parametrize(
    ("bus", "model", "limit", "name"),
    [
        ("ide", None, -1, "hdb"),
        ("fdc", None, -1, "fdb"),
        ("scsi", "lsisas1068", -1, "sdb"),
        ("scsi", "LSISAS1068", -1, "sdb"),
        ("scsi", "virtio-scsi", -1, "sde"),
        ("sata", None, 4, "sdb"),
        ("sata", None, 5, "sde"),
    ],
)
def test_letters_that_the_bus_has_no_place_for(
    bus: str, model: str | None, limit: int, name: str
) -> None:
    made = guest(
        image(1, disk_bus="virtio", device_name="/dev/vda"),
        volume(2, disk_bus="virtio", device_name="/dev/vde"),
        hw_scsi_model=model,
    )
    rules = ComputeRules(max_disk_devices=limit)
    last = moved(made, rules, "disk", "virtio", bus, "matching")[-1]
    assert last.name_after == f"/dev/{name}"


def test_a_disk_that_cannot_keep_its_letters_takes_none_that_another_keeps() -> None:
    made = guest(
        image(1, disk_bus="virtio", device_name="/dev/vda"),
        volume(2, disk_bus="virtio", device_name="/dev/vdf"),
        volume(3, disk_bus="virtio", device_name="/dev/vdb"),
    )
    found = moved(made, KVM, "disk", "virtio", "ide", "matching")
    assert [move.name_after for move in found] == ["/dev/hda", "/dev/hdc", "/dev/hdb"]


def test_all_takes_disks_from_every_bus() -> None:
    made = guest(
        image(1, disk_bus="virtio", device_name="/dev/vda"),
        volume(2, disk_bus="sata", device_name="/dev/sda"),
        volume(3, disk_bus="scsi", device_name="/dev/sdb"),
    )
    found = moved(made, KVM, "disk", "ide", "scsi", "all")
    assert in_short(found) == ["1: virtio /dev/vda -> /dev/sda", "2: sata /dev/sda -> /dev/sdc"]
    assert moved(made, KVM, "disk", "virtio", "scsi", "none") == ()


def test_luns_stay_and_a_null_type_is_a_disk() -> None:
    made = guest(
        volume(1, disk_bus="virtio", device_name="/dev/vda", device_type="lun", boot_index=0),
        volume(2, disk_bus="virtio", device_name="/dev/vdb", device_type=None),
    )
    found = moved(made, KVM, "disk", "virtio", "scsi", "all")
    assert in_short(found) == ["2: virtio /dev/vdb -> /dev/sdb"]


def test_a_volume_without_a_bus_is_on_the_bus_of_its_name() -> None:
    made = guest(
        image(1, disk_bus="scsi", device_name="/dev/sda"),
        volume(2, device_name="/dev/vdb"),
        volume(3, device_name="/dev/hda"),
    )
    found = moved(made, KVM, "disk", "virtio", "scsi", "matching")
    assert in_short(found) == ["2: None /dev/vdb -> /dev/sdb"]


def test_an_iso_root_moves_with_the_cdroms_whatever_its_row_says() -> None:
    made = guest(
        image(1, disk_bus="virtio", device_name="/dev/hda"),
        volume(2, disk_bus="virtio", device_name="/dev/vda"),
        volume(3, disk_bus="ide", device_name="/dev/hdb", device_type="cdrom"),
        disk_format="iso",
    )
    found = moved(made, KVM, "cdrom", "ide", "sata", "matching")
    assert in_short(found) == ["1: virtio /dev/hda -> /dev/sda", "3: ide /dev/hdb -> /dev/sdb"]
    assert [move.block_device for move in moved(made, KVM, "disk", "virtio", "scsi", "all")] == [2]


def test_the_letters_of_a_disk_that_stays_on_the_bus_are_not_given_again() -> None:
    made = guest(
        image(1, disk_bus="virtio", device_name="/dev/vda"),
        volume(2, disk_bus="scsi", device_name="/dev/vdb"),
        volume(3, disk_bus="virtio", device_name="/dev/vdc"),
    )
    found = moved(made, KVM, "disk", "virtio", "scsi", "matching")
    assert in_short(found) == ["1: virtio /dev/vda -> /dev/sda", "3: virtio /dev/vdc -> /dev/sdc"]


def test_an_ephemeral_disk_without_a_row_keeps_a_name() -> None:
    before = guest(
        image(1, disk_bus="virtio", device_name="/dev/vda"),
        volume(2, disk_bus="virtio", device_name="/dev/vdc"),
        ephemeral_gb=5,
    )
    moves = moved(before, KVM, "disk", "virtio", "scsi", "matching")
    after = with_moves(with_properties(before, hw_disk_bus="scsi"), moves)
    assert [disk.dev for disk in guest_disks(after, KVM)] == ["sda", "sdb", "sdc"]


def test_a_bus_that_goes_away_is_left_by_every_kind_of_disk() -> None:
    """Also where the property of their kind names another bus: then that stays the default."""
    made = guest(
        image(1, device_name="/dev/vda"),
        volume(2, disk_bus="ide", device_name="/dev/hda"),
        volume(3, disk_bus="ide", device_name="/dev/hdb", device_type="cdrom"),
        volume(4, device_name="/dev/hdc"),
        volume(5, disk_bus="scsi", device_name="/dev/sda"),
        hw_disk_bus="virtio",
        ephemeral_gb=5,
    )
    assert in_short(moved_off(made, KVM, "ide", "sata")) == [
        "2: ide /dev/hda -> /dev/sdd",
        "3: ide /dev/hdb -> /dev/sdb",
        "4: None /dev/hdc -> /dev/sdc",
    ]


def test_a_bus_that_goes_away_and_an_ephemeral_disk_that_follows_the_property() -> None:
    before = guest(
        image(1, disk_bus="ide", device_name="/dev/hda"),
        volume(2, disk_bus="ide", device_name="/dev/hdc"),
        ephemeral_gb=5,
        hw_disk_bus="ide",
    )
    moves = moved_off(before, KVM, "ide", "sata")
    after = with_moves(with_properties(before, hw_disk_bus="sata"), moves)
    assert [disk.dev for disk in guest_disks(after, KVM)] == ["sda", "sdb", "sdc"]


def test_buses_and_names_that_are_not_there() -> None:
    made = guest(image(1, disk_bus="virtio", device_name="/dev/vda"))
    with pytest.raises(UnsupportedBus, match="virt_type kvm has no disk bus xen"):
        moved(made, KVM, "disk", "virtio", "xen", "matching")
    with pytest.raises(TooManyDisks):
        moved(made, ComputeRules(max_disk_devices=0), "disk", "virtio", "scsi", "matching")


BUSES = ("virtio", "scsi", "ide", "sata", "usb")
NAMES = [f"/dev/{prefix}{letter}" for prefix in ("vd", "sd", "hd") for letter in "abcd"]


@st.composite
def launched_guests(draw: st.DrawFn) -> Guest:
    """Guests whose rows have names, no two alike, as Nova leaves them after the first boot."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    kinds = st.sampled_from((volume, volume, ephemeral, swap))
    types = st.sampled_from(("disk", "disk", None, "cdrom", "lun"))
    rows = [
        (image if number == 1 and draw(st.booleans()) else draw(kinds))(
            number,
            device_name=name,
            disk_bus=draw(st.sampled_from((None, *BUSES))),
            device_type=draw(types),
            boot_index=draw(st.sampled_from((None, 0))),
        )
        for number, name in enumerate(names, 1)
    ]
    numbers = {"ephemeral_gb": draw(st.sampled_from((0, 5))), "swap_mb": draw(st.booleans()) * 64}
    iso = draw(st.sampled_from((None, None, "iso")))
    config_drive = draw(st.booleans())
    return guest(*rows, root=names[0], disk_format=iso, config_drive=config_drive, **numbers)


def without_row(made: Guest) -> set[str]:
    """The disks that Nova makes up, and leaves out again where another has their name."""
    made_up = {disk.name for disk in guest_disks(made, KVM) if disk.block_device is None}
    return made_up - {"root", "disk.config"}


@settings(max_examples=500, deadline=None)
@given(
    made=launched_guests(),
    kind=st.sampled_from(("disk", "cdrom")),
    old=st.sampled_from(BUSES),
    new=st.sampled_from(BUSES),
    which=st.sampled_from(("matching", "all")),
)
@pytest.mark.slow
def test_a_move_takes_no_disk_away_in_silence_and_gives_none_a_place_that_is_taken(
    made: Guest, kind: str, old: str, new: str, which: str
) -> None:
    before = with_properties(made, **{f"hw_{kind}_bus": old})
    try:
        moves = moved(before, KVM, kind, old, new, which)  # type: ignore[arg-type]
    except TooManyDisks:
        assume(False)
    unmoved = with_properties(before, **{f"hw_{kind}_bus": new})
    after = with_moves(unmoved, moves)
    brought = new_faults(before, after, KVM)
    clashes = [fault.subject for fault in brought if fault.rule.startswith("duplicate-")]
    assert not [c for c in clashes for move in moves if f"row {move.block_device} " in c]
    lost = {fault.subject for fault in brought if fault.rule == "disk-lost"}
    with suppress(TooManyDisks):
        assert without_row(before) - without_row(after) <= lost
    with suppress(TooManyDisks):
        by_row = {disk.block_device: disk for disk in guest_disks(after, KVM)}
        assert all(by_row[move.block_device].bus == new for move in moves)


def index_of(name: str | None) -> int | None:
    return name_index((name or "").removeprefix("/dev/"))


@settings(max_examples=200, deadline=None)
@given(
    made=launched_guests(),
    old=st.sampled_from(BUSES),
    new=st.sampled_from(BUSES),
    which=st.sampled_from(("matching", "all")),
)
def test_letters_are_kept_unless_somebody_else_has_them(
    made: Guest, old: str, new: str, which: str
) -> None:
    """The root disk chooses first, and is the first disk of its bus if it can."""
    before = with_properties(made, hw_disk_bus=old)
    try:
        moves = moved(before, KVM, "disk", old, new, which)  # type: ignore[arg-type]
    except TooManyDisks:
        assume(False)
    assert moves == moved(before, KVM, "disk", old, new, which)  # type: ignore[arg-type]
    after = with_moves(before, moves)
    names = [row.device_name for row in after.block_devices]
    assert len(set(names)) == len(names)
    moving = {move.block_device for move in moves}
    staying = {index_of(row.device_name) for row in made.block_devices if row.id not in moving}
    if rows_of(made).root is None:
        staying.add(index_of(made.root_device_name))
    reserved = {0, 1} if made.ephemeral_gb else set()
    for move in moves:
        index, becomes = index_of(move.name_before), index_of(move.name_after)
        takers = [other for other in moves if index_of(other.name_after) == index]
        if move.is_root:
            assert becomes == 0 or 0 in staying
            assert becomes in (0, index) or index in staying
        elif becomes != index and index not in staying | reserved:
            # Who has these letters now had them before, or is the root disk.
            assert any(one.is_root or index_of(one.name_before) == index for one in takers)


@settings(max_examples=500, deadline=None)
@given(
    made=launched_guests(),
    disk_bus=st.sampled_from((None, *BUSES)),
    cdrom_bus=st.sampled_from((None, "ide", "sata", "scsi")),
)
@pytest.mark.slow
def test_nothing_stays_on_a_bus_that_goes_away_and_nothing_else_moves(
    made: Guest, disk_bus: str | None, cdrom_bus: str | None
) -> None:
    """On Q35 with the properties that name IDE naming SATA, as machine-type set stores them."""
    buses = {"hw_disk_bus": disk_bus, "hw_cdrom_bus": cdrom_bus}
    before = with_properties(made, hw_machine_type="pc", **buses)
    try:
        moves = moved_off(before, KVM, "ide", "sata")
        old = {disk.block_device: disk for disk in guest_disks(before, KVM)}
    except TooManyDisks:
        assume(False)
    renamed = {name: "sata" if bus == "ide" else bus for name, bus in buses.items()}
    after = with_moves(with_properties(before, hw_machine_type="q35", **renamed), moves)
    new = guest_disks(after, KVM)
    assert "ide" not in {disk.bus for disk in new}
    moving = {move.block_device for move in moves}
    kept = [disk for disk in new if disk.block_device and disk.block_device not in moving]
    assert all(old[disk.block_device] == disk for disk in kept)
    clashes = [
        fault.subject
        for fault in new_faults(before, after, KVM)
        if fault.rule.startswith("duplicate-")
    ]
    assert not [c for c in clashes for row in moving if f"row {row} " in c]
