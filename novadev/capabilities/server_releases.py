"""Which release of Nova reads the values of a server: the rule for audit, sync and unset."""

from __future__ import annotations

from collections.abc import Mapping

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.deployment import Deployment
from novadev.errors import BadInput
from novadev.nova.instances import Instance
from novadev.nova.services import list_compute_versions
from novadev.rules.releases import (
    NEWEST_RELEASE,
    OLDEST_RELEASE,
    SERVICE_VERSIONS,
    release_of,
)


class ServerReleases:
    """The releases of Nova that read the stored values of servers.

    It is the release on the server's own host, or on the host it was shelved on. The host's
    capability file says which one, unless nova-compute has registered another release there since;
    without a file, what nova-compute has registered. Where neither says it, and for a server on no
    host, it is the newest release that novadev knows. Hosts that the server is not on do not count.
    """

    def __init__(self, deployment: Deployment, hosts: ComputeHosts) -> None:
        self._deployment = deployment
        self._hosts = hosts
        self._versions: dict[str, Mapping[str, int]] = {}

    def of(self, instance: Instance) -> int:
        """Return the release for INSTANCE; raises the error of a cell that cannot be read."""
        host, version = instance.host or instance.shelved_host, self.version_of(instance)
        try:
            compute = self._hosts.find(host)
        except BadInput:
            compute = None
        if compute and compute.release and (version is None or compute.is_of(version)):
            return compute.release
        if version and version < SERVICE_VERSIONS[OLDEST_RELEASE]:
            return OLDEST_RELEASE
        return (version and release_of(version)) or NEWEST_RELEASE

    def version_of(self, instance: Instance) -> int | None:
        """Return the version of the nova-compute that has registered on the instance's host."""
        host = instance.host or instance.shelved_host
        return None if host is None else self._versions_in(instance.cell).get(host)

    def _versions_in(self, uuid: str) -> Mapping[str, int]:
        """Return the service versions in a cell, read once: a fleet has thousands of servers."""
        if uuid not in self._versions:
            cell = next(cell for cell in self._deployment.cells if cell.uuid == uuid)
            with self._deployment.cell_database(cell).reading() as connection:
                self._versions[uuid] = list_compute_versions(connection)
        return self._versions[uuid]
