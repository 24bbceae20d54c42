"""A plan as the values of its JSON, and back: for the journal, the spool and plan files."""

from __future__ import annotations

import json
from typing import Any

from novadev.errors import BadInput
from novadev.runs.change import Change, Effect
from novadev.runs.place import Place
from novadev.runs.plan import Plan
from novadev.strict_json import Form, parse, read, values_of
from novadev.value import Value, from_json, to_json


class _Item(Form):
    """A change or an effect; a value that is absent is ``{"absent": true}``."""

    what: str
    before: str | int | bool | dict[str, bool] | None
    after: str | int | bool | dict[str, bool] | None


class _Plan(Form):
    action: str
    instance: str
    name: str
    host: str | None
    cell: str
    changes: list[_Item]
    effects: list[_Item]
    notes: tuple[str, ...]
    guard: dict[str, Any]
    partly: bool = False


def encode(plan: Plan) -> dict[str, Any]:
    """Return PLAN as JSON values."""
    return {
        "action": plan.action,
        "instance": plan.instance,
        "name": plan.name,
        "host": plan.host,
        "cell": plan.cell,
        "changes": [_encode_item(item) for item in plan.changes],
        "effects": [_encode_item(item) for item in plan.effects],
        "notes": list(plan.notes),
        "guard": dict(plan.guard),
    } | ({"partly": True} if plan.partly else {})


def _encode_item(item: Change | Effect) -> dict[str, object]:
    return {"what": item.what, "before": to_json(item.before), "after": to_json(item.after)}


def decode(data: Any, what: str = "plan") -> Plan:
    """Return the plan that :func:`encode` wrote; raises BadInput, naming what of WHAT is wrong."""
    found = values_of(read(_Plan, data, what))
    try:
        changes = [Change(Place.parse(item.what), *_values(item)) for item in found["changes"]]
        effects = [Effect(item.what, *_values(item)) for item in found["effects"]]
    except ValueError as error:
        raise BadInput(f"{what}: a change or effect is {error}") from None
    return Plan(**found | {"changes": tuple(changes), "effects": tuple(effects)})


def _values(item: _Item) -> tuple[Value, Value]:
    return from_json(item.before), from_json(item.after)


def dumps(plan: Plan) -> str:
    """Return PLAN as one line of JSON."""
    return json.dumps(encode(plan), separators=(",", ":"), sort_keys=True)


def loads(text: str, what: str = "plan") -> Plan:
    """Return the plan of a line that :func:`dumps` wrote; raises BadInput, as :func:`decode`."""
    try:
        return decode(parse(text), what)
    except ValueError as error:
        raise BadInput(f"{what}: {error}") from None
