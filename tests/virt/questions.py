"""What a test asks of a host in its child process."""

import logging
import os
import subprocess
import sys
import time

import libvirt

from novadev.errors import NotAsNeeded
from novadev.virt.device import Device
from novadev.virt.domain import Domain
from novadev.virt.host import DomainName, Host
from novadev.virt.refusals import translated


def domains_of(host: Host) -> tuple[DomainName, ...]:
    return host.list_domains()


def persistent(host: Host, uuid: str) -> Domain:
    return host.persistent(uuid)


def echo(_host: Host, value: object) -> object:
    return value


def name_of(host: Host) -> str:
    return host.name


def pid(_host: Host, _: object = None) -> int:
    return os.getpid()


def lose_the_host(host: Host, uuid: str | tuple[str, ...], is_lost: bool = True) -> str:
    """The connection breaks while something is asked about a guest."""
    name = uuid if isinstance(uuid, str) else uuid[0]
    with translated(f"host {host.name}: domain {name}", lambda: not is_lost):
        if is_lost:
            raise libvirt.libvirtError("Cannot write data: Broken pipe")
    return name


def wait(_host: Host, seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def about(_host: Host, uuid: str, seconds: float) -> str:
    time.sleep(seconds)
    return uuid


def short(_host: Host, number: int) -> tuple[int, int]:
    """Take some milliseconds, as a question to libvirt does; return who had it, too."""
    time.sleep(0.02)
    return number, os.getpid()


def about_or(host: Host, uuid: str, fault: str) -> str:
    if fault == "end":
        end(host)
    time.sleep(30 if fault else 0.02)
    return uuid


def refuse(host: Host) -> None:
    raise NotAsNeeded(f"{host.name} does not want to")


def fail(_host: Host) -> None:
    raise ZeroDivisionError("a bug")


def give_what_cannot_be_sent(_host: Host) -> object:
    return lambda: None


def end(_host: Host) -> None:
    print("the last words", file=sys.stderr, flush=True)
    os._exit(3)


def log(_host: Host, text: str) -> None:
    logging.getLogger("novadev.test").warning(text)


def print_on_stderr(_host: Host) -> None:
    print("chatter", file=sys.stderr, flush=True)


def speak_later(_host: Host, seconds: float) -> None:
    """Leave a process that says something SECONDS from now, as ssh does when it is hung up."""
    subprocess.Popen(["sh", "-c", f"sleep {seconds}; echo chatter >&2"])


def speak_when_closed(host: Host, seconds: float) -> None:
    def close() -> None:
        time.sleep(seconds)
        print("chatter", file=sys.stderr, flush=True)

    host.close = close  # type: ignore[method-assign]


def hang_when_closed(host: Host) -> None:
    host.close = lambda: time.sleep(600)  # type: ignore[method-assign]


def leave_a_process(_host: Host) -> int:
    return subprocess.Popen(["sleep", "60"]).pid


def wrong_call(host: Host) -> None:
    with host.translated():
        host.connection.lookupByName("none")


def devices(domain: Domain) -> dict[str, Device]:
    return {device.label: device for device in domain.devices}


def alive(pid_: int) -> bool:
    try:
        os.kill(pid_, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid_}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"


VERSION = libvirt.getVersion()
