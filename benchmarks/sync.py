"""``novadev image-property sync`` against plain SQL.

Run as ``python -m benchmarks.sync [--quick]``; everything is measured in this one run on a private
MariaDB server, contestant by contestant in turn, the request specs restored in between.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.figures import Figure, compared, print_table
from benchmarks.processes import Command, Took, run
from tests.cloud import Cloud
from tests.deployments import mariadb_host

RELEASE = "34"
NOVADEV = Path(sys.executable).with_name("novadev")
CHUNK = 5_000
SEVEN = {
    "hw_machine_type": "pc-i440fx-7.2",
    "hw_cdrom_bus": "ide",
    "hw_disk_bus": "virtio",
    "hw_input_bus": "usb",
    "hw_pointer_model": "usbtablet",
    "hw_video_model": "virtio",
    "hw_vif_model": "virtio",
}
"""What Nova registers at spawn, in the cell alone."""
PROPERTIES = '$."nova_object.data".image."nova_object.data".properties."nova_object.data"'


@dataclass(frozen=True)
class Sizes:
    """How much is measured: rounds with the middle number of instances, one with the others."""

    rounds: int = 3
    numbers: tuple[int, ...] = (1_000, 10_000, 100_000)


QUICK = Sizes(rounds=1, numbers=(200, 1_000, 3_000))


@dataclass
class Bed:
    """A deployment of stopped instances whose request specs lack all seven properties."""

    cloud: Cloud
    number: int = 0

    def novadev(self, number: int) -> Command:
        """Return novadev's command for NUMBER instances."""
        words = ("image-property", "sync", "--all", f"--limit={number}", "--yes")
        return (NOVADEV, "--config-file", self.cloud.config_file, *words)

    def by_hand(self) -> Command:
        """Return the command of the plain SQL for all instances."""
        words = ("-m", "benchmarks.sync_by_hand", self.cloud.config_file)
        return (sys.executable, *words, *SEVEN)

    def grow(self, number: int) -> None:
        """Have NUMBER instances, some thousand at a time, and keep a copy of their specs."""
        if self.number:
            self.restore()
        while missing := number - self.number:
            more = min(missing, CHUNK)
            self.cloud.add_instances(more, **SEVEN, spec_properties={})
            self.number += more
        self._do("DROP TABLE IF EXISTS kept_specs")
        self._do("CREATE TABLE kept_specs (PRIMARY KEY (id)) SELECT id, spec FROM request_specs")

    def restore(self) -> None:
        """Take back what any contestant wrote."""
        self._do(
            "UPDATE request_specs JOIN kept_specs USING (id) SET request_specs.spec = "
            "kept_specs.spec, updated_at = NULL WHERE updated_at IS NOT NULL"
        )

    def written(self) -> Sequence[Any]:
        """Return how many specs were written, with a checksum of what is in them."""
        query = (
            f"SELECT COUNT(*), SUM(CRC32(JSON_NORMALIZE(JSON_EXTRACT(spec, '{PROPERTIES}')))) "
            "FROM request_specs WHERE updated_at IS NOT NULL"
        )
        with self.cloud.engine("api").connect() as connection:
            return tuple(connection.execute(sa.text(query)).one())

    def _do(self, statement: str) -> None:
        with self.cloud.engine("api").begin() as connection:
            connection.execute(sa.text(statement))


@contextmanager
def bed() -> Iterator[Bed]:
    """Give an empty deployment on a MariaDB server of its own."""
    with tempfile.TemporaryDirectory(prefix="novadev-benchmark-") as folder, mariadb_host() as host:
        yield Bed(host.cloud(RELEASE, Path(folder)))


def one_round(bed: Bed) -> tuple[Took, Took]:
    """Return what novadev and plain SQL took; both must write the same."""
    bed.restore()
    ours = run(bed.novadev(bed.number))
    written = bed.written()
    bed.restore()
    by_hand = run(bed.by_hand())
    assert written == bed.written(), (written, bed.written())
    assert written[0] == bed.number, written
    return ours, by_hand


def figures(bed: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield the time against plain SQL, and the peak memory, over more and more instances."""
    peaks: dict[int, Took] = {}
    for number in sizes.numbers:
        bed.grow(number)
        rounds = sizes.rounds if number == sizes.numbers[1] else 1
        took = [one_round(bed) for _ in range(rounds)]
        peaks[number] = took[0][0]
        if number != sizes.numbers[0]:
            walls = [[one.wall for one in side] for side in zip(*took, strict=True)]
            yield compared(f"sync, {number:,} / plain SQL", *walls, "s", at_most=2)
            used = [[one.cpu for one in side] for side in zip(*took, strict=True)]
            yield compared(f"processor time, {number:,} / plain SQL", *used, "s", at_most=2)
    shown = ", ".join(f"{number:,}: {one.peak:.0f} MiB" for number, one in peaks.items())
    ratio = peaks[sizes.numbers[-1]].peak / peaks[sizes.numbers[0]].peak
    aim = f"≤ 1.2x: {'met' if ratio <= 1.2 else 'MISSED'}"
    yield Figure("memory, the most / the fewest", f"{ratio:.2f}x", aim, shown)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it")
    sizes = QUICK if parser.parse_args().quick else Sizes()
    with bed() as made:
        print_table(list(figures(made, sizes)))


if __name__ == "__main__":
    main()
