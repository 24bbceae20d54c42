"""The forecast of each guest as one finding: what the next power-on moves or changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from novadev.audit.change_words import FUTURE, change_in_words
from novadev.audit.finding import Trouble
from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.deployment import Deployment
from novadev.device.forecast.forecasting import Forecasts
from novadev.device.forecast.layouts import Layouts
from novadev.device.forecast.records import ForecastRecord
from novadev.device.hosted_instance import HostedInstance
from novadev.errors import NotFound, NovadevError, Unreachable
from novadev.image_property.facts import Facts
from novadev.runs.plan import Skip

_TOLD = 3
"""Changes that a line has."""
Foreseen = tuple[HostedInstance, Facts]


class Foresight:
    """Forecasts of guests, chunk by chunk."""

    def __init__(self, deployment: Deployment, hosts: ComputeHosts, layouts: Layouts) -> None:
        self._forecasts = Forecasts(deployment, hosts, layouts, "power-on")

    def of(self, guests: Sequence[Foreseen]) -> Mapping[str, Trouble]:
        """Return the changes of these guests by UUID, or why no forecast is possible.

        One that is not there is left out: that is told elsewhere.
        """
        records: dict[str, list[ForecastRecord]] = defaultdict(list)
        notes: dict[str, list[str]] = defaultdict(list)
        untold: dict[str, Trouble] = {}
        for item in self._forecasts.of(list(guests)):
            if isinstance(item, Skip):
                untold |= _untold(item)
            elif isinstance(item, ForecastRecord):
                if not _is_keyboard_of_nova(item):
                    records[item.instance].append(item)
            elif item.instance is not None:
                notes[item.instance].append(item.text)
        return untold | {
            uuid: Trouble("forecast", "warning", "; ".join((_changes(found), *notes[uuid])))
            for uuid, found in records.items()
        }


def foresee(
    everything: Sequence[Facts], hosted: Sequence[HostedInstance], foresight: Foresight | None
) -> Mapping[str, Trouble]:
    """Return what FORESIGHT says of those of EVERYTHING that are HOSTED, by UUID.

    A guest that Nova is still building has no hardware yet that could change.
    """
    if foresight is None:
        return {}
    facts = {one.instance.uuid: one for one in everything if not one.instance.was_never_built}
    return foresight.of([(item, facts[item.uuid]) for item in hosted if item.uuid in facts])


def _untold(skip: Skip) -> dict[str, Trouble]:
    if skip.instance is None or skip.exit_code == NotFound.exit_code:
        return {}
    reason = skip.reason.removeprefix(f"instance {skip.instance}").removeprefix(":").strip()
    is_unasked = skip.exit_code in (NovadevError.exit_code, Unreachable.exit_code)
    details = f"no forecast is possible: {reason}"
    return {skip.instance: Trouble("forecast", "warning", details, is_unasked=is_unasked)}


def _is_keyboard_of_nova(item: ForecastRecord) -> bool:
    """Whether this is the keyboard that each new server gets at its second power-on.

    At the first one Nova stores hw_input_bus for the tablet, and from then on it adds a keyboard,
    too (nova/virt/libvirt/driver.py, _register_undefined_instance_details and
    _guest_add_keyboard_device). On usb that takes no other device's place.
    """
    return item.label == "input keyboard usb" and item.now is None


def _changes(records: Sequence[ForecastRecord]) -> str:
    told = [
        change_in_words(item.label, item.field, item.now, item.after, FUTURE)
        for item in records[:_TOLD]
    ]
    if len(records) > _TOLD:
        told.append(f"{len(records) - _TOLD} more")
    return f"at the next power-on: {', '.join(told)} (novadev device forecast)"
