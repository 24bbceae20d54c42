"""Rehearsals on three generations of libvirt and QEMU, beside what really happens to the guest."""

import pytest

from novadev.rehearsal.on_host import prepare, rehearse
from novadev.rehearsal.shape import shape_of
from novadev.virt.domain import Domain
from novadev.virt.host import Host
from novadev.virt.trial import PREFIX, list_all
from tests import domains
from tests.capabilities.kinds import domain_of, kinds, tried, with_parts
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow

KINDS = (
    *("q35 watchdog ib700", "q35 tpm tpm-crb 2.0", "q35 loader OVMF_CODE.fd", "q35 secure boot"),
    *("q35 loader OVMF_CODE_4M.fd with a template", "q35 cpu EPYC-Genoa", "q35 nic igb"),
    *("q35 channel qemu-vdagent", "q35 500 vcpus", "q35 disk driver io='io_uring'"),
    *("q35 disk scsi with a long serial", "q35 serial spiceport", "q35 serial dbus"),
    "q35 sound dbus",
)
"""What differs between the generations. `tools/verdict_matrix.py` tries every kind of guest."""


DRIVERS = {
    "type='qcow2' discard='unmap' discard_no_unref='on'": "",
    "type='qcow2'": "<metadata_cache><max_size unit='KiB'>64</max_size></metadata_cache>",
    "type='raw' queues='2'": "<iothreads><iothread id='1'/><iothread id='2'/></iothreads>",
    "type='raw' copy_on_read='on'": "",
    "type='raw' error_policy='enospace' rerror_policy='stop'": (
        "<statistics><statistic interval='1'/></statistics>"
    ),
}
"""The drivers of disks that start wherever they are known, and what is in them."""


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_null_disk_carries_what_is_kept_of_a_driver(
    any_generation: Hypervisor, driver: str
) -> None:
    disk = domains.disk("vda", source="/x")
    old = disk[disk.index("<driver") : disk.index("/>", disk.index("<driver")) + 2]
    disk = disk.replace(old, f"<driver name='qemu' {driver}>{DRIVERS[driver]}</driver>")
    xml = with_parts(domain_of("q35", disk), "<iothreads>2</iothreads>")
    host = Host(any_generation.name, any_generation.uri)
    stage = prepare(host, (f"{PREFIX}1",), {})
    (found,) = rehearse(host, stage, [shape_of(Domain.from_xml(xml)).definition])
    assert (found.fate, found.message) == ("started", "")


def test_a_rehearsal_says_what_happens(any_generation: Hypervisor) -> None:
    host = Host(any_generation.name, any_generation.uri)
    by_name = {kind.name: kind.xml for kind in kinds()}
    shapes = [shape_of(Domain.from_xml(by_name[name])) for name in KINDS]
    assert [shape.not_rehearsed for shape in shapes] == [()] * len(KINDS)
    stage = prepare(host, tuple(f"{PREFIX}{number}" for number in range(1, 6)), {})
    said, happened = {}, {}
    for at in range(0, len(KINDS), 5):
        found = rehearse(host, stage, [shape.definition for shape in shapes[at : at + 5]])
        said |= dict(zip(KINDS[at : at + 5], found, strict=True))
    for name in KINDS:
        result = tried(any_generation, by_name[name])
        happened[name] = "started" if result.outcome == "fine" else result.outcome
    assert {name: one.fate for name, one in said.items()} == happened
    assert list_all(host).others == list_all(host).marked == ()
    places = (any_generation.folder / name for name in ("var/lib/libvirt", "etc/libvirt"))
    left = [path for place in places for path in place.rglob("*") if PREFIX in path.name]
    assert left == []
    assert not list((any_generation.folder / "var/lib/libvirt/swtpm").glob("*"))
