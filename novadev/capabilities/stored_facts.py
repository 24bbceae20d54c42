"""What a guest will need of a host by what Nova has stored of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from novadev.capabilities.facts import DeviceFact, GuestFacts
from novadev.nova.image_properties import PROPERTIES
from novadev.rules.defaults import (
    balloon_model,
    default_of,
    keyboard_bus,
    with_recommended_bus,
)
from novadev.rules.disks import guest_disks
from novadev.rules.guest import (
    DriverRules,
    Guest,
    architecture,
    known_value,
    machine_type,
    property_value,
)
from novadev.rules.image_meta import check_readable
from novadev.rules.osinfo import NO_RECOMMENDATION, Recommendation

_TPM = "tpm-tis"
"""Nova's default (nova/virt/hardware.py, get_vtpm_constraint)."""


def facts_of_guest(
    guest: Guest, rules: DriverRules, recommended: Recommendation = NO_RECOMMENDATION
) -> GuestFacts:
    """Return what GUEST needs at its next power-on on a host with these RULES.

    Of its interfaces there is one, for all have the model of the property but devices of the
    host. What the flavor adds is not among it: nor are devices of the host and shares.
    RECOMMENDED is libosinfo's for the guest's os_distro. Raises one of
    :data:`novadev.rules.defaults.REFUSALS` where Nova itself would not build the guest.
    """
    check_readable(guest, rules.release)
    devices = (
        *_disks(with_recommended_bus(guest, recommended), rules),
        *_controllers(guest),
        *_graphical(guest, rules),
        *_named_by_properties(guest, rules),
        _interface(guest, rules, recommended),
        DeviceFact("rng virtio", "rng", model="virtio"),
        _balloon(rules),
    )
    return GuestFacts(
        architecture=architecture(guest, rules),
        domain_type=rules.virt_type,
        machine_type=machine_type(guest, rules),
        devices=(*devices, _usb(guest, rules, devices)),
    )


def _disks(guest: Guest, rules: DriverRules) -> Iterator[DeviceFact]:
    """Yield the disks, and the SCSI controller that libvirt adds where no property asks for one."""
    disks = guest_disks(guest, rules)
    for disk in disks:
        yield DeviceFact(f"disk {disk.dev}", "disk", disk.type, disk.bus)
    if property_value(guest, "hw_scsi_model") is None and any(d.bus == "scsi" for d in disks):
        yield DeviceFact("controller scsi 0", "controller", "scsi")


def _controllers(guest: Guest) -> Iterator[DeviceFact]:
    """Yield the SCSI controller of the property, which Nova adds whether a disk is on it or not.

    Source: nova/virt/libvirt/driver.py, _get_guest_storage_config and _get_scsi_controller.
    """
    model = property_value(guest, "hw_scsi_model")
    if model is not None:
        spelled = PROPERTIES["hw_scsi_model"].spelling(model)
        yield DeviceFact(f"hw_scsi_model={spelled}", "controller", "scsi", model=spelled)


def _graphical(guest: Guest, rules: DriverRules) -> Iterator[DeviceFact]:
    """Yield display adapter, consoles and input devices: without a console Nova adds none.

    Source: nova/virt/libvirt/driver.py, _guest_add_video_device and _guest_add_pointer_device.
    """
    if not (rules.vnc_enabled or rules.spice_enabled):
        return
    if rules.vnc_enabled:
        yield DeviceFact("graphics vnc", "graphics", "vnc")
    if rules.spice_enabled:
        yield DeviceFact("graphics spice", "graphics", "spice")
    if rules.spice_enabled and rules.spice_agent_enabled:
        yield DeviceFact("channel spice", "channel", "spicevmc", model="virtio")
    video = default_of("hw_video_model", guest, rules) or "virtio"
    yield DeviceFact(f"hw_video_model={video}", "video", model=video)
    pointer = default_of("hw_input_bus", guest, rules)
    if pointer is not None:
        yield DeviceFact(f"input tablet {pointer}", "input", "tablet", pointer)
    keyboard = keyboard_bus(guest, rules)
    if keyboard is not None:
        yield DeviceFact(f"input keyboard {keyboard}", "input", "keyboard", keyboard)


def _named_by_properties(guest: Guest, rules: DriverRules) -> Iterator[DeviceFact]:
    """Yield the devices that only a property adds.

    Source: nova/virt/libvirt/driver.py, _add_sound_device, _add_vtpm_device and
    _guest_add_watchdog_action; nova/virt/libvirt/config.py, LibvirtConfigGuestWatchdog.
    """
    sound = known_value(guest, "hw_sound_model", rules.release)
    if sound:
        yield DeviceFact(f"hw_sound_model={sound}", "sound", model=sound)
    if property_value(guest, "hw_tpm_version"):
        tpm = property_value(guest, "hw_tpm_model") or _TPM
        yield DeviceFact(f"hw_tpm_model={tpm}", "tpm", "emulator", model=tpm)
    if property_value(guest, "hw_watchdog_action") not in (None, "disabled"):
        yield DeviceFact("watchdog i6300esb", "watchdog", model="i6300esb")


def _balloon(rules: DriverRules) -> DeviceFact:
    model = balloon_model(rules)
    return DeviceFact(f"memballoon {model}", "memballoon", model=model)


def _usb(guest: Guest, rules: DriverRules, devices: Iterable[DeviceFact]) -> DeviceFact:
    """Return the USB controller: libvirt's choice where USB is needed, none unless asked for else.

    Source: nova/virt/libvirt/driver.py, _guest_add_usb_root_controller.
    """
    if any(fact.bus == "usb" for fact in devices):
        return DeviceFact("controller usb 0", "controller", "usb")
    model = known_value(guest, "hw_usb_model", rules.release) or "none"
    return DeviceFact("controller usb 0", "controller", "usb", model=model)


def _interface(guest: Guest, rules: DriverRules, recommended: Recommendation) -> DeviceFact:
    model = default_of("hw_vif_model", guest, rules, recommended)
    return DeviceFact(f"hw_vif_model={model}", "interface", model=model)
