"""The checks of ``novadev audit`` that need no host against the bare queries for the same rows.

Run as ``python -m benchmarks.audit [--quick]``; everything is measured in this one run on a private
MariaDB server, contestant by contestant in turn.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, compared, print_table
from benchmarks.processes import Command, Took, interleaved, run
from benchmarks.stash_defaults import NOVADEV, QUICK, RELEASE, Bed, Sizes
from novadev.audit.checks import CHECKS
from tests.deployments import mariadb_host

STORED = [check.name for check in CHECKS if check.needs == "databases"]


def command(bed: Bed, number: int | None = None) -> Command:
    """Return the audit of every instance, or of NUMBER, by the checks that need no host."""
    chosen = [f"--check={name}" for name in STORED]
    limit = [] if number is None else [f"--limit={number}"]
    given = ("--config-file", bed.cloud.config_file)
    return (NOVADEV, *given, "audit", "--all", "--format=json", *chosen, *limit)


def measure(bed: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield every figure, for the largest number of instances."""
    few, _, many = sizes.numbers
    bed.grow(many)
    by_hand = (sys.executable, "-m", "benchmarks.audit_by_hand", bed.cloud.config_file)
    took = interleaved(sizes.rounds, novadev=lambda _: command(bed), by_hand=lambda _: by_hand)
    ours, theirs = ([one.wall for one in each] for each in took.values())
    yield compared(f"audit, {many:,} / bare queries", ours, theirs, "s", at_most=3)
    yield memory({few: run(command(bed, few)), many: took["novadev"][-1]})
    for number in (few, many):
        yield statements(bed, number)


def memory(took: dict[int, Took]) -> Figure:
    """Return how the peak memory grows with the number of instances."""
    least, most = min(took), max(took)
    shown = ", ".join(f"{number:,}: {one.peak:.0f} MiB" for number, one in took.items())
    ratio = took[most].peak / took[least].peak
    return Figure(f"memory, audit, {most:,} / {least:,}", f"{ratio:.2f}x", "", shown)


def statements(bed: Bed, number: int) -> Figure:
    """Return how many statements the server gets for NUMBER instances."""
    before = bed.statements()["Questions"]
    run(command(bed, number))
    sent = bed.statements()["Questions"] - before - 1
    each = f"{sent / number:.3f} an instance"
    return Figure(f"statements, audit, {number:,}", each, "", f"{sent:,}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it")
    sizes = QUICK if parser.parse_args().quick else Sizes()
    with tempfile.TemporaryDirectory(prefix="novadev-benchmark-") as folder, mariadb_host() as host:
        made = Bed(host.cloud(RELEASE, Path(folder)), sizes.nova_sample)
        print_table(list(measure(made, sizes)))


if __name__ == "__main__":
    main()
