"""What is known of instances: what is stored, what is attached, the rules of their hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from novadev.capabilities.compute_hosts import ComputeHost, ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.errors import NovadevError
from novadev.image_property.facts import Facts, read_facts
from novadev.nova.attached import list_attachments
from novadev.nova.attachments import Attachments
from novadev.nova.flavors import list_flavors
from novadev.rules.defaults import with_recommended_bus
from novadev.rules.guest import DriverRules, Guest, property_value
from novadev.selection import Chunk

_OF_FLAVORS = {
    "hw:mem_encryption": "hw_mem_encryption",
    "hw:sound_model": "hw_sound_model",
    "hw:usb_model": "hw_usb_model",
    "hw:viommu_model": "hw_viommu_model",
    "hw:watchdog_action": "hw_watchdog_action",
    "os:secure_boot": "os_secure_boot",
}
"""Extra specs that ask for the same as an image property (nova/virt/hardware.py, driver.py)."""


@dataclass(frozen=True)
class Evidence:
    """All that is known of one instance.

    ``rules`` are its host's, or novadev's own configuration where ``compute``, what is known of the
    host, is None; ``bad_compute`` is what is wrong with the host's file, or that it is silent.
    """

    facts: Facts
    attachments: Attachments
    extra_specs: Mapping[str, str]
    rules: DriverRules
    compute: ComputeHost | None
    bad_compute: NovadevError | None = None

    @property
    def host(self) -> str | None:
        """The host it is on, or was on before it was offloaded."""
        return _host_of(self.facts)

    @property
    def guest(self) -> Guest:
        """What the rules look at, with what its flavor and its host's libosinfo ask for.

        Raises NotAsNeeded where the database of libosinfo is broken.
        """
        stored = self.facts.guest
        asked = {
            name: self.extra_specs[spec]
            for spec, name in _OF_FLAVORS.items()
            if self.extra_specs.get(spec)
        }
        guest = replace(stored, image_properties={**asked, **stored.image_properties})
        if self.compute is None:
            return guest
        recommended = self.compute.recommendation(property_value(guest, "os_distro"))
        return with_recommended_bus(guest, recommended)


def gather(deployment: Deployment, chunk: Chunk, hosts: ComputeHosts) -> Iterator[Evidence]:
    """Yield what is known of each instance of CHUNK, in order; some statements for all."""
    uuids = [instance.uuid for instance in chunk.instances]
    with deployment.cell_database(chunk.cell).reading() as connection:
        attachments = list_attachments(connection, uuids)
        flavors = list_flavors(connection, uuids)
    options = deployment.config.driver_options
    releases = ServerReleases(deployment, ComputeHosts(deployment.config))
    for facts in read_facts(deployment, chunk, releases):
        uuid = facts.instance.uuid
        flavor = flavors.get(uuid)
        found = _find(hosts, facts)
        compute = found if isinstance(found, ComputeHost) else None
        rules = compute.rules if compute else hosts.assumed(_host_of(facts), options)
        yield Evidence(
            facts=facts,
            attachments=attachments[uuid],
            extra_specs=flavor.extra_specs if flavor else {},
            rules=rules if compute else replace(rules, release=facts.release),
            compute=compute,
            bad_compute=found if isinstance(found, NovadevError) else None,
        )


def _find(hosts: ComputeHosts, facts: Facts) -> ComputeHost | NovadevError | None:
    """Return what is known of the instance's host, or why it cannot be known."""
    try:
        return hosts.find(_host_of(facts))
    except NovadevError as error:
        return error


def _host_of(facts: Facts) -> str | None:
    return facts.instance.host or facts.instance.shelved_host
