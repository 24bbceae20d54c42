"""Hold forecasts against reality: guests of each generation, laid out by a libvirt of each.

Run as ``.venv/bin/python -m tools.forecast_matrix [GENERATION...]``; it takes ten minutes. Nova's
own driver builds the guests, and half of them are for the other board later on. It writes the
table that docs/devices.rst shows, prints each forecast that was wrong, and then ends with 1.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests import deployments
from tests.forecast import drifting
from tests.forecast.fleet import Fleet
from tests.forecast.pairs import PROPERTIES, mistakes, scratch_of
from tests.hypervisor import GENERATIONS, Hypervisor, pool
from tests.nova_process import NovaProcess

SIZE = (5, 24)
SEED = 97
RELEASE = "34"


def main(*names: str) -> int:
    """Print a line for each pair, and each forecast that was wrong."""
    with ExitStack() as stack:
        hosts = {name: stack.enter_context(pool(name)).take()[0] for name in GENERATIONS}
        nova = NovaProcess(RELEASE)
        stack.callback(nova.close)
        wrong = [text for name in names or GENERATIONS for text in judged(name, hosts, nova)]
    print(*wrong, sep="\n")
    return 1 if wrong else 0


def judged(name: str, hosts: dict[str, Hypervisor], nova: NovaProcess) -> Iterator[str]:
    """Yield what was told wrong of the guests of one generation, by each of the scratches."""
    with tempfile.TemporaryDirectory(prefix="novadev-forecasts-") as folder:
        cloud = deployments.sqlite_cloud(RELEASE, Path(folder))
        nova.use(cloud.config_file)
        fleet = Fleet(cloud, hosts[name], nova, SEED, SIZE, drifting.change_board, PROPERTIES)
        told = {}
        for scratch, host in hosts.items():
            with scratch_of(host):
                told[scratch] = fleet.forecast()
        happened = fleet.happened()
        hosts[name].empty()
    for scratch, (forecasts, notes, _) in told.items():
        found = mistakes(fleet, forecasts, happened)
        moved = sum(bool(guest.drifts) for guest in fleet.guests if guest.uuid in happened)
        rules = sum("by rules" in note for note in notes)
        print(
            f"host {name}, scratch libvirt {scratch}: {len(found)} of {len(happened)} wrong "
            f"({moved} go to the other board; {rules} partly by rules)",
            flush=True,
        )
        for uuid, both in found.items():
            yield f"host {name}, scratch {scratch}: {uuid}: {both}"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
