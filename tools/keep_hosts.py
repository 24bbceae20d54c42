"""What is done to the hosts of the running cloud while histories are played, and turns at them."""

import os
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition
from typing import Any

from openstack.exceptions import SDKException

from cloud.places import RUN
from cloud.settings import COMPUTE_CONFIGS
from tests.hypervisor import listener
from tests.running_nova.nova import COMPUTE, Nova, Server, end_compute, until
from tools import keep_logs

INSIDE = ("--mount", "--uts", "--pid", "--net")
PATIENCE = 60.0
"""Seconds in which nova-compute has to answer after its libvirtd came back."""


class Turns:
    """Lets steps of several players run beside each other, or one of them alone."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._shared, self._alone = 0, False
        self._waiting: list[object] = []

    @property
    def will_be_alone(self) -> bool:
        """Whether somebody waits for a turn alone, and others are still at theirs."""
        return bool(self._waiting and self._shared)

    @contextmanager
    def take(self, alone: bool) -> Iterator[None]:
        """Wait for a turn; who wants to be ALONE goes before those that want to share one."""
        ticket = object()
        with self._changed:
            if alone:
                self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._is_free(alone, ticket))
            if alone:
                self._waiting.remove(ticket)
            self._alone, self._shared = alone, self._shared + (not alone)
        try:
            yield
        finally:
            with self._changed:
                self._alone, self._shared = False, self._shared - (not alone)
                self._changed.notify_all()

    def _is_free(self, alone: bool, ticket: object) -> bool:
        if self._alone:
            return False
        return not self._shared and self._waiting[0] is ticket if alone else not self._waiting


def switch(nova: Nova, host: str, mode: str) -> None:
    """Have a host do MODE: its nova.conf is changed, and its nova-compute begins again.

    A SIGHUP would not do: with native threads nova-compute reads nothing then, and a second one
    ends it (oslo.service, ``backend/_threading/service.py`` _reload_service). A server that is made
    before nova-compute has begun would be in error, so its first sign of life is waited for.
    """
    config, marks = COMPUTE_CONFIGS / f"{host}.conf", keep_logs.marks()
    text, said = config.read_text(), f"keep_addresses is {mode}"
    config.write_text(re.sub(r"keep_addresses = \w+", f"keep_addresses = {mode}", text))
    end_compute(host)
    before = _signs_of_life(nova, host)
    until(lambda: keep_logs.is_said(host, said, marks), f"{host}: {said}")
    until(lambda: _signs_of_life(nova, host) != before, f"nova-compute on {host} has begun")


def _signs_of_life(nova: Nova, host: str) -> list[str]:
    return [str(one.updated_at) for one in nova.api.compute.services(binary=COMPUTE, host=host)]


def restart_libvirtd(host: str, how: signal.Signals) -> None:
    """End the libvirtd of a host by a signal and start it again; its guests run on."""
    pid = listener(RUN / host / "run/libvirt/libvirt-sock")
    command = (Path("/proc") / str(pid) / "cmdline").read_text().split("\0")[:-1]
    environment = (Path("/proc") / str(pid) / "environ").read_text().split("\0")[:-1]
    first = re.search(r"^PPid:\s*(\d+)", (Path("/proc") / str(pid) / "status").read_text(), re.M)
    assert first
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, how)
        select.select([handle], [], [])
    finally:
        os.close(handle)
    enter = ["nsenter", f"--target={first[1]}", *INSIDE, "env", "-i", *environment]
    subprocess.run([*enter, *command], check=True, capture_output=True, cwd="/", timeout=60)
    keep_logs.follow_definitions(host)


def recover(server: Server, host: str) -> bool:
    """Wait until a HOST whose libvirtd was restarted works again; whether its nova-compute hung.

    It hangs when Nova waits for a lock that it holds itself (docs/keep_addresses.rst): then it is
    killed. Its service is disabled until it has a connection.
    """
    is_hung = not answers(server)
    if is_hung:
        end_compute(host)
    until(lambda: _is_up(server, host), f"nova-compute on {host} is up and enabled")
    return is_hung


def answers(server: Server) -> bool:
    """Whether the nova-compute of SERVER asks libvirtd, and answers within PATIENCE."""
    pool = ThreadPoolExecutor(1)
    asked = pool.submit(_ask, server)
    pool.shutdown(wait=False)
    try:
        asked.result(PATIENCE)
    except TimeoutError:
        return False
    return True


def _ask(server: Server) -> Any:
    with suppress(SDKException):  # a refusal is an answer
        return server.nova.api.compute.get_server_diagnostics(server.uuid)


def _is_up(server: Server, host: str) -> bool:
    services = server.nova.api.compute.services(binary=COMPUTE, host=host)
    return all((one.state, one.status) == ("up", "enabled") for one in services)
