"""Made-up audits: what a report is made from."""

import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from uuid import UUID

from novadev.audit import report
from novadev.audit.checks import CHECKS
from novadev.audit.finding import Finding, Severity
from novadev.audit.finding_store import Collected
from novadev.audit.scope import About
from novadev.state.keeping import KEPT, HostKeeping, passed

ABOUT = About(
    finished=datetime(2026, 11, 21, 3, 7, 45, tzinfo=timezone.utc),
    deployment="cloud.example.org, 3 cells",
    selection="all guests",
    guests=1204,
    checks=CHECKS,
    keeping=(
        HostKeeping(
            *("cmp1", "on", True, datetime(2026, 11, 20), datetime(2026, 11, 21)),
            is_silent=False,
            counts={KEPT: 12, passed("not-recorded"): 2},
        ),
    ),
    versions={"novadev": "0.1.0", "Nova": "34", "Target": "cmp9: QEMU 10.0.2, libvirt 11.3.0"},
)
FINDING = Finding(
    check="machine-type",
    severity="warning",
    instance="7f150524-34b9-45df-9e77-69b10f4205b4",
    host="cmp1",
    details="hw_machine_type=pc stands for the newest version of its kind",
    remedy="novadev machine-type set pc-i440fx-7.2 7f150524-34b9-45df-9e77-69b10f4205b4",
    name="web-1",
    cell="cell1",
    project="8a1c8e3c5f0b4d5c9f6e2b7a1d3c4e5f",
    machine_type="pc",
)
_KINDS: tuple[tuple[str, Severity, str, str | None, int], ...] = (
    # check, severity, details, remedy, how often
    (
        "not-stashed",
        "warning",
        "hw_video_model, hw_vif_model are not stored: a new default would change the guest",
        "novadev stash-defaults {uuid}",
        40,
    ),
    (
        "machine-type",
        "warning",
        "hw_machine_type=pc stands for the newest version of its kind: the first power-on after "
        "an upgrade of QEMU gives the guest another machine type",
        "novadev machine-type set pc-i440fx-7.2 {uuid}",
        20,
    ),
    (
        "alias",
        "warning",
        "3 devices have no alias: disk vda, disk vdb, interface tap1f2e",
        "novadev device alias-migrate {uuid}",
        15,
    ),
    (
        "request-spec",
        "warning",
        "hw_disk_bus is virtio in the cell, but absent in the request spec",
        "novadev image-property set --property hw_disk_bus=virtio {uuid}",
        8,
    ),
    (
        "combination",
        "failure",
        "hw_cdrom_bus=ide: a q35 machine has no IDE controller",
        "novadev image-property set --property hw_cdrom_bus=sata {uuid}",
        6,
    ),
    (
        "target",
        "failure",
        "pc-i440fx-2.9 is unknown to QEMU 10.0.2 on cmp9",
        "novadev machine-type set pc-i440fx-7.2 {uuid}",
        4,
    ),
    ("drift", "warning", "disk vdb is at 0000:00:08.0, recorded at 0000:00:06.0", None, 4),
    (
        "ghost",
        "failure",
        "volume 3b1f-0c is attached in Nova, and the guest has no such disk",
        None,
        2,
    ),
)


def findings(count: int, hosts: int = 40, projects: int = 60) -> Iterator[Finding]:
    """So many findings, the same ones each time; a guest has one or two."""
    chance = random.Random(count)
    weights = [kind[4] for kind in _KINDS]
    for number in range(count):
        check, severity, details, remedy, _ = chance.choices(_KINDS, weights)[0]
        guest = number * 2 // 3
        uuid = str(UUID(int=guest * 0x9E3779B97F4A7C15 << 60 & 2**128 - 1, version=4))
        tenant = int(projects * chance.random() ** 2)
        yield Finding(
            check,
            severity,
            uuid,
            f"cmp{int(hosts * chance.random() ** 2) + 1}",
            details,
            remedy and remedy.format(uuid=uuid),
            name=f"{chance.choice(('web', 'db', 'build', 'mail'))}-{guest}",
            cell="cell1",
            project=UUID(int=tenant * 0x9E3779B97F4A7C15F39CC0605CEDC835 & 2**128 - 1).hex,
            machine_type=chance.choice(("pc", "q35", "pc-i440fx-2.9", "pc-q35-6.2", "")),
        )


def written(path: Path, found: Iterable[Finding], about: About = ABOUT) -> Path:
    """The report of these findings, in PATH."""
    with Collected() as collected, report.opened(str(path)) as page:
        for finding in found:
            collected.add(finding)
        page.write(about, collected)
    return path
