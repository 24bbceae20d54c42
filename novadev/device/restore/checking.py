"""A plan that comes from a file must be one that restore or an undo of it would make."""

from __future__ import annotations

import re

from novadev.change import Change
from novadev.device.restore import SUFFIX
from novadev.errors import BadInput
from novadev.state.journal import Draft
from novadev.virt.address import Address

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME, _VALUE = re.compile(r"[a-z]+"), re.compile(r"[A-Za-z0-9.-]+")


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
    found = plan.guard.get("definition")
    if not isinstance(found, str) or not _DIGEST.fullmatch(found):
        raise BadInput(f"plan file: instance {plan.instance}: the definition's digest is missing")


def _check_change(item: Change) -> None:
    if not item.what.removesuffix(SUFFIX) or not item.what.endswith(SUFFIX):
        raise BadInput(f"plan file: {item.what!r:.60} is not the address of a device")
    for value in (item.before, item.after):
        address = Address.from_text(value) if isinstance(value, str) else None
        if address is None or not all(
            map(_is_plain, (("type", address.type), *address.attributes))
        ):
            raise BadInput(f"plan file: {item.what:.60}: {value!r:.60} is no address")


def _is_plain(part: tuple[str, str]) -> bool:
    return _NAME.fullmatch(part[0]) is not None and _VALUE.fullmatch(part[1]) is not None
