"""Verdicts on live migrations, and what really becomes of these between two libvirts.

A guest without disks migrates from a host of one generation to one of another, or of the same. Both
have a folder in common, for the socket by which one QEMU sends to the other.
"""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import libvirt
import pytest

from novadev.capabilities.content import Capabilities
from novadev.capabilities.facts import facts_of_domain
from novadev.capabilities.target import Outcome
from novadev.capabilities.verdicts import check, worst
from novadev.virt.host import Host
from tests.cached import CACHE
from tests.capabilities.kinds import capabilities_of, domain_of, with_parts
from tests.hypervisor import PRIVILEGED, Hypervisor, pool, unsupported

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PRIVILEGED, reason="mounts a folder in two hosts"),
]

SHARED = "var/lib/shared"
PAIRS = (("bookworm1", "bookworm2"), ("bookworm1", "trixie1"), ("trixie1", "bookworm1"))
_CPU = "<cpu mode='custom' match='exact'><model>{}</model></cpu>"
_TWO_CORES = (
    "<vcpu>2</vcpu><cpu mode='custom' match='exact'><model>Nehalem</model>"
    "<topology sockets='1' dies='1' cores='2' threads='1'/></cpu>"
)
_VMX = (
    "<cpu mode='custom' match='exact'><model>Nehalem</model>"
    "<feature policy='require' name='vmx'/>{}</cpu>"
)
_EPT = "<feature policy='disable' name='vmx-ept'/>"
_DOG = "<watchdog model='itco' action='{}'/>"
_QCOW2 = (
    "<os><loader readonly='yes' type='pflash' format='qcow2'>/var/lib/shared/CODE.qcow2</loader>"
    "<nvram template='/var/lib/shared/VARS.qcow2' templateFormat='qcow2' format='qcow2'/></os>"
)
_CARD = "<interface type='user'><mac address='fa:16:3e:00:00:02'/><model type='igb'/></interface>"
_USB_SERIAL = "<serial type='pty'><target type='usb-serial'/></serial>"
_QCOW2_IMAGE = "firmware of format qcow2"
"""libvirt 9.0 takes it for a raw image, wherever it is."""
GUESTS = {
    "an alias": domain_of("q35", ""),
    "host-model": with_parts(domain_of("pc-q35-7.2", ""), "<cpu mode='host-model'/>"),
    "Nehalem": with_parts(domain_of("pc-q35-7.2", ""), _CPU.format("Nehalem")),
    "two cores": with_parts(domain_of("pc-q35-7.2", ""), _TWO_CORES),
    "EPYC": with_parts(domain_of("pc-q35-7.2", ""), _CPU.format("EPYC")),
    "a feature": with_parts(domain_of("pc-q35-7.2", ""), _VMX.format("")),
    "a feature that its model got later": with_parts(
        domain_of("pc-q35-7.2", ""), _VMX.format(_EPT)
    ),
    "a watchdog that powers off": domain_of("pc-q35-7.2", _DOG.format("poweroff")),
    "a watchdog that resets": domain_of("pc-q35-7.2", _DOG.format("reset")),
    _QCOW2_IMAGE: with_parts(domain_of("pc-q35-7.2", ""), _QCOW2),
    "a card that QEMU has since 8.0": domain_of("pc-q35-7.2", _CARD),
    "USB sound": domain_of("pc-q35-7.2", "<sound model='usb'/>"),
    "a serial port on USB": domain_of("pc-q35-7.2", _USB_SERIAL),
    "am53c974": domain_of("pc-q35-7.2", "<controller type='scsi' model='am53c974'/>"),
}
"""What a guest has, where its host starts it."""
_STARTING = {"bookworm1": 9, "trixie1": 14}


@dataclass(frozen=True)
class Place:
    """A host, and what its capability file says."""

    host: Hypervisor
    known: Capabilities


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """Two hosts of one generation and one of the next, which share a folder."""
    if reason := unsupported():
        pytest.skip(f"no namespaces for simulated hosts: {reason}")
    common = tmp_path_factory.mktemp("shared")
    for name in ("CODE", "VARS"):
        raw = CACHE / f"generation-trixie/usr/share/OVMF/OVMF_{name}_4M.fd"
        command = ["qemu-img", "convert", "-O", "qcow2", str(raw), str(common / f"{name}.qcow2")]
        subprocess.run(command, check=True)
    with ExitStack() as stack:
        pools = {"bookworm": 2, "trixie": 1}
        taken = [stack.enter_context(pool(name)).take(count) for name, count in pools.items()]
        hosts = [host for several in taken for host in several]
        for host in hosts:
            stack.enter_context(sharing(host, common))
        yield {host.name: Place(host, capabilities_of(host)) for host in hosts}


@contextmanager
def sharing(host: Hypervisor, folder: Path) -> Iterator[None]:
    """The host sees FOLDER of this machine as /var/lib/shared."""
    (host.folder / SHARED).mkdir()
    place = CACHE / f"generation-{host.name[:-1]}" / SHARED
    inside = host.enter("--mount")
    subprocess.run([*inside, "mount", "--bind", str(folder), str(place)], check=True)
    yield
    subprocess.run([*inside, "umount", str(place)], check=True)


def started(host: Hypervisor, xml: str) -> str | None:
    """The guest, running on the host; None where it starts only on the other one."""
    try:
        domain = host.define(xml)
        domain.create()
    except libvirt.libvirtError:
        return None
    return str(domain.UUIDString())


def migrated(source: Hypervisor, target: Hypervisor, uuid: str) -> str:
    """Migrate a running guest, and end it; what libvirt says against it."""
    domain = source.connection.lookupByUUIDString(uuid)
    settings = {libvirt.VIR_MIGRATE_PARAM_URI: f"unix:///{SHARED}/{uuid}"}
    try:
        there = domain.migrate3(target.connection, settings, libvirt.VIR_MIGRATE_LIVE)
    except libvirt.libvirtError as error:
        return str(error)
    assert there.isActive()
    return ""


def judged(source: Hypervisor, target: Capabilities, uuid: str) -> Outcome:
    """The verdict on a running guest that is to migrate."""
    carried = Host(source.name, source.uri).migratable(uuid)
    return worst(check(facts_of_domain(carried, is_carried=True), target))


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_a_live_migration_works_where_the_verdict_is_fine(
    places: dict[str, Place], pair: tuple[str, str]
) -> None:
    source, target = (places[name] for name in pair)
    told: dict[str, tuple[Outcome, str]] = {}
    for name, xml in GUESTS.items():
        is_read = name != _QCOW2_IMAGE or source.host.name != "bookworm1"
        if is_read and (uuid := started(source.host, xml)):
            verdict = judged(source.host, target.known, uuid)
            told[name] = verdict, migrated(source.host, target.host, uuid)
        source.host.empty()
        target.host.empty()
    wrong = {
        name: (verdict, error)
        for name, (verdict, error) in told.items()
        if (verdict in ("fine", "deprecated")) is bool(error)
    }
    assert not wrong
    assert len(told) == _STARTING[source.host.name]
