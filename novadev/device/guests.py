"""The guests of a host, as its libvirt has them: read in the process of the host."""

from __future__ import annotations

from collections.abc import Sequence

from novadev.device.hosted_instance import HostedInstance
from novadev.errors import BadInput, NotFound
from novadev.runs.plan import Skip
from novadev.virt.domain import Definitions
from novadev.virt.host import Host

Hosted = HostedInstance | Skip


def list_guests(host: Host, names: Sequence[str] | None) -> list[Hosted]:
    """Return Nova's guests of HOST, or those called one of NAMES, with a Skip for what is none.

    A name is a UUID, the domain's or the one Nova's metadata has.
    """
    domains = sorted(host.list_domains(), key=lambda domain: domain.name)
    if names is None:
        return [HostedInstance(domain.uuid, "", host.name) for domain in domains]
    known = {domain.uuid: domain.name for domain in domains}
    nova_names = _NovaNames(host)
    return [_named(host, known, nova_names, name) for name in dict.fromkeys(names)]


def get_definitions(host: Host, instance: HostedInstance) -> Definitions:
    """Return what HOST has of INSTANCE; raises NotFound where Nova alone has it there."""
    try:
        return host.definitions(instance.uuid)
    except NotFound:
        raise domain_missing(host, instance.uuid, instance.attachments is not None) from None


def get_definitions_and_jobs(host: Host, instance: HostedInstance) -> Definitions:
    """Return the same with every job on it; raises Busy, too, where its QEMU does not answer."""
    try:
        return host.definitions_and_jobs(instance.uuid)
    except NotFound:
        raise domain_missing(host, instance.uuid, instance.attachments is not None) from None


def domain_missing(host: Host, uuid: str, nova_has_it: bool = True) -> NotFound:
    """Return the error for a guest that HOST does not have, though Nova may have it there."""
    known = ", although Nova has the instance there" if nova_has_it else ""
    return NotFound(f"host {host.name} has no domain {uuid}{known}")


def _named(host: Host, known: dict[str, str], nova_names: _NovaNames, name: str) -> Hosted:
    found = [uuid for uuid in known if name.lower() == uuid] or [
        uuid for uuid, domain in known.items() if name in (domain, nova_names.of(uuid))
    ]
    if len(found) == 1:
        return HostedInstance(found[0], "", host.name, named=True)
    if not found:
        text = f"host {host.name} has no domain {name!r:.60}, by UUID, name or Nova's name"
        return Skip.of(None, NotFound(text), named=True)
    text = f"{name!r:.60} matches {len(found)} domains of host {host.name}: {', '.join(found[:10])}"
    return Skip.of(None, BadInput(text), named=True)


class _NovaNames:
    """The names in the Nova metadata of a host's domains, each read when it is first needed."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._names: dict[str, str | None] = {}

    def of(self, uuid: str) -> str | None:
        """Return the name; None where there is none, or none that can be read any more."""
        if uuid not in self._names:
            self._names[uuid] = self._read(uuid)
        return self._names[uuid]

    def _read(self, uuid: str) -> str | None:
        try:
            nova = self._host.read_back(uuid).nova
        except (NotFound, BadInput):
            return None
        return nova.name if nova else None
