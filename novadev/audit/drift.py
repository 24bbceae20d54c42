"""Guests that have drifted from their record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from novadev.audit.change_words import PAST, change_in_words
from novadev.audit.finding import Trouble
from novadev.audit.remedies import record, restore, unpin
from novadev.deployment import Deployment
from novadev.device.hosted_instance import HostedInstance
from novadev.errors import NotAsNeeded, NotFound, NovadevError
from novadev.records.drift import Drift, compare
from novadev.records.on_host import Question, Seen, see
from novadev.records.store import VmDevices

_TOLD = 3
"""Differences that a line has."""


class Records:
    """The recorded devices of a deployment; of None nothing is recorded, and nothing is read."""

    def __init__(self, deployment: Deployment | None) -> None:
        self._deployment = deployment
        self.missed: set[str] = set()
        """The guests that were asked for and not compared: they have no record, or just start."""

    def fingerprints(self, uuids: Sequence[str]) -> Mapping[str, str]:
        """Return the recorded digest of each of these guests of which anything is recorded.

        Raises Unreachable without the state database.
        """
        if self._deployment is None:
            return {}
        dynamics = VmDevices(self._deployment.state).list_dynamics(uuids)
        self.missed.update(uuid for uuid in uuids if uuid not in dynamics)
        return {uuid: dynamic.fingerprint for uuid, dynamic in dynamics.items()}

    def drift(self, instances: Sequence[HostedInstance]) -> Mapping[str, Trouble]:
        """Return in what these guests have drifted, by UUID, once each was read in full.

        A guest that has ended, or is being started, is left out. For a guest whose host gave no
        answer, the trouble says so.
        """
        if self._deployment is None or not instances:
            return {}
        special = self._deployment.config.special_managed_devices
        kept, uuids = VmDevices(self._deployment.state), [item.uuid for item in instances]
        recorded, pins = kept.list_devices(uuids), kept.list_pins(uuids)
        last_found = kept.list_found(recorded, pins)
        hosts = {uuid: last.host for uuid, last in kept.list_dynamics(uuids).items()}
        work: dict[str, list[tuple[HostedInstance, Question]]] = defaultdict(list)
        for item in instances:
            rows, host = last_found.get(item.uuid, ()), hosts.get(item.uuid, "")
            work[item.host].append((item, Question(special, rows, recorded_on=host)))
        found: dict[str, Trouble] = {}
        for answer in self._deployment.hosts.run(see, work):
            uuid = answer.arguments[0].uuid
            if answer.error is None:
                seen: Seen = answer.result()
                before = recorded.get(uuid, ())
                differences = list(compare(before, seen.devices, pins.get(uuid)))
                found |= {uuid: _trouble(uuid, differences)} if differences else {}
            elif isinstance(answer.error, NotFound | NotAsNeeded):
                self.missed.add(uuid)
            else:
                found[uuid] = _unknown(answer.error)
        return found


def _unknown(error: NovadevError) -> Trouble:
    details = f"it was not compared with its record: {error}"
    return Trouble("drift", "warning", details, is_unasked=True)


def _trouble(uuid: str, found: Sequence[Drift]) -> Trouble:
    moved = all(item.field == "address" for item in found)
    lost = {item.device_id for item in found if _is_lost(item)}
    remedy = unpin(uuid, sorted(lost)) if lost else restore(uuid) if moved else record(uuid)
    return Trouble("drift", "warning", _told(found), remedy)


def _is_lost(item: Drift) -> bool:
    """Whether the device is pinned to a place where it cannot come back."""
    return item.unfit or (item.pinned and item.found is None)


def _told(found: Sequence[Drift]) -> str:
    parts = [
        change_in_words(
            item.label + " (pinned)" * item.pinned, item.field, item.recorded, item.found, PAST
        )
        for item in found[:_TOLD]
    ]
    more = f"; {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return f"since the last record, {'; '.join(parts)}{more}"
