"""``novadev image-property`` against nova-manage, Nova's own objects and plain SQL.

Run as ``python -m benchmarks.image_property [--quick]``; everything is measured in this one run on
a private MariaDB server, contestant by contestant in turn, so that the ratios hold on a machine
that is busy with other things.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from benchmarks.figures import Figure, compared, faster, print_table
from benchmarks.processes import Command, Took, interleaved, run
from tests.cloud import Cloud
from tests.deployments import mariadb_host
from tests.nova_process import NovaProcess
from tests.templates import nova_program

RELEASE = "34"
NOVADEV = Path(sys.executable).with_name("novadev")
MODELS = ("e1000e", "virtio")
CHUNK = 5_000


@dataclass(frozen=True)
class Sizes:
    """How much is measured: rounds, and numbers of instances."""

    rounds: int = 7
    bulk_rounds: int = 3
    bulk: int = 10_000
    nova_sample: int = 300
    listed: tuple[int, ...] = (1_000, 10_000, 100_000)


QUICK = Sizes(rounds=2, bulk_rounds=1, bulk=1_000, nova_sample=30, listed=(500, 1_000, 3_000))


@dataclass(frozen=True)
class Bed:
    """A deployment of stopped instances, all with the network model virtio."""

    cloud: Cloud
    uuids: list[str]

    def novadev(self, *words: str) -> Command:
        """Return a novadev command on this deployment."""
        return (NOVADEV, "--config-file", self.cloud.config_file, "image-property", *words)

    def nova_manage(self, *words: str) -> Command:
        """Return a nova-manage command on this deployment."""
        program = nova_program(RELEASE, "nova-manage")
        return (program, "--config-file", self.cloud.config_file, "image_property", *words)

    def set_all(self, model: str, number: int) -> Command:
        """Return novadev's command that sets the network model of NUMBER instances."""
        return self.novadev(
            "set", f"--property=hw_vif_model={model}", f"--limit={number}", "--all", "--yes"
        )

    def by_hand(self, model: str) -> Command:
        """Return the command of the plain SQL that sets the network model of all instances."""
        words = ("-m", "benchmarks.by_hand", self.cloud.config_file, "hw_vif_model", model)
        return (sys.executable, *words)

    def show_by_hand(self, uuid: str) -> Command:
        """Return the command of the bare script that reads what is stored of one instance."""
        script = Path(__file__).with_name("show_by_hand.py")
        return (sys.executable, script, self.cloud.config_file, uuid)

    def grow(self, number: int) -> None:
        """Add instances until there are NUMBER, some thousand in memory at a time."""
        while missing := number - len(self.uuids):
            self.uuids.extend(self.cloud.add_instances(min(missing, CHUNK), hw_vif_model="virtio"))


@contextmanager
def bed(number: int) -> Iterator[Bed]:
    """Give a deployment of NUMBER instances on a MariaDB server of its own."""
    with tempfile.TemporaryDirectory(prefix="novadev-benchmark-") as folder, mariadb_host() as host:
        made = Bed(host.cloud(RELEASE, Path(folder)), [])
        made.grow(number)
        yield made


def start_up(sizes: Sizes) -> Iterator[Figure]:
    """Yield the start-up against importing what it is built on."""
    took = interleaved(
        sizes.rounds,
        novadev=lambda _: (NOVADEV, "--help"),
        imports=lambda _: (sys.executable, "-c", "import click, sqlalchemy"),
    )
    yield compared("--help / import click, sqlalchemy", *_walls(took), "s", at_most=2)


def one_instance(bed: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield what one instance takes, as whole processes: against a bare script, and nova-manage."""
    uuid = bed.uuids[0]
    for words in (("show", uuid, "hw_vif_model"), ("list", uuid)):
        took = interleaved(
            sizes.rounds,
            novadev=lambda _, words=words: bed.novadev(*words),
            by_hand=lambda _: bed.show_by_hand(uuid),
        )
        what = f"{words[0]}, one instance / a bare script"
        yield compared(what, *_walls(took), "s", at_most=1.3)
    took = interleaved(
        sizes.rounds,
        novadev=lambda _: bed.novadev("list", uuid),
        nova_manage=lambda _: bed.nova_manage("show", uuid, "hw_vif_model"),
    )
    yield faster("list, one instance / nova-manage show", *_walls(took), "s", at_least=8)
    took = interleaved(
        sizes.rounds,
        novadev=lambda _: bed.novadev("set", "--property=hw_vif_model=e1000e", uuid, "--yes"),
        nova_manage=lambda _: bed.nova_manage("set", uuid, "--property", "hw_vif_model=virtio"),
    )
    yield faster("set, one instance / nova-manage set", *_walls(took), "s", at_least=8)


def many_instances(bed: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield ``set --all`` against plain SQL and against Nova's own objects."""
    number = len(bed.uuids)
    took = interleaved(
        sizes.bulk_rounds,
        novadev=lambda _: bed.set_all("e1000e", number),
        by_hand=lambda _: bed.by_hand("virtio"),
    )
    yield compared(f"set, {number:,} / plain SQL", *_walls(took), "s", at_most=3)
    ours = [one.wall * 1_000 / number for one in took["novadev"]]
    nova = [rate * 1_000 for rate in _nova_rates(bed, sizes)]
    what = f"set, {number:,} / Nova's objects ({sizes.nova_sample})"
    yield faster(what, ours, nova, "ms an instance", at_least=None)
    yield _statements(bed, number)


def _nova_rates(bed: Bed, sizes: Sizes) -> list[float]:
    """Return seconds an instance of nova-manage's own function, called in one process."""
    nova = NovaProcess(RELEASE, bed.cloud.config_file)
    rates = []
    for number in range(sizes.bulk_rounds + 1):
        properties = {"hw_vif_model": MODELS[number % 2]}
        started = time.perf_counter()
        for uuid in bed.uuids[: sizes.nova_sample]:
            done = nova.call("image_property_set", uuid=uuid, properties=properties)
            assert done["code"] == 0, done
        rates.append((time.perf_counter() - started) / sizes.nova_sample)
    nova.close()
    return rates[1:]


def _statements(bed: Bed, number: int) -> Figure:
    """Return how many statements the server gets from a set of NUMBER instances."""
    run(bed.set_all("virtio", number))
    before = _counters(bed)
    run(bed.set_all("e1000e", number))
    sent = {name: value - before[name] for name, value in _counters(bed).items()}
    sent["Questions"] -= 1
    each = sent["Questions"] / number
    kinds = {name.removeprefix("Com_").lower(): value for name, value in sent.items() if value}
    shown = ", ".join(f"{value:,} {name}" for name, value in sorted(kinds.items()))
    return Figure(f"statements, set, {number:,}", f"{each:.2f} an instance", "", shown)


def _counters(bed: Bed) -> dict[str, int]:
    """Return the server's counts of statements since it started."""
    wanted = ("Questions", *(f"Com_{kind}" for kind in ("select", "update", "insert", "commit")))
    names = ", ".join(f"'{name}'" for name in wanted)
    query = sa.text(f"SHOW GLOBAL STATUS WHERE Variable_name IN ({names})")
    with bed.cloud.engine("api").connect() as connection:
        return {str(name): int(value) for name, value in connection.execute(query)}


def memory(bed: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield the peak memory of ``set`` and of ``list``, over more and more instances."""
    numbers = [number for number in sizes.listed if number <= sizes.bulk]
    took = [run(bed.set_all(MODELS[place % 2], n)) for place, n in enumerate(numbers)]
    yield _growth("set", numbers, took)
    bed.grow(max(sizes.listed))
    words = ("list", "--all", "--format=json")
    took = [run(bed.novadev(*words, f"--limit={number}")) for number in sizes.listed]
    yield _growth("list --all -f json", sizes.listed, took)


def _growth(command: str, numbers: list[int] | tuple[int, ...], took: list[Took]) -> Figure:
    ratio = took[-1].peak / took[0].peak
    shown = ", ".join(
        f"{number:,}: {one.peak:.0f} MiB {one.wall:.1f} s"
        for number, one in zip(numbers, took, strict=True)
    )
    what = f"memory, {command}, {numbers[-1]:,} / {numbers[0]:,}"
    aim = f"≤ 1.2x: {'met' if ratio <= 1.2 else 'MISSED'}"
    return Figure(what, f"{ratio:.2f}x", aim, shown)


def _walls(took: dict[str, list[Took]]) -> tuple[list[float], list[float]]:
    """Return the wall-clock seconds of both contestants, the first's first."""
    ours, theirs = ([one.wall for one in results] for results in took.values())
    return ours, theirs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it")
    sizes = QUICK if parser.parse_args().quick else Sizes()
    figures = list(start_up(sizes))
    with bed(sizes.bulk) as made:
        for part in (one_instance, many_instances, memory):
            figures += part(made, sizes)
    print_table(figures)


if __name__ == "__main__":
    main()
