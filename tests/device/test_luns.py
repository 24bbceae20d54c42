"""A LUN, which has no serial, is no other volume, wherever it is attached."""

from dataclasses import replace
from uuid import UUID

import pytest

from novadev.records.device import VmDevice
from novadev.records.recognition import recognise, recorded_elsewhere

VM = "7b0c2f5e-5c39-4c1c-8f0e-0e8e6a4a1f10"
PLACE = "{type=drive, bus=0, controller=0, target=0, unit=%d}"


def volume(number: int) -> str:
    return str(UUID(int=number))


def disk(number: int, unit: int = 0, is_lun: bool = True, host: str = "cmp1") -> VmDevice:
    """A volume as a LUN, which the host has a name for, or as a disk with a serial."""
    told = {"lun_id": f"scsi-{number}"} if is_lun else {"serial": volume(number)}
    return VmDevice(
        volume(number),
        VM,
        "disk",
        "lun" if is_lun else "disk",
        address=PLACE % unit,
        spec_params={"bus": "scsi", **told},
        is_managed=True,
        host=host,
        label=f"disk sd{'abc'[unit]}",
    )


def recognised(
    found: VmDevice, *recorded: VmDevice, elsewhere: frozenset[str] = frozenset()
) -> str:
    """The id that a device of a certain owner has among those recorded."""
    return recognise([found], recorded, {found.device_id}, elsewhere)[found.device_id]


@pytest.mark.parametrize("unit", [0, 1])
def test_another_volume_at_the_unit_is_another_device(unit: int) -> None:
    assert recognised(disk(2, unit), disk(1)) == volume(2)


@pytest.mark.parametrize("unit", [0, 1])
def test_neither_is_a_disk_with_a_serial_the_lun_that_was_there(unit: int) -> None:
    assert recognised(disk(2, unit), disk(1, is_lun=False)) == volume(2)
    assert recognised(disk(2, unit, is_lun=False), disk(1)) == volume(2)


def test_one_volume_is_the_same_as_a_lun_and_as_a_disk() -> None:
    assert recognised(disk(1), disk(1, is_lun=False)) == volume(1)
    assert recognised(disk(1, is_lun=False), disk(1)) == volume(1)


def test_a_lun_whose_owner_nova_does_not_name_for_a_moment_is_the_same() -> None:
    """And so is one for which its host has another name since."""
    unowned = replace(disk(1), device_id=volume(77))
    assert recognise([unowned], [disk(1)], set()) == {volume(77): volume(1)}
    renamed = replace(unowned, spec_params={"bus": "scsi", "lun_id": "dm-3"})
    assert recognise([renamed], [disk(1)], set()) == {volume(77): volume(1)}
    assert recognised(replace(renamed, device_id=volume(1)), disk(1)) == volume(1)


@pytest.mark.parametrize(
    ("recorded_on", "host", "ids"),
    [
        ("", "cmp2", set()),
        ("cmp2", "cmp2", set()),
        ("cmp1", "cmp2", {volume(1), volume(2)}),
        (None, "cmp2", {volume(1)}),
        (None, "cmp1", {volume(2)}),
    ],
)
def test_whose_names_of_the_host_are_those_of_another(
    recorded_on: str | None, host: str, ids: set[str]
) -> None:
    rows = [disk(1, host="cmp1"), disk(2, host="cmp2"), disk(3, host="")]
    expected = ids | ({volume(3)} if recorded_on == "cmp1" else set())
    assert recorded_elsewhere(rows, recorded_on, host) == expected
