"""Disks of an offloaded server: Nova connects its volumes when it unshelves it, and names some."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from novadev.nova.block_devices import BlockDevice
from novadev.rules.disks import guest_disks
from novadev.rules.guest import ComputeRules, Guest
from novadev.rules.moves import moved
from novadev.rules.outcome import outcome_notes
from tests.mortal import MORTAL
from tests.rules.guests import guest, image, volume, with_moves, with_properties
from tests.rules.test_disks import as_nova_case, guests, nova_says, rules_of_hosts, we_say
from tests.templates import ROOT, nova_environment, nova_program

KVM = ComputeRules()
Unshelve = Callable[[dict[str, Any]], dict[str, Any]]


def offloaded(*rows: BlockDevice, **values: Any) -> Guest:
    """A guest whose root disk is vda on virtio, and whose other disks are these."""
    root = image(1, disk_bus="virtio", device_name="/dev/vda")
    return replace(guest(root, *rows, root="/dev/vda", **values), is_offloaded=True)


def attached(number: int) -> BlockDevice:
    """A volume that was attached while the server was offloaded."""
    return volume(number, device_type=None, connected=False)


def places(made: Guest) -> list[str]:
    return [f"{disk.bus} {disk.dev}" for disk in guest_disks(made, KVM)]


def test_a_volume_that_was_attached_meanwhile_has_the_next_name_but_one() -> None:
    assert places(offloaded(attached(2))) == ["virtio vda", "virtio vdc"]
    assert places(offloaded(attached(2), attached(3))) == ["virtio vda", "virtio vdd", "virtio vdc"]


def test_its_bus_is_what_its_name_says() -> None:
    assert places(offloaded(attached(2), hw_disk_bus="sata")) == ["virtio vda", "scsi sdb"]


def test_only_an_unshelve_connects_a_volume() -> None:
    stopped = replace(offloaded(attached(2)), is_offloaded=False)
    assert places(stopped) == ["virtio vda"]


def test_it_follows_the_property_and_its_row_is_not_written() -> None:
    before = offloaded(volume(2, disk_bus="virtio", device_name="/dev/vdc"), attached(3))
    moves = moved(before, KVM, "disk", "virtio", "scsi", "all")
    assert [move.name_after for move in moves] == ["/dev/sda", "/dev/sdc"]
    after = with_moves(with_properties(before, hw_disk_bus="scsi"), moves)
    assert places(after) == ["scsi sda", "scsi sdc", "scsi sdd"]


def test_an_offloaded_server_has_no_definition_with_other_names() -> None:
    before = offloaded(volume(2, disk_bus="virtio", device_name="/dev/vdc"))
    moves = moved(before, KVM, "disk", "virtio", "sata", "matching")
    after = with_moves(with_properties(before, hw_disk_bus="sata"), moves)
    assert not [note for note in outcome_notes(before, after, KVM) if "names" in note]
    stopped = (replace(one, is_offloaded=False) for one in (before, after))
    assert [note for note in outcome_notes(*stopped, KVM) if "names" in note]


@pytest.fixture(scope="module", params=["28", "34"])
def unshelve(request: pytest.FixtureRequest) -> Iterator[Unshelve]:
    """A real Nova's answer to a case."""
    worker = ROOT / "tests" / "rules" / "unshelve_worker.py"
    process = subprocess.Popen(
        [*MORTAL, nova_program(request.param, "python"), worker],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=nova_environment(),
        text=True,
    )

    def ask(case: dict[str, Any]) -> dict[str, Any]:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(case) + "\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
        return answer

    yield ask
    process.communicate(timeout=30)


@pytest.mark.slow
@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(made=offloaded(attached(2), attached(3), hw_disk_bus="sata"), rules=KVM)
@example(made=offloaded(attached(2), hw_cdrom_bus="sata", config_drive=True), rules=KVM)
@given(
    made=guests(),
    rules=rules_of_hosts.filter(lambda rules: rules.virt_type in ("kvm", "qemu", "parallels")),
)
def test_the_disks_are_novas(unshelve: Unshelve, made: Guest, rules: ComputeRules) -> None:
    """With the virt_types that a host's nova.conf can name."""
    ours = we_say(replace(made, is_offloaded=True), rules)
    assert ours == nova_says(unshelve(as_nova_case(made, rules)))
