"""Definitions planned and written on many hosts: the parent's side, which has the databases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from novadev.deployment import Deployment
from novadev.device.guests import Hosted
from novadev.device.hosted_instance import HostedInstance
from novadev.errors import NovadevError, StalePlan
from novadev.nova.attached import list_attachments
from novadev.nova.instances import Instance, InstanceFilter, list_instances
from novadev.residence import present_hosts
from novadev.runs.lease import Fence
from novadev.runs.plan import AGAIN, Outcome, Plan, Planned, Skip
from novadev.runs.preview import Previewed
from novadev.runs.states import State
from novadev.virt.asking import Answer
from novadev.virt.host import Host

Q = TypeVar("Q")
T = TypeVar("T")
_GONE = "it is deleted or hidden in its cell"
Refusal = Callable[[Plan, Instance], str | None]
"""Why a plan can no longer be carried out, beside what stands against every one."""


def plan_on_hosts(
    deployment: Deployment,
    chunk: Iterable[Hosted],
    plan_guest: Callable[[Host, HostedInstance, Q], tuple[Planned, ...]],
    question: Callable[[HostedInstance], Q],
) -> Iterator[Planned]:
    """Yield what PLAN_GUEST returns of each on its host, asked its QUESTION, and all skips."""
    work: dict[str, list[tuple[HostedInstance, Q]]] = {}
    for item in chunk:
        if isinstance(item, Skip):
            yield item
        else:
            work.setdefault(item.host, []).append((item, question(item)))
    for answer in deployment.hosts.run(plan_guest, work):
        instance: HostedInstance = answer.arguments[0]
        if answer.error is not None:
            yield Skip.of(instance.uuid, answer.error, instance.named)
        else:
            yield from answer.result()


def apply_on_hosts(
    deployment: Deployment,
    plans: Sequence[Plan],
    resumed: bool,
    fence: Fence,
    write_guest: Callable[[Host, Plan, bool], Outcome],
    refusal: Refusal = lambda _plan, _instance: None,
) -> list[Outcome]:
    """Write PLANS of one cell, each on its host, and return an outcome for each, in order.

    The databases are asked once more before, and FENCE before each guest. Raises what FENCE
    raises, but never for a plan: its outcome says it. A plan whose host was lost while it was
    written is left for resume.
    """
    plans = _followed(deployment, plans)
    found = dict(_refused(deployment, plans, resumed, refusal))
    places: dict[str, list[int]] = {}
    for place, plan in enumerate(plans):
        if place not in found:
            places.setdefault(plan.host or "", []).append(place)
    work = {host: [(plans[place], resumed) for place in at] for host, at in places.items()}
    coming = {host: iter(at) for host, at in places.items()}
    fenced = Fenced(fence)
    for answer in deployment.hosts.run(write_guest, fenced.work(work)):
        found[next(coming[answer.host])] = _outcome(answer, resumed)
    fenced.check()
    return [found[place] for place in range(len(plans))]


def preview_on_hosts(
    deployment: Deployment,
    plans: Sequence[Plan],
    resumed: bool,
    preview_guest: Callable[[Host, Plan, bool], Outcome],
    refusal: Refusal = lambda _plan, _instance: None,
) -> list[Previewed]:
    """Return PLANS of one cell, each with what `apply_on_hosts` would make of it now.

    PREVIEW_GUEST compares as the writer does, and writes nothing.
    """
    plans = _followed(deployment, plans)
    outcomes = apply_on_hosts(deployment, plans, resumed, lambda: None, preview_guest, refusal)
    return list(zip(plans, outcomes, strict=True))


def _followed(deployment: Deployment, plans: Sequence[Plan]) -> list[Plan]:
    """Return PLANS of one cell; what is taken back by parts is so where the server is now.

    Its definition has come along with a live migration.
    """
    movable = [plan for plan in plans if plan.partly]
    hosts = present_hosts(deployment, movable)
    return [
        replace(plan, host=hosts.get(plan.instance) or plan.host) if plan.partly else plan
        for plan in plans
    ]


class Fenced:
    """Work for hosts that is handed out only while a fence holds."""

    def __init__(self, fence: Fence) -> None:
        self._fence = fence
        self._lost: NovadevError | None = None

    def work(self, by_host: Mapping[str, Iterable[T]]) -> dict[str, Iterator[T]]:
        """Return the same work; none of it is begun once the fence has raised its error."""
        return {host: self._while_held(items) for host, items in by_host.items()}

    def _while_held(self, items: Iterable[T]) -> Iterator[T]:
        for item in items:
            try:
                self._fence()
            except NovadevError as error:
                self._lost = self._lost or error
            if self._lost is not None:
                return
            yield item

    def check(self) -> None:
        """Raise what the fence raised, after what was begun has been answered."""
        if self._lost is not None:
            raise self._lost


def _outcome(answer: Answer[Outcome], resumed: bool) -> Outcome:
    """Return what became of a plan: of one whose host was lost, anything may be."""
    if answer.error is None:
        return answer.result()
    state = _left(answer.was_asked or resumed)
    return Outcome(state, str(answer.error), answer.error.exit_code)


def _left(may_be_written: bool) -> State:
    return State.STARTED if may_be_written else State.PLANNED


def _refused(
    deployment: Deployment, plans: Sequence[Plan], resumed: bool, refusal: Refusal
) -> Iterator[tuple[int, Outcome]]:
    """Yield the place and the outcome of the plans that the databases speak against.

    RESUMED: what they would have written may be there, so it is left for a later resume or undo.
    """
    for cell in {plan.cell for plan in plans} - {""}:
        members = [(place, plan) for place, plan in enumerate(plans) if plan.cell == cell]
        try:
            reasons = _reasons(deployment, cell, [plan for _, plan in members], refusal)
        except NovadevError as error:
            outcome = Outcome(_left(resumed), str(error), error.exit_code)
            yield from ((place, outcome) for place, _ in members)
        else:
            for (place, plan), reason in zip(members, reasons, strict=True):
                if reason is not None:
                    text = f"instance {plan.instance}: {reason}"
                    state = State.STARTED if resumed and reason != _GONE else State.STALE
                    yield place, Outcome(state, text, StalePlan.exit_code)


def _reasons(
    deployment: Deployment, cell: str, plans: Sequence[Plan], refusal: Refusal
) -> list[str | None]:
    uuids = [plan.instance for plan in plans]
    with deployment.cell_database(deployment.cell(cell)).reading() as connection:
        living = list_instances(connection, cell, uuids, InstanceFilter())
        attachments = list_attachments(connection, uuids)
    instances = {instance.uuid: instance for instance in living}
    return [
        _reason(plan, instances.get(plan.instance), attachments[plan.instance].unfinished, refusal)
        for plan in plans
    ]


def _reason(
    plan: Plan, instance: Instance | None, unfinished: str | None, refusal: Refusal
) -> str | None:
    """Return what has changed since PLAN was made, None when nothing has."""
    if instance is None:
        return _GONE
    if instance.host != plan.host:
        now = f"host {instance.host}" if instance.host else "no host"
        where = f"it is on {now} now, but the plan was made for {plan.host}"
        return f"{where}: {AGAIN}"
    if instance.task_state is not None:
        return f"it has a task in progress now: {instance.task_state}"
    if unfinished is not None:
        return f"its {unfinished}"
    if instance.vm_state == "rescued":
        return "it is rescued now"
    return refusal(plan, instance)
