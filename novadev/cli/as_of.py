"""The option ``--as-of``: a record number or a time in the past."""

from __future__ import annotations

from typing import Any

import click

from novadev.records.device import AsOf

TIMES = (
    *("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%SZ"),
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"),
)
"""How a time is typed; it is in UTC, and a date alone is its first moment."""
_LARGEST = 2**63 - 1


class _Moment(click.ParamType[AsOf]):
    """The number of a record, or a time."""

    name = "TIME|RECORD"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> AsOf:
        """Return the moment."""
        if isinstance(value, AsOf):
            return value
        if str(value).isascii() and str(value).isdecimal():
            number = int(str(value)[:20])
            if not 0 < number <= _LARGEST:
                self.fail(f"{value!r:.60} is not the number of a record", param, ctx)
            return AsOf(record=number)
        try:
            return AsOf(time=click.DateTime(TIMES).convert(value, param, ctx))
        except click.BadParameter:
            told = "is neither the number of a record nor a time such as 2026-03-01T04:00 (UTC)"
            self.fail(f"{value!r:.60} {told}", param, ctx)


as_of = click.option(
    "--as-of",
    type=_Moment(),
    metavar="TIME|RECORD",
    help="Use what was recorded at this time (UTC), or the record with this number (see device "
    "history), instead of the newest record.",
)
