"""What is recorded of the guests, for those that have drifted from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from novadev.audit.finding import Trouble
from novadev.audit.guest import Recorded
from novadev.audit.remedies import record, restore
from novadev.deployment import Deployment
from novadev.device.record.drift import Drift, compare
from novadev.device.record.guest import Question, Seen

_TOLD = 3
"""Differences that a line has."""


class Records:
    """The recorded devices of a deployment; of None nothing is recorded, and nothing is read."""

    def __init__(self, deployment: Deployment | None) -> None:
        self._deployment = deployment

    def of(self, uuids: Sequence[str]) -> Mapping[str, Recorded]:
        """Return what each of these guests is to be compared with, by its UUID.

        Raises Unreachable without the state database.
        """
        if self._deployment is None:
            return {}
        kept, special = self._deployment.vm_devices, self._deployment.config.special_managed_devices
        dynamics = kept.list_dynamics(uuids)
        names = kept.list_names(list(dynamics))
        return {
            uuid: Recorded(dynamic, Question(special, names.get(uuid, {})))
            for uuid, dynamic in dynamics.items()
        }

    def drift(self, seen: Seen | None) -> Iterator[Trouble]:
        """Yield in what a guest, SEEN otherwise than recorded, has drifted."""
        if seen is None or self._deployment is None:
            return
        uuid = seen.dynamic.vm_id
        recorded = self._deployment.vm_devices.list_devices([uuid]).get(uuid, ())
        found = list(compare(recorded, seen.devices))
        if found:
            moved = all(item.field == "address" for item in found)
            remedy = restore(uuid) if moved else record(uuid)
            yield Trouble("drift", "warning", _told(found), remedy)


def _told(found: Sequence[Drift]) -> str:
    parts = [
        f"{item.label}: {item.field} was {item.recorded or 'not there'}, "
        f"is {item.found or 'not there'}"
        for item in found[:_TOLD]
    ]
    more = f"; {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return f"since the last record, {'; '.join(parts)}{more}"
