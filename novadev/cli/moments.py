"""Moments as an operator types them: a date, a time of day in UTC, or how long ago."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, timezone
from typing import Any

import click

EXAMPLES = "2h, 7d, 2026-11-01 or '2026-11-01 12:00'"
"""What help and errors show; there are more forms."""
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(
    r"(\d{1,5}) ?(m|min|minutes?|h|hours?|d|days?|w|weeks?)(?: ago)?", re.IGNORECASE | re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d.*", re.ASCII | re.DOTALL)


def read_moment(text: str) -> datetime | None:
    """Return the moment that TEXT names, in UTC and without a zone; None where it names none.

    A date alone is its first moment. A time that ends with ``Z`` or ``+02:00`` is of that zone.
    """
    text = " ".join(text.split())
    now = datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)
    days = {"now": now, "today": _midnight(now), "yesterday": _midnight(now - timedelta(days=1))}
    if text.lower() in days:
        return days[text.lower()]
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2][0].lower()]: int(ago[1])})
        return _of_calendar(text) if _DATE.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment, time.min)


def _of_calendar(text: str) -> datetime:
    """Return the moment TEXT, in a form of ISO 8601; raises ValueError."""
    zoned = re.sub(r" ?(Z|UTC)$", "+00:00", text, flags=re.IGNORECASE)
    moment = datetime.fromisoformat(zoned)
    return moment.astimezone(timezone.utc).replace(tzinfo=None) if moment.tzinfo else moment


class Moment(click.ParamType[datetime]):
    """A moment in the past."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Return the moment, in UTC."""
        if isinstance(value, datetime):
            return value
        moment = read_moment(str(value))
        if moment is None:
            self.fail(f"{value!r:.60} is not a time such as {EXAMPLES} (UTC)", param, ctx)
        return moment


MOMENT = Moment()
