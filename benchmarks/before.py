"""``set`` of 10,000 instances by this novadev and by another version of it, in turn.

Run as ``python -m benchmarks.before PROGRAM [--quick]``; PROGRAM is the console script of the other
version, in an environment of its own. Each writes into a journal of its own, a SQLite file.
"""

import argparse
from pathlib import Path

from benchmarks.figures import compared, print_table
from benchmarks.image_property import MODELS, NOVADEV, QUICK, Bed, Sizes, bed
from benchmarks.processes import Command, interleaved


def with_a_journal_of_its_own(made: Bed, name: str) -> Path:
    """Return a configuration of MADE whose journal is a SQLite file called NAME."""
    text = made.cloud.config_file.read_text()
    kept = [line for line in text.splitlines() if not line.startswith("state_connection")]
    place = kept.index("[novadev]") + 1
    kept.insert(place, f"state_connection = sqlite:///{made.cloud.folder / name}.sqlite")
    config = made.cloud.folder / f"{name}.conf"
    config.write_text("\n".join(kept))
    return config


def set_all(program: Path, config: Path, model: str) -> Command:
    """Return the command of PROGRAM that sets the network model of all instances."""
    words = ("image-property", "set", f"--property=hw_vif_model={model}", "--all", "--yes")
    return (program, "--config-file", config, *words)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path, help="console script of the other version")
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it")
    asked = parser.parse_args()
    sizes = QUICK if asked.quick else Sizes()
    with bed(sizes.bulk) as made:
        ours, theirs = (with_a_journal_of_its_own(made, name) for name in ("this", "before"))
        took = interleaved(
            sizes.bulk_rounds,
            this=lambda _: set_all(NOVADEV, ours, MODELS[0]),
            before=lambda _: set_all(asked.program, theirs, MODELS[1]),
        )
    what = f"set, {sizes.bulk:,} / the version before"
    walls, cpus = (
        [[getattr(one, kind) for one in took[name]] for name in ("this", "before")]
        for kind in ("wall", "cpu")
    )
    print_table(
        [
            compared(what, *walls, "s", at_most=1.05),
            compared(f"{what}, CPU", *cpus, "s", at_most=1.05),
        ]
    )


if __name__ == "__main__":
    main()
