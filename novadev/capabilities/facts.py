"""What a guest needs of a host, as plain facts that can be compared with a host.

Read in the host's process, or anywhere else, from a definition; from what Nova has stored by
:mod:`novadev.capabilities.stored_facts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from novadev.capabilities.settings import SENT_IF_NEEDED, follows, settings_of
from novadev.capabilities.unlisted import Setting
from novadev.rules.device import GuestDevice
from novadev.virt.device import Device
from novadev.virt.devices import Controller, Disk
from novadev.virt.domain import Domain

_BACKEND = {"tpm": "backend", "filesystem": "driver"}
"""Where the kind of such a device stands, if not in itself: the type of this child."""


@dataclass(frozen=True)
class GuestFacts:
    """What a guest needs: its devices, and what QEMU it is for.

    ``machine_type`` is an alias or a versioned name, None where it is left to QEMU;
    ``domain_type`` is ``kvm`` or ``qemu``. ``settings`` are all else that a host can lack.
    ``is_carried``: a live migration takes it there as it runs, so QEMU has to send its state.
    """

    architecture: str
    domain_type: str
    machine_type: str | None
    devices: tuple[GuestDevice, ...]
    settings: tuple[Setting, ...] = ()
    is_carried: bool = False


def facts_of_domain(domain: Domain, is_carried: bool = False) -> GuestFacts:
    """Return what DOMAIN needs, to be defined and started elsewhere as it is.

    A live definition serves as well as a persistent one. ``is_carried`` says that it is the one
    that a live migration sends: the other host has to take all of it.
    """
    return GuestFacts(
        architecture=domain.os_type("arch") or "",
        domain_type=domain.root.get("type", ""),
        machine_type=domain.os_type("machine"),
        devices=tuple(_facts(domain, is_carried)),
        settings=tuple(settings_of(domain, is_carried)),
        is_carried=is_carried,
    )


def _facts(domain: Domain, is_carried: bool) -> Iterator[GuestDevice]:
    for device in domain.devices:
        is_sent = is_carried and device.element.tag in SENT_IF_NEEDED
        if follows(device.element, domain) and not is_sent:
            continue
        yield GuestDevice(
            subject=device.label,
            tag=str(device.element.tag),
            device=_kind(device),
            bus=device.bus,
            model=_model(device),
            serial_length=len(device.serial or "") if isinstance(device, Disk) else 0,
        )


def _kind(device: Device) -> str | None:
    if isinstance(device, Disk):
        return device.device or "disk"
    if isinstance(device, Controller):
        return device.kind
    child = device.element.find(_BACKEND.get(str(device.element.tag), "."))
    return device.element.get("type") if child is None else child.get("type")


def _model(device: Device) -> str | None:
    if device.element.tag in ("serial", "console", "channel"):
        target = device.element.find("target")
        return None if target is None else target.get("type")
    return device.model
