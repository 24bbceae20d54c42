"""Plans that give devices their aliases, in the persistent definition: the parent's side."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.deployment import Deployment
from novadev.device.alias.guest import Wish, plan_guest
from novadev.device.forecast.keeping import Keeping
from novadev.device.hosted_instance import HostedInstance
from novadev.device.on_hosts import plan_on_hosts
from novadev.device.selecting import iter_hosted
from novadev.runs.plan import Planned
from novadev.selection import Selection


def plan_migrate(
    deployment: Deployment,
    selection: Selection,
    no_database: bool = False,
    whole_definition: bool = False,
    diff: bool = False,
) -> Iterator[Planned]:
    """Return plans that give every device of the selected guests the alias of its owner.

    What would not be safe is a Skip, of one device or of a guest. WHOLE_DEFINITION allows to
    define a guest that is shut off anew, for devices that libvirt cannot change alone. Raises as
    :func:`novadev.device.selecting.iter_hosted`.
    """
    keeping = Keeping(deployment.config)

    def wish(instance: HostedInstance) -> Wish:
        return Wish(whole_definition, diff, keeping.keeps_aliases(instance.host))

    for chunk in iter_hosted(deployment, selection, no_database):
        yield from plan_on_hosts(deployment, chunk, plan_guest, wish)
