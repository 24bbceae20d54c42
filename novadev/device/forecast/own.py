"""The devices that come from a guest's image, its flavor and its host.

What Nova makes of the flavor is in none of the records that are read here, and made again as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from novadev.device.forecast.decided import Decided
from novadev.device.forecast.wanted import Wanted, kept, tag_of
from novadev.device.inventory import Entry
from novadev.rules.device import FALLBACK_VIDEO, SPICE_CHANNEL, GuestDevice, inputs
from novadev.virt.devices import Input
from novadev.virt.outline import Outline

AGAIN = ("serial", "sound", "redirdev", "watchdog", "rng", "iommu", "tpm", "memory")
"""What Nova makes of the flavor and the image: as it was, unless those changed."""
_SPICE = "spicevmc"


def wanted_channels(entries: Sequence[Entry], decided: Decided) -> Iterator[Wanted]:
    """Yield the channels: SPICE's agent first, then those the image and the flavor ask for."""
    own = [entry for entry in entries if tag_of(entry) == "channel"]
    agents = [item for item in own if item.device and item.device.device == _SPICE]
    wanted = bool(agents) if decided.has_spice_agent is None else decided.has_spice_agent
    if wanted and agents:
        yield from kept(agents[:1], "channel")
    elif wanted:
        virtio = Outline.of("channel", {"target/@type": "virtio"})
        yield Wanted(None, f"channel {SPICE_CHANNEL}", virtio)
    yield from kept([entry for entry in own if entry not in agents], "channel")


def wanted_balloon(entries: Sequence[Entry], decided: Decided) -> list[Wanted]:
    """Return the memory balloon, which may be none: libvirt adds one where Nova writes nothing."""
    own = [entry for entry in entries if tag_of(entry) == "memballoon"]
    if decided.balloon is None:
        return list(kept(own, "memballoon"))
    outline = Outline.of("memballoon", {"@model": decided.balloon})
    return [Wanted(own[0] if own else None, f"memballoon {decided.balloon}", outline)]


def wanted_display(entries: Sequence[Entry], decided: Decided) -> list[Wanted]:
    """Return video and input devices: what stands only in a guest with a display."""
    if decided.has_display is False:
        return []
    videos = [entry for entry in entries if tag_of(entry) == "video"]
    if decided.has_display is None and not videos:
        return _inputs(entries, decided) if _own_inputs(entries) else []
    return [_video(videos[0] if videos else None, decided), *_inputs(entries, decided)]


def _video(entry: Entry | None, decided: Decided) -> Wanted:
    device = entry.device if entry else None
    now = device.model if device else None
    model = decided.models.get("hw_video_model", now or FALLBACK_VIDEO)
    label = entry.label if entry else f"video {model}"
    return Wanted(entry, label, Outline.of("video", {"model/@type": model}))


def _own_inputs(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of inputs that are Nova's: those on ps2 libvirt adds by itself."""
    found = [entry for entry in entries if isinstance(entry.device, Input)]
    return [entry for entry in found if entry.device and entry.device.bus != "ps2"]


def _inputs(entries: Sequence[Entry], decided: Decided) -> list[Wanted]:
    own = _own_inputs(entries)
    if "hw_input_bus" not in decided.models:
        return list(kept(own, "input"))
    return [_input(own, one) for one in inputs(decided.models["hw_input_bus"], decided.keyboard)]


def _input(own: Sequence[Entry], wanted: GuestDevice) -> Wanted:
    kind = wanted.device
    entry = next((item for item in own if item.device and item.device.device == kind), None)
    label = entry.label if entry else wanted.subject
    return Wanted(entry, label, Outline.of("input", {"@type": kind, "@bus": wanted.bus}))
