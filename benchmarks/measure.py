"""Run one command and print what it took, as JSON: run by processes.py as a script.

A process of its own because Linux counts the memory of the process that forked into the child's
peak: this one is small, the one that asks holds a test bed.
"""

import json
import resource
import subprocess
import sys
import time


def main() -> None:
    """Run the command line given as arguments, its output thrown away."""
    started = time.perf_counter()
    done = subprocess.run(
        sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
    )
    wall = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(json.dumps({"code": done.returncode, "wall": wall, "cpu": cpu, "peak": peak}))


main()
