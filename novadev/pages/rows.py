"""What has changed or will change of devices, as rows of a table on a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from novadev.device.forecast.records import ForecastRecord
from novadev.records.drift import Drift


class Row(NamedTuple):
    """A row: of which device, what of it, and how it is on both sides; None where it is not."""

    label: str
    field: str
    before: str | None
    after: str | None


def drift_rows(found: Iterable[Drift]) -> Iterator[Row]:
    """Yield what has changed since the last record, with the words of ``device drift``."""
    rows = (Row(item.label, item.field, item.recorded, item.found) for item in found)
    return _in_words(rows, "appeared", "vanished")


def forecast_rows(found: Iterable[ForecastRecord]) -> Iterator[Row]:
    """Yield what will change, with the words of ``device forecast``."""
    rows = (Row(item.label, item.field, item.now, item.after) for item in found)
    return _in_words(rows, "appears", "vanishes")


def _in_words(rows: Iterable[Row], comes: str, goes: str) -> Iterator[Row]:
    """Yield ROWS; a device that comes or goes has one row alone, with all that there is of it."""
    for label, group in groupby(rows, key=lambda row: row.label):
        members = list(group)
        whole = next((row for row in members if row.field == "device"), None)
        if whole is None:
            yield from members
            continue
        side = "after" if whole.before is None else "before"
        parts = (f"{row.field} {getattr(row, side)}" for row in members if row.field != "device")
        text = ", ".join((comes if side == "after" else goes, *parts))
        yield Row(label, "device", None if side == "after" else label, text)
