"""The table of checks: what each check finds, and which sources it has to read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from novadev.errors import BadInput
from novadev.text import meant

Needs = Literal["databases", "hosts", "target", "rehearsal"]


@dataclass(frozen=True)
class Check:
    """A check: its name, what it finds, and what it reads in addition to Nova's databases."""

    name: str
    finds: str
    needs: Needs


CHECKS = (
    Check(
        "not-stashed",
        "Properties that are not stored, so a new default would change the guest",
        "databases",
    ),
    Check("stored-value", "Stored values that Nova does not know", "databases"),
    Check(
        "unreadable",
        "Other stored values that Nova cannot read, which make all properties unreadable",
        "databases",
    ),
    Check(
        "duplicate-property",
        "Properties that are stored in several rows; Nova reads only the last one",
        "databases",
    ),
    Check("no-effect", "Stored values that have no effect", "databases"),
    Check("combination", "Properties and disks that are incompatible", "databases"),
    Check(
        "lun", "LUNs on a bus or controller that does not pass SCSI commands through", "databases"
    ),
    Check(
        "request-spec",
        "Request specs that would bring back another value at a migration",
        "databases",
    ),
    Check("mapping", "Instance mappings that do not point to the server's cell", "databases"),
    Check("error-state", "Servers in ERROR", "databases"),
    Check("stuck-task", "Tasks that have written nothing for an hour", "databases"),
    Check("disk-bus", "Disks on another bus than the one stored for their kind", "databases"),
    Check(
        "machine-type",
        "Machine types without a version, which an upgrade of QEMU changes",
        "databases",
    ),
    Check(
        "stash-null",
        "Properties that are stored as null although the guest has the device",
        "hosts",
    ),
    Check("definition", "Stored values that differ from what the guest has", "hosts"),
    Check(
        "volume-name",
        "Volumes that Nova has under another name than the guest's definition",
        "hosts",
    ),
    Check("alias", "Devices without their stable alias, or with a wrong alias", "hosts"),
    Check("ghost", "Attachments without a device in the guest", "hosts"),
    Check(
        "one-sided",
        "Attachments missing in the running guest or in its definition",
        "hosts",
    ),
    Check("orphan", "Devices without an owner in Nova", "hosts"),
    Check("duplicate-mac", "Network cards that share a MAC address", "hosts"),
    Check("pcie-ports", "Q35 guests without a free PCI Express port", "hosts"),
    Check("drift", "Devices that differ from the newest record", "hosts"),
    Check("forecast", "Hardware that the next power-on will move or change", "hosts"),
    Check("missing-domain", "Instances without a domain on their host", "hosts"),
    Check("unknown-domain", "Domains without an instance of Nova on that host", "hosts"),
    Check("target", "What the host of a capability file would refuse or change", "target"),
    Check(
        "rehearsal",
        "Shapes of guests that do not start on another host, and what could not be tried there",
        "rehearsal",
    ),
    Check(
        "not-keeping",
        "Hosts that do not keep recorded addresses at a power-on, though others do",
        "databases",
    ),
    Check("unreachable", "Cells and hosts that could not be reached", "databases"),
)
ALWAYS = "unreachable"
"""What could not be looked at is said whatever was asked for."""


def choose(names: Iterable[str], has_target: bool, has_stage: bool = False) -> tuple[Check, ...]:
    """Return the checks called NAMES, all for none; those that need another host if there is one.

    HAS_TARGET says that there is a capability file, HAS_STAGE that there is a host to rehearse on:
    the rehearsal then goes with the checks called NAMES. Raises BadInput for a name that is none,
    and for a check whose host there is not.
    """
    wanted = set(names)
    known = {check.name for check in CHECKS}
    for name in sorted(wanted - known):
        raise BadInput(f"there is no check {name!r:.40}: {meant(name, sorted(known))}")
    if "target" in wanted and not has_target:
        raise BadInput("--check target needs --capabilities FILE")
    if "rehearsal" in wanted and not has_stage:
        raise BadInput("--check rehearsal needs --rehearse HOST")
    if wanted and has_stage:
        wanted.add("rehearsal")
    absent = {"target": not has_target, "rehearsal": not has_stage}
    wanted = wanted | {ALWAYS} if wanted else known
    return tuple(check for check in CHECKS if check.name in wanted and not absent.get(check.needs))


def names_of(checks: Collection[Check], needs: Needs) -> frozenset[str]:
    """Return the names of those CHECKS that need this."""
    return frozenset(check.name for check in checks if check.needs == needs)
