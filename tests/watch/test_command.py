"""``novadev device watch`` as systemd runs it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from novadev.cli.notify import Notifier
from tests import domains
from tests.cloud import Cloud
from tests.command import heed_signals, novadev
from tests.device.bed import compute_host
from tests.hypervisor import Hypervisor

QUEUE = Path("/proc/sys/net/unix/max_dgram_qlen")
"""Datagrams that a socket holds for who does not read."""


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(address)
        server.settimeout(60)
        yield server


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_is_told(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{tmp_path}/notify" if kind == "path" else f"\0novadev-{os.getpid()}"
    with listening(name) as server:
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        notifier = Notifier()
        notifier.tell(READY=1, STATUS="Watching")
        assert server.recv(1000) == b"READY=1\nSTATUS=Watching\n"
        monkeypatch.setattr("novadev.cli.notify._LONGEST", 0.01)
        for _ in range(int(QUEUE.read_text()) + 3):  # until nothing more fits, and then
            notifier.tell(WATCHDOG=1)
    notifier.tell(STOPPING=1)  # nobody listens any more
    assert "NOTIFY_SOCKET" not in os.environ
    Notifier().tell(READY=1)  # nobody ever did


def test_what_cannot_be_watched_is_told_at_once(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """A host that nobody knows, a URI for one host alone, a state database that is no file."""
    uuid = sqlite_cloud.add_instance(host="cmp1")
    assert uuid
    unknown = novadev(sqlite_cloud, "device", "watch", "--host", "cmp9")
    assert (unknown.code, unknown.err.count("\n")) == (2, 1)
    assert "cmp9" in unknown.err
    no_uri = novadev(sqlite_cloud, "device", "watch")
    assert no_uri.code == 8
    assert "libvirt_uri" in no_uri.err
    (tmp_path / "folder").mkdir()
    with sqlite_cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\nstate_connection = sqlite:///{tmp_path}/folder\n")
    no_state = novadev(sqlite_cloud, "device", "watch")
    assert no_state.code == 8
    assert "cannot be written" in no_state.err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 0), (signal.SIGINT, 130)])
def test_the_service_from_its_begin_to_its_end(
    number: signal.Signals, code: int, hypervisor: Hypervisor, tmp_path: Path
) -> None:
    """On a compute host, without a database of Nova's; a guest that is not Nova's is left."""
    config = compute_host(tmp_path, hypervisor)
    guest = hypervisor.define(domains.domain(disks=[domains.disk("vda")])).UUIDString()
    foreign = hypervisor.define(domains.domain(metadata=False)).UUIDString()
    command = [sys.executable, "-m", "novadev", "--config-file", str(config.config_file)]
    with listening(f"{tmp_path}/notify") as server:
        process = subprocess.Popen(
            [*command, "device", "watch", "--no-database"],
            env={**os.environ, "NOTIFY_SOCKET": f"{tmp_path}/notify"},
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_signals,
        )
        try:
            assert server.recv(1000).startswith(b"READY=1\n")
            assert process.stderr
            lines = [process.stderr.readline() for _ in range(2)]
            process.send_signal(number)
            rest = process.communicate(timeout=60)[1]
        finally:
            process.kill()
        told = [server.recv(1000)]
        while b"STOPPING=1" not in told[-1]:
            told.append(server.recv(1000))
    assert process.returncode == code
    assert lines[0] == "Watching 1 host.\n"
    assert f" ({guest}): recorded for the first time" in lines[1]
    assert (rest, foreign in "".join(lines)) == ("Stopped.\n", False)
