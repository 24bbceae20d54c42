"""Which guests may have trouble: those with Windows, and those whose interfaces move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from novadev.device.forecast.records import ForecastRecord
from novadev.rules.guest import Guest
from novadev.rules.guest_os import is_windows

_HARDWARE = ("address", "bus", "model", "machine", "device")
_NIC_LABELS = ("interface ", "port ")


def warnings(records: Sequence[ForecastRecord], guest: Guest | None) -> Iterator[str]:
    """Yield what RECORDS mean for the guest's operating system."""
    changed = [record for record in records if record.field in _HARDWARE]
    if changed and guest is not None and is_windows(guest):
        yield (
            "Windows will detect new hardware, which can affect drivers, static IP addresses "
            "and its activation"
        )
    moved = [record.label for record in changed if record.label.startswith(_NIC_LABELS)]
    if moved:
        names = ", ".join(dict.fromkeys(moved))
        yield (
            "Linux may rename network interfaces, because their names follow the PCI address: "
            f"{names}"
        )
