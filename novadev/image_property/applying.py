"""The writer: a batch of plans into a cell's database first, into the API database second.

The request specs are locked and compared before the cell is written, and written after the cell's
commit: what stops in between leaves a cell as planned and a spec as before, which resume or undo
finishes. A batch that meets a lock or a surprise is split until it is one instance.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from novadev.deployment import Deployment
from novadev.errors import Busy, NovadevError, StalePlan, Unreachable
from novadev.image_property.found import Found
from novadev.image_property.planning import VM_STATES
from novadev.nova import image_properties, writes
from novadev.nova.block_devices import list_block_devices
from novadev.nova.request_specs import RequestSpec, list_request_specs
from novadev.nova.writes import DiskWrite, SystemMetadataWrite
from novadev.runs.change import Change
from novadev.runs.place import Kind
from novadev.runs.plan import APPLIED, Outcome, Plan
from novadev.value import Value, shown

if TYPE_CHECKING:
    import sqlalchemy as sa

ATTEMPTS = 3
"""How often one instance is tried when a lock is in the way."""
PATIENCE = 3
"""After how many instances that a lock kept from being written a batch is given up."""


@dataclass(frozen=True)
class Policy:
    """In which states an instance may be written, and what its owner is told of it.

    ``instance_action`` is what ``openstack server event list`` shows; None: nothing, because
    nothing happens to the guest.
    """

    vm_states: frozenset[str]
    instance_action: str | None


CHANGES_GUESTS = Policy(VM_STATES, "update_image_property")


def apply(
    deployment: Deployment, plans: Sequence[Plan], resumed: bool, policy: Policy = CHANGES_GUESTS
) -> list[Outcome]:
    """Write PLANS of one cell and return an outcome for each, in order.

    RESUMED: parts of them may be there already. Never raises for a plan: its outcome says it;
    what a lock or an unreachable database kept from being written stays for resume.
    """
    outcomes: list[Outcome] = []
    _write(_Writer(deployment, policy), plans, resumed, outcomes)
    return outcomes


@dataclass(frozen=True)
class _Writer:
    """Where and how batches are written."""

    deployment: Deployment
    policy: Policy

    def batch(self, plans: Sequence[Plan], resumed: bool) -> Batch:
        return Batch(self.deployment, plans, resumed, self.policy)


def _write(writer: _Writer, plans: Sequence[Plan], resumed: bool, outcomes: list[Outcome]) -> None:
    """Add an outcome for each of PLANS to OUTCOMES, splitting them where somebody is in the way."""
    if sum(outcome.exit_code == Busy.exit_code for outcome in outcomes) >= PATIENCE:
        outcomes += [_left(resumed, Busy("given up: another writer holds too many locks"))] * len(
            plans
        )
        return
    batch = writer.batch(plans, resumed)
    try:
        outcomes += batch.write()
        return
    except (Busy, StalePlan):
        resumed = resumed or batch.is_touched
    except NovadevError as error:
        outcomes += batch.outcomes_after(error)
        return
    if len(plans) == 1:
        outcomes.append(_insist(writer, plans[0], resumed))
        return
    half = len(plans) // 2
    _write(writer, plans[:half], resumed, outcomes)
    _write(writer, plans[half:], resumed, outcomes)


def _left(resumed: bool, error: NovadevError) -> Outcome:
    """Return the outcome of a plan that resume is to try again."""
    return Outcome("started" if resumed else "planned", str(error), error.exit_code)


def _insist(writer: _Writer, plan: Plan, resumed: bool) -> Outcome:
    """Try one plan some more times; what is in its way then is its outcome."""
    for attempt in range(1, ATTEMPTS + 1):
        time.sleep(random.uniform(0, 0.2 * attempt))  # noqa: S311 - spreads writers, no secret
        batch = writer.batch([plan], resumed)
        try:
            return batch.write()[0]
        except (Busy, StalePlan) as found:
            error = found
            resumed = resumed or batch.is_touched
        except NovadevError as found:
            return batch.outcomes_after(found)[0]
    if isinstance(error, StalePlan):
        return Outcome("stale", f"instance {plan.instance}: {error}", error.exit_code)
    return _left(resumed, error)


class Batch:
    """Plans of one cell on their way into both databases."""

    def __init__(
        self, deployment: Deployment, plans: Sequence[Plan], resumed: bool, policy: Policy
    ) -> None:
        self._deployment = deployment
        self._policy = policy
        self._plans = plans
        self._resumed = resumed
        self._outcomes: dict[str, Outcome] = {}
        self._touched: set[str] = set()

    @property
    def is_touched(self) -> bool:
        """Whether the cell may have been written: then what is there is looked at again."""
        return bool(self._touched)

    def outcomes_after(self, error: NovadevError) -> list[Outcome]:
        """Return the outcomes of a batch that ERROR ended; ``started``: the cell may be done."""
        text = f"{error}; the cell may be written, the request spec is not"
        half = Outcome("started", text, error.exit_code)
        kept = "planned" if isinstance(error, Unreachable) else "failed"
        none = Outcome(kept, str(error), error.exit_code)
        return [
            self._outcomes.get(plan.instance, half if self._may_be_half(plan) else none)
            for plan in self._plans
        ]

    def _may_be_half(self, plan: Plan) -> bool:
        return self._resumed or plan.instance in self._touched

    def write(self) -> list[Outcome]:
        """Write both halves; raises Busy or StalePlan where another writer was in the way."""
        cell = self._deployment.cell(self._plans[0].cell)
        uuids = [plan.instance for plan in self._plans]
        with self._deployment.api.writing() as api:
            specs = list_request_specs(api, uuids, lock=True)
            with self._deployment.cell_database(cell).writing() as connection:
                found = self._look(connection, uuids, specs)
                landing = list(self._check(found))
                self._write_cell(connection, found, [plan for plan, due in landing if due])
            _write_specs(api, found, [plan for plan, _ in landing])
        self._outcomes.update({plan.instance: APPLIED for plan, _ in landing})
        return [self._outcomes[plan.instance] for plan in self._plans]

    def _look(
        self, connection: sa.Connection, uuids: list[str], specs: Mapping[str, RequestSpec]
    ) -> Found:
        locked = writes.lock_instances(connection, uuids)
        places = {item.place for plan in self._plans for item in plan.changes}
        names = {place.name for place in places if place.kind is Kind.PROPERTY}
        keys = [image_properties.PREFIX + name for name in names]
        properties = image_properties.list_stored(connection, uuids, keys)
        disks = list_block_devices(connection, uuids) if _need_disks(self._plans) else {}
        return Found(locked, properties, disks, specs)

    def _check(self, found: Found) -> Iterator[tuple[Plan, bool]]:
        """Yield the plans that can land, and whether the cell half is still to be written."""
        for plan in self._plans:
            try:
                yield plan, self._is_cell_due(plan, found)
            except StalePlan as error:
                text = f"instance {plan.instance}: {error}"
                self._outcomes[plan.instance] = Outcome("stale", text, error.exit_code)

    def _is_cell_due(self, plan: Plan, found: Found) -> bool:
        """Return whether the cell is still to be written; raises StalePlan where PLAN is stale."""
        if plan.instance not in found.instances:
            raise StalePlan("it is deleted")
        in_cell = _in_cell(plan)
        is_done = self._resumed and _is_done(in_cell or plan.changes, plan.instance, found)
        for item in plan.changes:
            if item.place.kind is Kind.SPEC:
                half = "; its cell is as planned" if is_done else ""
                _expect(item, found.value(plan.instance, item.place), self._resumed, half)
        if is_done:
            return False
        for item in in_cell:
            _expect(item, found.value(plan.instance, item.place), or_after=False)
        _check_guard(plan, found, self._policy)
        return True

    def _write_cell(self, connection: sa.Connection, found: Found, plans: Sequence[Plan]) -> None:
        uuids = [plan.instance for plan in plans]
        if not plans:
            return
        writes.touch_instances(
            connection,
            [found.instances[uuid] for uuid in uuids],
            self._policy.vm_states,
            _roots(plans),
        )
        writes.write_system_metadata(connection, _property_writes(plans, found))
        writes.write_disks(connection, _disk_writes(plans))
        if self._policy.instance_action is not None:
            writes.record_actions(connection, uuids, self._policy.instance_action)
        self._touched.update(uuids)


def _in_cell(plan: Plan) -> list[Change]:
    return [item for item in plan.changes if item.place.is_in_cell]


def _need_disks(plans: Iterable[Plan]) -> bool:
    return any("kept_disks" in plan.guard for plan in plans)


def _is_done(changes: Iterable[Change], instance: str, found: Found) -> bool:
    return all(found.value(instance, item.place) == item.after for item in changes)


def _expect(item: Change, value: Value, or_after: bool, half: str = "") -> None:
    if value != item.before and not (or_after and value == item.after):
        raise StalePlan(
            f"{item.what} is {shown(value)}, and was planned from {shown(item.before)}{half}"
        )


def _check_guard(plan: Plan, found: Found, policy: Policy) -> None:
    locked = found.instances[plan.instance]
    if locked.vm_state not in policy.vm_states:
        raise StalePlan(f"it is {locked.vm_state} now")
    if locked.task_state is not None:
        raise StalePlan(f"it has a task in progress now: {locked.task_state}")
    if "kept_disks" in plan.guard:
        _check_disks(plan, found)


def _check_disks(plan: Plan, found: Found) -> None:
    """Raise StalePlan where a disk came, went or changed since the plan was made."""
    moved = {item.place.row for item in plan.changes if item.place.kind is Kind.DISK}
    disks = found.disks.get(plan.instance, ())
    kept = [[disk.id, disk.disk_bus, disk.device_name] for disk in disks if disk.id not in moved]
    if kept != [list(item) for item in plan.guard["kept_disks"]]:
        raise StalePlan("its disks are not those of the plan any more: plan again")


def _roots(plans: Iterable[Plan]) -> dict[str, Value]:
    return {
        plan.instance: item.after
        for plan in plans
        for item in plan.changes
        if item.place.kind is Kind.ROOT
    }


def _property_writes(plans: Iterable[Plan], found: Found) -> Iterator[SystemMetadataWrite]:
    for plan in plans:
        for item in _in_cell(plan):
            if item.place.kind is not Kind.PROPERTY:
                continue
            row = found.property_row(plan.instance, item.place.name)
            key = image_properties.PREFIX + item.place.name
            row_id = row.id if row else None
            yield SystemMetadataWrite(plan.instance, key, row_id, item.before, item.after)


def _disk_writes(plans: Iterable[Plan]) -> Iterator[DiskWrite]:
    for plan in plans:
        by_row: dict[int, list[tuple[str, Value, Value]]] = {}
        for item in plan.changes:
            if item.place.kind is Kind.DISK and item.place.row is not None:
                values = (item.place.name, item.before, item.after)
                by_row.setdefault(item.place.row, []).append(values)
        for row_id, columns in by_row.items():
            before = tuple((name, old) for name, old, _ in columns)
            after = tuple((name, new) for name, _, new in columns)
            yield DiskWrite(row_id, before, after)


def _write_specs(api: sa.Connection, found: Found, plans: Iterable[Plan]) -> None:
    due: list[tuple[int, str, str]] = []
    for plan in plans:
        values = {
            item.place.name: item.after
            for item in plan.changes
            if item.place.kind is Kind.SPEC and found.value(plan.instance, item.place) != item.after
        }
        if values:
            spec = found.specs[plan.instance]
            due.append((spec.id, spec.text, spec.edited(values)))
    writes.write_request_specs(api, due)
