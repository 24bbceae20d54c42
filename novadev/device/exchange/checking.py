"""A plan that comes from a file must be one that an import would make."""

from __future__ import annotations

from novadev.change import ABSENT, Value
from novadev.device.exchange import ADDRESS, CUSTOM_PROPERTIES
from novadev.device.exchange.addresses import read_address
from novadev.device.exchange.exported import check_text, is_uuid
from novadev.errors import BadInput
from novadev.state.journal import Draft


def check(draft: Draft) -> None:
    """Raise BadInput where DRAFT is no plan of this kind."""
    plan = draft.plan
    if not is_uuid(plan.instance):
        raise BadInput(f"plan file: {plan.instance!r:.60} is no instance")
    what = f"plan file: instance {plan.instance}"
    ids = plan.guard.get("devices")
    if not isinstance(ids, list) or len(ids) != len(plan.changes) or not ids:
        raise BadInput(f"{what}: it does not tell whose each change is")
    if not all(isinstance(device_id, str) and is_uuid(device_id) for device_id in ids):
        raise BadInput(f"{what}: a change is of no device")
    fields = set(zip(ids, (field_of(item.what) for item in plan.changes), strict=True))
    if len(fields) != len(ids):
        raise BadInput(f"{what}: it changes one thing twice")
    for item in plan.changes:
        for value in (item.before, item.after):
            _check_value(value, field_of(item.what), f"{what}: {item.what!r:.120}")


def field_of(what: str) -> str:
    """Return which field of a device a change is of, by its name; raises BadInput for none."""
    for field in (ADDRESS, CUSTOM_PROPERTIES):
        if what.endswith(f" {field}"):
            return field
    raise BadInput(f"plan file: {what!r:.120} is nothing that an import changes")


def _check_value(value: Value, field: str, what: str) -> None:
    if value is ABSENT:
        return
    if not isinstance(value, str) or not value:
        raise BadInput(f"{what}: {value!r:.60} is no text")
    check_text(value, what)
    if field == ADDRESS and read_address(value, what) != value:
        raise BadInput(f"{what}: {value!r:.80} is not as it would be recorded")
