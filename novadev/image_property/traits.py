"""The traits that the scheduler requires for what a request spec says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from novadev.runs.change import Change
from novadev.runs.place import Kind

_TRAITS = {
    "hw_disk_bus": "COMPUTE_STORAGE_BUS_",
    "hw_cdrom_bus": "COMPUTE_STORAGE_BUS_",
    "hw_video_model": "COMPUTE_GRAPHICS_MODEL_",
    "hw_vif_model": "COMPUTE_NET_VIF_MODEL_",
}
"""``nova/scheduler/request_filter.py`` transform_image_metadata."""


def traits_note(changes: Iterable[Change]) -> str | None:
    """Return the note about the traits that CHANGES of a request spec add; None for none.

    It holds where ``[scheduler] image_metadata_prefilter`` is on.
    """
    traits = [
        _TRAITS[name] + value.replace("-", "_").upper()
        for name, value in _said(changes)
        if name in _TRAITS and isinstance(value, str)
    ]
    if not traits:
        return None
    return f"the scheduler will require these traits of its next host: {', '.join(traits)}"


def _said(changes: Iterable[Change]) -> Iterator[tuple[str, object]]:
    """Yield what a request spec says after CHANGES, by the name of the property."""
    for item in changes:
        if item.place.kind is Kind.SPEC:
            yield item.place.name, item.after
        elif item.place.kind is Kind.IMAGE and isinstance(item.after, str):
            yield from json.loads(item.after)["properties"].items()
