"""What Nova has decided about a guest's next power-on: plain values for its host's process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class DecidedDisk:
    """A disk of the next power-on, as :class:`novadev.rules.disks.GuestDisk` has it.

    ``row`` is the id of its block_device_mapping, None without one; ``is_assumed`` says that the
    bus comes from a rule of a host whose rules are not known: then what the guest has counts.
    ``is_boot_volume`` marks the volume that Nova puts first on a SCSI controller.
    """

    name: str
    bus: str
    dev: str
    type: str
    row: int | None
    is_volume: bool = False
    is_boot_volume: bool = False
    is_assumed: bool = False


@dataclass(frozen=True)
class Decided:
    """Everything of the next power-on that is not read from the guest.

    ``machine`` is the machine type, as canonical as it is known; None for the one it has. ``alias``
    is the one that is asked for, which is ``machine`` by the QEMU of version ``qemu``.
    ``models`` are the values of image properties that are stored or come from the host's rules: a
    property that is missing in it is not known, and what the guest has counts; None is a device
    that Nova leaves out, or a model that it leaves to libvirt. ``keyboard`` is the bus of the
    keyboard that Nova adds. The last four are None where they are not known: ``root_ports`` are
    those of PCI Express that Nova writes, ``balloon`` is the model of the memory balloon.
    ``architecture`` is that of the host's capability file, which the guest must have; None where
    there is no file, or where the image asks for emulation of another one.
    """

    machine: str | None = None
    alias: str | None = None
    qemu: str | None = None
    disks: tuple[DecidedDisk, ...] | None = None
    models: Mapping[str, str | None] = field(default_factory=dict)
    keyboard: str | None = None
    usb_model: str | None = None
    has_display: bool | None = None
    has_spice_agent: bool | None = None
    balloon: str | None = None
    root_ports: int | None = None
    architecture: str | None = None
