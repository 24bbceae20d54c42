"""What one definition says of each image property that the hardware of a guest comes from.

hw_rescue_bus is none of them: Nova reads it from the rescue image in Glance alone, and only a
guest in rescue has the disk (``nova/compute/manager.py`` _get_rescue_image, ``nova/virt/libvirt/``
``blockinfo.py`` get_rescue_bus). That guest is built from the rescue image, or from the original
one as Glance has it, not from what is stored (``driver.py`` rescue): its definition gives no value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from novadev.rules.machine_types import POWER, X86
from novadev.rules.slots import DEFAULT_NIC
from novadev.virt.devices import Controller, Disk, Input, Interface, Rng, Video
from novadev.virt.domain import Domain
from novadev.virt.own_disks import own_disk_name

_DISK_BUSES = ("fdc", "ide", "sata", "scsi", "usb", "virtio", "xen", "lxc", "uml")
VALUES: Mapping[str, tuple[str, ...]] = {
    "hw_disk_bus": _DISK_BUSES,
    "hw_cdrom_bus": _DISK_BUSES,
    "hw_floppy_bus": _DISK_BUSES,
    "hw_input_bus": ("usb", "virtio"),
    "hw_pointer_model": ("usbtablet",),
    "hw_rng_model": ("virtio",),
    "hw_scsi_model": (
        *("buslogic", "ibmvscsi", "lsilogic", "lsisas1068", "lsisas1078", "virtio-scsi"),
        "vmpvscsi",
    ),
    "hw_video_model": (
        *("cirrus", "qxl", "vga", "vmvga", "xen", "virtio", "gop", "none", "bochs"),
    ),
    "hw_vif_model": (
        *("virtio", "ne2k_pci", "pcnet", "rtl8139", "e1000", "e1000e", "netfront"),
        *("spapr-vlan", "lan9118", "sriov", "vmxnet", "vmxnet3", "igb"),
    ),
}
"""Those of :mod:`novadev.nova.image_properties`, which a host's process would load a database for.

libvirt spells each of them as Nova does, but has more.
"""

_QEMU = ("kvm", "qemu")
_LIBVIRT_SCSI = ("ibmvscsi", "lsilogic")
"""What libvirt adds for a disk on SCSI, and Nova only when told to."""
_BY_PROPERTY_ALONE = r"disk\.(config|local)"
_DISK_RANKS = (_BY_PROPERTY_ALONE, r"disk(\.swap)?", r"disk\.eph\d+")
_CDROM_RANKS = (_BY_PROPERTY_ALONE, "disk")
_NOT_BY_PROPERTY = ("hostdev", "vdpa")
_RESCUED = (
    "the guest is in rescue: its present hardware comes from the rescue image, not from "
    "what is stored"
)


@dataclass(frozen=True)
class Seen:
    """The value of a property, or why there is no one value; neither: there is no such device."""

    value: str | None = None
    doubt: str | None = None


Reader = Callable[[Domain], Seen]


def observe(domain: Domain, root_device_name: str | None = None) -> dict[str, Seen]:
    """Return what DOMAIN says of every property; ROOT_DEVICE_NAME as for `disk_bus`."""
    readers: dict[str, Reader] = {
        "hw_machine_type": lambda domain: Seen(machine_type(domain)),
        "hw_disk_bus": lambda domain: disk_bus(domain, root_device_name),
        "hw_cdrom_bus": cdrom_bus,
        "hw_floppy_bus": floppy_bus,
        "hw_scsi_model": scsi_model,
        "hw_input_bus": input_bus,
        "hw_pointer_model": pointer_model,
        "hw_rng_model": rng_model,
        "hw_video_model": video_model,
        "hw_vif_model": vif_model,
    }
    if _is_rescued(domain):
        return dict.fromkeys(readers, Seen(doubt=_RESCUED))
    return {name: read(domain) for name, read in readers.items()}


def machine_type(domain: Domain) -> str | None:
    """Return the machine type: libvirt stores ``pc-i440fx-7.2`` where Nova asked for ``pc``."""
    return _os_type(domain, "machine")


def disk_bus(domain: Domain, root_device_name: str | None = None) -> Seen:
    """Return the bus that Nova must find in hw_disk_bus to build the disks again.

    A disk with a row in block_device_mapping keeps the row's bus, whatever the property says. So
    the disks that count are the first there are of these:

    1. the config drive and the ephemeral disk without a row, which have the property's bus always
    2. root and swap: the root's row was given that bus when the guest was built, and swap has
       no row unless its user asked for one
    3. ephemeral disks with rows
    4. volumes. Each has a row, and one may have been attached to a bus of its own; so where they
       are on several, the root disk's, ROOT_DEVICE_NAME, counts

    Disks of one rank on several buses are a doubt. LUNs never count: Nova builds none without a
    bus of its own. Source: nova/virt/libvirt/blockinfo.py, _get_disk_mapping and what it calls.
    """
    disks = [disk for disk in domain.of_class(Disk) if disk.device in ("disk", None)]
    counted, own = _first_rank(domain, disks, _DISK_RANKS)
    root = (root_device_name or "").removeprefix("/dev/")
    if not own and len(_distinct(disk.bus for disk in counted)) > 1:
        counted = [disk for disk in counted if disk.target == root] or counted
    return _one("hw_disk_bus", (disk.bus for disk in counted), "disks")


def cdrom_bus(domain: Domain) -> Seen:
    """Return the bus of the config drive, else of an ISO the guest boots, else of other cdroms.

    The first two have the property's bus whatever their rows say (blockinfo.py, get_root_info).
    """
    cdroms = [disk for disk in domain.of_class(Disk) if disk.device == "cdrom"]
    counted, _ = _first_rank(domain, cdroms, _CDROM_RANKS)
    return _one("hw_cdrom_bus", (disk.bus for disk in counted), "cdroms")


def floppy_bus(domain: Domain) -> Seen:
    """Return the bus of the floppies."""
    floppies = (disk for disk in domain.of_class(Disk) if disk.device == "floppy")
    return _one("hw_floppy_bus", (disk.bus for disk in floppies), "floppies")


def scsi_model(domain: Domain) -> Seen:
    """Return the model of the controllers that disks on SCSI use, else of the one that is there.

    Without hw_scsi_model Nova writes none and libvirt adds one for the disks, lsilogic on x86:
    it is theirs all the same, and what their guest boots with. libvirt leaves it where it is when
    the last disk goes, so one of a model it adds is a doubt without disks. Source:
    nova/virt/libvirt/driver.py, _get_scsi_controller; libvirt, qemuDomainGetSCSIControllerModel.
    """
    there = {item.index: item.model for item in domain.of_class(Controller) if item.kind == "scsi"}
    used = {_controller(disk) for disk in domain.of_class(Disk) if disk.bus == "scsi"}
    if used:
        return _one("hw_scsi_model", map(there.get, used), "controllers of disks on SCSI")
    seen = _one("hw_scsi_model", there.values(), "SCSI controllers")
    if seen.value not in _LIBVIRT_SCSI:
        return seen
    return Seen(
        doubt=f"no disk uses the SCSI controller {seen.value}, which libvirt may have added"
    )


def input_bus(domain: Domain) -> Seen:
    """Return the bus of the tablet; without one, of a keyboard that only the property adds.

    Mice and what is on ps2 are libvirt's. Of itself a guest has a keyboard on usb from Nova on
    aarch64 and from libvirt on Power. Beside SPICE's agent Nova adds the property's keyboard and no
    tablet. Source: nova/virt/libvirt/driver.py, _guest_add_pointer_device and
    _guest_add_keyboard_device; libvirt, qemuDomainDefAddDefaultDevices.
    """
    buses = _input_buses(domain, "tablet") or _input_buses(domain, "keyboard") - (
        {"usb"} if _has_own_keyboard(domain) else set()
    )
    return _one("hw_input_bus", buses, "input devices")


def pointer_model(domain: Domain) -> Seen:
    """Return Nova's one model if there is a tablet, on whatever bus: so Nova registers it."""
    return Seen("usbtablet" if _input_buses(domain, "tablet") else None)


def would_add_keyboard(domain: Domain, bus: str | None) -> bool:
    """Return whether this value of hw_input_bus would add a keyboard that DOMAIN lacks.

    Nova adds one on the same bus as the tablet as soon as the property is stored. A guest that
    has one of itself (see `input_bus`) has it on usb either way.
    """
    if bus is None or bus in _input_buses(domain, "keyboard"):
        return False
    return bus != "usb" or not _has_own_keyboard(domain)


def rng_model(domain: Domain) -> Seen:
    """Return the model of the random number generator; Nova has no other than virtio."""
    return _one("hw_rng_model", (rng.device for rng in domain.of_class(Rng)), "rng devices")


def video_model(domain: Domain) -> Seen:
    """Return the model of the primary video device, which may be ``none``: it was asked for."""
    videos = domain.of_class(Video)
    primary = [video for video in videos if video.element.find("model[@primary='yes']") is not None]
    return _one(
        "hw_video_model", (video.model for video in (primary or videos)[:1]), "video devices"
    )


def vif_model(domain: Domain) -> Seen:
    """Return the model of the interfaces: the property is one for all of them.

    Devices of the host (SR-IOV, vDPA) have none from it. Macvtap interfaces on SR-IOV have, the
    others are virtio whatever it says; the former are in the mode passthrough, as some of the
    latter, so a virtio one in it counts only where no other interface tells. Source:
    nova/virt/libvirt/vif.py, get_base_config; designer.py, set_vif_host_backend_direct_config and
    set_vif_host_backend_hw_veb.
    """
    default = _default_vif_model(domain)
    models = {nic: nic.model or default for nic in domain.of_class(Interface) if _has_model(nic)}
    sure = [model for nic, model in models.items() if nic.device != "direct" or model != "virtio"]
    return _one("hw_vif_model", sure or models.values(), "interfaces")


def _has_model(nic: Interface) -> bool:
    """Return whether the model of an interface can be the property's."""
    if nic.device == "direct" and nic.model == "virtio":
        return nic.element.find("source[@mode='passthrough']") is not None
    return nic.device not in _NOT_BY_PROPERTY


def _default_vif_model(domain: Domain) -> str | None:
    """Return what libvirt gives an interface that names no model, which a definition shows.

    Source: libvirt, src/qemu/qemu_domain.c, qemuDomainDefaultNetModel.
    """
    is_x86 = _os_type(domain, "arch") in X86 and domain.root.get("type") in _QEMU
    return DEFAULT_NIC if is_x86 else None


def _one(name: str, found: Iterable[str | None], what: str) -> Seen:
    """Return the one value among FOUND; a doubt about several, an unnamed and one Nova lacks."""
    values = _distinct(found)
    if not values:
        return Seen()
    if len(values) > 1:
        return Seen(doubt=f"{what} have {' and '.join(value or 'none named' for value in values)}")
    if values[0] is None:
        return Seen(doubt=f"{what} name no value: libvirt chooses it at each start")
    if values[0] not in VALUES[name]:
        return Seen(doubt=f"{what} have {values[0]}, which is not a valid value of {name}")
    return Seen(values[0])


def _distinct(found: Iterable[str | None]) -> list[str | None]:
    return sorted(set(found), key=lambda value: value or "")


def _first_rank(
    domain: Domain, disks: Sequence[Disk], ranks: Sequence[str]
) -> tuple[Sequence[Disk], bool]:
    """Return the disks whose name among the instance's own fits the first of RANKS that any fits.

    With it whether one did; else they are all DISKS.
    """
    names = {disk: own_disk_name(domain.uuid, disk) or "" for disk in disks}
    for rank in ranks:
        fitting = [disk for disk in disks if re.fullmatch(rank, names[disk])]
        if fitting:
            return fitting, True
    return disks, False


def _is_rescued(domain: Domain) -> bool:
    names = (own_disk_name(domain.uuid, disk) for disk in domain.of_class(Disk))
    return "disk.rescue" in names


def _controller(disk: Disk) -> str:
    return disk.address.values.get("controller", "0") if disk.address else "0"


def _input_buses(domain: Domain, kind: str) -> set[str | None]:
    """Return the buses of inputs of this KIND, as far as the property has them."""
    inputs = (item for item in domain.of_class(Input) if item.device == kind)
    return {item.bus for item in inputs if item.bus in VALUES["hw_input_bus"]}


def _has_own_keyboard(domain: Domain) -> bool:
    return _os_type(domain, "arch") in ("aarch64", *POWER)


def _os_type(domain: Domain, attribute: str) -> str | None:
    found = domain.root.find("os/type")
    return None if found is None else found.get(attribute)
