"""``novadev device record`` of unchanged guests against a bare loop over the same definitions.

Run as ``python -m benchmarks.record [--quick]``; everything is measured in this one run on a
private libvirtd and a private MariaDB server, contestant by contestant in turn.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from time import perf_counter

from benchmarks.device import QUICK, Bed, Sizes, bed
from benchmarks.device_by_hand import read_all
from benchmarks.figures import Figure, compared, print_table
from benchmarks.processes import Took, interleaved, run
from benchmarks.watch import hosts_of_test_driver
from novadev.config import load
from novadev.deployment import Deployment
from novadev.device.hosted_instance import HostedInstance
from novadev.records.on_host import Question, see
from novadev.records.record import record_devices
from novadev.selection import Selection
from novadev.virt.host import Host

BY_HAND = (sys.executable, "-m", "benchmarks.device_by_hand")
_TIMES = ("wall", "cpu")
MORE = 4
"""How many times as many guests the memory is looked at again with."""


class _Read(Host):
    """A host whose one definition has been read."""

    def __init__(self, text: str) -> None:
        super().__init__("cmp1", "")
        self._text = text

    def text(self, _uuid: str) -> str:
        """Return the definition, without a call."""
        return self._text

    def is_in_transit(self, _uuid: str) -> bool:
        """Return that it is not, without a call."""
        return False


def unchanged(made: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield the record of every guest of a host, none of which has changed, and what it wrote."""
    host = made.hosts[0]
    made.fill(sizes.guests, [host])
    record = made.novadev("record", "--all")
    run(record)
    state = made.cloud.folder / "state.sqlite"
    before = state.read_bytes()
    took = interleaved(
        sizes.rounds,
        novadev=lambda _: record,
        by_hand=lambda _: (*BY_HAND, "read", host.uri),
        with_queries=lambda _: (*BY_HAND, "compare", host.uri, host.name, made.cloud.config_file),
    )
    for name, loop in (("by_hand", "bare loop"), ("with_queries", "loop with the queries")):
        what = f"record, {sizes.guests:,} unchanged guests / {loop}"
        pair = took["novadev"], took[name]
        walls, cpus = ([[getattr(one, of) for one in each] for each in pair] for of in _TIMES)
        yield compared(what, *walls, "s", at_most=1.5)
        yield compared(f"{what}, processor time", *cpus, "s", at_most=1.5)
    wrote = "nothing" if state.read_bytes() == before else "SOMETHING"
    yield Figure("written by a record of unchanged guests", "", "", wrote)
    yield Figure(f"peak memory, record of {sizes.guests:,}", "", "", _peak(took["novadev"]))


def without_start(made: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield the same in one process that has begun: without imports, connections and children."""
    host = made.hosts[0]
    ours, theirs = [], []
    with Deployment(load([str(made.cloud.config_file)])) as deployment:
        for number in range(sizes.rounds + 1):
            began = perf_counter()
            found = list(record_devices(deployment, Selection(everything=True)))
            middle = perf_counter()
            read_all(host.connection)
            if number:
                ours.append(middle - began)
                theirs.append(perf_counter() - middle)
            assert not any(item.changed for item in found)
    what = f"the same {sizes.guests:,}, without start-up"
    yield compared(what, ours, theirs, "s", at_most=1.5)


def many_hosts(made: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield the record of many hosts with one guest each, against the loop over them."""
    number = min(50, sizes.guests)
    uris = hosts_of_test_driver(made, number)
    record = made.novadev("record", "--all")
    run(record)
    took = interleaved(
        sizes.rounds, novadev=lambda _: record, by_hand=lambda _: (*BY_HAND, "read", *uris)
    )
    for of, what in (("wall", ""), ("cpu", ", processor time")):
        pair = ([getattr(one, of) for one in each] for each in took.values())
        yield compared(f"record, {number} hosts / bare loop{what}", *pair, "s", at_most=1.5)


def more(made: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield the memory for several times as many guests, all new and then none."""
    number = sizes.guests * MORE
    made.fill(number, made.hosts[:1])
    record = made.novadev("record", "--all")
    for what in ("new", "unchanged"):
        yield Figure(f"peak memory, record of {number:,} {what}", "", "", _peak([run(record)]))


def one_definition(made: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield what it takes to make the hash of one definition, parsed and matched with Nova's."""
    (guest,) = made.fill(1, made.hosts[:1])
    text = guest.host.connection.lookupByUUIDString(guest.uuid).XMLDesc(0)
    instance = HostedInstance(guest.uuid, "web", guest.host.name)
    host, times = _Read(text), []
    for _ in range(sizes.guests):
        started = perf_counter()
        see(host, instance, Question())
        times.append(perf_counter() - started)
    fastest = f"{sorted(times)[len(times) // 2] * 1000:.2f} ms"
    yield Figure("hash of one definition, from its text (median)", "", "", fastest)


def _peak(took: Sequence[Took]) -> str:
    return f"{max(one.peak for one in took):.0f} MiB"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it")
    sizes = QUICK if parser.parse_args().quick else Sizes(rounds=5)
    figures: list[Figure] = []
    with bed() as made:
        for part in (one_definition, unchanged, without_start, more, many_hosts):
            for figure in part(made, sizes):
                print(figure, file=sys.stderr)
                figures.append(figure)
    print_table(figures)


if __name__ == "__main__":
    main()
