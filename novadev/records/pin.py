"""Recorded addresses that no record changes: the work behind ``device pin`` and ``unpin``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from shlex import quote

from novadev.deployment import Deployment
from novadev.errors import BadInput, NotAsNeeded, NotFound
from novadev.records.addresses import place_of, why_no_restore
from novadev.records.baseline import RecordedInstance, get_recorded
from novadev.records.device import VmDevice
from novadev.records.drift import full_address, short_address
from novadev.records.pin_store import PinStore
from novadev.runs.journal_rows import fit
from novadev.runs.lease import user
from novadev.virt.alias import PREFIX

Names = Callable[[VmDevice], Iterator[str]]


@dataclass(frozen=True)
class PinnedDevice:
    """A recorded device; ``address`` is its recorded address, or None if it has none.

    ``pinned`` says whether the address is pinned, ``changed`` whether it was not before.
    """

    instance: str
    label: str
    device_id: str
    address: str | None
    pinned: bool
    changed: bool


def pin_devices(deployment: Deployment, name: str, devices: Sequence[str]) -> list[PinnedDevice]:
    """Pin the DEVICES of the instance NAME where they are recorded; all of them, if none is named.

    Raises NotAsNeeded, and pins none, for a device that its guest has no longer or that has no
    address, or where another one is pinned; NotFound and BadInput for a device, and else as
    :func:`novadev.records.baseline.get_recorded`.
    """
    found = get_recorded(deployment, name)
    chosen = [_get_placed(found, text) for text in devices] or _placed(found)
    if not chosen:
        raise NotAsNeeded(f"instance {found.uuid}: no device is recorded with an address")
    _check_no_pin_there(found, chosen)
    return _settle(deployment, found, chosen, is_pinned=True)


def unpin_devices(deployment: Deployment, name: str, devices: Sequence[str]) -> list[PinnedDevice]:
    """Unpin the DEVICES of the instance NAME, whether its guest has them; all, if none is named.

    A name is that of a pinned device, if it fits one. Raises as :func:`pin_devices`, but for a
    device that is gone.
    """
    found = get_recorded(deployment, name)
    pinned = [row for row in found.devices if row.device_id in found.pins]
    chosen = [_find_pinned(found, text) or _get_named(found, text) for text in devices] or pinned
    return _settle(deployment, found, chosen, is_pinned=False)


def _settle(
    deployment: Deployment, found: RecordedInstance, chosen: Sequence[VmDevice], is_pinned: bool
) -> list[PinnedDevice]:
    """Pin or unpin the CHOSEN devices, each once, and return what there is then."""
    rows = list({row.device_id: row for row in chosen}.values())
    settled = [_pinned(found, row) for row in rows]
    ids = [item.device_id for item in settled if item.pinned is not is_pinned]
    if ids:
        pins, by = PinStore(deployment.state), fit(user(), 255)
        if is_pinned:
            pins.pin(
                found.uuid, {row.device_id: row.address for row in rows if row.device_id in ids}, by
            )
        else:
            pins.unpin(found.uuid, ids, by)
    return [
        replace(item, pinned=is_pinned, changed=item.device_id in ids)
        for item in sorted(settled, key=lambda item: item.label)
    ]


def _pinned(found: RecordedInstance, row: VmDevice) -> PinnedDevice:
    is_pinned = row.device_id in found.pins
    place = full_address(row)
    return PinnedDevice(found.uuid, row.label, row.device_id, place, is_pinned, changed=False)


def _placed(found: RecordedInstance) -> list[VmDevice]:
    return [row for row in found.devices if row.is_plugged and row.address]


def _get_placed(found: RecordedInstance, text: str) -> VmDevice:
    """Return the device called TEXT; raises NotAsNeeded where it is in no place."""
    row = _get_named(found, text)
    if not row.is_plugged:
        raise NotAsNeeded(
            f"instance {found.uuid}: {row.label} was no longer in the guest at its last record: "
            "only a device that is there can be pinned"
        )
    if not row.address:
        raise NotAsNeeded(f"instance {found.uuid}: {row.label} has no address that could be pinned")
    return row


def _check_no_pin_there(found: RecordedInstance, chosen: Sequence[VmDevice]) -> None:
    """Raise NotAsNeeded where one of CHOSEN is recorded at the pin of a device that is not there.

    Whichever of the two is to have the address, a command helps.
    """
    held = {place_of(row): row for row in _at_pins(found)}
    for row in chosen:
        place = place_of(row)
        other = held.get(place) if place else None
        if other is not None and row.device_id not in found.pins:
            raise NotAsNeeded(
                f"instance {found.uuid}: {row.label} was last found at {short_address(row)}, where "
                f"{other.label} is pinned. {_ways(found, row, other)}"
            )


def _ways(found: RecordedInstance, row: VmDevice, other: VmDevice) -> str:
    """Return what helps where ROW was found at the pin of OTHER; restore may not move that one."""
    unpin = f"To pin {row.label} there, first run {_command('unpin', found, other)}"
    why = why_no_restore(found.devices, found.found, found.pins).get(other.device_id)
    if why:
        return f"novadev device restore cannot change this, because {why}. {unpin}"
    return (
        f"{unpin}. To keep the pin, run novadev device restore {found.uuid}, and pin {row.label} "
        "after the next record"
    )


def _command(verb: str, found: RecordedInstance, row: VmDevice) -> str:
    return f"novadev device {verb} {found.uuid} {quote(row.label)}"


def _at_pins(found: RecordedInstance) -> list[VmDevice]:
    """Return the pinned devices as if each were where it is pinned."""
    rows = (row for row in found.devices if row.device_id in found.pins)
    return [replace(row, address=found.pins[row.device_id]) for row in rows]


def _find_pinned(found: RecordedInstance, text: str) -> VmDevice | None:
    """Return the pinned device called TEXT, also by the address of its pin; None of no such."""
    pinned = _find_named(found, _at_pins(found), text)
    return next(
        (row for row in found.devices if pinned and row.device_id == pinned.device_id), None
    )


def _get_named(found: RecordedInstance, text: str) -> VmDevice:
    """Return the device called TEXT, one that the guest has before one that is gone."""
    for is_plugged in (True, False):
        rows = [row for row in found.devices if row.is_plugged is is_plugged]
        if named := _find_named(found, rows, text):
            return named
    raise NotFound(
        f"no device called {text!r:.60} is recorded for instance {found.uuid}: novadev device list "
        f"--long {found.uuid} lists its devices"
    )


def _find_named(found: RecordedInstance, rows: Sequence[VmDevice], text: str) -> VmDevice | None:
    """Return that of ROWS which is called TEXT; raises BadInput where several are."""
    for names in _KINDS:
        fitting = [row for row in rows if text.lower() in map(str.lower, names(row))]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            told = "; ".join(f"{row.label} ({short_address(row)})" for row in fitting)
            raise BadInput(
                f"{text!r:.60} matches {len(fitting)} recorded devices of instance "
                f"{found.uuid}: {told}"
            )
    return None


def _aliases(row: VmDevice) -> Iterator[str]:
    if row.alias:
        yield row.alias
        yield row.alias.removeprefix(PREFIX)


def _ids(row: VmDevice) -> Iterator[str]:
    yield row.device_id


def _spec(name: str) -> Names:
    def names(row: VmDevice) -> Iterator[str]:
        if name in row.spec_params:
            yield str(row.spec_params[name])

    return names


def _places(row: VmDevice) -> Iterator[str]:
    place = short_address(row)
    if place is not None:
        yield place
        yield place.removeprefix("0000:")


def _labels(row: VmDevice) -> Iterator[str]:
    yield row.label
    if row.type == "interface":
        yield row.label.partition(" ")[2]


_KINDS: tuple[Names, ...] = (
    *(_aliases, _ids, _spec("serial"), _spec("mac"), _spec("target")),
    *(_places, _labels),
)
"""What a device is found by, as ``device show`` looks for one."""
