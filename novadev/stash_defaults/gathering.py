"""What is known of instances: both databases, their hosts' rules, their definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from novadev.capabilities.compute_hosts import ComputeHost, ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.errors import BadInput, NotAsNeeded, NovadevError
from novadev.image_property.decisions import Decisions
from novadev.image_property.facts import Facts, read_facts
from novadev.nova.services import list_compute_versions
from novadev.rules.releases import release_of
from novadev.selection import Chunk
from novadev.stash_defaults.hardware import Hardware, read_hardware
from novadev.stash_defaults.sources import Evidence, in_force


def gather(
    deployment: Deployment, chunk: Chunk, hosts: ComputeHosts, with_domains: bool
) -> Iterator[Evidence]:
    """Yield what is known of each instance of CHUNK, WITH_DOMAINS its definition too.

    A definition that cannot be read is an error in the evidence, and stops nothing.
    """
    everything = list(read_facts(deployment, chunk, ServerReleases(deployment, hosts)))
    decisions = Decisions(deployment)
    decisions.read([facts.instance.uuid for facts in everything])
    with deployment.cell_database(chunk.cell).reading() as connection:
        versions = list_compute_versions(connection)
    found = dict(_read_domains(deployment, everything)) if with_domains else {}
    for facts in everything:
        instance = facts.instance
        seen = found.get(instance.uuid)
        known = find_compute(hosts, facts, versions.get(_host_of(facts) or ""))
        yield Evidence(
            facts=facts,
            hardware=seen if isinstance(seen, Hardware) else None,
            no_domain=seen if isinstance(seen, NovadevError) else no_domain(facts),
            compute=_beside(known, seen) if isinstance(known, ComputeHost) else None,
            bad_compute=known if isinstance(known, NovadevError) else None,
            taken_out=in_force(decisions.taken_out(instance), facts, known),
        )


def _beside(compute: ComputeHost, seen: Hardware | NovadevError | None) -> ComputeHost:
    return compute.beside(seen.qemu) if isinstance(seen, Hardware) else compute


def find_compute(
    hosts: ComputeHosts, facts: Facts, version: int | None
) -> ComputeHost | NovadevError | None:
    """Return what is known of the instance's host, or what is wrong with the host's file.

    VERSION is that of the nova-compute that has registered there, None for none.
    """
    host = _host_of(facts)
    try:
        found = hosts.find(host)
    except BadInput as error:
        return error
    if found is None or version is None or found.is_of(version):
        return found
    return NotAsNeeded(
        f"the rules in {found.origin} are from Nova {found.release}, but nova-compute on {host} is "
        f"{release_of(version)} now: save the file again (novadev capabilities save)"
    )


def _host_of(facts: Facts) -> str | None:
    return facts.instance.host or facts.instance.shelved_host


def _read_domains(
    deployment: Deployment, everything: Sequence[Facts]
) -> Iterator[tuple[str, Hardware | NovadevError]]:
    work: dict[str, list[tuple[str, str | None]]] = {}
    for facts in everything:
        instance = facts.instance
        if instance.host is not None and no_domain(facts) is None:
            question = (instance.uuid, instance.root_device_name)
            work.setdefault(instance.host, []).append(question)
    for answer in deployment.hosts.run(read_hardware, work):
        yield answer.arguments[0], answer.error or answer.result()


def no_domain(facts: Facts) -> NotAsNeeded | None:
    """Return why the instance has no definition that shows its hardware."""
    instance = facts.instance
    if instance.host is None:
        return NotAsNeeded(f"it is {instance.vm_state}, on no host")
    if instance.vm_state == "rescued":
        return NotAsNeeded("it is rescued and runs with the hardware of its rescue image")
    return None
