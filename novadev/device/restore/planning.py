"""Plans that put recorded addresses back into persistent definitions: the parent's side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from novadev.deployment import Deployment
from novadev.device.guests import Hosted
from novadev.device.on_hosts import plan_on_hosts
from novadev.device.restore.guest import Question, plan_guest
from novadev.device.selecting import iter_hosted
from novadev.errors import NotAsNeeded
from novadev.runs.plan import Planned, Skip
from novadev.selection import Selection
from novadev.state.devices import VmDevice

Rows = Mapping[str, Sequence[VmDevice]]


def plan_restore(
    deployment: Deployment, selection: Selection, diff: bool = False
) -> Iterator[Planned]:
    """Return plans that give the devices of the selected guests their recorded addresses.

    A guest that cannot have them all is a Skip that says why. Raises as
    :func:`novadev.device.selecting.iter_hosted`.
    """
    for chunk in iter_hosted(deployment, selection):
        uuids = [item.uuid for item in chunk if not isinstance(item, Skip)]
        rows = deployment.vm_devices.list_devices(uuids)
        plugged = {
            uuid: tuple(row for row in devices if row.is_plugged) for uuid, devices in rows.items()
        }
        yield from plan_on_hosts(
            deployment,
            _recorded_ones(chunk, rows),
            plan_guest,
            lambda instance, plugged=plugged: Question(plugged[instance.uuid], diff),  # type: ignore[misc]
        )


def _recorded_ones(chunk: Sequence[Hosted], rows: Rows) -> Iterator[Hosted]:
    """Yield those of CHUNK of which something is recorded, and a skip for each other one."""
    for item in chunk:
        if isinstance(item, Skip) or item.uuid in rows:
            yield item
        else:
            text = f"nothing is recorded of instance {item.uuid}: run novadev device record"
            yield Skip.of(item.uuid, NotAsNeeded(text), item.named)
