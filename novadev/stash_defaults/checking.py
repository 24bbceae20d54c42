"""A plan that comes from a file must be one that stash-defaults or an undo of it would make."""

from __future__ import annotations

import re

from novadev.change import ABSENT, Change, Value
from novadev.errors import BadInput, InvalidProperty, InvalidValue
from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES
from novadev.rules.defaults import REGISTERED
from novadev.stash_defaults.sources import BY_DEFAULT, ON_REQUEST
from novadev.state.journal import Draft

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MACHINE_TYPE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def check(draft: Draft) -> None:
    """Raise BadInput, InvalidProperty or InvalidValue where DRAFT is no plan of this kind."""
    plan = draft.plan
    if not _UUID.fullmatch(plan.instance) or not plan.cell:
        raise BadInput(f"plan file: {plan.instance!r:.60} is no instance of a cell")
    names = [item.what for item in plan.changes]
    if not names or len(set(names)) != len(names):
        raise BadInput(f"plan file: instance {plan.instance}: no change, or one twice")
    for item in plan.changes:
        _check_change(item, is_undo=draft.undoes is not None)


def _check_change(item: Change, is_undo: bool) -> None:
    name = item.what.removeprefix("request_spec ")
    if name not in (*BY_DEFAULT, *ON_REQUEST):
        raise InvalidProperty(f"plan file: {item.what!r:.60} is not recorded by stash-defaults")
    missing, value = (item.after, item.before) if is_undo else (item.before, item.after)
    if missing is not ABSENT and missing is not None:
        raise InvalidValue(f"plan file: {item.what} is there: it is never overwritten")
    may_be_null = item.what in REGISTERED and missing is ABSENT
    if not (may_be_null and value is None) and not _is_value(name, value):
        raise InvalidValue(f"plan file: {item.what} cannot become {value!r:.60}")


def _is_value(name: str, value: Value) -> bool:
    if not isinstance(value, str):
        return False
    if name == MACHINE_TYPE:
        return _MACHINE_TYPE.fullmatch(value) is not None
    return PROPERTIES[name].has(value)
