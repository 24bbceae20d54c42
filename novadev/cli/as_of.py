"""The option ``--as-of``: a record number or a time in the past."""

from __future__ import annotations

from typing import Any

import click

from novadev.cli.moments import EXAMPLES, read_moment
from novadev.records.device import AsOf

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
        moment = read_moment(str(value))
        if moment is None:
            told = f"is neither the number of a record nor a time such as {EXAMPLES} (UTC)"
            self.fail(f"{value!r:.60} {told}", param, ctx)
        return AsOf(time=moment)


as_of = click.option(
    "--as-of",
    type=_Moment(),
    metavar="TIME|RECORD",
    help="Use what was recorded at this time, such as 7d or 2026-11-01 (UTC), or the record with "
    "this number (see device history), instead of the newest record.",
)
