"""A guest's devices as recorded: plain values, what counts as hardware, and the hash.

Imported where there is no database at all: in the processes that speak to hypervisors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from novadev.records.kinds import Kind, kind_of
from novadev.virt.address_syntax import normal_text
from novadev.virt.consoles import is_serial_target

SpecParams = Mapping[str, str | int]
Pins = Mapping[str, str]
"""The pinned addresses of a guest, by device_id."""
HIGHEST_BOOT_ORDER = 2**31 - 1
"""What the column takes; libvirt takes twice as much, for as many devices as a guest can have."""
_CHIPSET_WATCHDOG = "itco"
_END = re.compile(r" (#\d+|at .+)$")
"""What a label has behind it where several devices share it (`novadev.virt.device`)."""
_TYPE = re.compile(r"type=([a-z0-9-]+)")
_GENERATED = re.compile(r"interface (vnet|macvtap|macvlan)\d+")
"""Names that libvirt gives a card for one run (``VIR_NET_GENERATED_*_PREFIX``, virnetdev.h)."""


@dataclass(frozen=True)
class VmDevice:
    """A device of a guest: a row of oVirt's ``vm_device`` (``create_tables.sql`` of ovirt-engine).

    ``address`` is oVirt's text (``{type=pci, slot=0x05, …}``), empty for a device that has none or
    is not plugged. ``spec_params`` has what there is of bus, model, target, serial, mac, lun_id and
    a console's target_type. ``is_managed``: Nova knows its owner, or its kind counts as managed;
    ``is_optional``: the guest starts without it (libvirt's ``startupPolicy``). ``boot_order``
    counts from 1, and ``logical_name`` is what the guest calls a disk. ``host`` is where this state
    was seen first. ``label`` is what people call the device.
    """

    device_id: str
    vm_id: str
    type: str
    device: str
    address: str = ""
    boot_order: int | None = None
    spec_params: SpecParams = field(default_factory=dict)
    is_managed: bool = False
    is_plugged: bool = True
    is_readonly: bool = False
    is_optional: bool = False
    alias: str = ""
    custom_properties: str = ""
    snapshot_id: str | None = None
    logical_name: str | None = None
    host: str = ""
    label: str = ""

    @property
    def kind(self) -> Kind:
        """What is done with devices of its type."""
        return kind_of(self.type)

    @property
    def bus(self) -> str | None:
        """The bus it is on, where it has one."""
        return self._spec("bus")

    @property
    def model(self) -> str | None:
        """Its model, where it has one."""
        return self._spec("model")

    def _spec(self, name: str) -> str | None:
        value = self.spec_params.get(name)
        return None if value is None else str(value)

    @property
    def unplugged(self) -> VmDevice:
        """The same device when its guest has it no longer."""
        return replace(self, is_plugged=False, address="", logical_name=None)


@dataclass(frozen=True)
class VmDynamic:
    """What is recorded of a guest as a whole: a row of ``vm_dynamic``.

    ``hash`` tells whether anything the guest sees has changed. ``fingerprint`` is the digest of
    the texts it was made from: while that is the same, so is the hash.
    """

    vm_id: str
    hash: str
    fingerprint: str
    host: str


@dataclass(frozen=True)
class AsOf:
    """A moment of the past: a record by its number, or a time in UTC; one of the two is given."""

    record: int | None = None
    time: datetime | None = None

    def __str__(self) -> str:
        """Return the moment as an operator types it."""
        if self.time is None:
            return f"record {self.record}"
        return f"{self.time.isoformat(timespec='seconds')}Z"


@dataclass(frozen=True)
class Merged:
    """What a record changes: the rows to write, the states of devices that are new, the dropped.

    ``versions`` are for the history. They differ from the ``written`` rows where a pin keeps a row
    as it is. ``is_held`` says that a pinned device is not where it is pinned, or is gone.
    """

    written: tuple[VmDevice, ...]
    dropped: tuple[VmDevice, ...]
    versions: tuple[VmDevice, ...]
    is_held: bool = False


def merge(
    recorded: Sequence[VmDevice],
    seen: Sequence[VmDevice],
    pins: Pins | None = None,
    found: Sequence[VmDevice] = (),
) -> Merged:
    """Return what to write so that SEEN becomes what is RECORDED, of one guest.

    As oVirt's ``VmDevicesMonitoring``: a managed device that is gone stays, unplugged and without
    an address; an unmanaged one is dropped. What no definition tells (custom properties, the
    snapshot) stays as recorded, and a device that only was on another host is not written. The row
    of a device in PINS keeps the pinned address, and is not dropped; the history gets what was
    seen. FOUND are the devices as they were last found, where that is not what is RECORDED.
    """
    pins = pins or {}
    before = _by_id(recorded)
    last = before | _by_id(found)
    now = {device.device_id: _with_history(device, last) for device in seen}
    rows = {key: _as_held(device, before.get(key), pins) for key, device in now.items()}
    gone = [device for key, device in before.items() if key not in now]
    kept = {device.device_id for device in gone if device.is_managed} | pins.keys()
    left = [device.device_id for device in gone if device.device_id in kept]
    dropped = tuple(device for device in gone if device.device_id not in kept)
    is_elsewhere = any(_is_held(device, rows[device.device_id]) for device in seen)
    is_held = is_elsewhere or any(device.device_id in pins for device in gone)
    return Merged(
        written=_news((*rows.values(), *(before[key].unplugged for key in left)), before),
        dropped=dropped,
        versions=_news((*now.values(), *(last[key].unplugged for key in left)), last),
        is_held=is_held,
    )


def _by_id(devices: Iterable[VmDevice]) -> dict[str, VmDevice]:
    return {device.device_id: device for device in devices}


def _news(devices: Iterable[VmDevice], known: Mapping[str, VmDevice]) -> tuple[VmDevice, ...]:
    """Return those of DEVICES that are not as they are KNOWN."""
    return tuple(
        device
        for device in devices
        if device.device_id not in known or not is_same(device, known[device.device_id])
    )


def _with_history(device: VmDevice, last: Mapping[str, VmDevice]) -> VmDevice:
    known = last.get(device.device_id)
    if known is None:
        return device
    return replace(device, custom_properties=known.custom_properties, snapshot_id=known.snapshot_id)


def _as_held(device: VmDevice, known: VmDevice | None, pins: Pins) -> VmDevice:
    """Return DEVICE as PINS have it recorded; KNOWN is its row by now."""
    if known is None:
        return device
    if _is_other_root(known, device) and any("type=pci" in place for place in pins.values()):
        return known
    pinned = pins.get(device.device_id, device.address)
    if pinned == device.address:
        return device
    if is_built_otherwise(known, device) and _type_of(pinned) == _type_of(device.address):
        return known
    return replace(device, address=pinned, label=current_label(device, known))


def _is_held(device: VmDevice, row: VmDevice) -> bool:
    """Whether ROW is kept for the sake of pins, and is not what DEVICE is now."""
    return device.address != row.address or is_built_otherwise(row, device)


def is_built_otherwise(row: VmDevice, device: VmDevice) -> bool:
    """Whether DEVICE has another bus or model than its ROW: the address in that is none for it.

    oVirt clears it then (``UpdateDiskCommand``, ``UpdateVmInterfaceCommand``). A pin is for the
    device as it was, so the row of a pinned device is kept as well.
    """
    pairs = ((row.bus, device.bus), (row.model, device.model))
    return any(before and after and before != after for before, after in pairs)


def root_model(devices: Iterable[VmDevice]) -> str | None:
    """Return the model of PCI bus 0, ``pci-root`` or ``pcie-root``; None where there is none.

    With another one no address on PCI means what it did (``VmHandler.convertVmToNewChipset``).
    """
    return next((item.model for item in devices if _is_root(item)), None)


def _is_root(device: VmDevice) -> bool:
    is_pci = (device.type, device.device) == ("controller", "pci")
    return is_pci and (device.model or "").endswith("-root")


def _is_other_root(known: VmDevice, device: VmDevice) -> bool:
    return _is_root(known) and _is_root(device) and known.model != device.model


def _type_of(text: str) -> str:
    found = _TYPE.search(normal_text(text))
    return found.group(1) if found else ""


def current_label(device: VmDevice, known: VmDevice) -> str:
    """Return the label KNOWN of DEVICE, or its own one where it has another name since.

    An address or a number behind the name is none, as it tells where devices of one name are. Nor
    is what libvirt calls a network card for one run, or its MAC address, which stands for that
    while the guest is shut off: a stop or a start renames nothing.
    """
    now, before = (_END.sub("", row.label) for row in (device, known))
    is_unnamed = _GENERATED.fullmatch(now) or now == f"interface {device.spec_params.get('mac')}"
    is_same_card = device.spec_params.get("mac") == known.spec_params.get("mac")
    return known.label if now == before or (is_unnamed and is_same_card) else device.label


def as_pinned(recorded: Sequence[VmDevice], pins: Pins) -> tuple[VmDevice, ...]:
    """Return the RECORDED devices as they are to be: one in PINS is there, gone or not."""
    return tuple(
        replace(device, is_plugged=True, address=pins[device.device_id])
        if device.device_id in pins and not device.is_plugged
        else device
        for device in recorded
    )


def is_same(device: VmDevice, known: VmDevice) -> bool:
    """Whether DEVICE is recorded as KNOWN, maybe on another host."""
    return replace(device, host=known.host) == known


def is_hardware(device: VmDevice) -> bool:
    """Whether DEVICE is a part of the guest, and none that libvirt writes down by itself.

    Three kinds are none. ``<audio>`` is the host's end of a sound device; libvirt 9.0 writes it,
    and 7.0 does not. The itco watchdog is in the chipset of every q35 guest; libvirt 11.3 writes
    it, and 9.0 does not know it. A console with the target of a serial port, and no address of its
    own, is the serial port once more. libvirt leaves the first two out of an XML that another
    release is to read (``VIR_DOMAIN_XML_MIGRATABLE``).
    """
    if device.type == "console":
        address = normal_text(device.address)
        has_own = bool(address) and "type=isa" not in address
        return has_own or not is_serial_target(device.spec_params.get("target_type"))
    is_chipset = (device.type, device.model) == ("watchdog", _CHIPSET_WATCHDOG)
    return device.kind.is_hardware and not is_chipset


def hash_of(devices: Iterable[VmDevice]) -> str:
    """Return the SHA-256 over the plugged DEVICES, in hexadecimal.

    Over what the guest sees, in any order: class, identity, bus, model, address, and the name it
    has for a disk itself. The same on every host, in every run and under every release of libvirt;
    vdsm hashes the text of ``<devices>`` (``domain_descriptor.py``), ports and channel states
    included.
    """
    seen = sorted(_seen(device) for device in devices if device.is_plugged and is_hardware(device))
    return hashlib.sha256(json.dumps(seen, separators=(",", ":")).encode()).hexdigest()


def _seen(device: VmDevice) -> tuple[str, ...]:
    return (
        device.device_id,
        device.type,
        "" if device.kind.is_host_side else device.device,
        device.bus or "",
        device.model or "",
        normal_text(device.address),
        device.logical_name or "",
    )
