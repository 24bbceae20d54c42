"""A plan that comes from a file must be one that detach would make."""

from __future__ import annotations

import re
from collections.abc import Mapping

from novadev.change import ABSENT
from novadev.errors import BadInput
from novadev.state.journal import Draft

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def check(draft: Draft) -> None:
    """Raise BadInput where DRAFT is no plan of this kind."""
    plan = draft.plan
    if not _UUID.fullmatch(plan.instance) or not isinstance(plan.host, str) or not plan.host:
        raise BadInput(f"plan file: {plan.instance!r:.60} is no instance on a host")
    if len(plan.changes) != 1 or plan.changes[0].after is not ABSENT or draft.undoes is not None:
        raise BadInput(f"plan file: instance {plan.instance}: a detach takes out one device")
    sides = (plan.guard.get("persistent"), plan.guard.get("live"))
    if sides == (None, None) or not all(map(_is_device, sides)):
        raise BadInput(f"plan file: instance {plan.instance}: the device is not described")
    timeout, force = plan.guard.get("timeout"), plan.guard.get("force")
    if type(timeout) is not int or not isinstance(force, bool):
        raise BadInput(f"plan file: instance {plan.instance}: no time limit, or no word on force")


def _is_device(values: object) -> bool:
    return values is None or (
        isinstance(values, Mapping) and all(isinstance(text, str) for text in values.values())
    )
