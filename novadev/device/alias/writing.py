"""One guest's aliases, written in the process of its host: all of a plan's, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from novadev.change import ABSENT, Change, Value
from novadev.device.alias import SUFFIX
from novadev.device.hosted import HostedInstance
from novadev.device.redacted import digest
from novadev.device.writable import check_guest
from novadev.errors import NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.plan import APPLIED, Outcome, Plan
from novadev.virt.alias import Alias
from novadev.virt.devices import Device
from novadev.virt.domain import Domain
from novadev.virt.host import Host
from novadev.virt.writes import can_update, redefine, update_alias


def write_guest(host: Host, plan: Plan, resumed: bool) -> Outcome:
    """Write PLAN into the persistent definition and return what became of it.

    RESUMED: parts of it may be there already. What was written is put back when a later part
    cannot be. Raises Unreachable when the host is lost on the way.
    """
    try:
        domain = _check(host, plan)
        due = _due(domain, plan, resumed)
    except NovadevError as error:
        return _refusal(error)
    writing = _Writing(host, plan, domain)
    try:
        writing.write(due)
    except Unreachable:
        raise
    except NovadevError as error:
        return writing.put_back(error)
    return APPLIED


def _refusal(error: NovadevError) -> Outcome:
    """Return the outcome of a plan that nothing was written of."""
    if isinstance(error, Unreachable):
        raise error
    kind = StalePlan if isinstance(error, NotFound | NotAsNeeded) else type(error)
    state = "stale" if issubclass(kind, StalePlan) else "failed"
    return Outcome(state, str(error), kind.exit_code)


def _check(host: Host, plan: Plan) -> Domain:
    """Return the persistent definition; raises where the guest is not as it was planned."""
    definitions = host.definitions_and_jobs(plan.instance)
    check_guest(HostedInstance(plan.instance, plan.name, host.name), definitions)
    assert definitions.persistent is not None
    if digest(definitions.persistent) != plan.guard.get("definition"):
        raise StalePlan(
            f"host {host.name}: the definition of domain {plan.instance} has changed since: plan "
            "again"
        )
    if plan.guard.get("whole_definition") and definitions.is_active:
        raise StalePlan(f"host {host.name}: domain {plan.instance} runs now")
    return definitions.persistent


def _due(domain: Domain, plan: Plan, resumed: bool) -> list[Change]:
    """Return the changes that are still to be written; raises StalePlan."""
    due = []
    for item in plan.changes:
        found = _value(domain.device(item.what.removesuffix(SUFFIX)))
        if found == item.after and resumed:
            continue
        if found != item.before:
            told = "no alias" if found is ABSENT else f"alias {found}"
            raise StalePlan(f"domain {plan.instance}: {item.what.removesuffix(SUFFIX)} has {told}")
        due.append(item)
    return due


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
        return self.domain.device(item.what.removesuffix(SUFFIX))

    def put_back(self, error: NovadevError) -> Outcome:
        """Take back what was written before ERROR, and return the plan's outcome."""
        try:
            self._take_back()
        except NovadevError as second:
            text = f"{error}; and what was written could not be put back: {second}"
            return Outcome("started", text, error.exit_code)
        state = "stale" if isinstance(error, StalePlan | NotFound) else "failed"
        code = StalePlan.exit_code if state == "stale" else error.exit_code
        return Outcome(state, str(error), code)

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
