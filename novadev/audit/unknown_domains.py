"""Domains on a host without an instance of Nova on that host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from novadev.audit.finding import Trouble
from novadev.deployment import Deployment
from novadev.errors import NovadevError
from novadev.nova.attached import list_attachments
from novadev.nova.instances import list_hosts_of
from novadev.virt.host import DomainName, Host


def unknown_domains(
    deployment: Deployment, hosts: Sequence[str]
) -> Iterator[tuple[str, Trouble | NovadevError]]:
    """Yield each host with a domain that Nova does not have there, or with why it does not say.

    A function of this module would have the host's process import the databases.
    """
    for answer in deployment.hosts.run(Host.list_domains, {host: [()] for host in hosts}):
        if answer.error is not None:
            yield answer.host, answer.error
            continue
        try:
            found = list(_unknown_to_nova(deployment, answer.host, answer.result()))
        except NovadevError as error:  # a cell is down: whose a domain is cannot be told
            yield answer.host, error
            continue
        yield from ((answer.host, trouble) for trouble in found)


def _unknown_to_nova(
    deployment: Deployment, host: str, domains: Sequence[DomainName]
) -> Iterator[Trouble]:
    places = _places(deployment, [domain.uuid for domain in domains])
    for domain in domains:
        place = places.get(domain.uuid)
        if place is None:
            yield _unknown(domain, "Nova has no such instance")
        elif place.host != host and place.unfinished is None:
            yield _unknown(domain, f"Nova has it on {place.host or 'no host'}")


@dataclass(frozen=True)
class Place:
    """Where Nova has an instance; ``unfinished`` says which migration is on its way, if one is."""

    host: str | None
    unfinished: str | None


def _places(deployment: Deployment, uuids: Sequence[str]) -> dict[str, Place]:
    """Return where Nova has each of these instances, in whatever cell."""
    found: dict[str, Place] = {}
    for cell in deployment.cells:
        with deployment.cell_database(cell).reading() as connection:
            hosts = list_hosts_of(connection, uuids)
            attachments = list_attachments(connection, list(hosts)) if hosts else {}
        found |= {uuid: Place(host, attachments[uuid].unfinished) for uuid, host in hosts.items()}
    return found


def _unknown(domain: DomainName, where: str) -> Trouble:
    runs = "runs" if domain.is_active else "is defined"
    details = f"domain {domain.name} ({domain.uuid}) {runs} there, and {where}"
    return Trouble("unknown-domain", "failure" if domain.is_active else "warning", details)
