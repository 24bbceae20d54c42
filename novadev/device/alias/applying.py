"""The writer of aliases: the databases are asked once more, then every host writes its guests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from novadev.deployment import Deployment
from novadev.device.alias.writing import write_guest
from novadev.errors import NovadevError, StalePlan
from novadev.nova.attached import list_attachments
from novadev.nova.instances import Instance, InstanceFilter, list_instances
from novadev.plan import Outcome, Plan
from novadev.virt.pool import Answer


def apply(deployment: Deployment, plans: Sequence[Plan], resumed: bool) -> list[Outcome]:
    """Write PLANS of one cell, each on its host, and return an outcome for each, in order.

    Never raises for a plan: its outcome says it. A plan whose host was lost while it was written
    is left for resume.
    """
    found = dict(_refused(deployment, plans))
    places: dict[str, list[int]] = {}
    for place, plan in enumerate(plans):
        if place not in found:
            places.setdefault(plan.host or "", []).append(place)
    work = {host: [(plans[place], resumed) for place in at] for host, at in places.items()}
    coming = {host: iter(at) for host, at in places.items()}
    for answer in deployment.hosts.run(write_guest, work):
        found[next(coming[answer.host])] = _outcome(answer, resumed)
    return [found[place] for place in range(len(plans))]


def _outcome(answer: Answer[Outcome], resumed: bool) -> Outcome:
    """Return what became of a plan: of one whose host was lost, anything may be."""
    if answer.error is None:
        return answer.result()
    may_be_written = answer.was_asked or resumed
    state = "started" if may_be_written else "planned"
    return Outcome(state, str(answer.error), answer.error.exit_code)


def _refused(deployment: Deployment, plans: Sequence[Plan]) -> Iterator[tuple[int, Outcome]]:
    """Yield the place and the outcome of the plans that the databases speak against."""
    for cell in {plan.cell for plan in plans} - {""}:
        members = [(place, plan) for place, plan in enumerate(plans) if plan.cell == cell]
        try:
            reasons = _reasons(deployment, cell, [plan for _, plan in members])
        except NovadevError as error:
            outcome = Outcome("planned", str(error), error.exit_code)
            yield from ((place, outcome) for place, _ in members)
        else:
            for (place, plan), reason in zip(members, reasons, strict=True):
                if reason is not None:
                    text = f"instance {plan.instance}: {reason}"
                    yield place, Outcome("stale", text, StalePlan.exit_code)


def _reasons(deployment: Deployment, cell: str, plans: Sequence[Plan]) -> list[str | None]:
    uuids = [plan.instance for plan in plans]
    with deployment.cell_database(deployment.cell(cell)).reading() as connection:
        living = list_instances(connection, cell, uuids, InstanceFilter())
        attachments = list_attachments(connection, uuids)
    instances = {instance.uuid: instance for instance in living}
    return [
        _reason(plan, instances.get(plan.instance), attachments[plan.instance].unfinished)
        for plan in plans
    ]


def _reason(plan: Plan, instance: Instance | None, unfinished: str | None) -> str | None:
    """Return what has changed since PLAN was made, None when nothing has."""
    if instance is None:
        return "it is deleted"
    if instance.host != plan.host:
        return f"it is on host {instance.host} now, and was planned on {plan.host}"
    if instance.task_state is not None:
        return f"it has a task in progress now: {instance.task_state}"
    if unfinished is not None:
        return f"its {unfinished}"
    if instance.vm_state == "rescued":
        return "it is rescued now"
    if plan.guard.get("whole_definition") and instance.vm_state != "stopped":
        return f"it is {instance.vm_state} now: its whole definition cannot be written"
    return None
