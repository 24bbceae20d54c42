"""The processes of the cloud outside of its compute hosts: begun, awaited, each with its log."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cloud import settings
from cloud.places import ENVIRONMENT, LOGS, ROOT, RUN, Site
from cloud.release import NOVA

LIMIT = 600.0
"""Seconds that a service may take to come up."""
WSGI = {
    "keystone": "keystone.wsgi.api",
    "placement": "placement.wsgi.api",
    "glance": "glance.wsgi.api",
    "nova": NOVA.api,
}
Command = tuple[list[str], dict[str, str]]


class Services:
    """The processes by their names, in the order in which they were begun."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, Command] = {}

    def begin(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Begin a process, whose output goes to a log of its own."""
        self._commands[name] = command, environment
        with (LOGS / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )

    def begin_again(self, name: str) -> None:
        """Begin a process that has ended."""
        self.begin(name, *self._commands[name])

    def wait_for(self, name: str, is_up: Callable[[], bool]) -> None:
        """Wait until a process is up; raises RuntimeError when it ends or takes too long."""
        end = time.monotonic() + LIMIT
        while not is_up():
            if (code := self._processes[name].poll()) is not None:
                raise RuntimeError(f"{name} ended with {code}: {last_line(name)}")
            if time.monotonic() > end:
                raise RuntimeError(f"{name} is not up after {LIMIT:g} s: {last_line(name)}")
            time.sleep(0.2)

    def wait_for_port(self, name: str, port: int) -> None:
        """Wait until a process listens on a port of loopback."""
        self.wait_for(name, lambda: _listens(port))

    def name_of(self, pid: int) -> str | None:
        """Return the name of a process of ours, by its number."""
        return next((n for n, process in self._processes.items() if process.pid == pid), None)


def last_line(name: str) -> str:
    """Return the last line of a service's log that says something, and where it is."""
    path = LOGS / f"{name}.log"
    lines = path.read_text(errors="replace").split("\n") if path.exists() else []
    return f"{next((line.strip() for line in reversed(lines) if line.strip()), '')} ({path})"


def commands(site: Site) -> dict[str, Command]:
    """Return what runs the services on the controller, by their names."""
    made = {name: _wsgi(site, name) for name in WSGI}
    made |= {name: _daemon(name) for name in ("nova-conductor", "nova-scheduler")}
    made["neutron"] = _stand_in("neutron", str(site.ports["neutron"]), site.url("keystone", "/v3"))
    made["cinder"] = _stand_in("cinder", str(site.ports["cinder"]), str(RUN / "volumes"))
    return made


def _wsgi(site: Site, name: str) -> Command:
    script = str(Path(__file__).with_name("wsgi.py"))
    environment = NOVA.environment if name == "nova" else ENVIRONMENT
    python = str(environment / "bin/python")
    return [python, "-P", script, WSGI[name], str(site.ports[name])], _environment()


def _daemon(name: str) -> Command:
    program = str(NOVA.environment / "bin" / name)
    return [program, "--config-file", str(settings.NOVA_CONF)], _environment()


def _stand_in(name: str, *arguments: str) -> Command:
    return [sys.executable, "-m", f"cloud.{name}", *arguments], {"PYTHONPATH": str(ROOT)}


def _environment() -> dict[str, str]:
    folders = {f"OS_{name.upper()}_CONFIG_DIR": str(settings.ETC) for name in WSGI}
    return os.environ | folders | {"PYTHONWARNINGS": "ignore"}


def _listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex(("127.0.0.1", port)) == 0
