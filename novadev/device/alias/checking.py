"""A plan that comes from a file must be one that alias-migrate or an undo of it would make."""

from __future__ import annotations

import re

from novadev.change import ABSENT, Change
from novadev.device.alias import SUFFIX
from novadev.errors import BadInput
from novadev.state.journal import Draft
from novadev.virt.alias import Alias

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TAGS = ("disk", "interface", "hostdev", "filesystem")


def check(draft: Draft) -> None:
    """Raise BadInput where DRAFT is no plan of this kind."""
    plan = draft.plan
    if not _UUID.fullmatch(plan.instance) or not isinstance(plan.host, str) or not plan.host:
        raise BadInput(f"plan file: {plan.instance!r:.60} is no instance on a host")
    names = [item.what for item in plan.changes]
    if not names or len(set(names)) != len(names):
        raise BadInput(f"plan file: instance {plan.instance}: no change, or one twice")
    for item in plan.changes:
        _check_change(item)
    found, whole = plan.guard.get("definition"), plan.guard.get("whole_definition")
    if not isinstance(found, str) or not _DIGEST.fullmatch(found) or not isinstance(whole, bool):
        raise BadInput(f"plan file: instance {plan.instance}: the definition's digest is missing")


def _check_change(item: Change) -> None:
    tag, _, rest = item.what.partition(" ")
    if tag not in _TAGS or not rest.endswith(SUFFIX.strip()):
        raise BadInput(f"plan file: {item.what!r:.60} is not the alias of a device")
    for value in (item.before, item.after):
        if value is not ABSENT and not (isinstance(value, str) and Alias(value).is_user_defined):
            raise BadInput(f"plan file: {item.what:.60}: {value!r:.60} is no alias")
