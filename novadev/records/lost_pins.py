"""Which pins count no more after a change of a server's hardware: a note in its plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from novadev.deployment import Deployment
from novadev.errors import NovadevError
from novadev.records.device import VmDevice
from novadev.records.store import VmDevices
from novadev.runs.place import Kind, Place
from novadev.runs.plan import Plan, Planned, Skip
from novadev.state.store import SCHEMAS, examine_state

_NAMED = 5
"""Devices that a note names."""
_VIF_MODEL = Place(Kind.PROPERTY, "hw_vif_model")
_OWN_MODEL = ("vdpa", "hostdev")
"""Types of cards whose model is not that of the image (nova/virt/libvirt/vif.py)."""


def with_lost_pins(
    deployment: Deployment,
    planned: Iterable[Planned],
    is_other_machine: Callable[[Plan], bool] = lambda _plan: False,
) -> Iterator[Planned]:
    """Yield what is PLANNED; a plan after which pins count no more has a note that says so.

    IS_OTHER_MACHINE says of a plan whether the guest gets another kind of PCI bus 0. Where there
    is no state database yet, or it cannot be read, nothing is pinned or known.
    """
    store = _store_at_hand(deployment)
    for item in planned:
        if store is None or isinstance(item, Skip):
            yield item
        else:
            yield _with_note(store, item, is_other_machine(item))


def _store_at_hand(deployment: Deployment) -> VmDevices | None:
    """Return the records, without making or upgrading a state database for them."""
    try:
        found = examine_state(deployment.config.state_connection)
        return VmDevices(deployment.state) if found.revision == SCHEMAS[-1] else None
    except NovadevError:
        return None


def _with_note(store: VmDevices, plan: Plan, is_other: bool) -> Plan:
    try:
        pins = store.list_pins([plan.instance]).get(plan.instance, {})
        found = store.list_devices([plan.instance], is_present=True) if pins else {}
    except NovadevError:
        return plan
    pinned = [row for row in found.get(plan.instance, ()) if row.device_id in pins]
    lost = [
        row.label
        for row in pinned
        if (is_other and "type=pci" in pins[row.device_id]) or _is_lost(row, plan)
    ]
    if not lost:
        return plan
    more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    note = (
        f"Pins that no longer count after this change: {', '.join(sorted(lost)[:_NAMED])}{more}. "
        "After the next start, run novadev device record, device unpin and device pin."
    )
    return replace(plan, notes=(*plan.notes, note))


def _is_lost(row: VmDevice, plan: Plan) -> bool:
    """Whether PLAN gives the device of ROW another bus or model."""
    if row.type == "disk":
        there = f"{row.bus} {row.spec_params.get('target')}"
        moved = (item.after for item in plan.effects if item.before == there)
        return any(str(after).partition(" ")[0] != row.bus for after in moved)
    if row.type == "interface" and row.model and row.device not in _OWN_MODEL:
        models = (item.after for item in plan.changes if item.place == _VIF_MODEL)
        return any(isinstance(model, str) and model != row.model for model in models)
    return False
