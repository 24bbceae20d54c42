"""Maps the action of a plan to the functions that apply it, and that preview it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from novadev.errors import BadInput

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.residence import Residence
    from novadev.runs.carry_out import Apply
    from novadev.runs.lease import Fence
    from novadev.runs.plan import Draft, Outcome, Plan, Skip
    from novadev.runs.preview import Previewed
    from novadev.runs.second_look import SecondLook, Since, Written

ACTIONS = {
    "device alias-migrate": "novadev.device.alias.applying",
    "device detach": "novadev.device.detach.applying",
    "device import": "novadev.records.import_",
    "device restore": "novadev.records.restore",
    "image-property set": "novadev.image_property.applying",
    "image-property sync": "novadev.image_property.sync.applying",
    "image-property unset": "novadev.image_property.applying",
    "machine-type set": "novadev.machine_type.applying",
    "stash-defaults": "novadev.stash_defaults.applying",
}
"""Modules whose ``apply`` writes a batch, and whose ``preview`` compares one and writes nothing."""
IRREVERSIBLE = frozenset(("device detach",))
"""What cannot be taken back, so that undo refuses it and the question says it."""


def applier(deployment: Deployment) -> Apply:
    """Return the function that applies batches of plans in DEPLOYMENT, each by its action.

    A batch has one action: a run does one thing. Before it, the cells are asked whether one of its
    instances lives in another cell: such a plan is not written. Raises BadInput for an action
    novadev has not.
    """
    from novadev.residence import Residence

    residence = Residence(deployment)

    def apply(plans: Sequence[Plan], resumed: bool, fence: Fence) -> list[Outcome]:
        def write(due: Sequence[Plan]) -> list[Previewed]:
            outcomes = _module(plans).apply(deployment, due, resumed, fence)
            return list(zip(due, outcomes, strict=True))

        return [outcome for _, outcome in _living(residence, plans, resumed, write)]

    return apply


def with_preview(deployment: Deployment, drafts: Iterable[Draft | Skip]) -> Iterator[Draft | Skip]:
    """Yield DRAFTS of plans of the past, each with what `applier` would make of it now, and skips.

    Raises BadInput for an action novadev has not.
    """
    from novadev.residence import Residence
    from novadev.runs.preview import previewed

    residence = Residence(deployment)

    def preview(plans: Sequence[Plan], resumed: bool) -> list[Previewed]:
        def compare(due: Sequence[Plan]) -> list[Previewed]:
            found: list[Previewed] = _module(plans).preview(deployment, due, resumed)
            return found

        return _living(residence, plans, resumed, compare)

    return previewed(deployment.journal, drafts, preview)


def _module(plans: Sequence[Plan]) -> Any:
    action = plans[0].action
    if action not in ACTIONS:
        raise BadInput(f"there is no action {action!r}")
    return import_module(ACTIONS[action])


def _living(
    residence: Residence,
    plans: Sequence[Plan],
    resumed: bool,
    work: Callable[[Sequence[Plan]], list[Previewed]],
) -> list[Previewed]:
    """Return PLANS with their outcomes: what WORK makes of those whose cell still has them."""
    stale = residence.stale(plans, resumed)
    due = [plan for plan in plans if plan.instance not in stale]
    done = iter(work(due) if due else ())
    return [
        (plan, stale[plan.instance]) if plan.instance in stale else next(done) for plan in plans
    ]


def second_look(deployment: Deployment) -> SecondLook:
    """Return what looks again at the servers of DEPLOYMENT whose stored properties were written."""
    from novadev.image_property.start_in_flight import look_again
    from novadev.runs.second_look import SecondLook

    def look(written: Sequence[Written], since: Since) -> list[Outcome]:
        return look_again(deployment, written, since)

    return SecondLook(look, deployment.config.start_check_delay)
