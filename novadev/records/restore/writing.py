"""One guest's addresses, written in the process of its host: all of a plan's, or none."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from novadev.device.hosted import HostedInstance
from novadev.device.redacted import digest
from novadev.device.writable import check_guest
from novadev.errors import Busy, NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.records.restore.naming import named
from novadev.runs.change import Change
from novadev.runs.found import Found, compare
from novadev.runs.plan import APPLIED, Outcome, Plan
from novadev.runs.states import State
from novadev.virt.address import Address
from novadev.virt.devices import Device
from novadev.virt.domain import Domain
from novadev.virt.host import Definitions, Host
from novadev.virt.writes import redefine

LOG = logging.getLogger(__name__)


def write_guest(host: Host, plan: Plan, resumed: bool) -> Outcome:
    """Write PLAN into the persistent definition and return what became of it.

    RESUMED: it may be there already. Raises Unreachable when the host is lost on the way.
    """
    left = State.STARTED if resumed else None
    try:
        definitions = host.definitions_and_jobs(plan.instance)
        kinds = _kinds(definitions.persistent, plan)
        left = _left(kinds, plan) if resumed else None
        if kinds and ((resumed and kinds == {Found.AFTER}) or (plan.partly and _is_gone(kinds))):
            return APPLIED
        domain = _check(host, plan, definitions)
        moves = _moves(domain, plan)
    except Busy as error:  # the guest is stuck, its host is not: nothing was written now
        state = State.STARTED if resumed else State.PLANNED
        return Outcome(state, str(error), error.exit_code)
    except Unreachable:
        raise
    except NotFound as error:
        return Outcome(State.STALE, str(error), StalePlan.exit_code)
    except (NotAsNeeded, StalePlan) as error:
        return Outcome(left or State.STALE, str(error), StalePlan.exit_code)
    except NovadevError as error:
        return Outcome(left or State.FAILED, str(error), error.exit_code)
    return _write(host, domain, plan, moves)


def _left(kinds: Collection[Found], plan: Plan) -> State | None:
    """Return the state that an earlier attempt may have left: None where nothing of it is there."""
    if Found.AFTER not in kinds:
        return None
    return State.STARTED if plan.partly else State.HALF


def _is_gone(kinds: Collection[Found]) -> bool:
    """Whether nothing of what is to be taken back is there any more."""
    return Found.BEFORE not in kinds


def _check(host: Host, plan: Plan, definitions: Definitions) -> Domain:
    """Return the persistent definition; raises where the guest is not as it was planned."""
    check_guest(HostedInstance(plan.instance, plan.name, host.name), definitions)
    domain = definitions.persistent
    assert domain is not None
    if digest(domain.without_addresses(_places(domain, plan))) != plan.guard.get("definition"):
        raise StalePlan(
            f"host {host.name}: the definition of domain {plan.instance} has changed since: plan "
            "again"
        )
    return domain


def _places(domain: Domain, plan: Plan) -> dict[Device, Change]:
    """Return the devices of PLAN, each with its change; raises StalePlan where one is gone."""
    devices = named(domain)
    found = {}
    for item in plan.changes:
        name = item.place.name
        if name not in devices:
            raise StalePlan(f"domain {plan.instance} has no {name} any more: plan again")
        found[devices[name]] = item
    return found


def _moves(domain: Domain, plan: Plan) -> Mapping[Device, Address]:
    """Return where the devices are to be; raises StalePlan where one is not as planned.

    A definition is written whole, so either all of a plan is there or nothing.
    """
    places = _places(domain, plan)
    for device, item in places.items():
        if _value(device) != item.before:
            place = device.address or "no address"
            raise StalePlan(f"domain {plan.instance}: {device.label} has {place} now: plan again")
    return {device: Address.from_text(str(item.after)) for device, item in places.items()}


def _kinds(domain: Domain | None, plan: Plan) -> set[Found]:
    """Return what there is at the devices of PLAN, nothing without DOMAIN."""
    if domain is None:
        return set()
    devices = named(domain)
    found = ((item, devices.get(item.place.name)) for item in plan.changes)
    return {
        Found.OTHER if device is None else compare(item, _value(device)) for item, device in found
    }


def _value(device: Device) -> str | None:
    return device.address.exact_text if device.address else None


def _write(host: Host, domain: Domain, plan: Plan, moves: Mapping[Device, Address]) -> Outcome:
    try:
        redefine(host, domain, domain.with_addresses(moves))
    except Unreachable:
        raise
    except NovadevError as error:
        return _disturbed(host, plan, error)
    return APPLIED


def _disturbed(host: Host, plan: Plan, error: NovadevError) -> Outcome:
    """Return what became of a plan whose write met ERROR: what is there now decides.

    An error, too, may come after the write: where nobody can tell, the plan is left for resume.
    """
    try:
        kinds = _kinds(host.definitions(plan.instance).persistent, plan)
    except Unreachable:
        raise
    except NotFound:
        kinds = set()
    except NovadevError as second:
        text = f"{error}; and what is there now could not be read: {second}"
        return Outcome(State.STARTED, text, error.exit_code)
    if kinds == {Found.AFTER}:
        LOG.warning("host %s: domain %s is written, but: %s", host.name, plan.instance, error)
        return APPLIED
    if Found.AFTER in kinds:
        return Outcome(State.HALF, f"{error}; a part of it is there", StalePlan.exit_code)
    if isinstance(error, StalePlan | NotFound):
        return Outcome(State.STALE, str(error), StalePlan.exit_code)
    return Outcome(State.FAILED, f"the addresses cannot be written: {error}", error.exit_code)
