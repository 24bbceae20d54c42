"""Collects the present capabilities of a compute host: the work behind ``capabilities save``."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from novadev import __version__
from novadev.capabilities.content import Capabilities, Versions
from novadev.capabilities.release import find_release
from novadev.deployment import Deployment
from novadev.errors import NotAsNeeded
from novadev.rules.machine_types import X86
from novadev.rules.osinfo import OsInfo, UnreadableOsInfo
from novadev.rules.releases import NEWEST_RELEASE
from novadev.virt.capabilities import HostCapabilities, read_capabilities
from novadev.virt.emulator import is_local, list_block_drivers, list_devices
from novadev.virt.firmware import HostFirmware, read_firmware
from novadev.virt.host_model import HostModel, read_host_model, read_known_features


def get_capabilities(
    deployment: Deployment, host: str | None = None, release: int | None = None
) -> Capabilities:
    """Return what HOST is, by default this machine, with RELEASE as that of its Nova if given.

    Raises Unreachable for a host that is down, and NotAsNeeded for a libosinfo whose database is
    broken.
    """
    config = deployment.config
    host = host or config.host
    found = deployment.hosts.call(host, read_capabilities)
    release = release or find_release(deployment, host)
    osinfo = read_osinfo()
    return Capabilities(
        host=host,
        saved_on=config.host,
        saved_at=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        novadev=__version__,
        architecture=found.architecture,
        versions=Versions(
            libosinfo=osinfo.version,
            libvirt=found.libvirt,
            nova=release,
            osinfo_db=osinfo.database_version if osinfo.available else None,
            qemu=found.qemu,
        ),
        driver=config.driver_options,
        machine_types=found.machine_types,
        recommendations=osinfo.every_recommendation(release or NEWEST_RELEASE)
        if osinfo.available
        else None,
        domain_types=found.domain_types,
        emulator=found.emulator,
        domain_capabilities=found.domain_capabilities or None,
        devices=_devices(deployment, host, found),
        firmware=_firmware(deployment, host, found),
        page_sizes=found.page_sizes or None,
        processors=found.processors,
        block_drivers=_block_drivers(deployment, host, found),
        security_models=found.security_models or None,
        host_model=_host_model(deployment, host, found),
    )


def _devices(
    deployment: Deployment, host: str, found: HostCapabilities
) -> dict[str, str | None] | None:
    """Return the devices of HOST's QEMU, None unless it is this machine: nobody else can tell."""
    if found.emulator is None or found.qemu is None or not _is_here(deployment, host):
        return None
    return list_devices(found.emulator, found.qemu)


def _block_drivers(
    deployment: Deployment, host: str, found: HostCapabilities
) -> tuple[str, ...] | None:
    if found.emulator is None or found.qemu is None or not _is_here(deployment, host):
        return None
    return list_block_drivers(found.emulator, found.qemu)


def _firmware(deployment: Deployment, host: str, found: HostCapabilities) -> HostFirmware | None:
    """Return the firmware images of HOST, None unless it is this machine."""
    if found.emulator is None or not _is_here(deployment, host):
        return None
    told = found.domain_capabilities.values()
    return read_firmware({path for domain in told for path in domain.loader or ()})


def _host_model(deployment: Deployment, host: str, found: HostCapabilities) -> HostModel | None:
    """Return the processor of HOST's guests, with all that its libvirt knows if it is here."""
    if found.emulator is None or found.architecture not in X86:
        return None
    model = deployment.hosts.call(host, read_host_model, found.architecture)
    if model is None or not _is_here(deployment, host):
        return model
    return replace(model, known=read_known_features())


def _is_here(deployment: Deployment, host: str) -> bool:
    return host == deployment.config.host and is_local(deployment.host_uri(host))


def read_osinfo() -> OsInfo:
    """Return libosinfo of this machine; raises NotAsNeeded where its database is broken."""
    try:
        return OsInfo()
    except UnreadableOsInfo as error:
        raise NotAsNeeded(str(error)) from None
