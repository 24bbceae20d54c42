"""Plans that give devices their aliases, in the persistent definition: the parent's side."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.deployment import Deployment
from novadev.device.alias.guest import Wish, plan_guest
from novadev.device.guests import Hosted
from novadev.device.hosted import HostedInstance
from novadev.device.selecting import iter_hosted
from novadev.plan import Planned, Skip
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
    wish = Wish(whole_definition, diff)
    for chunk in iter_hosted(deployment, selection, no_database):
        yield from _plan_chunk(deployment, chunk, wish)


def _plan_chunk(deployment: Deployment, chunk: list[Hosted], wish: Wish) -> Iterator[Planned]:
    work: dict[str, list[tuple[HostedInstance, Wish]]] = {}
    for item in chunk:
        if isinstance(item, Skip):
            yield item
        else:
            work.setdefault(item.host, []).append((item, wish))
    for answer in deployment.hosts.run(plan_guest, work):
        instance: HostedInstance = answer.arguments[0]
        if answer.error is not None:
            yield Skip.of(instance.uuid, answer.error, instance.named)
        else:
            yield from answer.result()
