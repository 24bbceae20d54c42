"""Times as people type them: each form, and what an error says of others."""

from datetime import datetime, timedelta, timezone

import pytest

from novadev.cli.moments import read_moment
from tests.cloud import Cloud
from tests.command import novadev

NOON = datetime(2026, 11, 1, 12)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01", datetime(2026, 11, 1)),
        ("2026-11-01 12:00", NOON),
        ("2026-11-01T12:00", NOON),
        ("2026-11-01 12:00:05", NOON + timedelta(seconds=5)),
        ("2026-11-01T12:00:00Z", NOON),
        ("2026-11-01 12:00 UTC", NOON),
        ("2026-11-01T14:00:00+02:00", NOON),
        *((text, None) for text in ("", "2", "20261101", "2026-11", "2026-13-01", "01.11.2026")),
        *((text, None) for text in ("2x", "-2h", "999999w", "2h 5m", "last tuesday", "12:00")),
    ],
)
def test_a_moment_of_the_calendar(text: str, moment: datetime | None) -> None:
    assert read_moment(text) == moment


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("now", timedelta()),
        ("30m", timedelta(minutes=30)),
        ("90 min", timedelta(minutes=90)),
        ("2h", timedelta(hours=2)),
        ("1 hour ago", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
        ("3 days", timedelta(days=3)),
        ("2 Weeks ago", timedelta(weeks=2)),
    ],
)
def test_how_long_ago(text: str, ago: timedelta) -> None:
    moment = read_moment(text)
    assert moment is not None
    found = datetime.now(timezone.utc).replace(tzinfo=None) - moment
    assert timedelta() <= found - ago < timedelta(minutes=1)


def test_a_day_begins_at_midnight() -> None:
    today, yesterday = read_moment("today"), read_moment("yesterday")
    assert today is not None
    assert yesterday is not None
    assert today - yesterday == timedelta(days=1)
    assert (today.hour, today.minute, today.second) == (0, 0, 0)


def test_runs_since_a_time(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(vm_state="stopped", hw_vif_model="e1000")
    change = ("image-property", "set", "--property", "hw_vif_model=virtio", uuid, "--yes")
    assert novadev(sqlite_cloud, *change).code == 0
    for since in ("2h", "yesterday", "2001-01-01 12:00"):
        found = novadev(sqlite_cloud, "history", "--since", since, "-f", "value", "-c", "run")
        assert (found.code, found.out) == (0, "1\n")
    later = novadev(sqlite_cloud, "history", "--since", "2999-01-01")
    assert later.err == "No run matches these options.\n"


def test_an_error_says_what_may_be_typed(sqlite_cloud: Cloud) -> None:
    result = novadev(sqlite_cloud, "history", "--since", "last tuesday")
    told = "'last tuesday' is not a time such as 2h, 7d, 2026-11-01 or '2026-11-01 12:00' (UTC)"
    assert result.code == 4
    assert result.err.endswith(f"Error: Invalid value for '--since': {told}\n")
