"""Fixtures: the cloud, and a server of a test's own."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cached import ROOT

if "NOVADEV_CLOUD" not in os.environ:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.running_nova.nova import Nova, Server


@pytest.fixture(scope="session")
def nova() -> "Iterator[Nova]":
    """The cloud; one that the tests start ends with them."""
    from cloud.places import RUN

    if (RUN / "ready").exists():
        yield Nova()
        return
    program = [sys.executable, str(ROOT / "cloud" / "run.py")]
    try:
        subprocess.run([*program, "up"], check=True)
        yield Nova()
    finally:
        subprocess.run([*program, "down"], check=True)


@pytest.fixture
def server(nova: "Nova") -> "Iterator[Server]":
    """A server with a volume, whose guest has booted."""
    server = nova.create_server()
    try:
        server.wait_for_guest()
        server.attach_volume()
        yield server
    finally:
        server.delete()
