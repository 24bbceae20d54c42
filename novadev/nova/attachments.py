"""What Nova says is attached to an instance: plain values, without the database that has them.

Imported where there is no database at all: in the processes that speak to hypervisors.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VolumeAttachment:
    """A volume: a row of ``block_device_mapping`` with ``destination_type`` volume.

    ``serial`` is what Nova makes the disk's serial and alias of (``nova/virt/block_device.py``
    get_volume_id: the connection_info's ``data.volume_id``, else its ``serial``), the volume's own
    id where there is no connection_info. ``sources`` are the paths and names by which the
    hypervisor may have it; nothing else of the connection_info is kept: it holds secrets.
    """

    uuid: str
    serial: str
    row: int
    device_name: str | None
    bus: str | None
    device_type: str | None
    boot_index: int | None
    attachment_id: str | None
    sources: tuple[str, ...]


@dataclass(frozen=True)
class LocalDisk:
    """A disk of the instance itself: its image, an ephemeral or a swap disk.

    A row of ``block_device_mapping`` with ``destination_type`` local.
    """

    row: int
    source_type: str | None
    device_name: str | None
    bus: str | None
    device_type: str | None
    boot_index: int | None
    is_swap: bool = False


@dataclass(frozen=True)
class PortAttachment:
    """A port, as ``instance_info_caches.network_info`` has it (``nova/network/model.py`` VIF).

    ``tap`` is the name of the host's network device, ``pci_address`` the place of the host's
    device that an SR-IOV port is (the binding profile's ``pci_slot``).
    """

    uuid: str
    mac: str | None
    tap: str | None
    interface_id: str | None
    vnic_type: str | None
    pci_address: str | None


@dataclass(frozen=True)
class PciAttachment:
    """A PCI device of the host given to the instance: a row of ``pci_devices``.

    Rows of SR-IOV ports are here too: their address is a port's ``pci_address``.
    """

    uuid: str | None
    row: int
    address: str
    status: str
    request_id: str | None


@dataclass(frozen=True)
class ShareAttachment:
    """A Manila share: a row of ``share_mapping`` (Nova 29 and later)."""

    share_id: str
    tag: str | None
    export_location: str | None


@dataclass(frozen=True)
class Attachments:
    """All that Nova's cell says is attached to one instance; ``unfinished`` is a migration's state.

    ``unfinished`` is None, or says which migration or resize has not come to its end:
    ``live-migration 17 is running``. ``cache_fault`` is None, or says why the network info cache
    does not tell the ports.
    """

    volumes: tuple[VolumeAttachment, ...] = ()
    local_disks: tuple[LocalDisk, ...] = ()
    ports: tuple[PortAttachment, ...] = ()
    pci_devices: tuple[PciAttachment, ...] = ()
    shares: tuple[ShareAttachment, ...] = ()
    unfinished: str | None = None
    cache_fault: str | None = None

    @property
    def why_no_ports(self) -> str | None:
        """Why no port here does not mean that the instance has none; None where ports are here.

        Nova writes the cache anew from what Neutron says, and has left it empty meanwhile.
        """
        if self.cache_fault is None and not self.ports:
            return "its network info cache is empty"
        return self.cache_fault
