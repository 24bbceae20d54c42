"""Which of the new needs of a changed server its host cannot meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from novadev.capabilities.compute_hosts import ComputeHost
from novadev.capabilities.facts import GuestFacts
from novadev.capabilities.stored_facts import facts_of_guest
from novadev.capabilities.verdicts import Verdict, check
from novadev.rules.defaults import REFUSALS
from novadev.rules.device import GuestDevice
from novadev.rules.guest import DriverRules, Guest, property_value
from novadev.rules.osinfo import NO_RECOMMENDATION

_REFUSED = ("cannot be defined", "would not start")
_EVERYWHERE: Mapping[str, tuple[str, ...]] = {
    "channel": ("virtio",),
    "controller": ("virtio-scsi", "qemu-xhci", "none"),
    "disk": ("virtio", "scsi", "sata", "ide", "usb"),
    "graphics": (),
    "input": ("usb", "virtio", "ps2"),
    "interface": ("virtio", "e1000", "e1000e", "rtl8139"),
    "memballoon": ("virtio", "none"),
    "rng": ("virtio",),
    "video": ("virtio", "vga", "none"),
}
"""Models, else buses, that QEMU 5.2 had and that no distribution has taken out of it.

Source: Red Hat's QEMU 9, configs/devices/x86_64-softmmu/x86_64-rh-devices.mak.
"""
_OF_MACHINE = "machine type"
"""Told elsewhere: see :mod:`novadev.machine_type.objections`."""


@dataclass(frozen=True)
class HostWord:
    """``refused`` has what the host lacks; ``notes`` what is deprecated there or not known."""

    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def word_on(compute: ComputeHost | None, host: str | None, before: Guest, after: Guest) -> HostWord:
    """Return what COMPUTE, which is what is known of HOST, says to what AFTER needs newly.

    What the guest needed BEFORE does not count, and neither does the machine type. Raises
    NotAsNeeded where the database of libosinfo is broken.
    """
    if compute is None or compute.capabilities is None:
        names = _new_names(before, after)
        return HostWord(notes=(_unknown(host, names),) if names else ())
    known = {(one.subject, one.outcome) for one in _verdicts(compute, before)}
    new = [one for one in _verdicts(compute, after) if (one.subject, one.outcome) not in known]
    refused = [one for one in new if one.outcome in _REFUSED]
    others = [one for one in new if one.outcome in ("deprecated", "not checked")]
    return HostWord(
        refused=tuple(
            f"{one.subject}: on {compute.host} it {one.outcome}: {one.message} ({compute.origin})"
            for one in refused
        ),
        notes=tuple(
            f"{one.subject}: {one.outcome} on {compute.host}: {one.message}" for one in others
        ),
    )


def _verdicts(compute: ComputeHost, guest: Guest) -> Iterator[Verdict]:
    """Yield the verdicts on GUEST; none where Nova would not even build it."""
    assert compute.capabilities is not None
    recommended = compute.recommendation(property_value(guest, "os_distro"))
    try:
        needs = facts_of_guest(guest, compute.rules, recommended)
    except REFUSALS:
        return
    for one in check(needs, compute.capabilities):
        if not one.subject.startswith(_OF_MACHINE):
            yield one


def _new_names(before: Guest, after: Guest) -> list[str]:
    """Return what people know the new needs by, if they depend on nothing but what is stored."""
    known = set(_names(before))
    return [name for name in dict.fromkeys(_names(after)) if name not in known]


def _names(guest: Guest) -> Iterator[str]:
    try:
        needs: GuestFacts = facts_of_guest(guest, DriverRules(), NO_RECOMMENDATION)
    except REFUSALS:
        return
    yield from (item.subject for item in needs.devices if not _is_everywhere(item))
    yield from (item.subject for item in needs.settings)


def _is_everywhere(device: GuestDevice) -> bool:
    """Return whether every host has the device, so that there is nothing to say about it."""
    known = _EVERYWHERE.get(device.tag)
    return known is not None and (device.model or device.bus or "") in (*known, "")


def _unknown(host: str | None, names: list[str]) -> str:
    if host is None:
        return (
            f"it is not known whether a host has {', '.join(names)}, because the server is on "
            "no host"
        )
    return (
        f"it is not known whether {host} has {', '.join(names)}: there is no capability file of "
        "the host (novadev capabilities save, or --ask-hosts)"
    )
