"""Hold every verdict against reality: each kind of guest on hosts of three generations.

Run as ``.venv/bin/python -m tools.verdict_matrix``; it takes ten minutes. Each kind is defined and
started, paused, on a host of each generation; the verdicts are of the hosts' capabilities. It
writes the table that docs/capabilities.rst shows, and ends with 1 if a verdict was wrong.
"""

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from novadev.capabilities.target import BEST_FIRST, Outcome
from novadev.capabilities.verdicts import check, worst
from tests.capabilities.kinds import Kind, Result, capabilities_of, is_wrong, kinds, tried
from tests.hypervisor import GENERATIONS, Hypervisor, pool
from tests.templates import ROOT

TABLE = ROOT / "docs" / "verdict_matrix.inc"
LIBVIRT = {"bullseye": "7.0 and 5.2", "bookworm": "9.0 and 7.2", "trixie": "11.3 and 10.0"}
FOUND: tuple[Outcome, ...] = ("fine", "would not start", "cannot be defined")
Truth = dict[str, Result]
Verdicts = dict[str, Outcome]


def main() -> int:
    """Try every kind, write the table, and print each verdict that was wrong."""
    everything = tuple(kinds())
    with ExitStack() as stack, ThreadPoolExecutor(len(GENERATIONS)) as threads:
        hosts = {name: stack.enter_context(pool(name)).take()[0] for name in GENERATIONS}
        verdicts = {name: judged(host, everything) for name, host in hosts.items()}
        tries = {name: threads.submit(all_tried, host, everything) for name, host in hosts.items()}
        truth = {name: one.result() for name, one in tries.items()}
    wrong = [text for name in GENERATIONS for text in mistakes(name, verdicts[name], truth[name])]
    print(*wrong, sep="\n")
    TABLE.write_text(table(verdicts, truth))
    return 1 if wrong else 0


def judged(host: Hypervisor, everything: tuple[Kind, ...]) -> Verdicts:
    """Return the verdict on each kind for the host."""
    found = capabilities_of(host)
    return {kind.name: worst(check(kind.facts, found)) for kind in everything}


def all_tried(host: Hypervisor, everything: tuple[Kind, ...]) -> Truth:
    """Return what really became of each kind on the host."""
    return {kind.name: tried(host, kind.xml) for kind in everything}


def mistakes(host: str, verdicts: Verdicts, truth: Truth) -> list[str]:
    """Return each verdict that was a false "fine" or a false refusal."""
    return [
        f"{host}: {name}: {verdict}, but {truth[name].outcome} {truth[name].why}"
        for name, verdict in verdicts.items()
        if is_wrong(verdict, truth[name].outcome)
    ]


def table(verdicts: dict[str, Verdicts], truth: dict[str, Truth]) -> str:
    """Return the counts of each pair of generations, as reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 22 22 20 12 12 12", ""]
    titles = ("From libvirt and QEMU", "to", "verdict", "started", "would not start", "not defined")
    lines += row(titles)
    for source in GENERATIONS:
        starting = [name for name, one in truth[source].items() if one.outcome == "fine"]
        for target in GENERATIONS:
            counts = Counter((verdicts[target][n], truth[target][n].outcome) for n in starting)
            for verdict in BEST_FIRST:
                numbers = [counts[verdict, found] for found in FOUND]
                if any(numbers):
                    lines += row((LIBVIRT[source], LIBVIRT[target], verdict, *map(str, numbers)))
    return "\n".join(lines) + "\n"


def row(cells: tuple[str, ...]) -> list[str]:
    """Return a row of a list-table."""
    return [f"   {'*' if number == 0 else ' '} - {cell}" for number, cell in enumerate(cells)]


if __name__ == "__main__":
    sys.exit(main())
