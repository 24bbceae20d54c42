"""``novadev-nova-compute``: what a definition costs, and the memory after very many.

Run as ``python -m benchmarks.keep [--quick]``. What is asked is what Nova's driver asks: a guest is
seen and recorded, its definition is made anew, and it is let go. The keeper is a process with a
SQLite file. Processor time says what a definition costs where much else runs.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID

from benchmarks.figures import Figure, print_table, spread
from novadev.compute import driver_wrapper, keeper_client
from novadev.keep.definition import keep
from tests.keep.guests import bare, record_of

DRIFTED = Path(__file__).parent.parent / "tests" / "forecast" / "drifted.xml"
GUESTS = 200
_TICKS = os.sysconf("SC_CLK_TCK")


class Log:
    """A log that nobody reads."""

    def info(self, text: str, *values: object) -> None:
        """Throw TEXT away."""

    warning = debug = info

    def isEnabledFor(self, level: int) -> bool:
        """Return that it takes no debugging."""
        return level > 10


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers")
    number = 1000 if parser.parse_args().quick else 10_000
    keeper_client.LIMIT = 60.0  # the machine of a measurement may be busy: what is late counts too
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "nova.conf")
        state = f"state_connection = sqlite:///{folder}/state.sqlite"
        config.write_text(f"[DEFAULT]\nhost = cmp1\n[novadev]\nkeep_addresses = on\n{state}\n")
        command = [sys.executable, "-m", "novadev.compute.keeper", "{}", "--config-file"]
        keeper = keeper_client.Keeper([*command, str(config)], Log())
        keeper.start()
        try:
            print_table(measured(keeper, number))
        finally:
            keeper.stop()


def measured(keeper: keeper_client.Keeper, number: int) -> list[Figure]:
    """Return what NUMBER definitions took, and what both processes hold after them."""
    wrapper = driver_wrapper.Wrapper(keeper, Log(), lambda: "cmp7")
    took: list[float] = []
    first, warm = (0.0, 0.0), number // 10
    before = 0.0
    for count in range(number):
        if count == warm:
            assert keeper._process
            first, before = _memory(keeper), _processor(keeper._process.pid)
        took.append(_power_on(keeper, wrapper, count))
    assert keeper._process
    each = (_processor(keeper._process.pid) - before) / (number - warm) * 1000
    last, took = _memory(keeper), took[warm:]
    return [
        _alone(),
        Figure("the answer, with the record", f"{median(took):.1f} ms", "", _times(took, each)),
        _grown("memory of novadev's process", first[0], last[0], (warm, number)),
        _grown("memory of the process that asks", first[1], last[1], (warm, number)),
    ]


def _alone() -> Figure:
    """Return the processor time that a definition takes, without process and record."""
    record, took = record_of(_DRIFTED), []
    for _ in range(100):
        began = time.process_time()
        keep(_NOVA, record, aliases=True)
        took.append((time.process_time() - began) * 1000)
    aim = f"< 10 ms: {'met' if median(took) < 10 else 'MISSED'}"
    return Figure("a definition", f"{median(took):.1f} ms", aim, f"{spread(took)} ms of processor")


def _times(took: list[float], each: float) -> str:
    late = quantiles(took, n=100)[98]
    return f"{spread(took)} ms, one in 100 over {late:.0f} ms; {each:.1f} ms of processor each"


def _grown(what: str, first: float, last: float, numbers: tuple[int, int]) -> Figure:
    after = " and ".join(f"{number:,}" for number in numbers)
    return Figure(
        what, f"{last - first:+.1f} MiB", "", f"{first:.1f}, {last:.1f} MiB after {after}"
    )


def _power_on(keeper: keeper_client.Keeper, wrapper: driver_wrapper.Wrapper, count: int) -> float:
    """Return the milliseconds that Nova waits for the definition of one of the guests."""
    uuid = str(UUID(int=0x5EED << 64 | count % GUESTS))
    seen = _DRIFTED.replace(_UUID, uuid)
    nova = _NOVA.replace(_UUID, uuid)
    keeper.ask({"do": "seen", "uuid": uuid, "xml": seen}, answers=False)
    wrapper.begin(uuid)
    began = time.perf_counter()
    kept = wrapper.kept(nova, uuid, None)
    took = (time.perf_counter() - began) * 1000
    assert kept != nova
    wrapper.define(lambda _host, xml: xml, None, kept)
    wrapper.end(uuid)
    return took


_DRIFTED = DRIFTED.read_text()
_UUID = _DRIFTED.partition("<uuid>")[2].partition("</uuid>")[0]
_NOVA = bare(_DRIFTED)


def _memory(keeper: keeper_client.Keeper) -> tuple[float, float]:
    """Return the MiB that the keeper and this process hold."""
    assert keeper._process
    return _held(keeper._process.pid), _held(os.getpid())


def _held(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


def _processor(pid: int) -> float:
    """Return the seconds of processor that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    main()
