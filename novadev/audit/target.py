"""Whether another host could run a guest, according to the capability file of that host."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property

from novadev.audit.coverage import Unjudged
from novadev.audit.finding import ONCE, Move, Trouble
from novadev.audit.remedies import set_machine_type, set_property
from novadev.capabilities import file
from novadev.capabilities.compute_hosts import SavedOsInfo, driver_rules
from novadev.capabilities.content import Capabilities, age_text, time_of
from novadev.capabilities.facts import GuestFacts
from novadev.capabilities.stored_facts import facts_of_guest, with_flavor
from novadev.capabilities.verdicts import Verdict, check, missing_machine_type
from novadev.errors import BadInput
from novadev.image_property.facts import Facts
from novadev.nova.image_properties import MACHINE_TYPE
from novadev.rules.defaults import REFUSALS
from novadev.rules.device import GuestDevice
from novadev.rules.guest import DriverRules, property_value
from novadev.rules.machine_types import family_of, may_be, version_of
from novadev.rules.osinfo import Recommendation

_CHECK = "target"
_TOLD = 5
"""Things not checked that a line has."""
_BETTER = {
    **dict.fromkeys(("video", "hw_video_model"), ("hw_video_model", ("virtio", "vga"))),
    **dict.fromkeys(("interface", "hw_vif_model"), ("hw_vif_model", ("virtio", "e1000e", "e1000"))),
}
"""What a guest may have instead of a device that the target lacks, by how the device is called.

The first that the target has.
"""
_TAGS = {"hw_video_model": "video", "hw_vif_model": "interface"}
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
    found = file.loads(file.read_text(name), name)
    try:
        time_of(found.saved_at)
    except ValueError:
        raise BadInput(
            f"capability file {name}: saved_at is not a date: {found.saved_at!r:.60}. Save the "
            "file again (novadev capabilities save)"
        ) from None
    return TargetHost(name, found)


Kind = tuple[str, tuple[str, ...]]
"""A kind of guest that was reported as not checked: a target, and what of it is not."""


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
    facts: Facts, needs: Needs, targets: Sequence[TargetHost], unchecked: Unchecked
) -> Iterator[Trouble]:
    """Yield what each of TARGETS would refuse for a guest, or what is not known about it.

    Both of what its definition has and, if Nova builds it there, of what Nova would make of what
    is stored. What nothing tells is "not checked", reported for the first guest of its kind only,
    and added to UNCHECKED.
    """
    move: Move = "power-on" if needs.is_built else "live-migration"
    for target in targets:
        built = _stored(facts, target) if needs.is_built else None
        is_unbuilt = needs.is_built and built is None
        if built is not None and needs.defined is None:
            built = with_flavor(built, facts.extra_specs)
        defined = needs.defined
        if defined is not None and built is not None:
            defined = _undecided(defined, built, facts)
        wanted = [item for item in (defined, built) if item is not None]
        verdicts = dict.fromkeys(one for item in wanted for one in _judged(item, target))
        is_all = is_unbuilt or all(_is_of_types(one) for one in verdicts)
        unchecked.add(facts.instance.uuid, target, verdicts, is_all)
        found = (
            *_refused(facts, target, verdicts, wanted),
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
    tags = {"disk", *(tag for name, tag in _TAGS.items() if values.get(name))}
    machine_type, stored = defined.machine_type, values.get(MACHINE_TYPE)
    if stored and machine_type and not may_be(stored, machine_type):
        machine_type, tags = built.machine_type, tags.union(_OF_BOARD)
    devices = tuple(
        device
        for device in defined.devices
        if device.tag not in tags or (device.tag == "interface" and device.device in _OF_HOST)
    )
    return replace(defined, machine_type=machine_type, devices=devices)


def _judged(needs: GuestFacts, target: TargetHost) -> Iterator[Verdict]:
    """Yield the verdicts on NEEDS; where the machine type is missing, also those on the new one.

    They would be the next findings, once the remedy has given the guest the new one.
    """
    yield from check(needs, target.capabilities)
    there = _on_board(needs, target)
    if there != needs:
        found = check(there, target.capabilities)
        yield from (one for one in found if not _is_of_types(one))


def _on_board(needs: GuestFacts, target: TargetHost) -> GuestFacts:
    """Return NEEDS with the machine type that the remedy gives, where TARGET lacks the present."""
    missing = missing_machine_type(needs, target.capabilities)
    newer = _oldest_of_its_kind(needs.machine_type or "", target) if missing else None
    return replace(needs, machine_type=newer) if newer else needs


def _stored(facts: Facts, target: TargetHost) -> GuestFacts | None:
    """Return what Nova would build there; None where it would build nothing: a check of its own."""
    recommended = target.recommendation(property_value(facts.guest, "os_distro"))
    try:
        return facts_of_guest(facts.guest, target.rules, recommended)
    except REFUSALS:
        return None


def _refused(
    facts: Facts, target: TargetHost, verdicts: Iterable[Verdict], wanted: Sequence[GuestFacts]
) -> Iterator[Trouble]:
    for one in verdicts:
        if one.outcome in ("cannot be defined", "would not start"):
            remedy = _remedy(facts.instance.uuid, one, target, wanted[-1])
            yield Trouble(_CHECK, "failure", _told(target, one), remedy)
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
    """Yield in one line what nothing tells: it is not fine, and it is no fault."""
    unchecked = [one for one in verdicts if one.outcome == "not checked"]
    subjects = list(dict.fromkeys(_without_names(one.subject) for one in unchecked))
    kind = (target.name, tuple(sorted(subjects)))
    if subjects and kind not in already:
        already.add(kind)
        more = f" and {len(subjects) - _TOLD} more" if len(subjects) > _TOLD else ""
        told = f"{', '.join(subjects[:_TOLD])}{more}"
        details = (
            f"not checked for {target.capabilities.host}, because its file does not say: {told} "
            f"({ONCE} with the same)"
        )
        yield Trouble(_CHECK, "warning", details)


def _without_names(subject: str) -> str:
    """Return SUBJECT without what only one guest has: the MAC of an interface, a tap's name."""
    tag, _, rest = subject.partition(" ")
    if tag not in ("interface", "hostdev", "filesystem"):
        return subject
    return " ".join([tag, *rest.split(" ")[1:]])


def _remedy(uuid: str, one: Verdict, target: TargetHost, needs: GuestFacts) -> str | None:
    """Return the command that gives the guest what the target has; None where nothing says so."""
    kind = one.subject.partition(" ")[0].partition("=")[0]
    if kind in _BETTER:
        name, values = _BETTER[kind]
        found = (value for value in values if _has(target, name, value, needs))
        value = next(found, None)
        return None if value is None else set_property(uuid, name, value)
    if one.subject.startswith("machine type "):
        newer = _oldest_of_its_kind(one.subject.removeprefix("machine type "), target)
        return None if newer is None else set_machine_type(uuid, newer)
    return None


def _has(target: TargetHost, name: str, value: str, needs: GuestFacts) -> bool:
    """Whether TARGET says that it has this model of a device for the guest with these NEEDS."""
    device = GuestDevice(f"{name}={value}", _TAGS[name], model=value)
    alone = replace(_on_board(needs, target), devices=(device,), settings=())
    found = {one.subject: one.outcome for one in check(alone, target.capabilities)}
    return found.get(device.subject) == "fine"


def _oldest_of_its_kind(name: str, target: TargetHost) -> str | None:
    """Return the machine type of the same family that is nearest to one that is too old."""
    found = target.capabilities
    there = found.machine_types.get(found.architecture, {})
    same = [
        (version_of(other), other)
        for other, machine in there.items()
        if family_of(other) == family_of(name) and version_of(other) and not machine.deprecated
    ]
    return min(same)[1] if same and version_of(name) < min(same)[0] else None


def versions_of(target: TargetHost) -> tuple[str, str]:
    """Return the name of TARGET, and its versions with the age of its file as a text."""
    found = target.capabilities.versions
    age = target.age(datetime.now(timezone.utc))
    return target.name, f"QEMU {found.qemu or 'unknown'}, libvirt {found.libvirt}, {age}"
