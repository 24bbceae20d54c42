"""What is stored of instances, in both databases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.config import Config
from novadev.deployment import Deployment
from novadev.errors import BadInput, NotFound
from novadev.nova.block_devices import list_block_devices
from novadev.nova.flavors import Flavor, list_flavors
from novadev.nova.instances import Instance
from novadev.nova.request_specs import RequestSpec, list_request_specs
from novadev.rules.guest import DriverRules, Guest
from novadev.selection import Chunk


@dataclass(frozen=True)
class Facts:
    """What is stored of one instance; ``spec`` is None where it has no request spec, or leaves it.

    ``release`` is that of the Nova that reads it (:class:`ServerReleases`).
    ``has_bad_flavor``: its flavor cannot be read, and ``guest`` has no swap disk for that reason.
    ``extra_specs`` are those of the flavor.
    """

    instance: Instance
    guest: Guest
    spec: RequestSpec | None
    release: int
    has_bad_flavor: bool = False
    leaves_spec: bool = False
    extra_specs: Mapping[str, str] = field(default_factory=dict)

    def rules(self, hosts: ComputeHosts, config: Config) -> DriverRules:
        """Return the rules of the host it is on, or was shelved on, else those of CONFIG."""
        host = self.instance.host or self.instance.shelved_host
        return hosts.rules_of(host, config.driver_options, self.release)

    @property
    def without_spec(self) -> Facts:
        """The same for a plan that leaves the request spec, if there is one, as it is."""
        return replace(self, spec=None, leaves_spec=self.spec is not None)

    def check_flavor(self) -> None:
        """Raise BadInput where the flavor cannot be read: the guest's swap disk is not known."""
        if self.has_bad_flavor:
            raise BadInput(
                f"instance {self.instance.uuid}: its flavor in instance_extra cannot be read, "
                "neither by novadev nor by Nova"
            )

    def check_spec(self) -> None:
        """Raise BadInput where there is a request spec and it cannot be read."""
        if self.spec is not None and not self.spec.is_readable:
            raise BadInput(f"{self.spec.fault} (--no-request-spec changes the cell alone)")


def with_spec_or_without(facts: Facts, with_request_spec: bool) -> Facts:
    """Return FACTS as they are, or without the request spec, if that is to be left.

    Raises NotFound where the instance has none and it is not to be left, BadInput for one that
    cannot be read, and for such a flavor.
    """
    facts.check_flavor()
    if not with_request_spec:
        return facts.without_spec
    if facts.spec is None:
        raise NotFound(
            f"instance {facts.instance.uuid} has no request spec in the API database "
            "(--no-request-spec changes the cell alone)"
        )
    facts.check_spec()
    return facts


def read_facts(deployment: Deployment, chunk: Chunk, releases: ServerReleases) -> Iterator[Facts]:
    """Yield what is stored of each instance of CHUNK, in order; some statements for all."""
    uuids = [instance.uuid for instance in chunk.instances]
    with deployment.cell_database(chunk.cell).reading() as connection:
        disks = list_block_devices(connection, uuids)
        flavors = list_flavors(connection, uuids)
    with deployment.api.reading() as connection:
        specs = list_request_specs(connection, uuids)
    for instance in chunk.instances:
        flavor = flavors.get(instance.uuid, Flavor())
        guest = Guest(
            image_properties=instance.image_properties,
            block_devices=disks.get(instance.uuid, ()),
            root_device_name=instance.root_device_name,
            config_drive=instance.config_drive,
            ephemeral_gb=instance.ephemeral_gb,
            swap_mb=flavor.swap_mb if flavor else 0,
            disk_format=instance.image_properties.get("disk_format"),
            is_offloaded=instance.vm_state == "shelved_offloaded",
        )
        spec, release = specs.get(instance.uuid), releases.of(instance)
        yield Facts(
            *(instance, guest, spec, release),
            has_bad_flavor=flavor is None,
            extra_specs=flavor.extra_specs if flavor else {},
        )
