"""What is known of instances: both databases, their hosts' rules, their definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from novadev.capabilities.compute_hosts import ComputeHost, ComputeHosts
from novadev.deployment import Deployment
from novadev.errors import BadInput, NotAsNeeded, NovadevError
from novadev.image_property.facts import Facts, read_facts
from novadev.selection import Chunk
from novadev.stash_defaults.hardware import Hardware, read_hardware
from novadev.stash_defaults.sources import Evidence


def gather(
    deployment: Deployment, chunk: Chunk, hosts: ComputeHosts, with_domains: bool
) -> Iterator[Evidence]:
    """Yield what is known of each instance of CHUNK, WITH_DOMAINS its definition too.

    A definition that cannot be read is an error in the evidence, and stops nothing.
    """
    everything = list(read_facts(deployment, chunk))
    found = dict(_read_domains(deployment, everything)) if with_domains else {}
    for facts in everything:
        instance = facts.instance
        seen = found.get(instance.uuid)
        known = _find_compute(hosts, facts)
        yield Evidence(
            facts=facts,
            hardware=seen if isinstance(seen, Hardware) else None,
            no_domain=seen if isinstance(seen, NovadevError) else _no_domain(facts),
            compute=known if isinstance(known, ComputeHost) else None,
            bad_compute=known if isinstance(known, BadInput) else None,
        )


def _find_compute(hosts: ComputeHosts, facts: Facts) -> ComputeHost | BadInput | None:
    """Return what is known of the instance's host, or what is wrong with the host's file."""
    try:
        return hosts.find(facts.instance.host or facts.instance.shelved_host)
    except BadInput as error:
        return error


def _read_domains(
    deployment: Deployment, everything: Sequence[Facts]
) -> Iterator[tuple[str, Hardware | NovadevError]]:
    work: dict[str, list[tuple[str, str | None]]] = {}
    for facts in everything:
        instance = facts.instance
        if instance.host is not None and _no_domain(facts) is None:
            question = (instance.uuid, instance.root_device_name)
            work.setdefault(instance.host, []).append(question)
    for answer in deployment.hosts.run(read_hardware, work):
        yield answer.arguments[0], answer.error or answer.result()


def _no_domain(facts: Facts) -> NotAsNeeded | None:
    """Return why the instance has no definition that tells its hardware."""
    instance = facts.instance
    if instance.host is None:
        return NotAsNeeded(f"it is {instance.vm_state}, on no host")
    if instance.vm_state == "rescued":
        return NotAsNeeded("it is rescued, and runs with the hardware of its rescue image")
    return None
