"""Writes a batch of plans, first into a cell's database and then into the API database.

The request specs are locked and compared before the cell is written, and written after the cell's
commit: what stops in between leaves a cell as planned and a spec as before, which resume or undo
finishes. A batch that meets a lock or a surprise is split until it is one instance.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from novadev.deployment import Deployment
from novadev.errors import Busy, NovadevError, StalePlan, TakenOver, Unreachable
from novadev.image_property.comparison import Comparison, Due
from novadev.image_property.decisions import ACTIONS
from novadev.image_property.guards import objection
from novadev.image_property.partial_undo import WayBack, ways_back
from novadev.image_property.planning import VM_STATES
from novadev.image_property.present_effects import WithEffects, with_disk_effects
from novadev.image_property.readability import unread_now
from novadev.image_property.statements import disk_writes, property_writes, roots, write_specs
from novadev.image_property.stored_values import Stored
from novadev.image_property.sync.differences import sources
from novadev.nova import image_properties, writes
from novadev.nova.block_devices import list_block_devices
from novadev.nova.request_specs import RequestSpec, list_request_specs
from novadev.residence import present_hosts
from novadev.runs.lease import Fence
from novadev.runs.place import Kind
from novadev.runs.plan import SOURCE, Outcome, Plan
from novadev.runs.preview import Previewed
from novadev.runs.states import State
from novadev.value import ABSENT

if TYPE_CHECKING:
    import sqlalchemy as sa

ATTEMPTS = 3
"""How often one instance is tried when a lock is in the way."""
PATIENCE = 3
"""After how many instances that a lock kept from being written a batch is given up."""

_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Policy:
    """The states in which an instance may be written, and the instance action for its owner.

    ``instance_action`` is what ``openstack server event list`` shows; None: nothing, because
    nothing happens to the guest. ``touches_instances``: what is of the request spec alone is a
    change of the instance, too.
    """

    vm_states: frozenset[str]
    instance_action: str | None
    touches_instances: bool = True


CHANGES_GUESTS = Policy(VM_STATES, "update_image_property")


def apply(
    deployment: Deployment,
    plans: Sequence[Plan],
    resumed: bool,
    fence: Fence,
    policy: Policy = CHANGES_GUESTS,
) -> list[Outcome]:
    """Write PLANS of one cell and return an outcome for each, in order.

    RESUMED: parts of them may be there already. Raises what FENCE raises, but never for a plan: its
    outcome says it; what a lock or an unreachable database kept from being written stays for
    resume.
    """
    outcomes: list[Outcome] = []
    _Writer(deployment, policy, fence).write(plans, resumed, outcomes)
    return outcomes


def preview(
    deployment: Deployment,
    plans: Sequence[Plan],
    resumed: bool,
    policy: Policy = CHANGES_GUESTS,
    with_effects: WithEffects = with_disk_effects,
) -> list[Previewed]:
    """Return PLANS of one cell, each with what `apply` would make of it now; nothing is locked.

    Those that it would write have the effects and notes that WITH_EFFECTS finds by what is stored
    now. The hosts are those where the servers are now: what is stored belongs to no host.
    """
    batch = Batch(_Writer(deployment, policy, lambda: None), plans, resumed)
    try:
        outcomes = batch.preview()
    except NovadevError as error:
        outcomes = batch.outcomes_after(error)
    found = list(zip(plans, outcomes, strict=True))
    due = [plan for plan, outcome in found if not outcome.exit_code and plan.action in ACTIONS]
    renewed = with_effects(deployment, due) if due else {}
    hosts = present_hosts(deployment, plans)

    def now(plan: Plan) -> Plan:
        host = hosts.get(plan.instance, plan.host)
        return replace(renewed.get(plan.instance, plan), host=host)

    return [(now(plan), outcome) for plan, outcome in found]


@dataclass(frozen=True)
class _Writer:
    """Where and how batches are written."""

    deployment: Deployment
    policy: Policy
    fence: Fence

    def write(self, plans: Sequence[Plan], resumed: bool, outcomes: list[Outcome]) -> None:
        """Add an outcome for each of PLANS to OUTCOMES, splitting them where a lock is held."""
        if sum(outcome.exit_code == Busy.exit_code for outcome in outcomes) >= PATIENCE:
            error = Busy("stopped because another writer holds too many locks")
            outcomes += [_left(resumed, error)] * len(plans)
            return
        batch = Batch(self, plans, resumed)
        try:
            outcomes += batch.write()
            return
        except TakenOver:
            raise
        except (Busy, StalePlan):
            resumed = resumed or batch.may_be_written
        except NovadevError as error:
            outcomes += batch.outcomes_after(error)
            return
        if len(plans) == 1:
            outcomes.append(self._insist(plans[0], resumed))
            return
        half = len(plans) // 2
        self.write(plans[:half], resumed, outcomes)
        self.write(plans[half:], resumed, outcomes)

    def _insist(self, plan: Plan, resumed: bool) -> Outcome:
        """Try one plan some more times; what is in its way then is its outcome."""
        for attempt in range(1, ATTEMPTS + 1):
            time.sleep(random.uniform(0, 0.2 * attempt))  # noqa: S311 - spreads writers, no secret
            batch = Batch(self, [plan], resumed)
            try:
                return batch.write()[0]
            except TakenOver:
                raise
            except (Busy, StalePlan) as found:
                error = found
                resumed = resumed or batch.may_be_written
            except NovadevError as found:
                return batch.outcomes_after(found)[0]
        if isinstance(error, StalePlan) and not resumed:
            return Outcome(State.STALE, f"instance {plan.instance}: {error}", error.exit_code)
        return _left(resumed, error)


def _left(resumed: bool, error: NovadevError) -> Outcome:
    """Return the outcome of a plan that resume is to try again."""
    state = State.STARTED if resumed else State.PLANNED
    return Outcome(state, str(error), error.exit_code)


@dataclass
class Batch:
    """Plans of one cell on their way into both databases.

    ``may_be_written``: the cell's commit was begun, so what is there is to be looked at again.
    """

    _writer: _Writer
    _plans: Sequence[Plan]
    _resumed: bool
    may_be_written: bool = False
    _outcomes: dict[str, Outcome] = field(default_factory=dict)
    _unread: dict[str, str] = field(default_factory=dict)
    _ways: dict[str, WayBack] = field(default_factory=dict)

    def outcomes_after(self, error: NovadevError) -> list[Outcome]:
        """Return the outcomes of a batch that ERROR ended."""
        if self._resumed or self.may_be_written:
            text = f"{error}; the cell may have been written, the request spec has not"
            left = Outcome(State.STARTED, text, error.exit_code)
        else:
            kept = State.PLANNED if isinstance(error, Unreachable) else State.FAILED
            left = Outcome(kept, str(error), error.exit_code)
        return [self._outcomes.get(plan.instance, left) for plan in self._plans]

    def write(self) -> list[Outcome]:
        """Write both halves; raises Busy or StalePlan where another writer was in the way."""
        deployment = self._writer.deployment
        cell = deployment.cell(self._plans[0].cell)
        uuids = [plan.instance for plan in self._plans]
        self._ask_first()
        with deployment.api.writing() as api:
            specs = list_request_specs(api, uuids, lock=True)
            with deployment.cell_database(cell).writing() as connection:
                stored = self._read(connection, uuids, specs)
                landing = list(self._due(stored))
                self._writer.fence()
                self._write_cell(connection, stored, landing)
            self.may_be_written = self.may_be_written or bool(landing)
            write_specs(api, stored, landing)
        self._outcomes.update({due.plan.instance: self._landed(due, stored) for due in landing})
        return [self._outcomes[plan.instance] for plan in self._plans]

    def preview(self) -> list[Outcome]:
        """Return the outcomes that `write` would have; nothing is locked or written."""
        deployment = self._writer.deployment
        cell = deployment.cell(self._plans[0].cell)
        uuids = [plan.instance for plan in self._plans]
        self._ask_first()
        with deployment.api.reading() as api:
            specs = list_request_specs(api, uuids)
        with deployment.cell_database(cell).reading() as connection:
            stored = self._read(connection, uuids, specs, lock=False)
        self._outcomes.update({due.plan.instance: self._outcome(due) for due in self._due(stored)})
        return [self._outcomes[plan.instance] for plan in self._plans]

    def _ask_first(self) -> None:
        """Ask, before anything is locked, what the comparison under the locks needs to know."""
        deployment = self._writer.deployment
        self._unread = unread_now(deployment, self._plans)
        self._ways = ways_back(deployment, self._plans)

    def _read(
        self,
        connection: sa.Connection,
        uuids: list[str],
        specs: Mapping[str, RequestSpec],
        lock: bool = True,
    ) -> Stored:
        locked = writes.lock_instances(connection, uuids, lock)
        properties = image_properties.list_stored(connection, uuids, _keys(self._plans))
        disks = list_block_devices(connection, uuids) if _need_disks(self._plans) else {}
        taken = image_properties.list_taken(connection, _put_back(self._plans))
        return Stored(locked, properties, disks, specs, taken)

    def _due(self, stored: Stored) -> Iterator[Due]:
        """Yield the plans that can land, with what is still to be written; keep what is not."""
        for whole in self._plans:
            way = self._ways.get(whole.instance)
            plan = way.plan if way else whole
            if plan.instance not in stored.instances:
                self._refuse(plan, State.STALE, "it is deleted or hidden in its cell")
                continue
            found = Comparison(plan, stored)
            state, due = found.judge(self._resumed)
            if due is None:
                left = {**(way.left if way else {}), **found.not_taken_back()}
                self._refuse(plan, state, found.reason(self._resumed), left)
                continue
            objection = self._objection(plan, stored) if due.touches_cell else None
            if objection is None:
                yield due
            else:
                self._refuse(plan, found.state_if_refused(self._resumed), objection)

    def _objection(self, plan: Plan, stored: Stored) -> str | None:
        way = self._ways.get(plan.instance)
        found = objection(plan, stored, self._writer.policy.vm_states)
        return found or (way and way.refusal) or self._unread.get(plan.instance)

    def _refuse(
        self, plan: Plan, state: State, reason: str, left: Mapping[str, str] = _NOTHING
    ) -> None:
        text, code = f"instance {plan.instance}: {reason}", StalePlan.exit_code
        self._outcomes[plan.instance] = Outcome(state, text, code, left=left)

    def _outcome(self, due: Due) -> Outcome:
        way = self._ways.get(due.plan.instance)
        return way.outcome(due.outcome) if way else due.outcome

    def _landed(self, due: Due, stored: Stored) -> Outcome:
        """Return the outcome of DUE, with the state of its server when that was written.

        What an earlier attempt has written it wrote in one of the states that it needs.
        """
        vm_state, outcome = stored.instances[due.plan.instance].vm_state, self._outcome(due)
        if due.touches_cell:
            return replace(outcome, vm_state=vm_state)
        if not self._resumed:
            return outcome
        needed = self._writer.policy.vm_states
        return replace(outcome, vm_state=vm_state if vm_state in needed else min(needed))

    def _write_cell(
        self, connection: sa.Connection, stored: Stored, landing: Sequence[Due]
    ) -> None:
        policy = self._writer.policy
        touching = [due for due in landing if due.touches_cell]
        if not policy.touches_instances:
            touching = [due for due in touching if due.in_cell]
        uuids = [due.plan.instance for due in touching]
        if not touching:
            return
        locked = [stored.instances[uuid] for uuid in uuids]
        writes.touch_instances(connection, locked, policy.vm_states, roots(touching))
        writes.write_system_metadata(connection, property_writes(touching, stored))
        writes.write_disks(connection, disk_writes(touching))
        if policy.instance_action is not None:
            writes.record_actions(connection, uuids, policy.instance_action)
        self.may_be_written = True


def _keys(plans: Sequence[Plan]) -> list[str] | None:
    """Return the keys of system_metadata that PLANS write or copy from; None for all."""
    places = {item.place for plan in plans for item in plan.changes}
    of_rows = (Kind.PROPERTY, Kind.HIDDEN)
    names = {place.name for place in places if place.kind in of_rows}
    names |= {"hw_disk_bus"} if _need_disks(plans) else set()
    copied = sources([item for plan in plans if SOURCE in plan.guard for item in plan.changes])
    if copied is None:
        return None
    return [image_properties.PREFIX + name for name in names | copied]


def _put_back(plans: Iterable[Plan]) -> list[int]:
    """Return the ids under which PLANS put rows back that a later row hides."""
    items = (item for plan in plans for item in plan.changes if item.before is ABSENT)
    return [item.place.row for item in items if item.place.kind is Kind.HIDDEN and item.place.row]


def _need_disks(plans: Iterable[Plan]) -> bool:
    return any("kept_disks" in plan.guard for plan in plans)
