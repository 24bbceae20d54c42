"""Detaches one device from one guest, in the process of its host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from novadev.device.detach.guest import check_guest, seen
from novadev.device.hosted_instance import HostedInstance
from novadev.device.inventory import Entry, Inventory, take_inventory
from novadev.device.orphans import why_no_orphan
from novadev.errors import Busy, NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.runs.plan import APPLIED, Outcome, Plan
from novadev.runs.states import State
from novadev.virt import writes
from novadev.virt.device import Device
from novadev.virt.host import Host
from novadev.virt.writes import Affect


def detach(host: Host, plan: Plan, instance: HostedInstance, resumed: bool) -> Outcome:
    """Take the device of PLAN out of its guest, wait until it is gone, and return the outcome.

    RESUMED: it may be out of either side already, or of both. A guest that does not let it go in
    time leaves the plan for resume. Raises Unreachable when the host is lost.
    """
    work = _compare(host, plan, instance, resumed)
    if isinstance(work, Outcome):
        return work
    try:
        gone = work.carry_out(int(plan.guard["timeout"]))
    except Unreachable:
        raise
    except NovadevError as error:
        is_nothing = not (work.is_begun or resumed) and _is_refusal(error)
        state = State.FAILED if is_nothing and _is_untouched(work, plan) else State.STARTED
        return Outcome(state, str(error), error.exit_code)
    return _landed(host, plan, instance) if gone else _not_let_go(plan)


def preview(host: Host, plan: Plan, instance: HostedInstance, resumed: bool) -> Outcome:
    """Return what is known of PLAN before `detach` asks for anything; nothing is asked for."""
    work = _compare(host, plan, instance, resumed)
    return work if isinstance(work, Outcome) else APPLIED


def _compare(
    host: Host, plan: Plan, instance: HostedInstance, resumed: bool
) -> _Detaching | Outcome:
    """Return what is to be taken out, or the outcome of a plan that must not be carried out."""
    try:
        return _find(host, plan, instance, resumed)
    except Busy as error:  # the guest is stuck, its host is not: nothing was written now
        state = State.STARTED if resumed else State.PLANNED
        return Outcome(state, str(error), error.exit_code)
    except Unreachable:
        raise
    except _Half as error:
        return Outcome(State.HALF, str(error), StalePlan.exit_code)
    except NovadevError as error:
        state = State.STARTED if resumed else State.STALE
        return Outcome(state, str(error), StalePlan.exit_code)


def _landed(host: Host, plan: Plan, instance: HostedInstance) -> Outcome:
    """Return the outcome when libvirt has done all, after one more look: another writes, too."""
    try:
        inventory = take_inventory(instance, host.definitions(instance.uuid))
        _check_gone(plan, {*_SIDES}, inventory)
    except NotFound:
        return APPLIED
    except Unreachable:
        raise
    except _Half as error:
        return Outcome(State.HALF, str(error), StalePlan.exit_code)
    except NovadevError as error:
        return Outcome(State.STARTED, str(error), error.exit_code)
    return APPLIED


def _not_let_go(plan: Plan) -> Outcome:
    text = (
        f"instance {plan.instance}: the guest did not release {plan.changes[0].place.name} within "
        f"{plan.guard['timeout']} s. The device is removed when the guest answers or restarts; "
        "novadev resume checks again"
    )
    return Outcome(State.STARTED, text, NotAsNeeded.exit_code)


def _is_refusal(error: NovadevError) -> bool:
    """Whether libvirt says so before it does anything: another error may come after the request."""
    return isinstance(error, NotAsNeeded | Busy)


def _is_untouched(work: _Detaching, plan: Plan) -> bool:
    """Whether both sides still have the device as planned."""
    try:
        definitions = work.host.definitions(work.uuid)
    except NovadevError:
        return False
    sides = {"persistent": definitions.persistent, "live": definitions.live}
    return all(
        plan.guard[side] is None
        or any(seen(device) == plan.guard[side] for device in (domain.devices if domain else ()))
        for side, domain in sides.items()
    )


class _Half(StalePlan):
    """One side has let the device go, and the other has it otherwise than was planned."""


def _find(host: Host, plan: Plan, instance: HostedInstance, resumed: bool) -> _Detaching:
    """Return what is to be taken out now, each side asked by itself; raises StalePlan.

    A plan that is not resumed finds both sides as they were planned.
    """
    inventory = take_inventory(instance, host.definitions_and_jobs(instance.uuid))
    check_guest(inventory)
    planned = {side: plan.guard[side] for side in _SIDES if plan.guard[side] is not None}
    sides: dict[str, Device] = {}
    for entry in inventory.entries:
        found = {side: getattr(entry, side) for side in planned}
        there = {side: device for side, device in found.items() if seen(device) == planned[side]}
        if there and (resumed or there.keys() == planned.keys() == _sides_of(entry)):
            _check_orphan(entry, why_no_orphan(entry, inventory), plan)
            sides |= there
    if not resumed and not sides:
        label = plan.changes[0].place.name
        raise StalePlan(f"instance {plan.instance}: {label} has changed since the plan")
    _check_gone(plan, {*_SIDES} - sides.keys(), inventory)
    is_begun = sides.keys() != planned.keys()
    return _Detaching(host, instance.uuid, sides.get("persistent"), sides.get("live"), is_begun)


_SIDES = ("persistent", "live")
_WHERE = {"persistent": "the definition", "live": "the running guest"}
_PASSING = ("address", "alias", "label")
"""What changes of a device that is otherwise the same."""


def _sides_of(entry: Entry) -> set[str]:
    return {side for side in _SIDES if getattr(entry, side) is not None}


def _check_gone(plan: Plan, sides: Set[str], inventory: Inventory) -> None:
    """Raise StalePlan where one of SIDES has the device, otherwise than was planned.

    In another place, under another alias, or though the plan saw it on the other side alone.
    """
    guards = (plan.guard[side] for side in _SIDES if plan.guard[side] is not None)
    planned = [found for found in map(_lasting, guards) if found]
    left = {
        side for side in sides if any(_lasting(item) in planned for item in _on(side, inventory))
    }
    if not left:
        return
    gone = {side for side in sides - left if plan.guard[side] is not None}
    label, where = plan.changes[0].place.name, " and ".join(_WHERE[side] for side in sorted(left))
    raise (_Half if gone else StalePlan)(
        f"instance {plan.instance}: {where} has {label} with another address, alias or side than "
        "planned: detach it on its own"
    )


def _on(side: str, inventory: Inventory) -> Iterator[dict[str, str]]:
    """Yield what the devices of one side are recognised by."""
    for entry in inventory.entries:
        found = seen(getattr(entry, side))
        if found is not None:
            yield found


def _lasting(values: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if key not in _PASSING}


def _check_orphan(entry: Entry, objection: str | None, plan: Plan) -> None:
    if objection is not None and not plan.guard["force"]:
        raise StalePlan(f"instance {plan.instance}: {entry.label}: {objection}")


@dataclass
class _Detaching:
    """A device on its way out; ``is_begun`` once libvirt has taken a request, now or before."""

    host: Host
    uuid: str
    persistent: Device | None
    live: Device | None
    is_begun: bool = False

    def carry_out(self, timeout: int) -> bool:
        """Ask for it to go, live first, and return whether it went within TIMEOUT seconds."""
        live, persistent = self.live, self.persistent
        if live is None:
            self._ask(persistent, Affect.PERSISTENT)
            return True
        with writes.removals(self.host, self.uuid) as watch:
            if persistent and live.alias and persistent.alias == live.alias:
                is_asked = self._ask(live, Affect.LIVE | Affect.PERSISTENT)
            else:
                is_asked = False
            if not is_asked:
                is_asked = self._ask(live, Affect.LIVE)
                self._ask(persistent, Affect.PERSISTENT)
            if not is_asked or live.alias is None:
                return True
            return writes.wait_removed(watch, live.alias, timeout)

    def _ask(self, device: Device | None, affect: Affect) -> bool:
        """Ask for DEVICE to go; return False where it is gone by now.

        By alias, the old way only where it has none: a disk is matched by its target then, and
        what has come to the place of one that is gone must not go too.
        """
        if device is None:
            return False
        try:
            if device.alias is None:
                writes.detach_xml(self.host, self.uuid, device, affect)
            else:
                writes.detach_alias(self.host, self.uuid, device.alias, affect)
        except NotFound:
            return False
        self.is_begun = True
        return True
