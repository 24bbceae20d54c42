"""One device taken out of one guest, in the process of its host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from novadev.device.detach.guest import check_guest, seen
from novadev.device.hosted import HostedInstance
from novadev.device.inventory import Entry, Inventory, take_inventory
from novadev.device.orphans import why_no_orphan
from novadev.errors import Busy, NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.runs.plan import APPLIED, Outcome, Plan
from novadev.runs.states import State
from novadev.virt import writes
from novadev.virt.devices import Device
from novadev.virt.host import Host
from novadev.virt.writes import Affect


def detach(host: Host, plan: Plan, instance: HostedInstance, resumed: bool) -> Outcome:
    """Take the device of PLAN out of its guest, wait until it is gone, and return the outcome.

    RESUMED: it may be out of either side already, or of both. A guest that does not let it go in
    time leaves the plan for resume. Raises Unreachable when the host is lost.
    """
    try:
        work = _find(host, plan, instance, resumed)
    except Busy as error:  # the guest is stuck, its host is not: nothing was written now
        state = State.STARTED if resumed else State.PLANNED
        return Outcome(state, str(error), error.exit_code)
    except Unreachable:
        raise
    except _Changed as error:
        return Outcome(State.HALF, str(error), StalePlan.exit_code)
    except NovadevError as error:
        state = State.STARTED if resumed else State.STALE
        return Outcome(state, str(error), StalePlan.exit_code)
    try:
        gone = work.carry_out(int(plan.guard["timeout"]))
    except Unreachable:
        raise
    except NovadevError as error:
        state = State.STARTED if work.is_begun or resumed else State.FAILED
        return Outcome(state, str(error), error.exit_code)
    return APPLIED if gone else _not_let_go(plan)


def _not_let_go(plan: Plan) -> Outcome:
    text = (
        f"instance {plan.instance}: the guest was asked, and has not let "
        f"{plan.changes[0].place.name} go within {plan.guard['timeout']} s. It goes when the guest "
        "answers or restarts; resume looks again"
    )
    return Outcome(State.STARTED, text, NotAsNeeded.exit_code)


class _Changed(StalePlan):
    """One side has let the device go, and the other has it as another device than was planned."""


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
        raise StalePlan(f"instance {plan.instance}: {label} is not as it was planned any more")
    for side in planned.keys() - sides.keys():
        _check_gone(plan, side, inventory)
    is_begun = sides.keys() != planned.keys()
    return _Detaching(host, instance.uuid, sides.get("persistent"), sides.get("live"), is_begun)


_SIDES = ("persistent", "live")
_MOVES = ("address", "label")
"""What changes of a device that is otherwise the same."""


def _sides_of(entry: Entry) -> set[str]:
    return {side for side in _SIDES if getattr(entry, side) is not None}


def _check_gone(plan: Plan, side: str, inventory: Inventory) -> None:
    """Raise _Changed where a device like the planned one is there, in another place."""
    planned = _lasting(plan.guard[side])
    for entry in inventory.entries:
        found = seen(getattr(entry, side))
        if planned and found is not None and _lasting(found) == planned:
            label = plan.changes[0].place.name
            raise _Changed(
                f"instance {plan.instance}: {label} has another address now than was planned: "
                "detach it by itself"
            )


def _lasting(values: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if key not in _MOVES}


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
