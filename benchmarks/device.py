"""``novadev device`` against a bare loop of the same libvirt calls.

Run as ``python -m benchmarks.device [--quick]``; everything is measured in this one run on private
libvirtds and a private MariaDB server, contestant by contestant in turn.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, compared, faster, print_table
from benchmarks.processes import Command, Took, interleaved, run
from tests import domains
from tests.cloud import Cloud
from tests.deployments import mariadb_host
from tests.device.bed import compute_host, reach
from tests.hypervisor import Hypervisor, pool

RELEASE = "34"
NOVADEV = Path(sys.executable).with_name("novadev")
BY_HAND = (sys.executable, "-m", "benchmarks.device_by_hand")
HOSTS = 4


@dataclass(frozen=True)
class Sizes:
    """How much is measured: rounds, and numbers of guests."""

    rounds: int = 2
    guests: int = 1_000


QUICK = Sizes(rounds=2, guests=100)


@dataclass(frozen=True)
class Guest:
    """A guest of three volumes and two ports: where it is, and its definition without aliases."""

    uuid: str
    host: Hypervisor
    definition: str


@dataclass(frozen=True)
class Bed:
    """A deployment and its hosts."""

    cloud: Cloud
    hosts: Sequence[Hypervisor]
    folder: Path

    def novadev(self, *words: str) -> Command:
        """Return a novadev command on this deployment."""
        return (NOVADEV, "--config-file", self.cloud.config_file, "device", *words)

    def fill(self, number: int, hosts: Sequence[Hypervisor]) -> list[Guest]:
        """Have NUMBER guests on HOSTS, by turns, and none else."""
        for host in self.hosts:
            host.empty()
        for table in ("block_device_mapping", "instances"):
            self.cloud.update(table, "cell1", {"deleted": 0}, deleted=-1)
        return [self._add(hosts[place % len(hosts)]) for place in range(number)]

    def _add(self, host: Hypervisor) -> Guest:
        uuid = self.cloud.add_instance(host=host.name)
        volumes = [self.cloud.add_volume(uuid, device_name=f"/dev/vd{name}") for name in "abc"]
        macs = [f"fa:16:3e:00:00:0{number}" for number in (1, 2)]
        ports = [self.cloud.add_port(uuid, mac=mac) for mac in macs]
        text = domains.domain(
            uuid,
            disks=[
                domains.disk(f"vd{name}", serial=volume)
                for name, volume in zip("abc", volumes, strict=True)
            ],
            interfaces=[
                domains.interface(mac, port=port) for mac, port in zip(macs, ports, strict=True)
            ],
        )
        host.define(text)
        return Guest(uuid, host, text)


@contextmanager
def bed() -> Iterator[Bed]:
    """Give a deployment on a MariaDB server of its own, and hosts without guests."""
    with (
        tempfile.TemporaryDirectory(prefix="novadev-benchmark-") as folder,
        mariadb_host() as database,
        pool() as hypervisors,
    ):
        hosts = hypervisors.take(HOSTS)
        cloud = database.cloud(RELEASE, Path(folder))
        reach(cloud, hosts, timeout=30)
        yield Bed(cloud, hosts, Path(folder))


def without_aliases(guests: Sequence[Guest]) -> None:
    """Give every guest its first definition again."""
    for guest in guests:
        guest.host.connection.defineXML(guest.definition)


def alternating(
    guests: Sequence[Guest], rounds: int, **contestants: Command
) -> dict[str, list[Took]]:
    """Return what each contestant took in each round, every time on guests without aliases."""
    took: dict[str, list[Took]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, command in contestants.items():
            without_aliases(guests)
            result = run(command)
            if number:
                took[name].append(result)
    return took


def one_host(bed: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield alias-migrate of every guest of a host, against the bare loop."""
    host = bed.hosts[0]
    guests = bed.fill(sizes.guests, [host])
    alone = (NOVADEV, "--config-file", compute_host(bed.folder, host, 30).config_file, "device")
    took = alternating(
        guests,
        sizes.rounds,
        novadev=bed.novadev("alias-migrate", "--all", "--yes"),
        no_database=(*alone, "alias-migrate", "--all", "--yes"),
        by_hand=(*BY_HAND, "alias", host.uri),
    )
    ours, alone_walls, theirs = ([one.wall for one in each] for each in took.values())
    what = f"alias-migrate, {sizes.guests:,} guests / bare loop"
    yield compared(what, ours, theirs, "s", at_most=1.5)
    yield compared(f"{what}, --no-database", alone_walls, theirs, "s", at_most=1.5)
    cpus = [[one.cpu for one in each] for each in took.values()]
    yield compared(f"{what}, processor time", cpus[0], cpus[2], "s", at_most=1.5)
    yield _memory("alias-migrate", took["novadev"])
    took = interleaved(sizes.rounds, again=lambda _: bed.novadev("alias-migrate", "--all", "--yes"))
    details = f"{min(one.wall for one in took['again']):.2f} s"
    yield Figure(f"alias-migrate again, {sizes.guests:,} guests: nothing to do", "", "", details)


def many_hosts(bed: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield alias-migrate over several hosts, one after the other and at a time."""
    guests = bed.fill(sizes.guests, bed.hosts)
    command = bed.novadev("alias-migrate", "--all", "--yes")
    took = alternating(
        guests,
        sizes.rounds,
        together=(*command, f"--workers={HOSTS}"),
        in_turn=(*command, "--workers=1"),
    )
    together, in_turn = ([one.wall for one in each] for each in took.values())
    what = f"alias-migrate, {HOSTS} hosts at a time / in turn"
    yield faster(what, together, in_turn, "s", at_least=2)


def one_guest(bed: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield ``device show`` of a guest, against the bare calls it needs."""
    (guest,) = bed.fill(1, bed.hosts[:1])
    guest.host.start(guest.uuid)
    config_file = bed.cloud.config_file
    took = interleaved(
        sizes.rounds,
        novadev=lambda _: bed.novadev("show", guest.uuid),
        by_hand=lambda _: (*BY_HAND, "show", guest.host.uri, guest.uuid, config_file),
    )
    ours, theirs = ([one.wall for one in each] for each in took.values())
    yield compared("show, one guest / bare calls", ours, theirs, "s", at_most=1.5)


def _memory(what: str, took: Sequence[Took]) -> Figure:
    return Figure(f"peak memory, {what}", "", "", f"{max(one.peak for one in took):.0f} MiB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it")
    sizes = QUICK if parser.parse_args().quick else Sizes()
    figures: list[Figure] = []
    with bed() as made:
        for part in (one_guest, one_host, many_hosts):
            for figure in part(made, sizes):
                print(figure, file=sys.stderr)
                figures.append(figure)
    print_table(figures)


if __name__ == "__main__":
    main()
