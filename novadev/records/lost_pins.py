"""Which pins count no more after a change of a server's hardware: notes in its plan."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from novadev.deployment import Deployment
from novadev.device.hardware_change import (
    HardwareChange,
    HardwareChanges,
    is_about_hardware,
)
from novadev.errors import NovadevError
from novadev.records.device import VmDevice
from novadev.records.store import VmDevices
from novadev.runs.plan import Draft, Plan, Planned, Skip
from novadev.state.store import SCHEMAS, examine_state

_NAMED = 5
"""Devices that a note names."""
_OWN_MODEL = ("vdpa", "hostdev")
"""Types of cards whose model is not that of the image (nova/virt/libvirt/vif.py)."""
_TAGS = {"redir": "redirdev", "balloon": "memballoon"}
"""libvirt's names of what oVirt calls otherwise."""
_LOST, _MAY_BE_LOST = "Pins that no longer count", "Pins that may no longer count"
_UNKNOWN = "It is not known which pins still count after this change"


def with_lost_pins(
    deployment: Deployment, planned: Iterable[Planned | Draft]
) -> Iterator[Planned | Draft]:
    """Yield what is PLANNED; a plan after which pins count no more has a note that says so.

    Where there is no state database yet, or it cannot be read, nothing is pinned or known.
    """
    notes: _Notes | None = None
    for item in planned:
        plan = item.plan if isinstance(item, Draft) else item
        if isinstance(plan, Skip) or not is_about_hardware(plan):
            yield item
            continue
        notes = notes or _Notes(deployment)
        plan = replace(plan, notes=(*_without_these(plan.notes), *notes.of(plan)))
        yield replace(item, plan=plan) if isinstance(item, Draft) else plan


def _without_these(notes: Sequence[str]) -> Iterator[str]:
    """Yield NOTES without those that a saved plan has of its pins: pins may have changed since."""
    return (text for text in notes if not text.startswith((_LOST, _MAY_BE_LOST, _UNKNOWN)))


class _Notes:
    """Tells of the pins of one guest after the other."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._store = _store_at_hand(deployment)

    def of(self, plan: Plan) -> tuple[str, ...]:
        """Return the notes of PLAN."""
        pinned = self._list_pinned(plan.instance)
        if not pinned:
            return ()
        try:
            change = self._changes.of(plan)
        except NovadevError as error:
            return (f"{_UNKNOWN}: {error}",)
        return tuple(_told(pinned, change)) if change else ()

    @cached_property
    def _changes(self) -> HardwareChanges:
        return HardwareChanges(self._deployment)

    def _list_pinned(self, uuid: str) -> list[tuple[VmDevice, str]]:
        """Return the present devices that are pinned, each with its pin."""
        if self._store is None:
            return []
        try:
            pins = self._store.list_pins([uuid]).get(uuid, {})
            found = self._store.list_devices([uuid], is_present=True) if pins else {}
        except NovadevError:
            return []
        rows = found.get(uuid, ())
        return [(row, pins[row.device_id]) for row in rows if row.device_id in pins]


def _store_at_hand(deployment: Deployment) -> VmDevices | None:
    """Return the records, without making or upgrading a state database for them."""
    try:
        found = examine_state(deployment.config.state_connection)
        return VmDevices(deployment.state) if found.revision == SCHEMAS[-1] else None
    except NovadevError:
        return None


def _told(pinned: Iterable[tuple[VmDevice, str]], change: HardwareChange) -> Iterator[str]:
    """Yield the notes of a guest with these PINNED devices."""
    kept = {row.label: _keeps(row, pin, change) for row, pin in pinned}
    for text, which in ((_LOST, False), (_MAY_BE_LOST, None)):
        labels = sorted(label for label, keeps in kept.items() if keeps is which)
        if labels:
            yield _note(text, labels)


def _note(text: str, labels: Collection[str]) -> str:
    more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    return (
        f"{text} after this change: {', '.join([*labels][:_NAMED])}{more}. "
        "After the next start, run novadev device record, device unpin and device pin."
    )


def _keeps(row: VmDevice, pin: str, change: HardwareChange) -> bool | None:
    """Whether the PIN of ROW counts after CHANGE; None where that is not known."""
    if change.is_other_machine and "type=pci" in pin:
        return None if change.is_assumed else False
    if row.type == "disk":
        return change.keeps_disk(row.bus, row.spec_params.get("target"))
    if row.type == "interface" and (not row.model or row.device in _OWN_MODEL):
        return True
    return change.keeps(_TAGS.get(row.type, row.type), row.device, row.bus, row.model)
