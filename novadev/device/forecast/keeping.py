"""A power-on on a host whose nova-compute keeps recorded addresses (``novadev-nova-compute``).

What a guest has just before it is powered on counts as its record there. So a device that stays
as it is keeps its address. libvirt finds a place for the others, around the kept ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from novadev.config import Config
from novadev.device.forecast.records import Fate, Prediction
from novadev.errors import NovadevError
from novadev.rules.machine_types import I440FX, Q35, family_of
from novadev.state.keeping import HostKeeping, list_keeping
from novadev.virt.places import usb_ports
from novadev.virt.scratch import Layout, Place


class Keeping:
    """What the nova-compute of each host says of addresses and aliases; read when first asked."""

    def __init__(self, config: Config) -> None:
        self._url = config.state_connection

    @cached_property
    def _found(self) -> dict[str, HostKeeping] | NovadevError:
        try:
            return list_keeping(self._url)
        except NovadevError as error:
            return error

    def keeps(self, host: str) -> bool:
        """Whether HOST is known to keep addresses."""
        known = self._known(host)
        return known is not None and known.keeps

    def keeps_aliases(self, host: str) -> bool:
        """Whether HOST is known to keep aliases too."""
        known = self._known(host)
        return known is not None and known.keeps_aliases

    def _known(self, host: str) -> HostKeeping | None:
        return None if isinstance(self._found, NovadevError) else self._found.get(host)

    def notes(self, host: str) -> Iterator[str]:
        """Yield what to say of HOST: that it keeps them, or that this is not known."""
        if isinstance(self._found, NovadevError):
            yield f"whether hosts keep recorded addresses is not known: {self._found}"
        elif self.keeps(host):
            yield (
                f"host {host}: its nova-compute keeps recorded addresses. The places of new and "
                "changed devices are not told, and a pinned device goes to where it is pinned"
            )
        elif any(one.keeps for one in self._found.values()):
            known = self._found.get(host)
            if known is None or known.is_silent:
                text = "whether its nova-compute keeps recorded addresses is not known here"
                yield f"host {host}: {text}, so it is taken not to"


def kept(prediction: Prediction, layout: Layout) -> Layout:
    """Return LAYOUT with the addresses that PREDICTION's devices have now, where they are kept.

    Nothing is known of the others, nor of controllers. Where the machine is of another family, or
    of one that is not kept, the layout is the same.
    """
    family = family_of(prediction.machine_after or "")
    if family not in (I440FX, Q35) or family_of(prediction.machine or "") != family:
        return layout
    fates = {fate.number: fate for fate in prediction.fates if fate.number is not None}
    has_hubs = _has_hubs(prediction, layout)
    places = [
        place if has_hubs and _is_on_usb(fates.get(number)) else _kept(place, fates.get(number))
        for number, place in enumerate(layout.places)
    ]
    return Layout(tuple(places), is_exact=False)


def _has_hubs(prediction: Prediction, layout: Layout) -> bool:
    """Whether libvirt adds USB hubs, so that it places all USB devices as it always did.

    As ``_usb_fits`` of :mod:`novadev.keep.definition`.
    """
    if any(place.tag == "hub" for place in layout.added):
        return True
    models = [place.model for place in prediction.controllers if place.name.startswith("usb ")]
    number = sum(map(_is_on_usb, prediction.fates))
    return len(models) != 1 or number > usb_ports(models[0])


def _is_on_usb(fate: Fate | None) -> bool:
    return fate is not None and fate.number is not None and fate.after.bus == "usb"


def _kept(place: Place, fate: Fate | None) -> Place:
    now = fate.now if fate else None
    if fate is None or now is None or now.address is None:
        return replace(place, address=None)
    pairs = ((now.bus, fate.after.bus), (now.model, place.model or fate.after.model))
    is_same = all(was == will_be for was, will_be in pairs if was and will_be)
    return replace(place, address=now.address if is_same else None)
