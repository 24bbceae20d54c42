"""What the rules need to know of an instance and of its compute host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from novadev.nova.block_devices import BlockDevice
from novadev.rules.releases import (
    ISO_ROOT_IS_CDROM_SINCE,
    NEWEST_RELEASE,
    PROPERTIES_CAME_WITH,
)

ARCHITECTURE_SPELLINGS = {
    "i386": "i686",
    "i486": "i686",
    "i586": "i686",
    "x86_32": "i686",
    "x86_32p": "i686",
    "amd64": "x86_64",
}
DEFAULT_MACHINE_TYPES = {
    "armv7l": "virt",
    "aarch64": "virt",
    "ppc64le": "pseries",
    "s390": "s390-ccw-virtio",
    "s390x": "s390-ccw-virtio",
    "i686": "pc",
    "x86_64": "pc",
}
LEGACY_NAMES = {"hw_architecture": "architecture", "os_distro": "vmware_ostype"}

VOLUME_SOURCES = ("volume", "snapshot", "image", "blank")


@dataclass(frozen=True)
class Guest:
    """What is stored of one instance.

    image_properties are the stored ``image_*`` values without the prefix, as they are written
    (None is a stored null); block_devices are its undeleted rows in the order of their ids;
    ephemeral_gb is in GiB and swap_mb in MiB, both from the flavor. is_offloaded: it is shelved and
    on no host, so its next power-on is an unshelve, which connects all volumes.
    """

    image_properties: Mapping[str, str | None]
    block_devices: tuple[BlockDevice, ...]
    root_device_name: str | None
    config_drive: bool
    ephemeral_gb: int
    swap_mb: int
    disk_format: str | None
    is_offloaded: bool = False


@dataclass(frozen=True)
class ComputeRules:
    """What a compute host's nova.conf says that changes the disks.

    hw_machine_type holds ``arch=machine type`` entries; max_disk_devices is
    ``[compute]max_disk_devices_to_attach``, negative for no limit; host_arch is the host's own
    architecture, for images that name none; release is the first number of the version of Nova
    that runs there. Without counts_disks a bus takes any number of disks: so it is seen what else
    is wrong with a guest that has too many. is_assumed says that nothing is known of the host, and
    novadev's own configuration stands for it.
    """

    virt_type: str = "kvm"
    hw_machine_type: tuple[str, ...] = ()
    disk_prefix: str | None = None
    config_drive_format: str = "iso9660"
    host_arch: str = "x86_64"
    max_disk_devices: int = -1
    release: int = NEWEST_RELEASE
    counts_disks: bool = True
    is_assumed: bool = False

    @property
    def virt_type_text(self) -> str:
        """The virt_type for a message, marked if it is only assumed."""
        text = f"virt_type {self.virt_type}"
        return (
            f"{text} (assumed, because its host's virt_type is not known)"
            if self.is_assumed
            else text
        )


@dataclass(frozen=True)
class DriverRules(ComputeRules):
    """What else of a compute host decides the devices of a guest that asks for none.

    use_virtio_for_bridges, num_pcie_ports and mem_stats_period_seconds are in ``[libvirt]``,
    pointer_model is in ``[DEFAULT]``, the others are ``enabled`` in ``[vnc]`` and ``[spice]`` and
    ``agent_enabled`` in ``[spice]``, each with Nova's own default.
    """

    use_virtio_for_bridges: bool = True
    pointer_model: str | None = "usbtablet"
    vnc_enabled: bool = True
    spice_enabled: bool = False
    spice_agent_enabled: bool = True
    num_pcie_ports: int = 0
    mem_stats_period_seconds: int = 10


def property_value(guest: Guest, name: str) -> str | None:
    """Return what Nova reads for an image property: None for absent and for null.

    The older names that Nova still honours count when the current one has no value.
    Source: nova/objects/image_meta.py, ImageMetaProps.from_dict, and
    nova/utils.py, get_image_from_system_metadata, which drops nulls.
    """
    stored = guest.image_properties
    value = stored.get(name)
    if value is not None:
        return value
    if name in LEGACY_NAMES:
        return stored.get(LEGACY_NAMES[name])
    adapter = stored.get("vmware_adaptertype")
    if not adapter:
        return None
    if name == "hw_disk_bus":
        return "ide" if adapter == "ide" else "scsi"
    return adapter if name == "hw_scsi_model" and adapter != "ide" else None


def iso_root_is_cdrom(guest: Guest, rules: ComputeRules) -> bool:
    """Return whether the root disk is a cdrom on the cdrom bus whatever its row says."""
    return guest.disk_format == "iso" and rules.release >= ISO_ROOT_IS_CDROM_SINCE


def known_value(guest: Guest, name: str, release: int) -> str | None:
    """Return what this release of Nova reads for NAME: None for a property of a later release."""
    return property_value(guest, name) if release >= PROPERTIES_CAME_WITH.get(name, 0) else None


def architecture(guest: Guest, rules: ComputeRules) -> str:
    """Return the guest's CPU architecture in libvirt's words: the image's, else the host's.

    Source: nova/virt/libvirt/utils.py, get_arch; the spellings from
    nova/objects/fields.py, Architecture.canonicalize.
    """
    value = property_value(guest, "hw_architecture")
    if value is None:
        return rules.host_arch
    return ARCHITECTURE_SPELLINGS.get(value.lower(), value.lower())


def emulated_architecture(guest: Guest, rules: ComputeRules) -> str:
    """Return the architecture that the guest's processor has, emulated or not.

    It is that of the definition (``guest.os_arch``), and of everything that the guest has; only the
    default machine type and the default bus of a cdrom go by the other one.
    Source: nova/virt/libvirt/driver.py, _check_emulation_arch.
    """
    value = property_value(guest, "hw_emulation_architecture")
    if not value:
        return architecture(guest, rules)
    return ARCHITECTURE_SPELLINGS.get(value.lower(), value.lower())


def machine_type(guest: Guest, rules: ComputeRules) -> str | None:
    """Return the machine type Nova will ask for; None leaves it to QEMU.

    Source: nova/virt/libvirt/utils.py, get_machine_type and get_default_machine_type.
    """
    value = property_value(guest, "hw_machine_type")
    if value is not None:
        return value
    arch = architecture(guest, rules)
    for entry in rules.hw_machine_type:
        entry_arch, _, configured = entry.partition("=")
        if configured and entry_arch == arch:
            return configured
    return DEFAULT_MACHINE_TYPES.get(arch)


@dataclass(frozen=True)
class Rows:
    """The block_device_mapping rows that become disks, by what they are, in Nova's order."""

    images: tuple[BlockDevice, ...]
    ephemerals: tuple[BlockDevice, ...]
    swap: BlockDevice | None
    volumes: tuple[BlockDevice, ...]

    @property
    def root(self) -> BlockDevice | None:
        """The row of the root disk: the local image, else the first volume of boot index 0."""
        if self.images:
            return self.images[0]
        return next((row for row in self.volumes if row.boot_index == 0), None)

    @property
    def data_volumes(self) -> tuple[BlockDevice, ...]:
        """The volumes without the root disk."""
        return tuple(row for row in self.volumes if row is not self.root)

    @property
    def names(self) -> set[str]:
        """Every name stored with a row, without ``/dev/``."""
        swap = (self.swap,) if self.swap else ()
        rows = (*self.images, *self.ephemerals, *swap, *self.volumes)
        return {without_dev(row.device_name) for row in rows if row.device_name}


def rows_of(guest: Guest) -> Rows:
    """Return the guest's rows as the libvirt driver is given them.

    Of several swap rows the last counts; volumes come by source: volume, snapshot, image, blank.
    Source: nova/virt/driver.py, get_block_device_info; nova/virt/block_device.py, convert_*;
    nova/compute/manager.py, _get_instance_block_device_info; for an unshelve _prep_block_device.
    """
    usable = [row for row in guest.block_devices if not row.no_device]
    local = [row for row in usable if row.destination_type == "local"]
    blank = [row for row in local if row.source_type == "blank"]
    swaps = [row for row in blank if row.guest_format == "swap"]
    return Rows(
        images=tuple(row for row in local if row.source_type == "image"),
        ephemerals=tuple(row for row in blank if row.guest_format != "swap"),
        # Nova's swap device has no device_type.
        swap=replace(swaps[-1], device_type=None) if swaps else None,
        volumes=tuple(
            row
            for source in VOLUME_SOURCES
            for row in usable
            if row.source_type == source
            and row.destination_type == "volume"
            and (row.connected or guest.is_offloaded)
        ),
    )


def is_unnamed(row: BlockDevice, guest: Guest) -> bool:
    """Return whether the row's disk gets its name only at the unshelve, by the properties of then.

    Nova stores neither name nor bus of a volume that is attached to an offloaded server.
    Source: nova/compute/api.py, _create_volume_bdm_locally.
    """
    return guest.is_offloaded and row.device_name is None


def without_dev(name: str | None) -> str:
    """Return the name without a leading ``/dev/``; an empty one for None."""
    return (name or "").removeprefix("/dev/")
