"""The present capabilities of compute hosts: from libvirt, completed from capability files."""

from __future__ import annotations

from dataclasses import replace

from novadev.capabilities.compute_hosts import ComputeHost, ComputeHosts
from novadev.capabilities.content import Capabilities
from novadev.capabilities.saving import get_capabilities
from novadev.deployment import Deployment
from novadev.errors import NovadevError


class AskedHosts(ComputeHosts):
    """The compute hosts, each asked when it is first looked for.

    What only the host itself can list, the devices and drivers of its QEMU and its firmware, is
    taken from its capability file while QEMU is the same; so are Nova's options and libosinfo.
    """

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(deployment.config)
        self._deployment = deployment
        self._asked: dict[str, ComputeHost | NovadevError] = {}

    def find(self, host: str | None) -> ComputeHost | None:
        """Return HOST as it is; raises as `ComputeHosts.find`, and Unreachable."""
        if host is None:
            return super().find(host)
        if host not in self._asked:
            self._asked[host] = self._ask(host)
        found = self._asked[host]
        if isinstance(found, NovadevError):
            raise found
        return found

    def _ask(self, host: str) -> ComputeHost | NovadevError:
        try:
            saved = super().find(host)
            now = get_capabilities(self._deployment, host, saved.release if saved else None)
        except NovadevError as error:
            return error
        if saved is not None and saved.capabilities is not None:
            now = _with_saved(now, saved.capabilities)
        return self.of(now, "asked now", now.versions.qemu)


def _with_saved(now: Capabilities, saved: Capabilities) -> Capabilities:
    """Return NOW with what the file SAVED alone can tell of the same QEMU."""
    is_same = now.versions.qemu == saved.versions.qemu
    return replace(
        now,
        saved_on=saved.saved_on,
        driver=saved.driver,
        recommendations=saved.recommendations,
        devices=now.devices or (saved.devices if is_same else None),
        firmware=now.firmware or (saved.firmware if is_same else None),
        block_drivers=now.block_drivers or (saved.block_drivers if is_same else None),
    )
