"""What a guest really has, as values of Nova's image properties: read in its host's process.

A value is what Nova would have to find stored to build the same device again; how each is read
from a definition stands in :mod:`novadev.stash_defaults.observed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from novadev.errors import NotFound
from novadev.stash_defaults.observed import Seen, machine_type, observe, would_add_keyboard
from novadev.virt.domain import Definitions
from novadev.virt.host import Host

Side = Literal["persistent", "live"]


@dataclass(frozen=True)
class Hardware:
    """What a definition says of a guest, by image property (without ``image_``).

    ``values`` are in Nova's spelling, and one that is there means that the guest has the device.
    ``doubts`` say why a definition gives no one value; a property in neither has no device.
    ``side`` is the definition they were read from: the persistent one where there is one.
    ``machine_type`` is the canonical one, None if the definition has none.
    ``keyboard_would_appear``: hw_input_bus, stored, would add a keyboard to the guest.
    ``qemu`` is the version of the host's QEMU, None where it does not say.
    """

    values: Mapping[str, str]
    doubts: Mapping[str, str]
    side: Side
    machine_type: str | None
    keyboard_would_appear: bool
    qemu: str | None = None


def read_hardware(host: Host, uuid: str, root_device_name: str | None = None) -> Hardware:
    """Return what the guest has on HOST; for the other arguments see `hardware_of`.

    Raises NotFound, BadInput for an XML that cannot be parsed, and what a host that cannot be
    asked raises.
    """
    found = hardware_of(host.definitions(uuid), root_device_name)
    return replace(found, qemu=host.qemu_version())


def hardware_of(definitions: Definitions, root_device_name: str | None = None) -> Hardware:
    """Return what DEFINITIONS say of a guest's hardware.

    Where a running guest has something else than its persistent definition, that is a doubt: the
    one is what it has, the other what libvirt would start it with. ROOT_DEVICE_NAME is Nova's
    (``/dev/vda``), to tell the root disk where all disks are volumes and not on one bus. Raises
    NotFound for a transient domain that ended while it was read.
    """
    live, chosen = definitions.live, definitions.persistent or definitions.live
    if chosen is None:
        raise NotFound(f"domain {definitions.uuid} ended while it was read")
    seen = observe(chosen, root_device_name)
    if live is not None and live is not chosen:
        seen = _compared(seen, observe(live, root_device_name))
    values = {name: one.value for name, one in seen.items() if one.value is not None}
    return Hardware(
        values=values,
        doubts={name: one.doubt for name, one in seen.items() if one.doubt is not None},
        side="live" if chosen is live else "persistent",
        machine_type=machine_type(chosen),
        keyboard_would_appear=would_add_keyboard(chosen, values.get("hw_input_bus")),
    )


def _compared(persistent: Mapping[str, Seen], live: Mapping[str, Seen]) -> dict[str, Seen]:
    """Return what both definitions say alike, a doubt for all else."""
    return {name: _alike(one, live[name]) for name, one in persistent.items()}


def _alike(persistent: Seen, live: Seen) -> Seen:
    if persistent.doubt is not None or persistent == live:
        return persistent
    if live.doubt is not None:
        return Seen(doubt=f"in the running guest, {live.doubt}")
    has = [one.value or "no such device" for one in (live, persistent)]
    return Seen(doubt=f"the running guest has {has[0]}, but its persistent definition has {has[1]}")
