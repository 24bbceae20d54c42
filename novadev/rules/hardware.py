"""The devices that Nova gives a guest at its next power-on, as plain values.

This is the one list: the forecast, the check against another host, the count of PCI Express ports
and the faults of properties all read it. ``tests/rules/test_hardware.py`` holds it against the
definitions that Nova's own driver writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from novadev.nova.image_properties import PROPERTIES
from novadev.rules.defaults import (
    balloon_model,
    default_of,
    keyboard_bus,
    with_recommended_bus,
)
from novadev.rules.device import (
    AGENT_CHANNEL,
    FALLBACK_VIDEO,
    WATCHDOG,
    GuestDevice,
    inputs,
    needs_usb,
    usb_model,
)
from novadev.rules.disks import guest_disks, is_volume
from novadev.rules.guest import (
    DriverRules,
    Guest,
    emulated_architecture,
    known_value,
    property_value,
)
from novadev.rules.image_meta import is_yes
from novadev.rules.machine_types import POWER
from novadev.rules.osinfo import NO_RECOMMENDATION, Recommendation
from novadev.rules.releases import PACKED_RING_SINCE

_TPM = "tpm-tis"
"""Nova's default (nova/virt/hardware.py, get_vtpm_constraint)."""


@dataclass(frozen=True)
class Attached:
    """What a guest has in addition to its disks and the devices from its image.

    ``interfaces`` are those with the model of the property; ``host_devices`` PCI devices of the
    host, those of ports included; ``has_rng`` is the flavor's ``hw_rng:allowed``.
    """

    interfaces: int = 1
    host_devices: int = 0
    shares: int = 0
    has_rng: bool = True


ONE_INTERFACE = Attached()
_UUID = 36
"""Characters of the serial that Nova gives a volume, its UUID."""


def hardware(
    guest: Guest,
    rules: DriverRules,
    recommended: Recommendation = NO_RECOMMENDATION,
    attached: Attached = ONE_INTERFACE,
    os_type: str | None = None,
) -> tuple[GuestDevice, ...]:
    """Return the devices of GUEST at its next power-on on a host with these RULES.

    Disks come first and in Nova's order, the USB controller and its redirected ports last.
    RECOMMENDED is libosinfo's for the guest's os_distro, OS_TYPE that of its definition. Raises
    one of :data:`novadev.rules.defaults.REFUSALS` where Nova would not build the guest.
    Source: nova/virt/libvirt/driver.py, _get_guest_config.
    """
    devices = (
        *_disks(with_recommended_bus(guest, recommended), rules),
        *scsi_controller(guest),
        *graphical(guest, rules, os_type),
        *_by_property(guest, rules),
        *[_interface(guest, rules, recommended)] * attached.interfaces,
        *[GuestDevice("hostdev", "hostdev", "pci")] * attached.host_devices,
        *[GuestDevice("share", "filesystem", "virtiofs")] * attached.shares,
        *[GuestDevice("rng virtio", "rng", model="virtio")] * attached.has_rng,
        balloon(rules),
    )
    return (*devices, _usb_controller(guest, rules, devices), *_redirected(guest, rules))


def _disks(guest: Guest, rules: DriverRules) -> Iterator[GuestDevice]:
    """Yield the disks, and the SCSI controller that libvirt adds where no property asks for one."""
    disks = guest_disks(guest, rules)
    for disk in disks:
        length = _UUID if is_volume(disk) else 0  # volume/volume.py, get_config
        yield GuestDevice(f"disk {disk.dev}", "disk", disk.type, disk.bus, serial_length=length)
    if property_value(guest, "hw_scsi_model") is None and any(d.bus == "scsi" for d in disks):
        yield GuestDevice("controller scsi 0", "controller", "scsi")


def scsi_controller(guest: Guest) -> Iterator[GuestDevice]:
    """Yield the SCSI controller of the property, which Nova adds whether a disk is on it or not.

    Source: nova/virt/libvirt/driver.py, _get_guest_storage_config and _get_scsi_controller.
    """
    model = property_value(guest, "hw_scsi_model")
    if model is not None:
        spelled = PROPERTIES["hw_scsi_model"].spelling(model)
        yield GuestDevice(f"hw_scsi_model={spelled}", "controller", "scsi", model=spelled)


def graphical(
    guest: Guest, rules: DriverRules, os_type: str | None = None
) -> Iterator[GuestDevice]:
    """Yield display adapter, consoles and input devices: without a console Nova adds none.

    Source: nova/virt/libvirt/driver.py, _guest_add_video_device, _guest_add_pointer_device,
    _guest_add_keyboard_device and _guest_add_spice_channel.
    """
    if not has_display(rules):
        return
    if rules.vnc_enabled:
        yield GuestDevice("graphics vnc", "graphics", "vnc")
    if rules.spice_enabled:
        yield GuestDevice("graphics spice", "graphics", "spice")
    if has_spice_agent(rules):
        yield GuestDevice("channel spice", "channel", "spicevmc", model="virtio")
    video = video_model(guest, rules)
    yield GuestDevice(f"hw_video_model={video}", "video", model=video)
    yield from inputs(
        default_of("hw_input_bus", guest, rules, os_type=os_type), keyboard_bus(guest, rules)
    )


def has_display(rules: DriverRules) -> bool:
    """Return whether guests have a graphical console."""
    return rules.vnc_enabled or rules.spice_enabled


def has_spice_agent(rules: DriverRules) -> bool:
    """Return whether guests have the channel of SPICE's agent."""
    return rules.spice_enabled and rules.spice_agent_enabled and rules.virt_type != "lxc"


def video_model(guest: Guest, rules: DriverRules) -> str:
    """Return the model of the display adapter."""
    return default_of("hw_video_model", guest, rules) or FALLBACK_VIDEO


def _by_property(guest: Guest, rules: DriverRules) -> Iterator[GuestDevice]:
    """Yield the devices that only a property adds.

    Source: nova/virt/libvirt/driver.py, _add_sound_device, _add_vtpm_device, _set_qemu_guest_agent
    and _guest_add_watchdog_action.
    """
    sound = known_value(guest, "hw_sound_model", rules.release)
    if sound:
        yield GuestDevice(f"hw_sound_model={sound}", "sound", model=sound)
    if property_value(guest, "hw_tpm_version"):
        tpm = property_value(guest, "hw_tpm_model") or _TPM
        yield GuestDevice(f"hw_tpm_model={tpm}", "tpm", "emulator", model=tpm)
    if property_value(guest, "hw_watchdog_action") not in (None, "disabled"):
        yield GuestDevice(f"watchdog {WATCHDOG}", "watchdog", model=WATCHDOG)
    if is_yes(property_value(guest, "hw_qemu_guest_agent")):
        yield GuestDevice(f"channel {AGENT_CHANNEL}", "channel", "unix", model="virtio")


def _redirected(guest: Guest, rules: DriverRules) -> list[GuestDevice]:
    """Return the USB ports that SPICE redirects, which Nova adds whether there is SPICE or not.

    Source: nova/virt/libvirt/driver.py, _add_redirected_usb_ports.
    """
    number = known_value(guest, "hw_redirected_usb_ports", rules.release) or "0"
    one = GuestDevice("redirdev usb", "redirdev", "spicevmc", "usb")
    return [one] * int(number) if number.isdecimal() else []


def balloon(rules: DriverRules) -> GuestDevice:
    """Return the memory balloon, whose model may be ``none``."""
    model = balloon_model(rules)
    return GuestDevice(f"memballoon {model}", "memballoon", model=model)


def _interface(guest: Guest, rules: DriverRules, recommended: Recommendation) -> GuestDevice:
    model = default_of("hw_vif_model", guest, rules, recommended)
    return GuestDevice(f"hw_vif_model={model}", "interface", model=model)


def has_packed_ring(guest: Guest, release: int) -> bool:
    """Return whether this release of Nova asks for packed rings, which it does of every card.

    The flavor's extra spec of that name does the same.
    """
    return release >= PACKED_RING_SINCE and is_yes(property_value(guest, "hw_virtio_packed_ring"))


def takes_packed_ring(vif_model: str | None) -> bool:
    """Return whether libvirt defines a guest with packed rings on a card of this model.

    Source: libvirt, src/conf/domain_validate.c, virDomainCheckVirtioOptionsAreAbsent.
    """
    return (vif_model or "").startswith("virtio")


def _usb_controller(
    guest: Guest, rules: DriverRules, devices: Iterable[GuestDevice]
) -> GuestDevice:
    is_power = emulated_architecture(guest, rules) in POWER
    asked = known_value(guest, "hw_usb_model", rules.release)
    model = usb_model(asked, needs_usb(devices) or is_power)
    return GuestDevice("controller usb 0", "controller", "usb", model=model)
