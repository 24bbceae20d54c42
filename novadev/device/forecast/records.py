"""A forecast as plain values: what the host's process predicts, and the records made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from novadev.virt.outline import Board
from novadev.virt.scratch import Layout, Place


@dataclass(frozen=True)
class ForecastRecord:
    """One thing of a guest's hardware that will change.

    ``field`` is address, bus, model, target, alias, machine, or device for what appears (``now``
    is None) or vanishes (``after`` is None): then the other one is its label.
    """

    instance: str
    label: str
    field: str
    now: str | None
    after: str | None


@dataclass(frozen=True)
class Note:
    """What an operator should know of an instance's forecast; ``instance`` None is of all."""

    instance: str | None
    text: str


@dataclass(frozen=True)
class Features:
    """What a guest sees of a device."""

    address: str | None = None
    bus: str | None = None
    model: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Fate:
    """What becomes of a device: ``number`` is that of its outline, None for one that vanishes.

    ``now`` is None for one that appears; ``after`` what is decided of it, without its address.
    """

    label: str
    tag: str
    now: Features | None
    number: int | None
    after: Features = Features()


@dataclass(frozen=True)
class Prediction:
    """A guest's next power-on, before it is laid out.

    ``machine`` is the machine type it has, ``machine_after`` the one it will have; ``controllers``
    are those it has, of which libvirt decides. ``records`` are complete already. ``about_host`` is
    what is to be said once of its host, and ``libvirt`` the version that it has: ``11.3.0``.
    """

    instance: str
    is_running: bool
    machine: str | None = None
    machine_after: str | None = None
    board: Board | None = None
    fates: tuple[Fate, ...] = ()
    controllers: tuple[Place, ...] = ()
    records: tuple[ForecastRecord, ...] = field(default=())
    notes: tuple[str, ...] = ()
    about_host: str | None = None
    libvirt: str | None = None


def records_of(prediction: Prediction, layout: Layout) -> Iterator[ForecastRecord]:
    """Yield what PREDICTION changes, with the places of LAYOUT: guest, devices, controllers."""
    instance = prediction.instance
    yield from prediction.records
    if prediction.machine != prediction.machine_after:
        yield ForecastRecord(
            instance, "machine", "machine", prediction.machine, prediction.machine_after
        )
    for fate in prediction.fates:
        yield from _of_device(instance, fate, layout)
    yield from _of_controllers(prediction, layout)


def _of_device(instance: str, fate: Fate, layout: Layout) -> Iterator[ForecastRecord]:
    if fate.number is None:
        yield ForecastRecord(instance, fate.label, "device", fate.label, None)
        return
    place = layout.places[fate.number]
    after = Features(
        address=place.address,
        bus=fate.after.bus,
        model=place.model or fate.after.model,
        target=fate.after.target,
    )
    if fate.now is None:
        yield ForecastRecord(instance, fate.label, "device", None, fate.label)
    now = fate.now or Features()
    if layout.is_exact_of(fate.number) or after.model == "none":
        yield from _left(instance, fate.label, now, after)
    yield from changes(instance, fate.label, now, after)


def _left(instance: str, label: str, now: Features, after: Features) -> Iterator[ForecastRecord]:
    """Yield that a device will have no address any more: AFTER is known to have none."""
    if now.address is not None and after.address is None:
        yield ForecastRecord(instance, label, "address", now.address, None)


def changes(instance: str, label: str, now: Features, after: Features) -> Iterator[ForecastRecord]:
    """Yield in what a device is another; what is not known of it afterwards does not count."""
    for name, value in vars(after).items():
        was = getattr(now, name)
        if value is not None and value != was:
            yield ForecastRecord(instance, label, name, was, value)


def _of_controllers(prediction: Prediction, layout: Layout) -> Iterator[ForecastRecord]:
    """Yield what becomes of controllers; without libvirt's own answer nothing is known of them."""
    if not layout.is_exact:
        return
    after = {
        place.name: place for place in (*layout.places, *layout.added) if place.tag == "controller"
    }
    now = {place.name: place for place in prediction.controllers}
    for name in (*now, *(name for name in after if name not in now)):
        label = f"controller {name}"
        if name not in after:
            yield ForecastRecord(prediction.instance, label, "device", label, None)
            continue
        if name not in now:
            yield ForecastRecord(prediction.instance, label, "device", None, label)
        was, will_be = _features(now.get(name)), _features(after[name])
        yield from _left(prediction.instance, label, was, will_be)
        yield from changes(prediction.instance, label, was, will_be)


def _features(place: Place | None) -> Features:
    return Features() if place is None else Features(address=place.address, model=place.model)
