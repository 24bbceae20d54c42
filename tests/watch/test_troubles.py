"""What a watch says of a host of which nothing could be looked at."""

from novadev.errors import Unreachable
from novadev.records.watch_jobs import NotRecorded
from novadev.records.watch_troubles import of_all


def test_a_host_that_was_lost_names_no_guest() -> None:
    """The first guest was being asked and names itself; the others say what is so of the host."""
    told = ("host cmp1: domain a: Broken pipe", *["host cmp1 was lost: Broken pipe"] * 2)
    lost = [
        NotRecorded(uuid, reason, Unreachable.exit_code)
        for uuid, reason in zip("abc", told, strict=True)
    ]
    assert str(of_all(lost)) == "host cmp1 was lost: Broken pipe"
