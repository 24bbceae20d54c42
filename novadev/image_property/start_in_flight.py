"""Whether Nova was starting a server while its properties were written, and what that start got.

nova-api reads the instance and hands what it has read to nova-compute, which builds the guest by
it; the disks it reads from the database (nova/compute/api.py ``start``, ``reboot``, ``resize``;
nova/compute/manager.py ``_get_instance_block_device_info``). A commit of novadev's in between makes
a guest that is half new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from novadev.deployment import Deployment
from novadev.errors import NovadevError, StartedMeanwhile
from novadev.image_property.planning import VM_STATES
from novadev.nova.instances import list_states
from novadev.runs.place import Kind
from novadev.runs.plan import Outcome, Plan
from novadev.runs.second_look import Written
from novadev.value import ABSENT, shown

HARMLESS_TASKS = frozenset(
    (
        *("deleting", "soft-deleting", "powering-off", "pausing", "unpausing", "suspending"),
        *("resuming", "image_snapshot", "image_snapshot_pending", "image_pending_upload"),
        *("image_uploading", "image_backup", "updating_password", "migrating", "unrescuing"),
        "resize_confirming",
    )
)
"""Tasks that build no guest by the stored properties (nova/compute/task_states.py)."""
_STARTED_NOWHERE = VM_STATES | {"soft-delete", "deleted"}


def look_again(
    deployment: Deployment, written: Sequence[Written], resumed: bool = False
) -> list[Outcome]:
    """Return the outcomes of WRITTEN plans of one cell, in order, after one look at their servers.

    A server that Nova is starting, or has started, gets an error beside its state. So do all where
    the cell gives no answer. RESUMED: an earlier process may have written them, some time ago.
    """
    cell = deployment.cell(written[0][0].cell)
    try:
        with deployment.cell_database(cell).reading() as connection:
            states = list_states(connection, [plan.instance for plan, _ in written])
    except NovadevError as error:
        text = f"novadev could not check whether Nova was starting it meanwhile: {error}"
        return [
            _with(outcome, f"instance {plan.instance}: {text}", error.exit_code)
            for plan, outcome in written
        ]
    found = []
    for plan, outcome in written:
        state = states.get(plan.instance)
        doing = None if state is None else _doing(outcome.vm_state, *state)
        told = None if doing is None else _told(plan, doing, resumed)
        found.append(_with(outcome, told, StartedMeanwhile.exit_code) if told else outcome)
    return found


def _with(outcome: Outcome, text: str, code: int) -> Outcome:
    error = "; ".join(filter(None, (outcome.error, text)))
    return replace(outcome, error=error, exit_code=outcome.exit_code or code)


def _doing(before: str | None, vm_state: str | None, task_state: str | None) -> str | None:
    """Return what Nova does with a server that was in state BEFORE, None where it builds none."""
    if task_state is not None and task_state not in HARMLESS_TASKS:
        return f"its task is {task_state}"
    was_down = before in VM_STATES
    return f"it is {vm_state}" if was_down and vm_state not in _STARTED_NOWHERE else None


def _told(plan: Plan, doing: str, resumed: bool) -> str:
    reboot = f"openstack server reboot --hard {plan.instance}"
    when = "has started it since" if resumed else "right after"
    was = f"instance {plan.instance}: Nova was starting it during novadev's write, or {when}"
    old = ", ".join(_old_values(plan))
    if not old:
        return (
            f"{was} ({doing} now). Nova may have used the old request spec and may store it again. "
            f"When the task is over, run the same command once more, and {reboot}"
        )
    return (
        f"{was} ({doing} now). The guest may have started with what was stored before ({old})"
        f"{_disks(plan)}. A hard reboot gives it what is stored now: {reboot}"
    )


def _old_values(plan: Plan) -> Iterator[str]:
    for item in plan.changes:
        name, value = item.place.name, item.before
        if item.place.kind is Kind.PROPERTY:
            yield f"no {name}" if value is ABSENT else f"{name}={shown(value)}"


def _disks(plan: Plan) -> str:
    moves = any(item.place.kind is Kind.DISK for item in plan.changes)
    return ", but with its disks as they are stored now" if moves else ""
