"""``undo`` and ``apply`` beside the ``image-property set`` of the same servers.

Run as ``python -m benchmarks.undo [--quick]``. Both compare their plans with what is stored before
they show them, and again as they write; ``set`` reads what is stored as it plans, and again. The
audit, which reads what runs have taken out of each server, is measured before them and after.
"""

import argparse

from benchmarks.figures import compared, print_table
from benchmarks.image_property import NOVADEV, Bed, bed
from benchmarks.processes import Command, Took, run

MODELS = ("rtl8139", "ne2k_pci")


def contestants(made: Bed, first_run: int) -> dict[str, Command]:
    """Return the commands of a round in order, the first of which makes run FIRST_RUN."""
    number, plan = len(made.uuids), made.cloud.folder / "plan"
    plan.unlink(missing_ok=True)
    novadev = (NOVADEV, "--config-file", made.cloud.config_file)
    saved = ("set", f"--property=hw_vif_model={MODELS[1]}", "--all", f"--plan-out={plan}")
    return {
        "set": made.set_all(MODELS[0], number),
        "undo --dry-run": (*novadev, "undo", str(first_run), "--dry-run"),
        "undo": (*novadev, "undo", str(first_run), "--yes"),
        "saved": made.novadev(*saved),
        "apply": (*novadev, "apply", str(plan), "--yes"),
        "back": (*novadev, "undo", str(first_run + 2), "--yes"),
    }


def measured(made: Bed, rounds: int) -> dict[str, list[Took]]:
    """Return what each contestant took in each round; a first round is not counted."""
    given = ("--config-file", made.cloud.config_file)
    audit = (NOVADEV, *given, "audit", "--all", "--check=not-stashed", "--format=json")
    took = {"audit, no runs": [run(audit) for _ in range(rounds + 1)][1:]}
    for number in range(rounds + 1):
        for name, command in contestants(made, 1 + 4 * number).items():
            result = run(command)
            if number:
                took.setdefault(name, []).append(result)
    took["audit"] = [run(audit) for _ in range(rounds)]
    return took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it")
    number, rounds = (300, 1) if parser.parse_args().quick else (3_000, 3)
    with bed(number) as made:
        with made.cloud.config_file.open("a") as file:
            file.write("\n[novadev]\nstart_check_delay = 0\n")
        took = measured(made, rounds)
    pairs = [(name, "set") for name in ("undo", "undo --dry-run", "apply")]
    figures = []
    for name, other in (*pairs, ("audit", "audit, no runs")):
        for kind in ("wall", "cpu"):
            ours, theirs = ([getattr(one, kind) for one in took[key]] for key in (name, other))
            what = f"{name} / {other}, {number:,}{', CPU' * (kind == 'cpu')}"
            figures.append(compared(what, ours, theirs, "s", at_most=1 if other == "set" else 1.5))
    print_table(figures)


if __name__ == "__main__":
    main()
