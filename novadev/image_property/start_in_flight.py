"""What Nova was doing with a server while its properties were written, and what came of both.

nova-api reads the instance and hands what it has read to nova-compute, which builds the guest by
it; the disks it reads from the database (nova/compute/api.py ``start``, ``reboot``, ``resize``;
nova/compute/manager.py ``_get_instance_block_device_info``). A commit of novadev's in between makes
a guest that is half new.

What Nova has read it may also store again. ``Instance.save`` writes all of ``system_metadata``
where one key has changed, as for a lock with a reason, which is no task (nova/compute/api.py
``lock``; nova/db/main/api.py ``_instance_metadata_update_in_place``), a shelve, a resize or a
rescue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from novadev.deployment import Deployment
from novadev.errors import NovadevError, StartedMeanwhile
from novadev.image_property.planning import VM_STATES
from novadev.nova.image_properties import PREFIX, StoredProperty, list_stored
from novadev.nova.instances import list_states
from novadev.rules.server_states import way_after
from novadev.runs.change import Change
from novadev.runs.place import Kind
from novadev.runs.plan import Outcome, Plan
from novadev.runs.second_look import Since, Written
from novadev.runs.states import State
from novadev.value import ABSENT, Value, shown

HARMLESS_TASKS = frozenset(
    (
        *("deleting", "soft-deleting", "powering-off", "pausing", "unpausing", "suspending"),
        *("resuming", "image_snapshot", "image_snapshot_pending", "image_pending_upload"),
        *("image_uploading", "image_backup", "updating_password", "migrating", "unrescuing"),
        *("resize_confirming", "shelving_offloading"),
    )
)
"""Tasks that build no guest by the stored properties (nova/compute/task_states.py)."""
_STORES_AGAIN = ("resize_", "shelving", "unshelving", "rescuing")
"""Beginnings of tasks in which nova-compute changes system_metadata (nova/compute/manager.py
``_prep_resize``, ``_shelve_instance``, ``_unshelve_instance``; virt/libvirt/driver.py
``_configure_guest_by_virt_type``).
"""
_STARTED_NOWHERE = VM_STATES | {"soft-delete", "deleted"}


def look_again(deployment: Deployment, written: Sequence[Written], since: Since) -> list[Outcome]:
    """Return the outcomes of WRITTEN plans of one cell, in order, after one look at their servers.

    A server that Nova is starting, or has started, gets an error beside its state; one of which
    Nova has stored the old properties again is half. So is an error beside all where the cell gives
    no answer. They are known to be stored SINCE then.
    """
    cell = deployment.cell(written[0][0].cell)
    uuids = [plan.instance for plan, _ in written]
    try:
        with deployment.cell_database(cell).reading() as connection:
            states = list_states(connection, uuids)
            rows = list_stored(connection, uuids, _keys(written))
    except NovadevError as error:
        text = f"novadev could not check whether Nova was starting it meanwhile: {error}"
        return [
            _with(outcome, f"instance {plan.instance}: {text}", error.exit_code)
            for plan, outcome in written
        ]
    return [
        _looked(plan, outcome, states[plan.instance], rows.get(plan.instance, ()), since)
        if plan.instance in states
        else outcome
        for plan, outcome in written
    ]


def _keys(written: Sequence[Written]) -> set[str]:
    return {PREFIX + item.place.name for plan, _ in written for item in _properties(plan)}


def _looked(
    plan: Plan,
    outcome: Outcome,
    state: tuple[str | None, str | None],
    rows: Sequence[StoredProperty],
    since: Since,
) -> Outcome:
    doing, is_past = _doing(outcome.vm_state, *state), since is Since.PAST
    code = StartedMeanwhile.exit_code
    again = [] if _is(state[1], "rebuil") else _stored_again(plan, rows)
    if again:
        now = f"; {doing} now" if doing else ""
        found = _with(outcome, _about_old_values(plan, again, now, is_past), code)
        return found if is_past else replace(found, state=State.HALF)
    if doing is None:
        return outcome
    return _with(outcome, _told(plan, doing, state, since is not Since.WRITE), code)


def _with(outcome: Outcome, text: str, code: int) -> Outcome:
    error = "; ".join(filter(None, (outcome.error, text)))
    return replace(outcome, error=error, exit_code=outcome.exit_code or code)


def _doing(before: str | None, vm_state: str | None, task_state: str | None) -> str | None:
    """Return what Nova does with a server that was in state BEFORE, None where it builds none."""
    if task_state is not None and task_state not in HARMLESS_TASKS:
        return f"its task is {task_state}"
    was_down = before in VM_STATES
    return f"it is {vm_state}" if was_down and vm_state not in _STARTED_NOWHERE else None


def _stored_again(plan: Plan, rows: Sequence[StoredProperty]) -> list[Change]:
    """Return the changes of PLAN whose property has its old value again in ROWS."""
    now = {row.key: row.value for row in rows}  # Nova reads the last
    return [item for item in _properties(plan) if _value(now, item) == item.before]


def _value(now: Mapping[str, str | None], item: Change) -> Value:
    value: Value = now.get(PREFIX + item.place.name, ABSENT)
    return value


def _about_old_values(plan: Plan, again: Sequence[Change], now: str, is_past: bool) -> str:
    """Say what is stored again; of what was written some time ago it may be anybody's decision."""
    disks = ", but its disks are as novadev has stored them" if _moves_disks(plan) else ""
    old = f"instance {plan.instance}: {', '.join(map(_old_value, again))} is stored again"
    if is_past:
        return f"{old}{disks}{now}. Nova or somebody else has stored it since novadev's write"
    return (
        f"{old}{disks}{now}. Nova had read it before novadev's write, and stored it after that. "
        "Before the next start, write the change once more (novadev resume) or take all of it back "
        "(novadev undo)"
    )


def _told(plan: Plan, doing: str, state: tuple[str | None, str | None], resumed: bool) -> str:
    """Say what Nova did with the server, what may have come of it, and what mends it."""
    vm_state, task = state
    what, when = ("shelving", "shelves") if _is(task, "shelving") else ("starting", "has started")
    when = f"{when} it since" if resumed else "right after"
    was = f"instance {plan.instance}: Nova was {what} it during novadev's write, or {when}"
    old = ", ".join(map(_old_value, _properties(plan)))
    way = way_after(vm_state, task)
    if not old:
        return (
            f"{was} ({doing} now). Nova may have used the old request spec and may store it again. "
            f"When the task is over, run the same command once more, and {way} {plan.instance}"
        )
    if _is(task, "rebuil"):
        return (
            f"{was} ({doing} now). A rebuild stores the properties of its image. When the task is "
            f"over, see what is stored: novadev image-property list {plan.instance}"
        )
    return (
        f"{was} ({doing} now). {_what_came_of_it(plan, task, old)}"
        f"{_if_stored_again(plan, vm_state, task)} This gives the guest what is stored now: "
        f"{way} {plan.instance}"
    )


def _what_came_of_it(plan: Plan, task: str | None, old: str) -> str:
    if _is(task, "shelving"):
        return f"Its snapshot may have what was stored before ({old})."
    disks = ", but with its disks as they are stored now" if _moves_disks(plan) else ""
    return f"The guest may have started with what was stored before ({old}){disks}."


def _if_stored_again(plan: Plan, vm_state: str | None, task: str | None) -> str:
    """Return what to look at where Nova stores what it has read once more at the end of TASK."""
    unshelves = _is(task, "powering-on") and vm_state == "shelved"
    if not unshelves and not _is(task, *_STORES_AGAIN):
        return ""
    return (
        " Nova may store that again when the task is over: see then what is stored (novadev "
        f"image-property list {plan.instance}), and run the same command once more if need be."
    )


def _is(task: str | None, *beginnings: str) -> bool:
    return task is not None and task.startswith(beginnings)


def _properties(plan: Plan) -> list[Change]:
    return [item for item in plan.changes if item.place.kind is Kind.PROPERTY]


def _old_value(item: Change) -> str:
    name, value = item.place.name, item.before
    return f"no {name}" if value is ABSENT else f"{name}={shown(value)}"


def _moves_disks(plan: Plan) -> bool:
    return any(item.place.kind is Kind.DISK for item in plan.changes)
