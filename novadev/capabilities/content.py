"""What is known of a compute host, as a capability file has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from novadev.config import DriverOptions
from novadev.rules.osinfo import Recommendation
from novadev.virt.capabilities import MachineType


@dataclass(frozen=True)
class Versions:
    """What runs on the host; None is absent or not known. nova is the first number of a release."""

    libosinfo: str | None
    libvirt: str
    nova: int | None
    osinfo_db: str | None
    qemu: str | None


@dataclass(frozen=True)
class Capabilities:
    """What a compute host is, and how Nova is configured there; no secret is among it.

    host and saved_on are Nova's names. Where they differ, libvirt is the host's, but the options
    of the driver and libosinfo are those of saved_on. saved_at is in UTC. machine_types are by
    architecture and name; recommendations are libosinfo's by os_distro, None where the library is
    absent.
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

    @property
    def is_from_elsewhere(self) -> bool:
        """Whether it was saved on another machine than the host."""
        return self.saved_on != self.host


def remarks(found: Capabilities) -> Iterator[str]:
    """Yield what an operator should know of FOUND, a sentence each."""
    if found.is_from_elsewhere:
        yield (
            f"The options of the driver and libosinfo are those of {found.saved_on}, not of "
            f"{found.host}: run it on {found.host} with its nova.conf for its own."
        )
    if found.recommendations is None:
        yield "libosinfo is absent: Nova's driver is taken to recommend nothing for any os_distro."
    if found.versions.nova is None:
        yield "The release of Nova is not known, so the newest will be assumed: see --nova-release."
