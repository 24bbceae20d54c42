"""Maps the action of a plan to the function that applies it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from novadev.errors import BadInput

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.runs.carry_out import Apply
    from novadev.runs.lease import Fence
    from novadev.runs.plan import Outcome, Plan
    from novadev.runs.second_look import SecondLook, Written

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
"""Modules whose ``apply`` writes a batch."""
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
        action = plans[0].action
        if action not in ACTIONS:
            raise BadInput(f"there is no action {action!r}")
        applying = import_module(ACTIONS[action])
        stale = residence.stale(plans, resumed)
        due = [plan for plan in plans if plan.instance not in stale]
        outcomes: list[Outcome] = applying.apply(deployment, due, resumed, fence) if due else []
        written = iter(outcomes)
        return [stale.get(plan.instance) or next(written) for plan in plans]

    return apply


def second_look(deployment: Deployment) -> SecondLook:
    """Return what looks again at the servers of DEPLOYMENT whose stored properties were written."""
    from novadev.image_property.started import look_again
    from novadev.runs.second_look import SecondLook

    def look(written: Sequence[Written], resumed: bool) -> list[Outcome]:
        return look_again(deployment, written, resumed)

    return SecondLook(look, deployment.config.start_check_delay)
