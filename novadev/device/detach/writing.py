"""One device taken out of one guest, in the process of its host."""

from __future__ import annotations

from dataclasses import dataclass

from novadev.device.detach.guest import check_guest, seen
from novadev.device.hosted import HostedInstance
from novadev.device.inventory import Entry, take_inventory
from novadev.device.orphans import why_no_orphan
from novadev.errors import NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.plan import APPLIED, Outcome, Plan
from novadev.virt import writes
from novadev.virt.devices import Device
from novadev.virt.host import Host
from novadev.virt.writes import Affect


def detach(host: Host, plan: Plan, instance: HostedInstance, resumed: bool) -> Outcome:
    """Take the device of PLAN out of its guest, wait until it is gone, and return the outcome.

    RESUMED: it may be out of the persistent definition already. A guest that does not let it go in
    time leaves the plan for resume. Raises Unreachable when the host is lost.
    """
    try:
        entry = _find(host, plan, instance, resumed)
    except Unreachable:
        raise
    except NovadevError as error:
        return Outcome("stale", str(error), StalePlan.exit_code)
    if entry is None:
        return APPLIED
    is_half_done = plan.guard["persistent"] is not None and entry.persistent is None
    work = _Detaching(host, instance.uuid, entry, is_half_done)
    try:
        gone = work.carry_out(int(plan.guard["timeout"]))
    except Unreachable:
        raise
    except NovadevError as error:
        return Outcome("started" if work.is_begun else "failed", str(error), error.exit_code)
    return APPLIED if gone else _not_let_go(plan, entry)


def _not_let_go(plan: Plan, entry: Entry) -> Outcome:
    text = (
        f"instance {plan.instance}: the guest was asked, and has not let {entry.label} go within "
        f"{plan.guard['timeout']} s. It goes when the guest answers or restarts; resume looks again"
    )
    return Outcome("started", text, NotAsNeeded.exit_code)


def _find(host: Host, plan: Plan, instance: HostedInstance, resumed: bool) -> Entry | None:
    """Return the device as it is now, None where a resumed plan finds it gone; raises StalePlan."""
    inventory = take_inventory(instance, host.definitions_and_jobs(instance.uuid))
    check_guest(inventory)
    persistent, live = plan.guard["persistent"], plan.guard["live"]
    for entry in inventory.entries:
        found = (seen(entry.persistent), seen(entry.live))
        if found == (persistent, live) or (resumed and found == (None, live)):
            _check_orphan(entry, why_no_orphan(entry, inventory), plan)
            return entry
    if resumed:
        return None
    label = plan.changes[0].what
    raise StalePlan(f"instance {plan.instance}: {label} is not as it was planned any more")


def _check_orphan(entry: Entry, objection: str | None, plan: Plan) -> None:
    if objection is not None and not plan.guard["force"]:
        raise StalePlan(f"instance {plan.instance}: {entry.label}: {objection}")


@dataclass
class _Detaching:
    """A device on its way out; ``is_begun`` once libvirt has taken a request, now or before."""

    host: Host
    uuid: str
    entry: Entry
    is_begun: bool = False

    def carry_out(self, timeout: int) -> bool:
        """Ask for it to go, live first, and return whether it went within TIMEOUT seconds."""
        live, persistent = self.entry.live, self.entry.persistent
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
