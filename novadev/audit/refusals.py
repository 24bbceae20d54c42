"""Checks each remedy with its own command, after those that are run before it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from novadev.audit.commands import rank
from novadev.audit.finding import Trouble
from novadev.audit.remedies import with_every_disk
from novadev.audit.trial import Trial, Tried, property_of
from novadev.errors import NovadevError
from novadev.image_property.facts import Facts
from novadev.image_property.sync.differences import differences
from novadev.rules.buses import BUS_PROPERTIES, TooManyDisks, UnsupportedBus, bus_for_device_type
from novadev.rules.disks import GuestDisk, is_volume
from novadev.rules.fault import disk_subject
from novadev.rules.guest import Guest
from novadev.rules.validity import case_behind_refusals, ends, faults_behind_refusals

_WRITES_SPEC = re.compile(
    r"(novadev (?:image-property (?:set|unset)|machine-type set|stash-defaults)) --yes "
)

_ATTACHED_ON = ("virtio", "scsi")
"""Buses on which Nova can attach a volume to a running server, and knows it again by its name."""


def agreed(troubles: Iterable[Trouble]) -> list[Trouble]:
    """Return TROUBLES with one remedy for each property: two would undo one another.

    That is the remedy against a target before all others, and that of a failure before that of a
    warning; of those, that of a fault, which the value that it replaces may have too; of those
    alike, the first.
    """
    found = [(item, property_of(item.remedy)) for item in troubles]
    if not found[1:]:
        return [item for item, _ in found]
    chosen: dict[str, Trouble] = {}
    for item, name in found:
        if name and _weight(item) > _weight(chosen.get(name)):
            chosen[name] = item
    return [_with(item, chosen[name].remedy) if name else item for item, name in found]


def _with(item: Trouble, remedy: str | None) -> Trouble:
    """Return ITEM with REMEDY: another one than its own settles what else could be done."""
    return replace(item, remedy=remedy, instead=item.instead if remedy == item.remedy else None)


def _weight(item: Trouble | None) -> int:
    if item is None:
        return -1
    return (
        4 * (item.check == "target") + 2 * (item.severity == "failure") + (item.fault is not None)
    )


def accepted(troubles: Sequence[Trouble], facts: Facts, trial: Trial) -> list[Trouble]:
    """Return TROUBLES, each with a remedy that is accepted, or without one and with the reason.

    Each remedy is tried after those of the same server that are run before it, and one that has
    to be `after` those of other checks needs them to be accepted.
    """
    turns = _Turns(trial, facts)
    order = sorted(range(len(troubles)), key=lambda place: (_turn(troubles[place]), place))
    judged = {place: turns.judged(troubles[place]) for place in order}
    found = [_in_order(judged[place], judged.values()) for place in range(len(troubles))]
    done = [item.remedy for item in found if item.remedy and item.instead is None]
    return [_settled(item, done, turns.facts) for item in found]


def _settled(trouble: Trouble, remedies: Iterable[str], after: Facts) -> Trouble:
    """Return TROUBLE without a choice that one of the accepted REMEDIES has made.

    That one comes first, and is all there is to do if nothing else differs AFTER it.
    """
    name = trouble.settled_by
    first = next((item for item in remedies if name and property_of(item) == name), None)
    if first is None:
        return trouble
    remedy = first if _is_in_step(after) else trouble.remedy
    return replace(trouble, remedy=remedy, first=first, instead=None)


def _is_in_step(facts: Facts) -> bool:
    """Whether the request spec has nothing else than the cell."""
    values, spec, image = facts.instance.image_properties, facts.spec, facts.instance.image_ref
    try:
        return spec is not None and not differences(values, spec, image)
    except NovadevError:
        return False


def _in_order(trouble: Trouble, troubles: Iterable[Trouble]) -> Trouble:
    """Return TROUBLE with the remedy of TROUBLES that is run first, or without its own remedy."""
    if not trouble.after:
        return trouble
    earlier = [item for item in troubles if item.check in trouble.after]
    remedies = [item.remedy for item in earlier if item.remedy]
    if {item.check for item in earlier} != trouble.after or len(remedies) < len(earlier):
        return replace(trouble, remedy=None)
    return replace(trouble, first=remedies[0])


def _turn(item: Trouble) -> tuple[int, bool, bool]:
    """Return when a remedy is run; the one that ends a fault may move disks, and goes first."""
    return rank(item.remedy or ""), item.severity != "failure", item.fault is None


@dataclass
class _Turns:
    """The remedies of one server that were accepted so far.

    Each is with what is stored before and after it; ``facts`` is what is stored after all of them.
    """

    trial: Trial
    facts: Facts
    steps: list[tuple[str, Guest, Guest]] = field(default_factory=list)

    def judged(self, trouble: Trouble) -> Trouble:
        """Return TROUBLE with a remedy that works after the accepted ones, or with none."""
        if trouble.remedy is None or not _WRITES_SPEC.match(trouble.remedy):
            return trouble
        known = self._ended_by(trouble)
        if known is not None:
            return replace(trouble, remedy=known)
        ways, refusals = _ways(trouble, self.facts.spec is not None), list[str]()
        for remedy in ways:
            try:
                tried = self.trial.run(remedy, self.facts)
            except (NovadevError, UnsupportedBus, TooManyDisks) as error:
                refusals.append(self._text(error))
                continue
            if self._is_enough(trouble, tried.facts):
                return replace(trouble, remedy=self._taken(remedy, tried))
        is_refused = len(refusals) == len(ways)
        why = f"no command fixes it: {refusals[-1]}" if is_refused else self._not_alone(trouble)
        return replace(trouble, remedy=None, details=f"{trouble.details}; {why}")

    def _ended_by(self, trouble: Trouble) -> str | None:
        """Return the accepted remedy after which the fault of TROUBLE is gone, if there is one."""
        for remedy, before, after in self.steps if trouble.fault else ():
            if self._has(trouble, before) and not self._has(trouble, after):
                return remedy
        return None

    def _has(self, trouble: Trouble, guest: Guest) -> bool:
        found = faults_behind_refusals(guest, self.trial.rules)
        return trouble.fault in {fault.key for fault in found}

    def _is_enough(self, trouble: Trouble, after: Facts) -> bool:
        key = trouble.fault
        return key is None or ends(key, self.facts.guest, after.guest, self.trial.rules)

    def _taken(self, remedy: str, tried: Tried) -> str:
        """Return REMEDY, now the last of the accepted ones; one of its property may do for it."""
        name = property_of(remedy)
        if not tried.changes and name:
            same = (done for done, _, _ in self.steps if property_of(done) == name)
            remedy = next(same, remedy)
        self.steps.append((remedy, self.facts.guest, tried.facts.guest))
        self.facts = tried.facts
        return remedy

    def _not_alone(self, trouble: Trouble) -> str:
        """Return that no command ends the fault of TROUBLE without moving other disks, or at all.

        Nova attaches a volume as a disk, on the bus of the server's disks.
        """
        if property_of(trouble.remedy) not in BUS_PROPERTIES:
            return "no command fixes it"
        case, _ = case_behind_refusals(self.facts.guest, self.trial.rules)
        volumes = {disk_subject(disk) for disk in case.disks if _is_plain_volume(disk)}
        is_one = trouble.fault is not None and trouble.fault[1] in volumes
        can_be = is_one and bus_for_device_type("disk", case.guest, case.rules) in _ATTACHED_ON
        again = ": detach the volume and attach it again" if can_be else ""
        return f"no command moves it alone{again}"

    def _text(self, error: Exception) -> str:
        why = str(error).removeprefix(f"instance {self.facts.instance.uuid}")
        return why.removeprefix(": ").strip()


def _ways(trouble: Trouble, has_spec: bool) -> tuple[str, ...]:
    """Return the command of TROUBLE, and for a disk the one that moves every disk of its kind."""
    remedy = trouble.remedy or ""
    if not has_spec:
        remedy = _WRITES_SPEC.sub(r"\1 --yes --no-request-spec ", remedy)
    if trouble.fault is None or property_of(remedy) not in BUS_PROPERTIES:
        return (remedy,)
    return remedy, with_every_disk(remedy)


def _is_plain_volume(disk: GuestDisk) -> bool:
    return is_volume(disk) and disk.type == "disk"
