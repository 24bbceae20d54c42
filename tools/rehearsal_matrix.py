"""Hold rehearsals against reality: each kind of guest on hosts of three generations.

Run as ``.venv/bin/python -m tools.rehearsal_matrix [GENERATION]...``; it takes half an hour. Every
kind of `tests.capabilities.kinds` is rehearsed, then defined and started as it is. It prints the
time, the counts and each difference, and ends with 1 if a shape without a word of what was not
rehearsed came out otherwise than its guest.
"""

import sys
import time
from collections import Counter, defaultdict

from novadev.rehearsal.on_host import prepare, rehearse
from novadev.rehearsal.shape import Shape, shape_of
from novadev.virt.domain import Domain
from novadev.virt.host import Host
from novadev.virt.trial import PREFIX, Trial
from tests.capabilities.kinds import Kind, kinds, tried
from tests.hypervisor import GENERATIONS, Hypervisor, pool

PARALLEL = 2


def main() -> int:
    """Try every kind on the generations that were asked for, all without arguments."""
    wrong = 0
    for name in sys.argv[1:] or GENERATIONS:
        with pool(name) as hosts:
            wrong += matched(hosts.take()[0])
    return 1 if wrong else 0


def matched(hypervisor: Hypervisor) -> int:
    """Print what the host makes of every kind; return how many rehearsals were wrong."""
    shapes: dict[Shape, list[Kind]] = defaultdict(list)
    for kind in kinds():
        shapes[shape_of(Domain.from_xml(kind.xml))].append(kind)
    begun = time.monotonic()
    found = rehearsed(hypervisor, list(shapes))
    seconds = time.monotonic() - begun
    counts: Counter[tuple[str, str]] = Counter()
    for shape, trial in found.items():
        for kind in shapes[shape]:
            counts[compared(hypervisor, kind, shape, trial)] += 1
    print(f"{hypervisor.name}: {len(shapes)} shapes in {seconds:.0f} s: {dict(counts)}", flush=True)
    return counts["other", "in full"]


def rehearsed(hypervisor: Hypervisor, shapes: list[Shape]) -> dict[Shape, Trial]:
    """Return what a rehearsal says of each of SHAPES."""
    host = Host(hypervisor.name, hypervisor.uri)
    stage = prepare(host, tuple(f"{PREFIX}{number}" for number in range(PARALLEL)), {})
    found: dict[Shape, Trial] = {}
    for at in range(0, len(shapes), PARALLEL):
        batch = shapes[at : at + PARALLEL]
        trials = rehearse(host, stage, [shape.definition for shape in batch])
        found |= dict(zip(batch, trials, strict=True))
    return found


def compared(host: Hypervisor, kind: Kind, shape: Shape, trial: Trial) -> tuple[str, str]:
    """Return whether the guest itself fares as its rehearsal, and whether all was rehearsed."""
    result = tried(host, kind.xml)
    fate = "started" if result.outcome == "fine" else result.outcome
    how = "in part" if shape.not_rehearsed else "in full"
    if fate == trial.fate:
        return "equal", how
    print(f"{host.name}: {kind.name}: {trial.fate} {trial.message}, but {fate} {result.why}")
    return "other", how


if __name__ == "__main__":
    sys.exit(main())
