"""Writes the aliases of one guest in the process of its host: all of a plan, or none."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from novadev.device.hosted_instance import HostedInstance
from novadev.device.redacted import digest
from novadev.device.writable import check_guest
from novadev.errors import Busy, NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.runs.change import Change
from novadev.runs.plan import APPLIED, Outcome, Plan, taken_back
from novadev.runs.precondition import Found, Verdict, compare, judge
from novadev.runs.states import State
from novadev.value import ABSENT, Value
from novadev.virt.alias import Alias
from novadev.virt.alias_writes import AliasWriter, can_update, in_two_steps
from novadev.virt.device import Device
from novadev.virt.domain import Definitions, Domain
from novadev.virt.host import Host
from novadev.virt.writes import redefine


def write_guest(host: Host, plan: Plan, resumed: bool) -> Outcome:
    """Write PLAN into the persistent definition and return what became of it.

    RESUMED: parts of it may be there already. What was written is put back when a later part
    cannot be. Raises Unreachable when the host is lost on the way.
    """
    found = _compare_guest(host, plan, resumed)
    if isinstance(found, Outcome):
        return found
    writing = _Writing(host, plan, AliasWriter(host, found.domain), found.left, resumed)
    try:
        writing.write(found.due)
    except Unreachable:
        raise
    except NovadevError as error:
        return writing.put_back(error)
    return Aliases(plan, writing.domain, resumed).outcome(found.there)


def preview_guest(host: Host, plan: Plan, resumed: bool) -> Outcome:
    """Return what `write_guest` would return now; nothing is written."""
    found = _compare_guest(host, plan, resumed)
    if isinstance(found, Outcome):
        return found
    return Aliases(plan, found.domain, resumed).outcome(found.there, is_preview=True)


@dataclass(frozen=True)
class _Compared:
    """A plan that may be written: the definition, what is due, what an earlier attempt has left.

    ``there`` are the texts of the places that are as before the run that is taken back.
    """

    domain: Domain
    due: Sequence[Change]
    left: State | None
    there: Collection[str]


def _compare_guest(host: Host, plan: Plan, resumed: bool) -> _Compared | Outcome:
    """Return what is to be written of PLAN, or the outcome of one that must not be written."""
    left = State.STARTED if resumed else None
    try:
        definitions = host.definitions_and_jobs(plan.instance)
        aliases = Aliases(plan, definitions.persistent, resumed)
        left = aliases.left if resumed else None
        return _Compared(_check(host, plan, definitions), aliases.due, left, aliases.there)
    except Busy as error:  # the guest is stuck, its host is not: nothing was written now
        state = State.STARTED if resumed else State.PLANNED
        return Outcome(state, str(error), error.exit_code)
    except Unreachable:
        raise
    except NovadevError as error:
        return _refusal(error, left)


def _refusal(error: NovadevError, left: State | None) -> Outcome:
    """Return the outcome of a plan that nothing was written of now; LEFT: its state from before."""
    kind = StalePlan if isinstance(error, NotFound | NotAsNeeded) else type(error)
    state = State.STALE if issubclass(kind, StalePlan) else State.FAILED
    if not isinstance(error, NotFound):
        state = left or state
    return Outcome(state, str(error), kind.exit_code)


def _check(host: Host, plan: Plan, definitions: Definitions) -> Domain:
    """Return the persistent definition; raises where the guest is not as it was planned.

    What is taken back in part does not need the definition of the day.
    """
    check_guest(HostedInstance(plan.instance, plan.name, host.name), definitions)
    assert definitions.persistent is not None
    is_same = plan.partly or digest(definitions.persistent) == plan.guard.get("definition")
    if not is_same:
        raise StalePlan(
            f"host {host.name}: the definition of domain {plan.instance} has changed since the "
            "plan was made: plan again"
        )
    if plan.guard.get("whole_definition") and definitions.is_active:
        raise StalePlan(f"host {host.name}: domain {plan.instance} is running now")
    return definitions.persistent


class Aliases:
    """A plan together with the aliases in the persistent definition.

    RESUMED: parts of it may be there already.
    """

    def __init__(self, plan: Plan, domain: Domain | None, resumed: bool) -> None:
        self._plan, self._domain, self._resumed = plan, domain, resumed
        self._found = [(item, self._look(item)) for item in plan.changes]

    def _look(self, item: Change) -> Found:
        try:
            return _compare(item, self._device(item), _may_be_begun(self._plan, self._resumed))
        except NotFound:
            return Found.OTHER

    def _device(self, item: Change) -> Device:
        if self._domain is None:
            raise NotFound(f"domain {self._plan.instance} has no persistent definition")
        return self._domain.device(item.place.name)

    def _is_touched(self, item: Change, found: Found) -> bool:
        return found is Found.AFTER or (
            found is Found.BEFORE and _value(self._device(item)) != item.before
        )

    @property
    def left(self) -> State | None:
        """The state that an earlier attempt may have left: None where nothing of it is there.

        Of what is taken back in part, some may never have been there.
        """
        if not any(self._is_touched(item, found) for item, found in self._found):
            return None
        return State.STARTED if self._plan.partly else State.HALF

    @property
    def due(self) -> list[Change]:
        """The changes that are still to be written; raises StalePlan."""
        verdict = judge((found for _, found in self._found), self._resumed)
        if verdict is not Verdict.WRITE and not self._plan.partly:
            others = (item for item, found in self._found if found is Found.OTHER)
            item = next(others, None) or next(
                item for item, found in self._found if found is not Found.BEFORE
            )
            raise StalePlan(f"domain {self._plan.instance}: {self._told(item)}")
        return [item for item, found in self._found if found is Found.BEFORE]

    @property
    def there(self) -> list[str]:
        """The texts of the places that are as before the run, and that no attempt has changed."""
        if self._resumed or not self._plan.partly:
            return []
        return [item.what for item, found in self._found if found is Found.AFTER]

    def outcome(self, there: Collection[str], is_preview: bool = False) -> Outcome:
        """Return the outcome when everything due is written; it names what others have changed.

        THERE is what was as before the run already. IS_PREVIEW: the outcome that it would have.
        """
        if not self._plan.partly:
            return APPLIED
        return taken_back(self._plan, self._others, there, is_preview)

    @property
    def _others(self) -> dict[str, str]:
        return {item.what: self._why(item) for item, found in self._found if found is Found.OTHER}

    def _told(self, item: Change) -> str:
        return f"{item.place.name} {self._why(item)}"

    def _why(self, item: Change) -> str:
        try:
            found = _value(self._device(item))
        except NotFound:
            return "is gone"
        return "has no alias" if found is ABSENT else f"has alias {found}"


def _value(device: Device) -> Value:
    return device.alias.name if device.alias else ABSENT


def _may_be_begun(plan: Plan, resumed: bool) -> bool:
    """Whether a process may have ended while it wrote PLAN, or what PLAN takes back."""
    return resumed or plan.guard.get("begun") is True


def _compare(item: Change, device: Device, may_be_begun: bool) -> Found:
    """Return what is there of ITEM; where it may have been begun, also half way to its after."""
    half_way = may_be_begun and _is_half_way(item, device)
    return Found.BEFORE if half_way else compare(item, _value(device))


def _is_half_way(item: Change, device: Device) -> bool:
    """Whether the old alias was taken out, and the new one is not there yet."""
    return (
        in_two_steps(device)
        and _value(device) is ABSENT
        and ABSENT not in (item.before, item.after)
    )


def _alias(value: Value) -> Alias | None:
    return Alias(value) if isinstance(value, str) else None


@dataclass
class _Writing:
    """A plan on its way: the writer with the definition as it is now, and what was written."""

    host: Host
    plan: Plan
    aliases: AliasWriter
    left: State | None
    """The state by what an earlier attempt has written, which is not put back here."""
    resumed: bool

    def __post_init__(self) -> None:
        self._tried: list[Change] = []
        """What was sent. An error may come after the write, so it may be there all the same."""

    @property
    def domain(self) -> Domain:
        """The definition as it is now."""
        return self.aliases.domain

    def write(self, changes: Sequence[Change]) -> None:
        """Write CHANGES: a disk or interface alone, the others as one new definition."""
        others = []
        for item in changes:
            device = self._due(item)
            if device is None:
                continue
            if can_update(device):
                self._tried.append(item)
                self.aliases.write(item.place.name, _alias(item.after))
            else:
                others.append(item)
        self.aliases.read()
        others = [item for item in others if self._due(item)]
        if others:
            if not self.plan.guard.get("whole_definition"):
                raise NotAsNeeded(f"domain {self.plan.instance} must not be redefined")
            self._tried += others
            self._redefine(others)

    def _due(self, item: Change) -> Device | None:
        """Return the device, None where it has the alias or what is there is left so.

        Another may have written since the plan was begun: raises StalePlan or NotFound where the
        plan lands whole or not at all.
        """
        try:
            device = self._device(item)
        except NotFound:
            if self.plan.partly:
                return None
            raise
        found = _compare(item, device, _may_be_begun(self.plan, self.resumed))
        if found is Found.OTHER and not self.plan.partly:
            name = f"{item.place.name} of domain {self.plan.instance}"
            raise StalePlan(f"host {self.host.name}: {name} has got another alias meanwhile")
        return device if found is Found.BEFORE else None

    def _redefine(self, changes: Sequence[Change]) -> None:
        wanted = {self._device(item): _alias(item.after) for item in changes}
        domain = redefine(self.host, self.domain, self.domain.with_aliases(wanted))
        self.aliases = AliasWriter(self.host, domain)

    def _device(self, item: Change) -> Device:
        return self.domain.device(item.place.name)

    def put_back(self, error: NovadevError) -> Outcome:
        """Take back what was written before ERROR, and return the plan's outcome."""
        try:
            self._take_back()
        except NovadevError as second:
            text = f"{error}; in addition, what was written could not be reverted: {second}"
            return Outcome(State.STARTED, text, error.exit_code)
        state = State.STALE if isinstance(error, StalePlan | NotFound) else State.FAILED
        code = StalePlan.exit_code if state is State.STALE else error.exit_code
        return Outcome(self.left or state, str(error), code)

    def _take_back(self) -> None:
        if not self._tried:
            return
        try:
            domain = self.host.definitions(self.plan.instance).persistent
        except NotFound:
            return
        if domain is None:
            return
        self.aliases = AliasWriter(self.host, domain)
        self._write_back([item.inverse for item in reversed(self._tried) if self._is_there(item)])

    def _is_there(self, item: Change) -> bool:
        """Whether the device has what was written, and has not gone or got another alias."""
        try:
            device = self._device(item)
        except NotFound:
            return False
        return _value(device) == item.after or _is_half_way(item, device)

    def _write_back(self, changes: Sequence[Change]) -> None:
        others = [item for item in changes if not can_update(self._device(item))]
        if others:
            self._redefine(others)
        for item in changes:
            if item not in others:
                self.aliases.write(item.place.name, _alias(item.after))
        self.aliases.read()
