"""A cloud and its compute hosts, asked through the command line."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from tests import domains
from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.device.bed import HOST_TIMEOUT, reach
from tests.hypervisor import Hypervisor


def volume_id(number: int) -> str:
    return f"0f8fad5{number:x}-d9cb-469f-a165-70867728950e"


def port_id(number: int) -> str:
    return f"a3bb189{number:x}-8bf9-4c8c-9b3e-6e1f0f2f5d10"


def mac(number: int) -> str:
    return f"fa:16:3e:00:00:{number:02x}"


def tap(number: int) -> str:
    return f"tap{port_id(number)[:11]}"


class Configured(Protocol):
    """Whatever has a nova.conf."""

    @property
    def config_file(self) -> Path: ...


class Desk:
    """Where an operator sits: a nova.conf to run novadev with."""

    def __init__(self, configured: Configured) -> None:
        self.configured = configured

    def novadev(self, *arguments: str) -> Result:
        return novadev(self.configured, *arguments)  # type: ignore[arg-type]


class Rig(Desk):
    """One deployment whose nova.conf leads to its hosts; guests are on the first one."""

    def __init__(
        self, cloud: Cloud, hosts: Sequence[Hypervisor], timeout: int = HOST_TIMEOUT
    ) -> None:
        super().__init__(cloud)
        self.cloud, self.hosts = cloud, hosts
        reach(cloud, hosts, timeout)

    @property
    def host(self) -> Hypervisor:
        return self.hosts[0]

    def show(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """The records of `device show`, by their label."""
        result = self.novadev("device", "show", *arguments, "-f", "json")
        assert (result.code, result.err) == (0, "")
        return {record["label"]: record for record in result.json}

    def define(
        self,
        uuid: str,
        disks: Iterable[str] = (),
        interfaces: Iterable[str] = (),
        running: bool = False,
        **more: Any,
    ) -> Any:
        """Define the guest of an instance, and start it if it is to run."""
        text = domains.domain(uuid, disks=disks, interfaces=interfaces, **more)
        domain = self.host.define(text)
        return self.host.start(uuid) if running else domain

    def attach(self, domain: Any, device: str, flags: int) -> None:
        """Attach a device as Nova or somebody else would, to one definition or both."""
        self.host.make_files(f"<x>{device}</x>")
        domain.attachDeviceFlags(device, flags)


class Terminal:
    """novadev as a process on a terminal of so many columns, some keys typed ahead."""

    def __init__(
        self, configured: Configured, *arguments: str, columns: int = 100, keys: str = ""
    ) -> None:
        controller, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 50, columns, 0, 0))
        command = [sys.executable, "-m", "novadev", "--config-file", str(configured.config_file)]
        environment = {key: text for key, text in os.environ.items() if key != "COLUMNS"}
        with subprocess.Popen(
            [*command, *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment | {"TERM": "xterm"},
            start_new_session=True,
        ) as process:
            os.close(terminal)
            os.write(controller, keys.encode())
            self.text = _read(controller).replace("\r\n", "\n")
        os.close(controller)
        self.code = process.returncode

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def _read(controller: int) -> str:
    """What was written, until the last process has left the terminal."""
    parts = []
    while True:
        try:
            part = os.read(controller, 4096)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode()
