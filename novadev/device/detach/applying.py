"""Carries out detaches: reads Nova's attachments once more, then calls the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from novadev.deployment import Deployment
from novadev.device.detach import writing
from novadev.device.selecting import get_hosted
from novadev.errors import NotAsNeeded, NotFound, NovadevError, StalePlan, Unreachable
from novadev.runs.lease import Fence
from novadev.runs.plan import Outcome, Plan
from novadev.runs.preview import Previewed
from novadev.runs.states import State


def apply(
    deployment: Deployment, plans: Sequence[Plan], resumed: bool, fence: Fence
) -> list[Outcome]:
    """Detach what PLANS say, one after the other, and return an outcome for each, in order.

    Raises what FENCE raises, but never for a plan: its outcome says it.
    """
    outcomes = []
    for plan in plans:
        fence()
        outcomes.append(_on_host(deployment, plan, resumed, writing.detach))
    return outcomes


def preview(deployment: Deployment, plans: Sequence[Plan], resumed: bool) -> list[Previewed]:
    """Return PLANS, each with what is known before `apply` asks for anything."""
    return [(plan, _on_host(deployment, plan, resumed, writing.preview)) for plan in plans]


def _on_host(
    deployment: Deployment, plan: Plan, resumed: bool, work_there: Callable[..., Outcome]
) -> Outcome:
    """Return what WORK_THERE returns for PLAN on its host, or why that was not asked."""
    try:
        hosted = get_hosted(deployment, plan.instance, no_database=not plan.cell)
        if hosted.host != plan.host:
            raise StalePlan(f"instance {plan.instance} is on host {hosted.host} now")
    except (NotFound, NotAsNeeded, StalePlan) as error:
        state = State.STARTED if resumed else State.STALE
        return Outcome(state, str(error), StalePlan.exit_code)
    except NovadevError as error:
        state = State.STARTED if resumed else State.PLANNED
        return Outcome(state, str(error), error.exit_code)
    limit = deployment.hosts.timeout + int(plan.guard["timeout"])
    work = {hosted.host: [(plan, hosted, resumed)]}
    (answer,) = deployment.hosts.run(work_there, work, limit)
    if answer.error is None:
        return answer.result()
    lost = isinstance(answer.error, Unreachable) and (answer.was_asked or resumed)
    state = State.STARTED if lost or resumed else State.FAILED
    return Outcome(state, str(answer.error), answer.error.exit_code)
