"""Whether another host could run a guest, according to the capability file of that host."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property

from novadev.audit.coverage import Unjudged
from novadev.audit.finding import ONCE, Move, Trouble
from novadev.audit.prescription import TAGS, Prescription, Present
from novadev.capabilities import file
from novadev.capabilities.compute_hosts import SavedOsInfo, driver_rules
from novadev.capabilities.content import Capabilities, age_text, time_of
from novadev.capabilities.facts import GuestFacts
from novadev.capabilities.stored_facts import (
    facts_of_guest,
    with_flavor,
    with_packed_rings,
)
from novadev.capabilities.verdicts import REFUSED, Verdict, check
from novadev.errors import BadInput
from novadev.foreign_file import read_text
from novadev.image_property.facts import Facts
from novadev.nova.image_properties import MACHINE_TYPE
from novadev.rules.defaults import REFUSALS
from novadev.rules.guest import DriverRules, property_value
from novadev.rules.machine_types import may_be
from novadev.rules.osinfo import Recommendation
from novadev.rules.refused_buses import without_refused_buses

_CHECK = "target"
_OF_HOST = ("hostdev", "vdpa")
"""Interfaces that are a device of the host: no property has their model."""
_OF_BOARD = ("controller", "input")
"""Devices that Nova and libvirt choose by the board."""


@dataclass(frozen=True)
class TargetHost:
    """A host that guests are to run on: the name of its file, and what that says."""

    name: str
    capabilities: Capabilities

    @cached_property
    def rules(self) -> DriverRules:
        """The rules of the host's driver."""
        found = self.capabilities
        return driver_rules(found.driver, found.architecture, found.versions.nova)

    @cached_property
    def file(self) -> str:
        """The whole name of its file."""
        return os.path.realpath(self.name)

    def age(self, now: datetime) -> str:
        """Return when its file was saved: "saved 27 days ago"."""
        return f"saved {age_text(self.capabilities.saved_at, now)}"

    def recommendation(self, os_distro: str | None) -> Recommendation:
        """Return what its libosinfo recommends."""
        known = SavedOsInfo(self.capabilities.recommendations)
        return known.recommendation(os_distro, self.rules.release)


def read_targets(names: Iterable[str]) -> tuple[TargetHost, ...]:
    """Return the hosts of the capability files NAMES.

    Raises BadInput for one that is none, and for one that does not tell when it was saved.
    """
    return tuple(_read_target(name) for name in names)


def _read_target(name: str) -> TargetHost:
    found = file.loads(read_text(name), name)
    try:
        time_of(found.saved_at)
    except ValueError:
        raise BadInput(
            f"capability file {name}: saved_at is not a date: {found.saved_at!r:.60}. Save the "
            "file again (novadev capabilities save)"
        ) from None
    return TargetHost(name, found)


Kind = tuple[str, frozenset[tuple[str, str, str]]]
"""A kind of guest that was reported as not checked: a target, and what of it is not.

That is its subject, what is asked for, and the reason: one subject stands for several values.
"""


class Unchecked:
    """What was not checked of guests: the kinds of it that were reported, and that of each guest.

    The latter by server, host and capability file, if it is wanted: a fleet has few kinds.
    """

    def __init__(self, keeps_guests: bool = False) -> None:
        self.told: set[Kind] = set()
        self.guests: dict[tuple[str, str | None, str | None], Unjudged] = {}
        self._keeps_guests = keeps_guests
        self._same: dict[Unjudged, Unjudged] = {}

    def add(self, uuid: str, target: TargetHost, verdicts: Iterable[Verdict], is_all: bool) -> None:
        """Note what of the VERDICTS on a guest is none; IS_ALL: some of its needs have no verdict.

        Nor have any but the types where the machine type is not there.
        """
        if not self._keeps_guests:
            return
        subjects = {one.subject for one in verdicts if one.outcome == "not checked"}
        found = Unjudged(frozenset(subjects | {_without_names(one) for one in subjects}), is_all)
        if subjects or is_all:
            key = (uuid, target.capabilities.host, target.file)
            self.guests[key] = self._same.setdefault(found, found)


@dataclass(frozen=True)
class Needs:
    """What a guest needs by its definition, None if that was not read.

    ``is_built`` says that Nova builds it on the other host, by what is stored: a live migration
    carries what runs.
    """

    defined: GuestFacts | None
    is_built: bool = True


def target_troubles(
    facts: Facts,
    needs: Needs,
    targets: Sequence[TargetHost],
    unchecked: Unchecked,
    present: Present,
) -> Iterator[Trouble]:
    """Yield what each of TARGETS would refuse for a guest, or what is not known about it.

    Both of what its definition has and, if Nova builds it there, of what Nova would make of what
    is stored. What nothing tells is "not checked", reported for the first guest of its kind only,
    and added to UNCHECKED. What a remedy gives the guest, its PRESENT host has as well.
    """
    prescription = Prescription(present, [target.capabilities for target in targets])
    move: Move = "power-on" if needs.is_built else "live-migration"
    for target in targets:
        built, is_built = _stored(facts, target) if needs.is_built else (None, True)
        if built is not None and needs.defined is None:
            built = with_flavor(built, facts.extra_specs)
        if built is not None:
            built = with_packed_rings(built, facts.extra_specs, target.rules.release)
        defined = needs.defined
        if defined is not None and built is not None:
            defined = _undecided(defined, built, facts)
        wanted = [item for item in (defined, built) if item is not None]
        judged = (_judged(item, target, prescription) for item in wanted)
        verdicts = dict.fromkeys(one for verdict in judged for one in verdict)
        is_all = not is_built or all(_is_of_types(one) for one in verdicts)
        unchecked.add(facts.instance.uuid, target, verdicts, is_all)
        found = (
            *_refused(facts, target, verdicts, wanted, prescription),
            *_unchecked(target, verdicts, unchecked.told),
        )
        for one in found:
            yield replace(one, target=target.capabilities.host, target_file=target.file, move=move)


def _is_of_types(one: Verdict) -> bool:
    """Whether ONE is on the machine type or the domain type, and no device or setting."""
    return one.subject.startswith(("machine type", "domain type "))


def _undecided(defined: GuestFacts, built: GuestFacts, facts: Facts) -> GuestFacts:
    """Return the needs of a definition that nothing stored decides: Nova builds the rest anew.

    What BUILT, the guest of what is stored, has instead is judged for itself. So a remedy ends its
    finding when it is run, and not with the next power-on, which makes the definition of it.
    Source: nova/virt/libvirt/driver.py, power_on and _hard_reboot.
    """
    values = facts.guest.image_properties
    tags = {"disk", *(tag for name, tag in TAGS.items() if values.get(name))}
    machine_type, stored = defined.machine_type, values.get(MACHINE_TYPE)
    if stored and machine_type and not may_be(stored, machine_type):
        machine_type, tags = built.machine_type, tags.union(_OF_BOARD)
    devices = tuple(
        device
        for device in defined.devices
        if device.tag not in tags or (device.tag == "interface" and device.device in _OF_HOST)
    )
    return replace(defined, machine_type=machine_type, devices=devices)


def _judged(needs: GuestFacts, target: TargetHost, prescription: Prescription) -> Iterator[Verdict]:
    """Yield the verdicts on NEEDS; where it is to get another machine type, also those on that.

    They would be the next findings, once the remedy has given the guest the new one.
    """
    yield from check(needs, target.capabilities)
    there = prescription.on_board(needs, target.capabilities)
    if there != needs:
        is_given = there.machine_type == prescription.machine_type(needs)
        for one in check(there, target.capabilities):
            if not _is_of_types(one) or (is_given and one.outcome == "deprecated"):
                yield one


def _stored(facts: Facts, target: TargetHost) -> tuple[GuestFacts | None, bool]:
    """Return what Nova would build there, and whether it would.

    Where it refuses a bus or the number of disks, which is a check of its own, the rest is what it
    builds once that is mended; None where it can read nothing.
    """
    recommended = target.recommendation(property_value(facts.guest, "os_distro"))
    try:
        return facts_of_guest(facts.guest, target.rules, recommended), True
    except REFUSALS:
        guest, _ = without_refused_buses(facts.guest, target.rules)
    try:
        rules = replace(target.rules, counts_disks=False)
        return facts_of_guest(guest, rules, recommended), False
    except REFUSALS:
        return None, False


def _refused(
    facts: Facts,
    target: TargetHost,
    verdicts: Iterable[Verdict],
    wanted: Sequence[GuestFacts],
    prescription: Prescription,
) -> Iterator[Trouble]:
    for one in verdicts:
        if one.outcome in REFUSED:
            remedy, choice = prescription.remedy(
                facts.instance.uuid, one, wanted[-1], target.capabilities
            )
            yield Trouble(_CHECK, "failure", f"{_told(target, one)}{choice}", remedy)
        elif one.outcome == "deprecated":
            yield Trouble(_CHECK, "warning", _told(target, one))


def _told(target: TargetHost, one: Verdict) -> str:
    return f"on {target.capabilities.host} it {_VERBS[one.outcome]}: {one.subject}: {one.message}"


_VERBS = {
    "cannot be defined": "cannot be defined",
    "would not start": "would not start",
    "deprecated": "is deprecated",
}


def _unchecked(
    target: TargetHost, verdicts: Iterable[Verdict], already: set[Kind]
) -> Iterator[Trouble]:
    """Yield in one line what nothing tells, and why: it is not fine, and it is no fault."""
    reasons: dict[str, str] = {}
    found = set()
    for one in verdicts:
        if one.outcome == "not checked":
            subject = _without_names(one.subject)
            reasons.setdefault(subject, one.message)
            found.add((subject, one.asked, one.message))
    kind = (target.name, frozenset(found))
    if reasons and kind not in already:
        already.add(kind)
        details = (
            f"not checked for {target.capabilities.host}: {_by_reason(reasons)} ({ONCE} with the "
            "same)"
        )
        yield Trouble(_CHECK, "warning", details, once=True)


def _by_reason(reasons: Mapping[str, str]) -> str:
    """Return the subjects of REASONS, those with the same reason together, and the reasons."""
    subjects: dict[str, list[str]] = {}
    for subject, why in reasons.items():
        subjects.setdefault(why, []).append(subject)
    return "; ".join(f"{', '.join(names)} ({why})" for why, names in subjects.items())


def _without_names(subject: str) -> str:
    """Return SUBJECT without what only one guest has: the MAC of an interface, a tap's name."""
    tag, _, rest = subject.partition(" ")
    if tag not in ("interface", "hostdev", "filesystem"):
        return subject
    return " ".join([tag, *rest.split(" ")[1:]])


def versions_of(target: TargetHost) -> tuple[str, str]:
    """Return the name of TARGET, and its versions with the age of its file as a text."""
    found = target.capabilities.versions
    age = target.age(datetime.now(timezone.utc))
    return target.name, f"QEMU {found.qemu or 'unknown'}, libvirt {found.libvirt}, {age}"
