"""A cloud with real compute hosts: instances in Nova's databases, guests on private libvirtds."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.cloud import Cloud
from tests.hypervisor import Hypervisor

HOST_TIMEOUT = 3


class ConfigFile(NamedTuple):
    """A nova.conf to run novadev with."""

    config_file: Path


def reach(cloud: Cloud, hosts: Sequence[Hypervisor], timeout: int = HOST_TIMEOUT) -> None:
    """Let the cloud's nova.conf lead to these hosts, each by its name."""
    with cloud.config_file.open("a") as file:
        file.write(_novadev_section(cloud.folder, hosts, timeout))


def compute_host(folder: Path, host: Hypervisor, timeout: int = HOST_TIMEOUT) -> ConfigFile:
    """The nova.conf of a compute host, which names no database."""
    path = folder / f"{host.name}.conf"
    state = f"state_connection = sqlite:///{folder}/{host.name}.sqlite\n"
    path.write_text(
        f"[DEFAULT]\nhost = {host.name}\n[libvirt]\nconnection_uri = {host.uri}\n"
        f"[novadev]\nhost_timeout = {timeout}\n{state}"
    )
    return ConfigFile(path)


def _novadev_section(folder: Path, hosts: Sequence[Hypervisor], timeout: int) -> str:
    for host in hosts:
        link = folder / f"{host.name}.sock"
        link.unlink(missing_ok=True)
        link.symlink_to(host.uri.partition("socket=")[2])
    scheme = hosts[0].uri.partition("?")[0]
    return (
        f"\n[novadev]\nlibvirt_uri = {scheme}?socket={folder}/{{host}}.sock\n"
        f"host_timeout = {timeout}\n"
    )
