"""Domains of hosts that Nova has no instance of there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from novadev.audit.finding import Trouble
from novadev.deployment import Deployment
from novadev.errors import NovadevError
from novadev.nova.instances import list_hosts_of
from novadev.virt.host import DomainName, Host


def list_domains(host: Host) -> tuple[DomainName, ...]:
    """Return every domain of HOST."""
    return host.list_domains()


def unknown_domains(
    deployment: Deployment, hosts: Sequence[str]
) -> Iterator[tuple[str, Trouble | NovadevError]]:
    """Yield each host with a domain that Nova does not have there, or with why it does not say."""
    for answer in deployment.hosts.run(list_domains, {host: [()] for host in hosts}):
        if answer.error is not None:
            yield answer.host, answer.error
            continue
        domains = answer.result()
        places = _places(deployment, [domain.uuid for domain in domains])
        for domain in domains:
            if places.get(domain.uuid) != answer.host:
                yield answer.host, _unknown(domain, places.get(domain.uuid))


def _places(deployment: Deployment, uuids: Sequence[str]) -> dict[str, str | None]:
    """Return where Nova has each of these instances, in whatever cell."""
    found: dict[str, str | None] = {}
    for cell in deployment.cells:
        with deployment.cell_database(cell).reading() as connection:
            found |= list_hosts_of(connection, uuids)
    return found


def _unknown(domain: DomainName, elsewhere: str | None) -> Trouble:
    runs = "runs" if domain.is_active else "is defined"
    where = f"Nova has it on {elsewhere}" if elsewhere else "Nova has no such instance"
    details = f"domain {domain.name} ({domain.uuid}) {runs} there, and {where}"
    return Trouble("unknown-domain", "failure" if domain.is_active else "warning", details)
