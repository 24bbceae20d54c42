"""What Nova's libvirt driver chooses where an image property is not stored."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES
from novadev.rules.buses import TooManyDisks, UnsupportedBus, bus_for_device_type
from novadev.rules.disks import guest_disks
from novadev.rules.guest import (
    DriverRules,
    Guest,
    emulated_architecture,
    machine_type,
    property_value,
)
from novadev.rules.image_meta import (
    VALUES,
    VM_MODE_SPELLINGS,
    UnreadableProperty,
    check_readable,
)
from novadev.rules.machine_types import POWER, X86
from novadev.rules.osinfo import NO_RECOMMENDATION, Recommendation
from novadev.rules.releases import NO_BALLOON_SINCE, SPICE_QXL_UNTIL

REGISTERED = (
    MACHINE_TYPE,
    "hw_cdrom_bus",
    "hw_disk_bus",
    "hw_input_bus",
    "hw_pointer_model",
    "hw_video_model",
    "hw_vif_model",
)
"""The properties Nova registers, in its order (nova/virt/libvirt/driver.py)."""

BY_DEFAULT = (*REGISTERED, "hw_scsi_model")
"""What stash-defaults records unless told: Nova's seven, and the model that hurts most."""
ON_REQUEST = ("hw_floppy_bus", "hw_rng_model")
"""What is recorded when it is named, for a guest that has the device."""
RECORDED = (*BY_DEFAULT, *ON_REQUEST)

REFUSALS = (UnsupportedBus, TooManyDisks, UnreadableProperty)
"""What is raised where Nova fails, and so registers nothing for the instance."""

_BUSES = ("hw_cdrom_bus", "hw_disk_bus")


def registered(
    guest: Guest,
    rules: DriverRules,
    recommended: Recommendation = NO_RECOMMENDATION,
    os_type: str | None = None,
) -> dict[str, str | None]:
    """Return what Nova would register for the guest: the absent properties, in Nova's order.

    Each sees those before it; None is a null, which counts as registered. recommended is
    libosinfo's for the guest's os_distro; os_type is the one in the domain's definition, or what
    os_type_of() gives. A volume counts even if it is not connected. Raises one of REFUSALS
    where Nova fails: for the disks only if one of their buses is absent.
    Source: nova/virt/libvirt/driver.py, _register_undefined_instance_details.
    """
    absent = [name for name in REGISTERED if name not in guest.image_properties]
    if not absent:
        return {}
    check_readable(guest, rules.release)
    _check_disks(guest, rules, recommended, absent)
    found: dict[str, str | None] = {}
    for name in absent:
        found[name] = default_of(name, with_properties(guest, found), rules, recommended, os_type)
    return found


def default_of(
    name: str,
    guest: Guest,
    rules: DriverRules,
    recommended: Recommendation = NO_RECOMMENDATION,
    os_type: str | None = None,
) -> str | None:
    """Return what Nova makes of a registered property: its value, else the driver's choice.

    A null counts as absent; None leaves the device out, or its model to libvirt. Raises
    UnsupportedBus for a disk bus the virt_type lacks, be it stored or recommended.
    Source: nova/virt/libvirt/driver.py, _find_default_for_image_property.
    """
    match name:
        case "hw_machine_type":
            return machine_type(guest, rules)
        case "hw_cdrom_bus":
            return bus_for_device_type("cdrom", guest, rules)
        case "hw_disk_bus":
            return bus_for_device_type("disk", with_recommended_bus(guest, recommended), rules)
        case "hw_input_bus":
            return _pointer(guest, rules, os_type)[1]
        case "hw_pointer_model":
            return _pointer(guest, rules, os_type)[0]
        case "hw_video_model":
            return _video_model(guest, rules)
        case "hw_vif_model":
            return _vif_model(guest, rules, recommended)
    raise LookupError(f"{name} is not a property that Nova registers")


def keyboard_bus(guest: Guest, rules: DriverRules) -> str | None:
    """Return the bus of the keyboard that Nova adds; None where it leaves that to libvirt.

    A guest without a graphical console gets no input devices at all. Source:
    nova/virt/libvirt/driver.py, _guest_add_keyboard_device, and _guest_add_video_device for when
    it is asked.
    """
    if rules.virt_type == "lxc" or not (rules.vnc_enabled or rules.spice_enabled):
        return None
    bus = property_value(guest, "hw_input_bus")
    if bus:
        return bus
    return "usb" if emulated_architecture(guest, rules) == "aarch64" else None


def balloon_model(rules: DriverRules) -> str:
    """Return the model of the memory balloon; where Nova writes none, libvirt adds a virtio one.

    Source: nova/virt/libvirt/driver.py, _guest_add_memory_balloon.
    """
    has_none = rules.mem_stats_period_seconds <= 0 and rules.release >= NO_BALLOON_SINCE
    return "none" if has_none else "virtio"


def os_type_of(vm_mode: str | None, rules: DriverRules) -> str:
    """Return the os_type that Nova defines a guest with; vm_mode is the instance's.

    Raises UnreadableProperty for a vm_mode that Nova does not know.
    Source: nova/virt/libvirt/driver.py, _get_guest_config and _get_guest_os_type;
    nova/objects/fields.py, VMMode.canonicalize.
    """
    mode = VM_MODE_SPELLINGS.get((vm_mode or "").lower(), (vm_mode or "").lower())
    if vm_mode is not None and mode not in VALUES["hw_vm_mode"]:
        raise UnreadableProperty(f"vm_mode={vm_mode}: Nova has no such mode of virtual machines")
    return mode or ("exe" if rules.virt_type == "lxc" else "hvm")


def with_properties(guest: Guest, properties: dict[str, str | None]) -> Guest:
    """Return the guest with these properties stored as well."""
    return replace(guest, image_properties={**guest.image_properties, **properties})


def with_recommended_bus(guest: Guest, recommended: Recommendation) -> Guest:
    """Return the guest with the recommended disk bus, unless its properties name one.

    Source: nova/virt/osinfo.py, HardwareProperties.disk_model.
    """
    if recommended.disk_bus is None or property_value(guest, "hw_disk_bus") is not None:
        return guest
    return with_properties(guest, {"hw_disk_bus": recommended.disk_bus})


def _check_disks(
    guest: Guest, rules: DriverRules, recommended: Recommendation, absent: Collection[str]
) -> None:
    """Raise what Nova raises when it looks at the disks, which it does for their buses only."""
    if not set(_BUSES) & set(absent):
        return
    rows = tuple(replace(row, connected=True) for row in guest.block_devices)
    guest_disks(replace(with_recommended_bus(guest, recommended), block_devices=rows), rules)


def _pointer(
    guest: Guest, rules: DriverRules, os_type: str | None
) -> tuple[str | None, str | None]:
    """Return model and bus of the pointer device; None twice where Nova adds none.

    SPICE's agent is a mouse of its own, so beside it there is a tablet for VNC only.
    Source: nova/virt/libvirt/driver.py, _get_pointer_bus_and_model.
    """
    bus = property_value(guest, "hw_input_bus")
    asked = property_value(guest, "hw_pointer_model") or rules.pointer_model == "usbtablet"
    if not bus and not asked:
        return None, None
    if (os_type or os_type_of(None, rules)) != "hvm":
        return None, None
    if rules.spice_enabled and rules.spice_agent_enabled and not rules.vnc_enabled:
        return None, None
    return "usbtablet", bus or "usb"


def _video_model(guest: Guest, rules: DriverRules) -> str | None:
    """Return the video model; with SPICE it was qxl in older releases, and is left out since.

    Source: nova/virt/libvirt/driver.py, _get_video_type.
    """
    stored = property_value(guest, "hw_video_model")
    if stored:
        return stored
    if rules.virt_type == "parallels":
        return "vga"
    arch = emulated_architecture(guest, rules)
    if arch in X86 and not rules.spice_enabled:
        return "virtio"
    if arch in POWER:
        return "vga"
    if arch in ("aarch64", "mipsel"):
        return "virtio"
    return "qxl" if rules.spice_enabled and rules.release <= SPICE_QXL_UNTIL else None


def _vif_model(guest: Guest, rules: DriverRules, recommended: Recommendation) -> str | None:
    """Return the model of network interfaces, which need not be one the virt_type has.

    Source: nova/virt/libvirt/vif.py, get_vif_model.
    """
    stored = property_value(guest, "hw_vif_model")
    if stored is not None:
        return PROPERTIES["hw_vif_model"].spelling(stored)
    if recommended.vif_model is not None:
        return recommended.vif_model
    has_virtio = rules.virt_type in ("kvm", "qemu", "parallels")
    return "virtio" if has_virtio and rules.use_virtio_for_bridges else None
