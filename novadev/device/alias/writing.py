"""One guest's aliases, written in the process of its host: all of a plan's, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from novadev.device.hosted import HostedInstance
from novadev.device.redacted import digest
from novadev.device.writable import check_guest
from novadev.errors import Busy, NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.runs.change import Change
from novadev.runs.found import Found, Verdict, compare, judge
from novadev.runs.plan import APPLIED, Outcome, Plan
from novadev.runs.states import State
from novadev.value import ABSENT, Value
from novadev.virt.alias import Alias
from novadev.virt.devices import Device
from novadev.virt.domain import Domain
from novadev.virt.host import Definitions, Host
from novadev.virt.writes import can_update, redefine, update_alias


def write_guest(host: Host, plan: Plan, resumed: bool) -> Outcome:
    """Write PLAN into the persistent definition and return what became of it.

    RESUMED: parts of it may be there already. What was written is put back when a later part
    cannot be. Raises Unreachable when the host is lost on the way.
    """
    aliases: Aliases | None = None
    try:
        definitions = host.definitions_and_jobs(plan.instance)
        if definitions.persistent is not None:
            aliases = Aliases(plan, definitions.persistent)
        domain = _check(host, plan, definitions)
        assert aliases is not None
        due = aliases.due(resumed)
    except Busy as error:  # the guest is stuck, its host is not: nothing was written now
        state = State.STARTED if resumed else State.PLANNED
        return Outcome(state, str(error), error.exit_code)
    except Unreachable:
        raise
    except NovadevError as error:
        return _refusal(error, resumed and aliases is not None and aliases.is_there)
    writing = _Writing(host, plan, domain, resumed and aliases.is_there)
    try:
        writing.write(due)
    except Unreachable:
        raise
    except NovadevError as error:
        return writing.put_back(error)
    return aliases.landed


def _refusal(error: NovadevError, is_there: bool) -> Outcome:
    """Return the outcome of a plan that nothing was written of now; IS_THERE: but before."""
    kind = StalePlan if isinstance(error, NotFound | NotAsNeeded) else type(error)
    if is_there:
        return Outcome(State.HALF, str(error), kind.exit_code)
    state = State.STALE if issubclass(kind, StalePlan) else State.FAILED
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
            f"host {host.name}: the definition of domain {plan.instance} has changed since: plan "
            "again"
        )
    if plan.guard.get("whole_definition") and definitions.is_active:
        raise StalePlan(f"host {host.name}: domain {plan.instance} runs now")
    return definitions.persistent


class Aliases:
    """A plan beside the aliases that the persistent definition has."""

    def __init__(self, plan: Plan, domain: Domain) -> None:
        self._plan, self._domain = plan, domain
        self._found = [(item, self._look(item)) for item in plan.changes]

    def _look(self, item: Change) -> Found:
        try:
            return compare(item, _value(self._domain.device(item.place.name)))
        except NotFound:
            return Found.OTHER

    @property
    def is_there(self) -> bool:
        """Whether a part of the plan is there, that an earlier attempt may have written."""
        return any(found is Found.AFTER for _, found in self._found) and not self._plan.partly

    def due(self, resumed: bool) -> list[Change]:
        """Return the changes that are still to be written; raises StalePlan."""
        verdict = judge((found for _, found in self._found), resumed)
        if verdict is not Verdict.WRITE and not self._plan.partly:
            others = (item for item, found in self._found if found is Found.OTHER)
            item = next(others, None) or next(
                item for item, found in self._found if found is not Found.BEFORE
            )
            raise StalePlan(f"domain {self._plan.instance}: {self._told(item)}")
        return [item for item, found in self._found if found is Found.BEFORE]

    @property
    def landed(self) -> Outcome:
        """The outcome when all that was due is written: what others have changed is told."""
        left = [self._told(item) for item, found in self._found if found is Found.OTHER]
        if not left:
            return APPLIED
        text = f"domain {self._plan.instance}: {', '.join(left)}; that is left so"
        return Outcome(State.APPLIED, text)

    def _told(self, item: Change) -> str:
        try:
            found = _value(self._domain.device(item.place.name))
        except NotFound:
            return f"{item.place.name} is gone"
        return f"{item.place.name} has {'no alias' if found is ABSENT else f'alias {found}'}"


def _value(device: Device) -> Value:
    return device.alias.name if device.alias else ABSENT


def _alias(value: Value) -> Alias | None:
    return Alias(value) if isinstance(value, str) else None


@dataclass
class _Writing:
    """A plan on its way: the definition as it is now, and what was written of it."""

    host: Host
    plan: Plan
    domain: Domain
    was_there: bool
    """Whether an earlier attempt has written a part, which is not put back here."""

    def __post_init__(self) -> None:
        self._written: list[Change] = []

    def write(self, changes: Sequence[Change]) -> None:
        """Write CHANGES: a disk or interface alone, the others as one new definition."""
        others = {}
        for item in changes:
            device = self._device(item)
            if can_update(device):
                self.domain = update_alias(self.host, self.domain, device, _alias(item.after))
                self._written.append(item)
            else:
                others[item] = _alias(item.after)
        if others:
            if not self.plan.guard.get("whole_definition"):
                raise NotAsNeeded(f"domain {self.plan.instance} may not be defined anew")
            wanted = {self._device(item): alias for item, alias in others.items()}
            self.domain = redefine(self.host, self.domain, self.domain.with_aliases(wanted))

    def _device(self, item: Change) -> Device:
        return self.domain.device(item.place.name)

    def put_back(self, error: NovadevError) -> Outcome:
        """Take back what was written before ERROR, and return the plan's outcome."""
        try:
            self._take_back()
        except NovadevError as second:
            text = f"{error}; and what was written could not be put back: {second}"
            return Outcome(State.STARTED, text, error.exit_code)
        state = State.STALE if isinstance(error, StalePlan | NotFound) else State.FAILED
        code = StalePlan.exit_code if state is State.STALE else error.exit_code
        return Outcome(State.HALF if self.was_there else state, str(error), code)

    def _take_back(self) -> None:
        if not self._written:
            return
        try:
            self.domain = self.host.persistent(self.plan.instance)
        except NotFound:
            return
        for item in reversed(self._written):
            self._take_back_one(item)

    def _take_back_one(self, item: Change) -> None:
        """Put the old alias back, unless the device has gone or has another alias by now."""
        try:
            device = self._device(item)
        except NotFound:
            return
        if _value(device) == item.after:
            self.domain = update_alias(self.host, self.domain, device, _alias(item.before))
