"""Runs over many servers while users start, stop, attach and detach at the same time."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle
from threading import Event
from typing import Any

import pytest

from tests.command import Result, novadev
from tests.running_nova.forecast import compare, foretold
from tests.running_nova.nova import NotAttached, Nova, Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]

SECONDS = 60
SERVERS = 3
CHOSEN = ("--all", "--name", "race-*")
VALUES = ("hw_disk_bus=sata", "hw_disk_bus=virtio", "hw_vif_model=e1000", "hw_vif_model=virtio")
COMMANDS: tuple[tuple[str, ...], ...] = (("stash-defaults",), ("device", "alias-migrate"))
STATES = {"applied", "stale", "failed"}
"""What may become of a plan: no half of one."""
IN_FLIGHT = {"attach_volume"}
"""Nova chooses a name by the properties that it has read and the disks that it reads now: between
the two they can move. The volume is free again, and the next attach finds a name."""
HALF = {
    *("disk-bus", "request-spec", "duplicate-property", "unreadable", "stored-value"),
    *("ghost", "one-sided", "orphan"),
}
"""The checks of an audit that find what is half-written."""


def test_a_minute_against_a_busy_api(nova: Nova, make: Callable[..., Server]) -> None:
    image = nova.image(os_shutdown_timeout="1")
    servers = [make(name="race", image_id=image) for _ in range(SERVERS)]
    for server in servers:
        server.wait_for_guest()
    over = Event()
    with ThreadPoolExecutor() as pool:
        users = [pool.submit(keep_busy, server, over) for server in servers]
        try:
            documents = [result.json for result in runs(nova)]
        finally:
            over.set()
    operations = [user.result() for user in users]
    print(operations, len(documents))
    assert {what for server in servers for what in server.failures()} <= IN_FLIGHT
    assert_said(documents)
    found = novadev(nova, "audit", *CHOSEN, "-f", "json").json  # type: ignore[arg-type]
    assert [item for item in found if item["check"] in HALF] == []
    for server in servers:
        expected = foretold(server)
        server.start()
        compare(server, expected)


def runs(nova: Nova) -> Iterator[Result]:
    """Yield what became of each run of the three commands."""
    end = time.monotonic() + SECONDS
    for value in cycle(VALUES):
        for words in (("image-property", "set", "--property", value), *COMMANDS):
            if time.monotonic() > end:
                return
            result = novadev(nova, *words, *CHOSEN, "--yes", "-f", "json")  # type: ignore[arg-type]
            assert result.code in (0, 7), result.out + result.err
            yield result


def assert_said(documents: list[Any]) -> None:
    """Something was written, nothing by half, and every refusal has its reason."""
    plans = [plan for document in documents for plan in document["plans"]]
    skips = [skip for document in documents for skip in document["skipped"]]
    assert {plan["state"] for plan in plans} <= STATES
    assert any(plan["state"] == "applied" for plan in plans)
    assert all(plan["error"] for plan in plans if plan["state"] != "applied")
    assert all(skip["reason"] for skip in skips)


def keep_busy(server: Server, over: Event) -> int:
    """Do what users do, until it is OVER; it is stopped then. How often comes back."""
    done, attached = 0, ""
    while not over.is_set():
        server.stop()
        if attached:
            server.detach_volume(attached)
            attached = ""
        else:
            with suppress(NotAttached):
                attached = server.attach_volume()
        server.begin_to_start()
        done += 1
    server.stop()
    return done
