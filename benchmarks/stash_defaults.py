"""``novadev stash-defaults`` against Nova's own registration and against plain SQL.

Run as ``python -m benchmarks.stash_defaults [--quick]``; everything is measured in this one run on
a private MariaDB server, contestant by contestant in turn, the databases restored in between.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from benchmarks.figures import Figure, compared, faster, print_table
from benchmarks.processes import Command, Took, run
from tests import rows
from tests.cloud import Cloud
from tests.deployments import mariadb_host
from tests.templates import nova_environment, nova_program

RELEASE = "34"
NOVADEV = Path(sys.executable).with_name("novadev")
BY_NOVA = Path(__file__).with_name("stash_by_nova.py")
CHUNK = 5_000
DISTRO = "ubuntu22.04"
SAMPLE_HOST = "cmp-sample"
COMPUTE = "[libvirt]\nvirt_type = kvm\n"
PROPERTIES = '$."nova_object.data".image."nova_object.data".properties."nova_object.data"'


@dataclass(frozen=True)
class Sizes:
    """How much is measured: rounds, and numbers of instances."""

    rounds: int = 3
    numbers: tuple[int, int, int] = (1_000, 10_000, 100_000)
    nova_sample: int = 200


QUICK = Sizes(rounds=1, numbers=(200, 1_000, 3_000), nova_sample=50)


class Bed:
    """A deployment of stopped instances that store none of the seven properties.

    A third of them names an os_distro that libosinfo knows. The first ones are on a host of their
    own: those are the sample that Nova registers.
    """

    def __init__(self, cloud: Cloud, sample: int) -> None:
        self.cloud = cloud
        self._sample = sample
        self._uuids: list[str] = []
        self._compute = cloud.folder / "compute.conf"
        self._compute.write_text(COMPUTE)

    def novadev(self, number: int) -> Command:
        """Return the command that records the defaults of NUMBER instances."""
        words = ("stash-defaults", f"--limit={number}", "--all", "--yes", "--source=driver")
        given = ("--config-file", self.cloud.config_file)
        return (NOVADEV, *given, *words, f"--assume-config={self._compute}")

    def by_hand(self) -> Command:
        """Return the command of the plain SQL that writes what novadev has written."""
        values = {"": self._recorded(self._uuids[0]), DISTRO: self._recorded(self._uuids[1])}
        words = ("-m", "benchmarks.stash_by_hand", self.cloud.config_file, json.dumps(values))
        return (sys.executable, *words)

    def nova_rate(self) -> float:
        """Return the seconds an instance of Nova's own code, in one process."""
        words = (nova_program(RELEASE, "python"), BY_NOVA, self.cloud.config_file, SAMPLE_HOST)
        done = subprocess.run(words, capture_output=True, env=nova_environment(), check=True)
        took = json.loads(done.stdout)
        assert took["number"] == self._sample, took
        return float(took["wall"]) / self._sample

    def grow(self, number: int) -> None:
        """Have NUMBER instances, written some thousand at a time, and keep a copy to restore."""
        while missing := number - len(self._uuids):
            first = len(self._uuids)
            uuids = self.cloud.add_instances(
                min(missing, CHUNK), each=partial(self._differing, first)
            )
            disks = [_disk(uuid) for uuid in uuids]
            with self.cloud.engine("cell1").begin() as connection:
                table = self.cloud.table("block_device_mapping", "cell1")
                connection.execute(table.insert(), disks)
            self._uuids += uuids
        self._keep()

    def _differing(self, first: int, number: int) -> dict[str, object]:
        place = first + number
        host = {"host": SAMPLE_HOST} if place < self._sample else {}
        return {**host, "image_properties": {"os_distro": DISTRO} if place % 3 == 1 else {}}

    def _keep(self) -> None:
        with self.cloud.engine("api").begin() as connection:
            connection.execute(sa.text("DROP TABLE IF EXISTS kept_specs"))
            connection.execute(
                sa.text(
                    "CREATE TABLE kept_specs (PRIMARY KEY (id)) SELECT id, spec FROM request_specs"
                )
            )
        self._last = int(self._ask("cell1", "SELECT MAX(id) FROM instance_system_metadata")[0][0])

    def restore(self) -> None:
        """Take back what any contestant wrote."""
        self._do("cell1", f"DELETE FROM instance_system_metadata WHERE id > {self._last}")
        self._do(
            "api",
            "UPDATE request_specs JOIN kept_specs USING (id) SET request_specs.spec = "
            "kept_specs.spec, updated_at = NULL WHERE updated_at IS NOT NULL",
        )

    def written(self) -> list[Sequence[object]]:
        """Return how many rows and specs were written, with a checksum of what is in them."""
        return [
            *self._ask(
                "cell1",
                "SELECT COUNT(*), SUM(CRC32(CONCAT_WS('=', instance_uuid, `key`, value))) "
                f"FROM instance_system_metadata WHERE id > {self._last}",
            ),
            *self._ask(
                "api",
                f"SELECT COUNT(*), SUM(CRC32(JSON_EXTRACT(spec, '{PROPERTIES}'))) "
                "FROM request_specs WHERE updated_at IS NOT NULL",
            ),
        ]

    def statements(self) -> dict[str, int]:
        """Return the server's counts of statements since it started."""
        names = ("Questions", *(f"Com_{kind}" for kind in ("select", "update", "insert", "commit")))
        wanted = ", ".join(f"'{name}'" for name in names)
        found = self._ask("api", f"SHOW GLOBAL STATUS WHERE Variable_name IN ({wanted})")
        return {str(name): int(value) for name, value in found}

    def _recorded(self, uuid: str) -> dict[str, str | None]:
        found = self._ask(
            "cell1",
            "SELECT `key`, value FROM instance_system_metadata "
            f"WHERE instance_uuid = '{uuid}' AND id > {self._last} ORDER BY id",
        )
        return {key.removeprefix("image_"): value for key, value in found}

    def _ask(self, database: str, query: str) -> Sequence[Any]:
        with self.cloud.engine(database).connect() as connection:
            return connection.execute(sa.text(query)).all()

    def _do(self, database: str, statement: str) -> None:
        with self.cloud.engine(database).begin() as connection:
            connection.execute(sa.text(statement))


def _disk(uuid: str) -> rows.Row:
    """Return the row of a root disk made from an image."""
    return rows.block_device_mapping(
        uuid,
        **{"uuid": uuid, "device_name": "/dev/vda", "disk_bus": "virtio", "device_type": "disk"},
        **{"source_type": "image", "destination_type": "local", "boot_index": 0},
    )


@contextmanager
def bed(sizes: Sizes) -> Iterator[Bed]:
    """Give a deployment of the middle number of instances on a MariaDB server of its own."""
    with tempfile.TemporaryDirectory(prefix="novadev-benchmark-") as folder, mariadb_host() as host:
        made = Bed(host.cloud(RELEASE, Path(folder)), sizes.nova_sample)
        made.grow(sizes.numbers[1])
        yield made


@dataclass(frozen=True)
class Round:
    """What each contestant took, Nova for an instance of the sample; and novadev's statements."""

    ours: Took
    by_hand: Took
    nova: float
    sent: dict[str, int]


def one_round(bed: Bed, number: int, nova: float | None = None) -> Round:
    """Have each contestant write on restored databases; novadev and plain SQL must write the same.

    NOVA is its figure where it is known already. What plain SQL wrote stays.
    """
    if nova is None:
        bed.restore()
        nova = bed.nova_rate()
    bed.restore()
    before = bed.statements()
    ours = run(bed.novadev(number))
    sent = {name: value - before[name] for name, value in bed.statements().items()}
    written, command = bed.written(), bed.by_hand()
    bed.restore()
    by_hand = run(command)
    assert bed.written() == written, (bed.written(), written)
    return Round(ours, by_hand, nova, sent)


def against(number: int, rounds: Sequence[Round]) -> Iterator[Figure]:
    """Yield the figures of ROUNDS over NUMBER instances."""
    ours = [one.ours.wall for one in rounds]
    what = f"stash-defaults, {number:,}"
    yield compared(f"{what} / plain SQL", ours, [one.by_hand.wall for one in rounds], "s", 4)
    each = [wall * 1_000 / number for wall in ours]
    nova = [one.nova * 1_000 for one in rounds]
    yield faster(f"{what} / Nova's registration", each, nova, "ms an instance", at_least=30)


def statements(number: int, sent: dict[str, int]) -> Figure:
    """Return how many statements the server got for NUMBER instances."""
    questions = sent["Questions"] - 1
    kinds = {name.removeprefix("Com_"): n for name, n in sorted(sent.items()) if name[:4] == "Com_"}
    shown = ", ".join(f"{n:,} {kind.upper()}" for kind, n in kinds.items())
    each = f"{questions / number:.2f} an instance"
    return Figure(f"statements, stash-defaults, {number:,}", each, "", f"{questions:,}: {shown}")


def again(bed: Bed, number: int) -> Figure:
    """Return what another run takes, which finds nothing missing."""
    written = bed.written()
    took = run(bed.novadev(number))
    assert bed.written() == written
    return Figure(f"stash-defaults again, {number:,}", "", "", f"{took.wall:.2f} s")


def memory(took: dict[int, Took]) -> Figure:
    """Return how the peak memory grows with the number of instances."""
    least, most = min(took), max(took)
    ratio = took[most].peak / took[least].peak
    shown = ", ".join(f"{n:,}: {one.peak:.0f} MiB {one.wall:.1f} s" for n, one in took.items())
    what = f"memory, stash-defaults, {most:,} / {least:,}"
    return Figure(what, f"{ratio:.2f}x", f"≤ 1.2x: {'met' if ratio <= 1.2 else 'MISSED'}", shown)


def measure(bed: Bed, sizes: Sizes) -> Iterator[Figure]:
    """Yield every figure; the largest number is run once, the middle one after a round uncounted.

    Nova's rate on the sample does not depend on the number, and is not measured again.
    """
    few, some, many = sizes.numbers
    rounds = [one_round(bed, some) for _ in range(sizes.rounds + 1)][1:]
    yield from against(some, rounds)
    yield statements(some, rounds[-1].sent)
    yield again(bed, some)
    bed.restore()
    took = {few: run(bed.novadev(few)), some: rounds[-1].ours}
    bed.restore()
    bed.grow(many)
    last = one_round(bed, many, median(one.nova for one in rounds))
    yield from against(many, [last])
    yield memory(took | {many: last.ours})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it")
    sizes = QUICK if parser.parse_args().quick else Sizes()
    with bed(sizes) as made:
        print_table(list(measure(made, sizes)))


if __name__ == "__main__":
    main()
