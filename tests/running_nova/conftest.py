"""Fixtures: the cloud, and a server of a test's own."""

import fcntl
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloud.places import RUN

pytest.register_assert_rewrite("tests.running_nova.forecast")
if "NOVADEV_CLOUD" not in os.environ:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.running_nova.nova import Nova, Server


def pytest_sessionstart() -> None:
    """Say where there is no cloud."""
    if "NOVADEV_CLOUD" in os.environ and not (RUN / "ready").exists():
        pytest.exit("no cloud runs: tools/cloud-test starts one for these tests", returncode=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the cloud alone comes last."""
    items.sort(key=is_alone)


def is_alone(item: pytest.Item) -> bool:
    """Whether no other test may run beside this one."""
    return item.get_closest_marker("alone") is not None


@pytest.fixture(scope="session")
def nova() -> "Nova":
    """The cloud."""
    return Nova()


@pytest.fixture(autouse=True)
def _cloud(request: pytest.FixtureRequest) -> Iterator[None]:
    """The cloud, for a test beside others in other processes, or alone."""
    with (RUN / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if is_alone(request.node) else fcntl.LOCK_SH)
        yield


@pytest.fixture
def make(nova: "Nova") -> "Iterator[Callable[..., Server]]":
    """Begins to make a server, by what Nova.create_server takes; each ends with the test."""
    made: list[Server] = []

    def begin(**options: Any) -> Server:
        made.append(nova.create_server(**options))
        return made[-1]

    yield begin
    for server in made:
        server.delete()


@pytest.fixture
def server(make: "Callable[..., Server]") -> "Server":
    """A server whose guest has booted, and which then got a volume."""
    server = make()
    server.wait_for_guest()
    server.attach_volume()
    return server
