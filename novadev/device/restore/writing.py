"""One guest's addresses, written in the process of its host: all of a plan's, or none."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping

from novadev.device.hosted import HostedInstance
from novadev.device.redacted import digest
from novadev.device.restore.naming import named
from novadev.device.writable import check_guest
from novadev.errors import Busy, NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
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
    kinds: set[Found] = set()
    try:
        definitions = host.definitions_and_jobs(plan.instance)
        if definitions.persistent is not None:
            kinds = _kinds(definitions.persistent, plan)
        if kinds and ((resumed and kinds == {Found.AFTER}) or (plan.partly and _is_gone(kinds))):
            return APPLIED
        domain = _check(host, plan, definitions)
        moves = _moves(domain, plan)
    except Busy as error:  # the guest is stuck, its host is not: nothing was written now
        state = State.STARTED if resumed else State.PLANNED
        return Outcome(state, str(error), error.exit_code)
    except Unreachable:
        raise
    except (NotFound, NotAsNeeded, StalePlan) as error:
        is_there = resumed and not plan.partly and Found.AFTER in kinds
        state = State.HALF if is_there else State.STALE
        return Outcome(state, str(error), StalePlan.exit_code)
    except NovadevError as error:
        return Outcome(State.STARTED if resumed else State.FAILED, str(error), error.exit_code)
    return _write(host, domain, plan, moves)


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


def _kinds(domain: Domain, plan: Plan) -> set[Found]:
    """Return what there is at the devices of PLAN, whatever else has changed since."""
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
    except (StalePlan, NotFound) as error:
        return _disturbed(host, plan, error)
    except NovadevError as error:
        return Outcome(State.FAILED, f"the addresses cannot be written: {error}", error.exit_code)
    return APPLIED


def _disturbed(host: Host, plan: Plan, error: NovadevError) -> Outcome:
    """Return what became of a plan beside which another wrote: what is there now decides."""
    try:
        is_written = _kinds(host.persistent(plan.instance), plan) == {Found.AFTER}
    except Unreachable:
        raise
    except NovadevError:
        is_written = False
    if is_written:
        LOG.warning("host %s: another wrote domain %s too: %s", host.name, plan.instance, error)
        return APPLIED
    return Outcome(State.STALE, str(error), StalePlan.exit_code)
