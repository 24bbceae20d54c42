"""A plan's action, and the function that applies it: for every command, undo and resume."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from novadev.errors import BadInput

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.plan import Apply, Outcome, Plan

ACTIONS = {
    "image-property set": "novadev.image_property.applying:apply",
    "image-property unset": "novadev.image_property.applying:apply",
}


def applier(deployment: Deployment) -> Apply:
    """Return the function that applies batches of plans in DEPLOYMENT, each by its action.

    A batch has one action: a run does one thing. Raises BadInput for an action novadev has not.
    """

    def apply(plans: Sequence[Plan], resumed: bool) -> list[Outcome]:
        action = plans[0].action
        if action not in ACTIONS:
            raise BadInput(f"there is no action {action!r}")
        module, _, name = ACTIONS[action].partition(":")
        outcomes: list[Outcome] = getattr(import_module(module), name)(deployment, plans, resumed)
        return outcomes

    return apply
