"""The content of a capability file: everything that is known of a compute host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from novadev.config import DriverOptions
from novadev.rules.osinfo import Recommendation
from novadev.text import many
from novadev.virt.capabilities import MachineType
from novadev.virt.domain_capabilities import DomainCapabilities
from novadev.virt.firmware import HostFirmware
from novadev.virt.host_model import HostModel


@dataclass(frozen=True)
class Versions:
    """What runs on the host; None is absent or not known. nova is the first number of a release."""

    libosinfo: str | None
    libvirt: str
    nova: int | None
    osinfo_db: str | None
    qemu: str | None


@dataclass(frozen=True)
class Example:
    """Where the facts of a file are from that was made from public ones, and on no host.

    ``has_every_machine_type`` is whether one that the file lacks is lacking on such a host too.
    """

    source: str
    has_every_machine_type: bool


@dataclass(frozen=True)
class Capabilities:
    """What a compute host is, and how Nova is configured there; no secret is among it.

    host and saved_on are Nova's names. Where they differ, libvirt is the host's, but the options
    of the driver and libosinfo are those of saved_on. saved_at is in UTC. machine_types are by
    architecture and name; recommendations are libosinfo's by os_distro, None where the library is
    absent. The others are None where they are not known: domain_types by architecture; for the
    host's own one the emulator, domain_capabilities by versioned machine type, and devices, which
    are QEMU's with the bus of each; firmware, the images on its disk; page_sizes, in KiB;
    processors, the models that libvirt knows, whether QEMU has them or not; block_drivers, what
    QEMU can reach disks over; security_models, libvirt's security drivers; host_model, what the
    processor of guests can have.
    example is of a file that no host is behind.
    """

    host: str
    saved_on: str
    saved_at: str
    novadev: str
    architecture: str
    versions: Versions
    driver: DriverOptions
    machine_types: Mapping[str, Mapping[str, MachineType]]
    recommendations: Mapping[str, Recommendation] | None
    domain_types: Mapping[str, tuple[str, ...]] | None = None
    emulator: str | None = None
    domain_capabilities: Mapping[str, DomainCapabilities] | None = None
    devices: Mapping[str, str | None] | None = None
    example: Example | None = None
    firmware: HostFirmware | None = None
    page_sizes: tuple[int, ...] | None = None
    processors: tuple[str, ...] | None = None
    block_drivers: tuple[str, ...] | None = None
    security_models: tuple[str, ...] | None = None
    host_model: HostModel | None = None

    @property
    def is_from_elsewhere(self) -> bool:
        """Whether it was saved on another machine than the host."""
        return self.saved_on != self.host


def age_text(saved_at: str, now: datetime) -> str:
    """Return how long ago SAVED_AT was, in days: "today", "27 days ago", "3 days in the future".

    The text itself where it is no time.
    """
    try:
        then = time_of(saved_at)
    except ValueError:
        return f"at {saved_at:.40}"
    days = abs(now - then).days
    if days < 1:
        return "today"
    return f"{many(days, 'day')} {'ago' if then < now else 'in the future'}"


def time_of(saved_at: str) -> datetime:
    """Return SAVED_AT as a time; UTC where it names no zone. Raises ValueError."""
    then = datetime.fromisoformat(saved_at.replace("Z", "+00:00"))
    return then if then.tzinfo is not None else then.replace(tzinfo=timezone.utc)


def remarks(found: Capabilities) -> Iterator[str]:
    """Yield what an operator should know of FOUND, a sentence each."""
    if found.example is not None:
        yield f"{found.host} is an example made from public facts, not a real host."
    if found.is_from_elsewhere:
        yield (
            f"The options of the driver and libosinfo are those of {found.saved_on}, not of "
            f"{found.host}. To get those of {found.host}, run the command there with its nova.conf."
        )
    if found.recommendations is None:
        yield (
            "libosinfo is not installed: novadev assumes that Nova's driver has no "
            "recommendation for any os_distro."
        )
    if found.devices is None and found.versions.qemu is not None:
        yield (
            f"The devices of QEMU {found.versions.qemu} are not known, because only the host "
            "itself can list them. Interfaces, SCSI controllers and input devices will not be "
            "checked."
        )
    if found.versions.nova is None:
        yield (
            "The release of Nova is not known, so novadev assumes the newest one (see "
            "--nova-release)."
        )
