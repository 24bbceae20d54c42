"""Which of the new needs of a changed server its host cannot meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from novadev.capabilities.compute_hosts import ComputeHost
from novadev.capabilities.facts import GuestFacts
from novadev.capabilities.stored_facts import PACKED_RING, facts_of_guest
from novadev.capabilities.verdicts import (
    REFUSED,
    Verdict,
    check_beside_machine_type,
    missing_machine_type,
)
from novadev.rules.defaults import REFUSALS
from novadev.rules.device import GuestDevice
from novadev.rules.guest import DriverRules, Guest, property_value
from novadev.rules.osinfo import NO_RECOMMENDATION

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
_OF_BOARD = ("architecture", "hw_architecture", "hw_emulation_architecture", "hw_machine_type")


@dataclass(frozen=True)
class HostWord:
    """``refused`` has what the host lacks; ``notes`` what is deprecated there or not known."""

    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def word_on(compute: ComputeHost | None, host: str | None, before: Guest, after: Guest) -> HostWord:
    """Return what COMPUTE, which is what is known of HOST, says to what AFTER needs newly.

    What the guest needed BEFORE does not count, and neither does the machine type. If Nova would
    build either of both guests no more, only the values that change are asked about. Raises
    NotAsNeeded where the database of libosinfo is broken.
    """
    if compute is None or compute.capabilities is None:
        names = _new_names(before, after)
        return HostWord(notes=(_unknown(host, names),) if names else ())
    old, new = _both_needs(compute, before, after)
    if old is None or new is None:
        return HostWord()
    was, is_now = (check_beside_machine_type(one, compute.capabilities) for one in (old, new))
    known = {(one.subject, one.outcome) for one in was}
    changed = {one.subject for one in set(new.devices) - set(old.devices)}
    changed |= {one.subject for one in set(new.settings) - set(old.settings)}
    newly = [
        one for one in is_now if one.subject in changed or (one.subject, one.outcome) not in known
    ]
    refused = [one for one in newly if one.outcome in REFUSED]
    missing = missing_machine_type(new, compute.capabilities)
    if missing is None:
        others = [one for one in newly if one.outcome in ("deprecated", "not checked")]
        notes = [f"{one.subject}: {one.outcome} on {compute.host}: {one.message}" for one in others]
    else:
        left = [one for one in newly if one.subject in changed and one not in refused]
        notes = _not_asked(compute, missing, [one.subject for one in left])
    return HostWord(
        refused=tuple(
            f"{one.subject}: on {compute.host} it {one.outcome}: {one.message} ({compute.origin})"
            for one in refused
        ),
        notes=tuple(notes),
    )


def _not_asked(compute: ComputeHost, missing: Verdict, subjects: Iterable[str]) -> list[str]:
    """Return in one note which of SUBJECTS were not checked, as the machine type is MISSING."""
    names = list(dict.fromkeys(subjects))
    if not names:
        return []
    why = f"{missing.subject} cannot be defined there: {missing.message} ({compute.origin})"
    return [f"{', '.join(names)}: not checked on {compute.host}, because {why}"]


def _both_needs(
    compute: ComputeHost, before: Guest, after: Guest
) -> tuple[GuestFacts | None, GuestFacts | None]:
    """Return what both guests need; of a guest that Nova would not build, what changes needs."""
    old, new = (_needs(compute, guest) for guest in (before, after))
    if old is None or new is None:
        old, new = (_needs(compute, guest) for guest in _alone(before, after))
    return old, new


def _alone(before: Guest, after: Guest) -> tuple[Guest, Guest]:
    """Return two guests without disks that have only the properties in which both differ.

    Those that choose the board stay.
    """
    same = dict(before.image_properties.items() & after.image_properties.items())
    old, new = (
        replace(
            guest,
            block_devices=(),
            config_drive=False,
            ephemeral_gb=0,
            swap_mb=0,
            image_properties={
                name: value
                for name, value in guest.image_properties.items()
                if name not in same or name in _OF_BOARD
            },
        )
        for guest in (before, after)
    )
    return old, new


def _needs(compute: ComputeHost, guest: Guest) -> GuestFacts | None:
    """Return what GUEST needs there; None where Nova would not even build it."""
    recommended = compute.recommendation(property_value(guest, "os_distro"))
    try:
        return facts_of_guest(guest, compute.rules, recommended)
    except REFUSALS:
        return None


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
    yield from (item.subject for item in needs.settings if item.kind != PACKED_RING)


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
