"""One thing wrong with a guest's properties or disks, and what the checks look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from novadev.nova.image_properties import PROPERTIES
from novadev.rules.disks import GuestDisk
from novadev.rules.guest import (
    ComputeRules,
    Guest,
    emulated_architecture,
    machine_type,
    property_value,
)
from novadev.rules.guest_os import is_windows
from novadev.rules.machine_types import I440FX, X86, family_of, is_q35, lacks_ide

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Fault:
    """A property or disk that cannot work, or works otherwise than it looks.

    rule is a short slug; an error keeps the guest from being defined, started or booted;
    message is one line with the property, its value, why, and the remedy; subject is what the
    fault is about: two faults of one rule and one subject are the same fault. to_set is the
    property and the value in that remedy; None where the remedy is another one.
    """

    rule: str
    severity: Severity
    message: str
    subject: str = ""
    to_set: tuple[str, str] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """The rule and the subject: what tells it from every other fault."""
        return self.rule, self.subject


@dataclass(frozen=True)
class Case:
    """A guest, the host's rules, and the disks it would have; none if Nova would refuse them."""

    guest: Guest
    rules: ComputeRules
    disks: tuple[GuestDisk, ...]

    def value(self, name: str) -> str:
        """Return what Nova reads for a property, as its enumerations spell it; empty for none."""
        value = property_value(self.guest, name) or ""
        return PROPERTIES[name].spelling(value) if name in PROPERTIES else value

    @cached_property
    def machine_type(self) -> str:
        """The machine type; empty if it is left to QEMU."""
        return machine_type(self.guest, self.rules) or ""

    @property
    def is_q35(self) -> bool:
        """Whether it is a Q35 machine, by its name, as in Nova."""
        return is_q35(self.machine_type)

    @property
    def family(self) -> str:
        """The kind of board, as its shortest name says it: ``pc``, ``q35``, ``virt``."""
        family = family_of(self.machine_type)
        return "pc" if family == I440FX else family or self.machine_type

    @property
    def is_pseries(self) -> bool:
        """Whether it is a machine of the POWER family."""
        return self.machine_type.startswith("pseries")

    @property
    def lacks_ide(self) -> bool:
        """Whether the machine type is known to have no IDE controller."""
        return lacks_ide(self.machine_type)

    @property
    def is_x86(self) -> bool:
        """Whether the guest's architecture is x86."""
        return emulated_architecture(self.guest, self.rules) in X86

    @property
    def is_windows(self) -> bool:
        """Whether the image says the guest runs Windows."""
        return is_windows(self.guest)

    def on(self, *buses: str) -> tuple[GuestDisk, ...]:
        """Return the disks on these buses."""
        return tuple(disk for disk in self.disks if disk.bus in buses)


def told(disk: GuestDisk) -> str:
    """Return what an operator calls the disk, with its bus and where that is stored."""
    row = f", block_device_mapping {disk.block_device}" if disk.block_device is not None else ""
    return f"{disk.name} ({disk.type} {disk.dev} on bus {disk.bus}{row})"


def identity(disk: GuestDisk) -> str:
    """Return what stays the same of a disk when its bus or name changes."""
    return disk.name if disk.block_device is None else f"row {disk.block_device}"


def disk_subject(disk: GuestDisk) -> str:
    """Return the subject of a fault of one disk on its bus."""
    return f"{identity(disk)} {disk.type} {disk.bus}"
