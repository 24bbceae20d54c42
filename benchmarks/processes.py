"""Whole processes: what they took, side by side."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.templates import nova_environment

Command = Sequence[str | Path]
MEASURE = Path(__file__).with_name("measure.py")
SLOWING = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
"""Settings no operator's shell has; installed packages have their bytecode beside them."""


@dataclass(frozen=True)
class Took:
    """Seconds of wall clock and of CPU, and the peak of resident memory in MiB."""

    wall: float
    cpu: float
    peak: float


def run(command: Command) -> Took:
    """Run COMMAND and return what it took; raises RuntimeError when it fails."""
    words = [sys.executable, "-I", "-S", str(MEASURE), *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, env=_environment(), check=True)
    took = json.loads(done.stdout)
    if took.pop("code"):
        raise RuntimeError(f"{' '.join(words)}: {done.stderr[-2000:]}")
    return Took(**took)


def _environment() -> dict[str, str]:
    return {name: value for name, value in nova_environment().items() if name not in SLOWING}


def interleaved(rounds: int, **contestants: Callable[[int], Command]) -> dict[str, list[Took]]:
    """Return what each contestant took in each round, taken in turn; a first round is not counted.

    A contestant gives its command for the round's number, so that a value can go to and fro.
    """
    took: dict[str, list[Took]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, command in contestants.items():
            result = run(command(number))
            if number:
                took[name].append(result)
    return took
