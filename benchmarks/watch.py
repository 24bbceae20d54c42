"""``novadev device watch``: the memory of many connections, and how soon a change is recorded.

Run as ``python -m benchmarks.watch [--quick]``. The hosts are those of libvirt's test driver behind
a private libvirtd, each with a guest of its own; the guest whose disks come and go runs in QEMU.
The databases are MariaDB's, on a private server.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from uuid import uuid4

import libvirt

from benchmarks.device import Bed, bed
from benchmarks.figures import Figure, print_table, spread
from tests import domains
from tests.device.site import record
from tests.hypervisor import Hypervisor

BOTH = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG


@contextmanager
def watching(made: Bed, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """Give a watch that runs."""
    command = [str(word) for word in made.novadev("watch", *words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def told(process: subprocess.Popen[str], text: str) -> None:
    """Wait until the watch has said TEXT on stderr."""
    assert process.stderr
    for line in process.stderr:
        if text in line:
            return
    raise RuntimeError(f"the watch ended before it said {text!r}")


def many_hosts(made: Bed, number: int) -> Iterator[Figure]:
    """Yield what a watch of so many hosts has of memory, and its children, while all is quiet."""
    hosts_of_test_driver(made, number)
    began = perf_counter()
    with watching(made) as process:
        for _ in range(number):
            told(process, "recorded for the first time")
        took = perf_counter() - began
        status = Path(f"/proc/{process.pid}/status").read_text()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    peak, now = (int(re.findall(rf"{name}:\s+(\d+)", status)[0]) for name in ("VmHWM", "VmRSS"))
    yield Figure(
        f"memory of a watch of {number} hosts, at its peak and when all is quiet",
        "",
        f"≤ 250 MB: {'met' if peak * 1024 < 250_000_000 else 'MISSED'}",
        f"{peak / 1024:.0f} MiB, {now / 1024:.0f} MiB; {len(children)} children",
    )
    yield Figure(f"until {number} hosts were swept, a new guest on each", "", "", f"{took:.0f} s")


def hosts_of_test_driver(made: Bed, number: int) -> list[str]:
    """Have so many hosts, a guest on each, and no others; return their URIs."""
    daemon, hosts = made.hosts[0], [f"test{place:03}" for place in range(number)]
    made.fill(0, made.hosts)
    for host in hosts:
        _node(daemon, made, host)
    path = f"{daemon.folder}/run/libvirt/libvirt-sock"
    uri = f"test+unix:///var/lib/nodes/{{host}}.xml?socket={path}"
    with made.cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\nlibvirt_uri = {uri}\n")
    return [uri.format(host=host) for host in hosts]


def _node(daemon: Hypervisor, made: Bed, host: str) -> None:
    """Have a host of libvirt's test driver with one guest, which Nova knows."""
    text = domains.domain(disks=[domains.disk("vda")]).replace('type="qemu"', 'type="test"', 1)
    path = daemon.folder / f"var/lib/nodes/{host}.xml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"<node>{text}</node>")
    record(made.cloud, text, host=host, vm_state="active")


def one_change(made: Bed, rounds: int) -> Iterator[Figure]:
    """Yield how long it takes from a disk that has come to its record."""
    host = made.hosts[1]
    made.fill(0, [host])
    text = domains.domain(disks=[domains.disk("vda")])
    uuid = host.define(text).UUIDString()
    domain = host.start(uuid)
    record(made.cloud, text, host=host.name, vm_state="active")
    times = []
    with watching(made, "--host", host.name) as process:
        told(process, "recorded for the first time")
        for name in "bcdefghijklm"[:rounds]:
            disk = domains.disk(f"vd{name}", serial=str(uuid4()))
            host.make_files(f"<x>{disk}</x>")
            domain.attachDeviceFlags(disk, BOTH)
            began = perf_counter()
            told(process, f"disk vd{name} is new")
            times.append(perf_counter() - began)
    verdict = "met" if max(times) <= 2 else "MISSED"
    yield Figure("from a disk that came to its record", "", f"≤ 2 s: {verdict}", spread(times))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it")
    hosts, rounds = (20, 3) if parser.parse_args().quick else (200, 10)
    figures: list[Figure] = []
    with bed() as made:
        for part in (one_change(made, rounds), many_hosts(made, hosts)):
            for figure in part:
                print(figure, file=sys.stderr)
                figures.append(figure)
    print_table(figures)


if __name__ == "__main__":
    main()
