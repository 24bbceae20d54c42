"""Whether Nova can read the stored image properties: one bad value makes all unreadable."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from novadev.nova.image_properties import PROPERTIES
from novadev.rules.guest import ARCHITECTURE_SPELLINGS, Guest
from novadev.rules.releases import (
    NEWEST_RELEASE,
    OLDEST_RELEASE,
    PROPERTIES_CAME_WITH,
    VALUES_CAME_WITH,
)

ARCHITECTURES = (
    *("aarch64", "alpha", "armv6", "armv7b", "armv7l", "cris", "i686", "ia64", "lm32", "m68k"),
    *("microblaze", "microblazeel", "mips", "mips64", "mips64el", "mipsel", "openrisc", "parisc"),
    *("parisc64", "ppc", "ppc64", "ppc64le", "ppcemb", "ppcle", "s390", "s390x", "sh4", "sh4eb"),
    *("sparc", "sparc64", "unicore32", "x86_64", "xtensa", "xtensaeb"),
)
VALUES: Mapping[str, tuple[str, ...]] = {
    **{name: item.values for name, item in PROPERTIES.items()},
    "hw_architecture": ARCHITECTURES,
    "hw_cpu_policy": ("dedicated", "shared", "mixed"),
    "hw_cpu_thread_policy": ("prefer", "isolate", "require"),
    "hw_emulation_architecture": ARCHITECTURES,
    "hw_ephemeral_encryption_format": ("plain", "luks", "luksv2"),
    "hw_firmware_type": ("uefi", "bios"),
    "hw_maxphysaddr_mode": ("passthrough", "emulate"),
    "hw_mem_encryption_model": ("amd-sev", "amd-sev-es", "amd-sev-snp", "intel-tdx"),
    "hw_pci_numa_affinity_policy": ("required", "legacy", "preferred", "socket"),
    "hw_rescue_device": ("cdrom", "disk", "floppy", "fs", "lun"),
    "hw_sound_model": ("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio"),
    "hw_tpm_model": ("tpm-tis", "tpm-crb"),
    "hw_tpm_version": ("1.2", "2.0"),
    "hw_usb_model": ("none", "nec-xhci", "qemu-xhci"),
    "hw_viommu_model": ("intel", "smmuv3", "virtio", "auto"),
    "hw_vm_mode": ("hvm", "xen", "uml", "exe"),
    "hw_watchdog_action": ("none", "pause", "poweroff", "reset", "disabled"),
    "img_config_drive": ("optional", "mandatory"),
    "img_hv_type": (
        *("baremetal", "bhyve", "docker", "fake", "hyperv", "ironic", "kqemu", "kvm", "lxc", "lxd"),
        *("openvz", "parallels", "phyp", "prsm", "qemu", "test", "uml", "vbox", "vmware", "vz"),
        *("xen", "zvm"),
    ),
    "img_signature_hash_method": ("SHA-224", "SHA-256", "SHA-384", "SHA-512"),
    "img_signature_key_type": (
        *("DSA", "ECC_SECP384R1", "ECC_SECP521R1", "ECC_SECT409K1", "ECC_SECT409R1"),
        *("ECC_SECT571K1", "ECC_SECT571R1", "RSA-PSS"),
    ),
    "os_secure_boot": ("required", "disabled", "optional"),
    "os_type": ("linux", "windows"),
}
"""Nova's enumerations; those of the allow-list stand in nova/image_properties.py."""

VM_MODE_SPELLINGS = {"pv": "xen", "hv": "hvm", "baremetal": "hvm"}
_ANY_CASE: Mapping[str, Mapping[str, str]] = {
    "hw_architecture": ARCHITECTURE_SPELLINGS,
    "hw_emulation_architecture": ARCHITECTURE_SPELLINGS,
    "hw_vm_mode": VM_MODE_SPELLINGS,
    "img_hv_type": {"xapi": "xen"},
    "os_type": {},
}
_NUMBERS = {
    *("hw_cpu_cores", "hw_cpu_max_cores", "hw_cpu_max_sockets", "hw_cpu_max_threads"),
    *("hw_cpu_sockets", "hw_cpu_threads", "hw_device_id", "hw_maxphysaddr_bits", "hw_numa_nodes"),
    *("hw_redirected_usb_ports", "hw_serial_port_count", "hw_video_ram", "img_compression_level"),
    *("img_version", "min_disk", "min_ram"),
}
_LEGACY_NAMES = {
    "architecture": "hw_architecture",
    "hypervisor_type": "img_hv_type",
    "vm_mode": "hw_vm_mode",
    "vmware_image_version": "img_version",
    "xenapi_device_id": "hw_device_id",
    "xenapi_image_compression_level": "img_compression_level",
}


class UnreadableProperty(ValueError):
    """Nova cannot read the instance's image properties: one has a value that it does not know."""


def check_readable(guest: Guest, release: int = NEWEST_RELEASE) -> None:
    """Raise UnreadableProperty, with the property and its value, if Nova cannot read them."""
    for reason in unreadable(guest.image_properties, release).values():
        raise UnreadableProperty(reason)


def unreadable(
    properties: Mapping[str, object], release: int = NEWEST_RELEASE
) -> Mapping[str, str]:
    """Return those of PROPERTIES that a release of Nova cannot read, each with the reason.

    They are image properties as a cell or a request spec has them.
    An older name counts even where the current one overrules it. Not looked at, for nothing stores
    them wrong by hand: ``hw_numa_cpus.N``, ``hw_numa_mem.N``, ``img_hv_requested_version``.
    Source: nova/objects/image_meta.py, ImageMetaProps.from_dict; nova/objects/fields.py, the
    coerce() of each field.
    """
    found = {
        name: f"{name}={value}: release {release} of Nova has no such value"
        for name, value in properties.items()
        if not _is_readable_value(_LEGACY_NAMES.get(name, name), value, release)
    }
    adapter = properties.get("vmware_adaptertype")
    is_model = isinstance(adapter, str) and adapter not in ("", "ide")
    if is_model and not _is_readable("hw_scsi_model", str(adapter), release):
        found["vmware_adaptertype"] = f"vmware_adaptertype={adapter}: Nova has no such SCSI model"
    return found


def was_unreadable(name: str, value: str) -> bool:
    """Return whether there is a release of Nova that cannot read this VALUE of a property."""
    releases = range(OLDEST_RELEASE, NEWEST_RELEASE + 1)
    return any(unreadable({name: value}, release) for release in releases)


def spelling(name: str, value: str) -> str | None:
    """Return Nova's own spelling of a VALUE that differs from it in case or in spaces around it.

    None where Nova has nothing like it.
    """
    name = _LEGACY_NAMES.get(name, name)
    plain = value.strip().lower()
    known = _spelling(name, plain)
    return next((item for item in VALUES.get(name, ()) if item.lower() in (plain, known)), None)


def values(name: str, release: int = NEWEST_RELEASE) -> tuple[str, ...]:
    """Return the values the release has for an enumerated property; none before it came."""
    if release < PROPERTIES_CAME_WITH.get(name, 0):
        return ()
    return tuple(
        value for value in VALUES[name] if release >= VALUES_CAME_WITH.get((name, value), 0)
    )


def _is_readable_value(name: str, value: object, release: int) -> bool:
    """Whether Nova can read VALUE, in a request spec of any type that JSON has.

    A spec with a list or an object in the place of one value is unreadable as a whole.
    """
    if isinstance(value, str):
        return _is_readable(name, value, release)
    if not isinstance(value, bool | int) or name in _NUMBERS:
        return True
    return _is_readable(name, str(value), release)


@lru_cache(4096)
def _is_readable(name: str, value: str, release: int) -> bool:
    if release < PROPERTIES_CAME_WITH.get(name, 0):
        return True
    if name in _NUMBERS:
        return _is_number(value)
    if name not in VALUES:
        return True
    return _spelling(name, value) in values(name, release)


def _is_number(value: str) -> bool:
    try:
        int(value)
    except ValueError:
        return False
    return True


def _spelling(name: str, value: str) -> str:
    if name in PROPERTIES:
        return PROPERTIES[name].spelling(value)
    if name not in _ANY_CASE:
        return value
    return _ANY_CASE[name].get(value.lower(), value.lower())


# What Nova makes of them


_BOOLEANS = {
    *("hw_boot_menu", "hw_ephemeral_encryption", "hw_firmware_stateless", "hw_ipxe_boot"),
    *("hw_locked_memory", "hw_mem_encryption", "hw_pmu", "hw_qemu_guest_agent", "hw_time_hpet"),
    *("hw_vif_multiqueue_enabled", "hw_virtio_packed_ring", "img_bdm_v2", "img_bittorrent"),
    *("img_cache_in_nova", "img_hide_hypervisor_id", "img_linked_clone", "img_use_agent"),
    *("os_require_quiesce", "os_skip_agent_inject_files_at_boot", "os_skip_agent_inject_ssh"),
}
_TEXTS = {
    *("hw_auto_disk_config", "hw_cpu_realtime_mask", "hw_disk_type"),
    *("hw_ephemeral_encryption_secret_uuid", "hw_machine_type", "hw_mem_page_size"),
    *("img_hv_requested_version", "img_owner_id", "img_root_device_name", "img_signature"),
    *("img_signature_certificate_uuid", "os_admin_user", "os_command_line", "os_distro"),
}
FIELDS = frozenset({*VALUES, *_NUMBERS, *_BOOLEANS, *_TEXTS} - {"min_disk", "min_ram"})
"""The fields of Nova's ImageMetaProps that hold one value; lists and dictionaries are left out."""
OLDER_NAMES = _LEGACY_NAMES | {
    "auto_disk_config": "hw_auto_disk_config",
    "bdm_v2": "img_bdm_v2",
    "bittorrent": "img_bittorrent",
    "cache_in_nova": "img_cache_in_nova",
    "hypervisor_version_requires": "img_hv_requested_version",
    "ipxe_boot": "hw_ipxe_boot",
    "owner_id": "img_owner_id",
    "root_device_name": "img_root_device_name",
    "vmware_disktype": "hw_disk_type",
    "vmware_linked_clone": "img_linked_clone",
    "vmware_ostype": "os_distro",
    "xenapi_skip_agent_inject_files_at_boot": "os_skip_agent_inject_files_at_boot",
    "xenapi_skip_agent_inject_ssh": "os_skip_agent_inject_ssh",
    "xenapi_use_agent": "img_use_agent",
}
"""Names that Nova still reads where the present name is not stored."""
ADAPTER = "vmware_adaptertype"
_YES = {"1", "t", "true", "on", "y", "yes"}


def fields_of(stored: Mapping[str, str | None]) -> dict[str, str | int]:
    """Return the one-value fields of the ImageMetaProps that Nova makes of STORED properties.

    They must be readable (`check_readable`). Source: nova/objects/image_meta.py,
    ImageMetaProps.from_dict, whose present names overrule the older ones.
    """
    older: dict[str, str] = {}
    found: dict[str, str] = {}
    for name, value in stored.items():
        if value is None:
            continue
        if name in FIELDS:
            found[name] = value
        elif name in OLDER_NAMES:
            older[OLDER_NAMES[name]] = value
    adapter = stored.get(ADAPTER)
    if adapter:
        older["hw_disk_bus"] = "ide" if adapter == "ide" else "scsi"
        older |= {} if adapter == "ide" else {"hw_scsi_model": adapter}
    return {name: coerced(name, value) for name, value in (older | found).items()}


def is_yes(value: str | None) -> bool:
    """Return whether Nova takes a boolean property or extra spec of this VALUE for true.

    Source: oslo_utils.strutils, bool_from_string.
    """
    return value is not None and value.strip().lower() in _YES


def coerced(name: str, value: str) -> str | int:
    """Return VALUE of the field NAME as Nova's object holds it: text, a number or a boolean.

    Raises ValueError for what Nova cannot read. Source: nova/objects/fields.py and
    oslo.versionedobjects, the coerce() of each field.
    """
    if name in _BOOLEANS:
        return is_yes(value)
    if name in _NUMBERS:
        return int(value)
    if not _is_readable(name, value, NEWEST_RELEASE):
        raise UnreadableProperty(f"{name}={value}: Nova has no such value")
    return _spelling(name, value)


def as_read(name: str, value: object) -> object:
    """Return VALUE of the field NAME as Nova's object holds it; as it is where Nova cannot read it.

    So two spellings of one value are equal. What is no text or number stays as it is.
    """
    if isinstance(value, bool | int | str):
        try:
            return coerced(name, str(value))
        except ValueError:
            return value
    return value
