"""The checks: what each looks for, and what it has to read for that."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from novadev.errors import BadInput

Needs = Literal["databases", "hosts", "target", "rehearsal"]


@dataclass(frozen=True)
class Check:
    """A check: its name, what it finds in one line, and what it reads beside Nova's databases."""

    name: str
    finds: str
    needs: Needs


CHECKS = (
    Check(
        "not-stashed",
        "Properties that are not stored, so that a new default changes them",
        "databases",
    ),
    Check("stored-value", "Stored values that Nova does not have", "databases"),
    Check(
        "unreadable",
        "Other stored values that Nova cannot read: it then reads none of the properties",
        "databases",
    ),
    Check(
        "duplicate-property",
        "Properties that are stored in several rows, of which Nova reads the last",
        "databases",
    ),
    Check("no-effect", "Stored values that change nothing", "databases"),
    Check("combination", "Properties and disks that cannot go together", "databases"),
    Check("lun", "LUNs whose bus or controller does not pass SCSI commands through", "databases"),
    Check(
        "request-spec",
        "Request specs that would bring another value back at a migration",
        "databases",
    ),
    Check("mapping", "Mappings that do not lead to the server in its cell", "databases"),
    Check("disk-bus", "Disks that are not on the bus that is stored for their kind", "databases"),
    Check("machine-type", "Machine types that an upgrade of QEMU moves on", "databases"),
    Check("stash-null", "Properties stored as null of a device that the guest has", "hosts"),
    Check("definition", "Stored values that are not what the guest has", "hosts"),
    Check("alias", "Devices without their alias, or with a wrong one", "hosts"),
    Check("ghost", "Attachments that the guest has no device for", "hosts"),
    Check(
        "one-sided",
        "Attachments that the running guest or its definition does not have",
        "hosts",
    ),
    Check("orphan", "Devices that Nova knows no owner of", "hosts"),
    Check("duplicate-mac", "Network cards with one MAC address", "hosts"),
    Check("pcie-ports", "Q35 guests without a free PCI Express port to plug into", "hosts"),
    Check("drift", "Devices that are not as last recorded", "hosts"),
    Check("forecast", "Hardware that the next power-on moves or changes", "hosts"),
    Check("missing-domain", "Instances that their host has no domain of", "hosts"),
    Check("unknown-domain", "Domains that Nova has no instance of there", "hosts"),
    Check("target", "What the host of a capability file would refuse or give otherwise", "target"),
    Check(
        "rehearsal",
        "Shapes of guests that do not start on another host, and what of them was not tried there",
        "rehearsal",
    ),
    Check(
        "not-keeping",
        "Hosts that do not keep recorded addresses at a power-on, though others do",
        "databases",
    ),
    Check("unreachable", "Cells and hosts that could not be asked", "databases"),
)
ALWAYS = "unreachable"
"""What could not be looked at is said whatever was asked for."""


def choose(names: Iterable[str], has_target: bool, has_stage: bool = False) -> tuple[Check, ...]:
    """Return the checks called NAMES, all for none; those that need another host if there is one.

    HAS_TARGET says that there is a capability file, HAS_STAGE that there is a host to rehearse on.
    Raises BadInput for a name that is none, and for a check whose host there is not.
    """
    wanted = set(names)
    known = {check.name for check in CHECKS}
    for name in sorted(wanted - known):
        raise BadInput(f"there is no check {name!r:.40}: there are {', '.join(sorted(known))}")
    if "target" in wanted and not has_target:
        raise BadInput("--check target needs the target's file: --capabilities FILE")
    if "rehearsal" in wanted and not has_stage:
        raise BadInput("--check rehearsal needs the host to rehearse on: --rehearse HOST")
    absent = {"target": not has_target, "rehearsal": not has_stage}
    wanted = wanted | {ALWAYS} if wanted else known
    return tuple(check for check in CHECKS if check.name in wanted and not absent.get(check.needs))


def names_of(checks: Collection[Check], needs: Needs) -> frozenset[str]:
    """Return the names of those CHECKS that need this."""
    return frozenset(check.name for check in checks if check.needs == needs)
