"""A plan's action, and the function that applies it: for every command, undo and resume."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from novadev.errors import BadInput

if TYPE_CHECKING:
    from novadev.deployment import Deployment
    from novadev.plan import Apply, Outcome, Plan
    from novadev.plan_file import Check
    from novadev.state.journal import Draft

ACTIONS = {
    "device alias-migrate": "novadev.device.alias",
    "device detach": "novadev.device.detach",
    "device import": "novadev.device.exchange",
    "device restore": "novadev.device.restore",
    "image-property set": "novadev.image_property",
    "image-property unset": "novadev.image_property",
    "machine-type set": "novadev.machine_type",
    "stash-defaults": "novadev.stash_defaults",
}
"""Packages: ``applying.apply`` writes a batch, ``checking.check`` looks at a plan from a file."""
IRREVERSIBLE = frozenset(("device detach",))
"""What cannot be taken back, so that undo refuses it and the question says it."""


def applier(deployment: Deployment) -> Apply:
    """Return the function that applies batches of plans in DEPLOYMENT, each by its action.

    A batch has one action: a run does one thing. Raises BadInput for an action novadev has not.
    """

    def apply(plans: Sequence[Plan], resumed: bool) -> list[Outcome]:
        action = plans[0].action
        if action not in ACTIONS:
            raise BadInput(f"there is no action {action!r}")
        applying = import_module(f"{ACTIONS[action]}.applying")
        outcomes: list[Outcome] = applying.apply(deployment, plans, resumed)
        return outcomes

    return apply


def checks() -> dict[str, Check]:
    """Return, for each action, what looks at its plans when they come from a file."""
    return {action: _check(package) for action, package in ACTIONS.items()}


def _check(package: str) -> Check:
    def check(draft: Draft) -> None:
        import_module(f"{package}.checking").check(draft)

    return check
