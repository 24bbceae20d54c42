"""What can be wrong with the image properties, whatever the disks are."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from novadev.rules.fault import Case, Fault, Severity
from novadev.rules.guest import DriverRules
from novadev.rules.hardware import graphical, has_packed_ring, takes_packed_ring
from novadev.rules.image_meta import is_yes
from novadev.rules.slots import CONVENTIONAL_NICS

NO_EFFECT = MappingProxyType(
    {
        "hw_rescue_bus": "Nova reads it only from the rescue image in Glance, never from the "
        "instance (nova/compute/manager.py, _get_rescue_image)",
        "hw_rng_model": "Nova always makes the random number generator virtio "
        "(nova/virt/libvirt/driver.py, _add_rng_device)",
    }
)
"""Properties that today's Nova does not read from an instance: the reason and its source."""

_KVM_VIF_MODELS = (
    "virtio",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "e1000",
    "e1000e",
    "spapr-vlan",
    "vmxnet3",
    "igb",
)
VIF_MODELS = {
    "kvm": _KVM_VIF_MODELS,
    "qemu": (*_KVM_VIF_MODELS, "lan9118"),
    "parallels": ("virtio", "rtl8139", "e1000"),
    "lxc": (),
}


def property_faults(case: Case) -> Iterator[Fault]:
    """Yield what is wrong with the properties.

    Source: nova/virt/libvirt/vif.py (SUPPORTED_VIF_MODELS), nova/virt/libvirt/driver.py
    (_get_pointer_bus_and_model, _guest_add_usb_root_controller, _check_secure_boot_support);
    what libvirt 9.0.0 and QEMU 7.2 were seen to refuse.
    """
    yield from _vif_model(case)
    yield from _packed_ring(case)
    yield from _video_model(case)
    yield from _scsi_model(case)
    yield from _input(case)
    yield from _usb_model(case)
    yield from _secure_boot(case)
    yield from _needs_q35(case)
    for name, reason in NO_EFFECT.items():
        if case.value(name):
            yield _fault("no-effect", case, name, f"{reason}; leave it out", "warning")


def _fault(
    rule: str,
    case: Case,
    name: str,
    why: str,
    severity: Severity = "error",
    to_set: str | None = None,
) -> Fault:
    """Return the fault of a property, and with TO_SET the value of it that ends the fault."""
    stated = f"{name}={case.value(name)}"
    return Fault(rule, severity, f"{stated}: {why}", stated, (name, to_set) if to_set else None)


def _vif_model(case: Case) -> Iterator[Fault]:
    model = case.value("hw_vif_model")
    virt_type = case.rules.virt_type
    if not model:
        return
    if model not in VIF_MODELS.get(virt_type, ()):
        yield _of_no_vif_model(case, VIF_MODELS.get(virt_type, ()))
    elif model == "spapr-vlan" and not case.is_pseries:
        why = f"QEMU has it only on pseries, not on {case.machine_type or 'its default'}"
        yield _use_virtio("vif-model-machine-type", case, "hw_vif_model", why)
    elif model == "lan9118" and case.is_x86:
        why = "QEMU has it only on ARM boards, not on x86"
        yield _use_virtio("vif-model-machine-type", case, "hw_vif_model", why, " or e1000e")
    elif model in CONVENTIONAL_NICS and case.is_q35:
        why = (
            f"it is a conventional PCI card, which on machine type {case.machine_type} needs a "
            "PCIe-to-PCI bridge; virtio and e1000e are PCI Express"
        )
        yield _fault("vif-model-conventional", case, "hw_vif_model", why, "warning")


def _packed_ring(case: Case) -> Iterator[Fault]:
    """Yield a card that is not virtio where Nova asks for packed rings, whatever the card is."""
    model, virt_type = case.value("hw_vif_model"), case.rules.virt_type
    is_of_libvirt = virt_type in ("kvm", "qemu") and model in VIF_MODELS[virt_type]
    asks = is_of_libvirt and has_packed_ring(case.guest, case.rules.release)
    if asks and not takes_packed_ring(model):
        why = "libvirt refuses hw_virtio_packed_ring=true for a card that is not virtio"
        yield _use_virtio("vif-model-packed-ring", case, "hw_vif_model", why)


def _of_no_vif_model(case: Case, allowed: tuple[str, ...]) -> Fault:
    why = (
        f"{case.rules.virt_type_text} has no such interface model; use one of {', '.join(allowed)}"
    )
    if not allowed:
        why = f"{case.rules.virt_type_text} has no interface models; leave it out"
    to_set = "virtio" if "virtio" in allowed else None
    return _fault("vif-model-virt-type", case, "hw_vif_model", why, to_set=to_set)


def _use_virtio(rule: str, case: Case, name: str, why: str, more: str = "") -> Fault:
    return _fault(rule, case, name, f"{why}; use virtio{more}", to_set="virtio")


def _video_model(case: Case) -> Iterator[Fault]:
    if case.value("hw_video_model") in ("gop", "xen"):
        why = "libvirt's QEMU driver has no such video model"
        yield _use_virtio("video-model", case, "hw_video_model", why, ", vga or bochs")


def _scsi_model(case: Case) -> Iterator[Fault]:
    """Yield models no QEMU has; Nova adds the controller even for a guest without SCSI disks."""
    model = case.value("hw_scsi_model")
    if case.rules.virt_type not in ("kvm", "qemu"):
        return
    why = ""
    if model == "buslogic":
        why = "QEMU has no such controller and libvirt refuses it"
    elif model == "ibmvscsi" and not case.is_pseries:
        why = f"only pseries has it, not {case.machine_type or 'this machine type'}"
    if why:
        wanted = "virtio-scsi"
        yield _fault("scsi-model", case, "hw_scsi_model", f"{why}; use {wanted}", to_set=wanted)


def _input(case: Case) -> Iterator[Fault]:
    """Yield a pointer model that says usb while the bus says otherwise."""
    bus = case.value("hw_input_bus")
    if case.value("hw_pointer_model") and bus not in ("", "usb"):
        why = (
            f"it is ignored because hw_input_bus={bus} is set: the tablet is on {bus}; unset "
            "one of them"
        )
        yield _fault("pointer-model-ignored", case, "hw_pointer_model", why, "warning")


def _usb_model(case: Case) -> Iterator[Fault]:
    """Yield hw_usb_model=none where something needs USB: Nova then makes a controller after all."""
    users = [f"input {kind}" for kind in _usb_inputs(case)]
    users += [f"disk {disk.dev}" for disk in case.on("usb")]
    if case.value("hw_usb_model") == "none" and users:
        why = (
            f"it is ignored because {', '.join(users)} needs USB; move that device off USB, or "
            "unset this property"
        )
        yield _fault("usb-model-ignored", case, "hw_usb_model", why, "warning")


def _usb_inputs(case: Case) -> Iterator[str]:
    """Yield the input devices on USB: of the property alone where the host is not known."""
    if isinstance(case.rules, DriverRules):
        found = graphical(case.guest, case.rules)
        yield from (item.device or "" for item in found if (item.tag, item.bus) == ("input", "usb"))
    elif case.value("hw_input_bus") == "usb":
        yield "tablet"


def _secure_boot(case: Case) -> Iterator[Fault]:
    wanted = case.value("os_secure_boot") == "required"
    if wanted and case.value("hw_firmware_type") == "uefi" and case.is_x86 and not case.is_q35:
        why = f"needs a q35 machine type, not {case.machine_type}; set hw_machine_type=q35"
        yield _fault("secure-boot", case, "os_secure_boot", why)


def _needs_q35(case: Case) -> Iterator[Fault]:
    """Yield what Nova builds on Q35 alone, of machines of the x86 architecture.

    Source: nova/virt/libvirt/driver.py, _get_iommu_model; nova/virt/hardware.py,
    MemEncryptionConfig (before release 34 _check_mem_encryption_machine_type).
    """
    if not case.is_x86 or case.is_q35 or not case.machine_type:
        return
    why = f"needs a q35 machine type, not {case.machine_type}; set hw_machine_type=q35"
    if case.value("hw_viommu_model"):
        yield _fault("viommu", case, "hw_viommu_model", why)
    if is_yes(case.value("hw_mem_encryption")):
        yield _fault("mem-encryption", case, "hw_mem_encryption", why)
