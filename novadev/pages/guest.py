"""The page of one guest: its devices now, as recorded and after the next power-on, and its past."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path

from novadev.deployment import Deployment
from novadev.device.forecast.forecasting import Forecast, forecast
from novadev.device.forecast.records import ForecastRecord, Note
from novadev.device.show import show_devices
from novadev.device.show_on_host import GuestDevices
from novadev.device.topology import Node, PlacedDevice, placed, topology
from novadev.errors import NotFound
from novadev.pages.environment import environment, policy
from novadev.pages.rows import Row, drift_rows, forecast_rows
from novadev.records.device import VmDevice, is_hardware
from novadev.records.drift import Drift, find_drift, short_address
from novadev.records.history import PastChange, list_changes
from novadev.records.store import VmDevices
from novadev.runs.plan import Skip
from novadev.selection import Selection

_TEMPLATES = Path(__file__).parent / "templates"
MAX_CHANGES = 500
"""Of the history: as many as somebody reads, the newest ones."""


@dataclass(frozen=True)
class Side:
    """One picture of the guest: its title, its buses, and what is to be said of it.

    ``changed`` are the names of devices that are elsewhere than now, or are not there now.
    """

    title: str
    roots: tuple[Node, ...] = ()
    changed: frozenset[str] = frozenset()
    note: str = ""


@dataclass(frozen=True)
class GuestPage:
    """Everything that the page shows of one guest; ``made`` is in UTC.

    ``history`` has the changes that one record found together, and the pins of one moment.
    """

    name: str
    uuid: str
    host: str
    is_running: bool
    made: datetime
    sides: tuple[Side, ...]
    disagreements: tuple[str, ...]
    drift: tuple[Row, ...]
    forecast: tuple[Row, ...]
    notes: tuple[str, ...]
    history: tuple[tuple[PastChange, ...], ...]
    history_left_out: int = 0


def collect(deployment: Deployment, name: str, asks_guest: bool = False) -> GuestPage:
    """Return the page of the instance NAME; ASKS_GUEST: with the guest's own names of its disks.

    Raises as :func:`novadev.device.show.show_devices`. What cannot be told of the record or of the
    next power-on stands in the page.
    """
    found = show_devices(deployment, name, asks_guest=asks_guest)
    now = [placed(record, found.is_running) for record in found.records]
    one = Selection(names=[found.instance])
    drift = [*find_drift(deployment, one)]
    changes = [*forecast(deployment, one)]
    recorded = VmDevices(deployment.state).list_devices([found.instance]).get(found.instance, ())
    history = _history(deployment, found.instance)
    return GuestPage(
        name=found.name,
        uuid=found.instance,
        host=found.host,
        is_running=found.is_running,
        made=datetime.now(timezone.utc),
        sides=(
            Side("Now", topology(now)),
            _recorded_side(recorded, now),
            _side("After the next power-on", [*after(now, _changes(changes))], now),
        ),
        disagreements=tuple(_disagreements(found)),
        drift=tuple(drift_rows(item for item in drift if isinstance(item, Drift))),
        forecast=tuple(forecast_rows(_changes(changes))),
        notes=tuple(_notes(found, [*drift, *changes])),
        history=_together(history[-MAX_CHANGES:]),
        history_left_out=max(len(history) - MAX_CHANGES, 0),
    )


def page_of(page: GuestPage) -> str:
    """Return PAGE as HTML."""
    style = (_TEMPLATES / "guest.css").read_text(encoding="utf-8")
    return (
        environment(_TEMPLATES)
        .get_template("guest.html")
        .render(page=page, style=style, policy=policy(style))
    )


def after(now: Sequence[PlacedDevice], changes: Sequence[ForecastRecord]) -> Iterator[PlacedDevice]:
    """Yield the devices that are there NOW as CHANGES of a forecast leave them, then the new ones.

    A forecast calls a device by its label, a ghost by that of its owner; a device's alias and owner
    stay. What disagrees now is built anew then.
    """
    owners = {device.ghost: device.owner for device in now if device.ghost}
    of_each: dict[str, dict[str, ForecastRecord]] = {}
    for change in changes:
        of_each.setdefault(change.label, {})[change.field] = change
    for device in now:
        fields = of_each.pop(device.label, {})
        is_built = "device" in of_each.get(device.ghost, {})
        if not is_built and ("device" not in fields or fields["device"].after is not None):
            yield _changed(replace(device, has_fault=bool(device.ghost)), fields)
    for label, fields in of_each.items():
        if "device" in fields and fields["device"].after is not None:
            kind, owner = label.partition(" ")[0], owners.get(label, "")
            name = f"new {owner.partition(' ')[0]}" if owner else label
            yield _changed(PlacedDevice(name, kind, owner=owner), fields)


def _changed(device: PlacedDevice, fields: Mapping[str, ForecastRecord]) -> PlacedDevice:
    def kept(name: str, value: str | None) -> str | None:
        return fields[name].after if name in fields else value

    return replace(
        device,
        address=kept("address", device.address),
        bus=kept("bus", device.bus),
        model=kept("model", device.model),
    )


def _changes(items: Iterable[Forecast]) -> tuple[ForecastRecord, ...]:
    return tuple(item for item in items if isinstance(item, ForecastRecord))


def _notes(found: GuestDevices, items: Iterable[Forecast | Drift]) -> Iterator[str]:
    """Yield what is to be said of the guest: of its names, and where something cannot be told."""
    yield from found.guest_notes or ()
    if found.is_rescued:
        yield "the server is in rescue: these are the devices of the rescue"
    if found.is_saved:
        yield "it has a managed save image, and starts with the devices in it, not with these"
    for item in items:
        if isinstance(item, Note):
            yield item.text
        elif isinstance(item, Skip):
            yield item.reason


def _history(deployment: Deployment, uuid: str) -> tuple[PastChange, ...]:
    try:
        return tuple(list_changes(deployment, uuid))
    except NotFound:
        return ()


def _together(history: Sequence[PastChange]) -> tuple[tuple[PastChange, ...], ...]:
    """Return the changes of each record together; those of pins have no record, but a time."""
    return tuple(
        tuple(changes) for _, changes in groupby(history, key=lambda one: (one.record, one.seen))
    )


def _recorded_side(recorded: Sequence[VmDevice], now: Sequence[PlacedDevice]) -> Side:
    order = {device.label: number for number, device in enumerate(now)}
    rows = [row for row in recorded if row.is_plugged and is_hardware(row)]
    if not rows:
        return Side("Recorded", note="Nothing is recorded: run novadev device record.")
    devices = [_of_record(row, _owner(row, now)) for row in rows]
    devices += _never_recorded(now, {row.label for row in rows})
    devices.sort(key=lambda device: order.get(device.label, len(order)))
    return _side("Recorded", devices, now)


def _never_recorded(now: Sequence[PlacedDevice], recorded: Set[str]) -> Iterator[PlacedDevice]:
    """Yield what is there NOW and no record has: what is no hardware of the guest.

    It is drawn in each tree, so that nothing seems to have changed where nothing has.
    """
    for device in now:
        row = VmDevice("", "", device.type, "", spec_params={"model": device.model or ""})
        if not device.address and device.label not in recorded and not is_hardware(row):
            yield device


def _owner(row: VmDevice, now: Sequence[PlacedDevice]) -> str:
    """Return the owner of a recorded device, as far as it is known NOW.

    An attached device is recorded under the id of its owner.
    """
    of_id = (device.owner for device in now if device.owner.endswith(f" {row.device_id}"))
    of_label = (device.owner for device in now if device.label == row.label)
    return next(of_id, next(of_label, ""))


def _of_record(row: VmDevice, owner: str) -> PlacedDevice:
    return PlacedDevice(
        label=row.label,
        type=row.type,
        bus=row.bus,
        model=row.model,
        address=short_address(row),
        alias=row.alias if row.alias.startswith("ua-") else "",
        owner=owner,
    )


def _side(title: str, devices: Sequence[PlacedDevice], now: Sequence[PlacedDevice]) -> Side:
    """Return a side with what is in it otherwise than NOW."""
    roots = topology(devices)
    before = dict(_places(topology(now)))
    changed = {name for name, place in _places(roots) if before.get(name) != place}
    return Side(title, roots, frozenset(changed))


def _places(nodes: Sequence[Node], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the name of each device and where it is; what it hangs on counts."""
    for node in nodes:
        if not node.is_free:
            yield node.name, f"{above} {node.place}"
        yield from _places(node.ports, above)
        yield from _places(node.children, node.name)


def _disagreements(found: GuestDevices) -> Iterator[str]:
    for record in found.records:
        yield from (f"{record.label}: {text}" for text in record.disagreements)
