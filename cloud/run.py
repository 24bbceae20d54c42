"""Bring up a real Nova on this machine, or take it down: run.py up|down|check.

`check` says why there can be none, in one line, and ends with 1 then. `down --keep-logs` leaves
what the services have said.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cloud import keeping, loop  # noqa: E402 - the path is set above
from cloud.places import (  # noqa: E402
    FOLDER,
    LOCK,
    LOGS,
    PROGRAMS,
    RC,
    RUN,
    STARTING,
)
from cloud.release import NEWEST, NOVA, RELEASES, WANTED  # noqa: E402
from tests.hypervisor import unsupported  # noqa: E402

MEMORY = 6 << 20
"""KiB that must be free: the cloud takes four GiB, guests of your own the rest."""
LONGEST = 48
"""Characters of this checkout's path: a longer one has no room for the name of a socket."""
TYPE_ALONG = f"""
The cloud is up: Nova {NOVA.number} with two compute hosts, cmp1 and cmp2.
neutron and cinder are stand-ins.
To type along in a shell of root (sudo -s):

  . {RC}
  openstack server list --long
  novadev audit --all
  openstack server stop web-1
  novadev image-property set --property hw_disk_bus=sata web-1
  openstack server start web-1

The logs of the services are in {LOGS}. "make cloud-down" ends it all.
"""

_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NoCloud(Exception):
    """The cloud cannot come up, or did not."""


def main() -> None:
    """Do what is asked; ends with 1 and one line where it cannot be done."""
    for number in _STOPPING:
        signal.signal(number, signal.default_int_handler)
    try:
        {"up": up, "down": down, "check": check}[sys.argv[1]]()
    except NoCloud as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted. Everything that was begun has been ended and removed.")


def up() -> None:
    """Bring the cloud up; what is left of one that did not come up is removed first."""
    _check_root()
    FOLDER.mkdir(exist_ok=True)
    with STARTING.open("w") as starting:
        if not _lock(starting):
            raise NoCloud(
                'a cloud is coming up already. Wait for it, or stop it with "make cloud-down"'
            )
        _start()


def _start() -> None:
    if _runs():
        if (RUN / "ready").exists():
            raise NoCloud('a cloud runs already. Stop it first with "make cloud-down"')
        print("A cloud that came up only in part is still there. It is removed first.")
        _end()
    _check()
    _check_programs()
    _remove()
    RUN.mkdir(mode=0o700)
    LOGS.mkdir(mode=0o700)
    try:
        _bring_up()
    except NoCloud:
        _end(keep_logs=True)
        raise
    except BaseException:
        _end()
        raise
    print(TYPE_ALONG, end="")


def check() -> None:
    """Say whether there can be a cloud here, or is one of this release already."""
    if os.getuid() or not (RUN / "ready").exists():
        _check()
    elif (runs := (RUN / "ready").read_text()) != NOVA.number:
        raise NoCloud(f'a cloud with Nova {runs} runs. Stop it first with "make cloud-down"')


def down() -> None:
    """End every process of the cloud, and remove its files, if wanted all but its logs."""
    if os.getuid() and LOCK.exists():
        raise NoCloud('the cloud is root\'s. Run "sudo make cloud-down"')
    found = _stop_start() or _runs() or RUN.exists()
    _end(keep_logs="--keep-logs" in sys.argv)
    print("The cloud is down." if found else "No cloud runs.")


def _check() -> None:
    """Say why there can be no cloud on this machine."""
    if WANTED not in RELEASES:
        raise NoCloud(f"there is no cloud with Nova {WANTED}, only with {' and '.join(RELEASES)}")
    if keeping.MODE not in keeping.MODES:
        modes = ", ".join(filter(None, keeping.MODES))
        raise NoCloud(f"KEEP={keeping.MODE} is none of {modes}, which keep_addresses can be")
    _check_root()
    if len(str(ROOT)) > LONGEST:
        raise NoCloud(
            f"the path {ROOT} is too long for sockets. Move this checkout to one of at most "
            f"{LONGEST} characters"
        )
    if ROOT.is_relative_to("/var") or ROOT.is_relative_to("/run"):
        raise NoCloud(
            f"the hosts have a /var and a /run of their own. Move the checkout {ROOT} elsewhere"
        )
    if reason := unsupported():
        raise NoCloud(
            f"no namespaces for compute hosts: {reason}. Run it on a machine or virtual machine of "
            "your own, or in a container that may create them (docker run --privileged)"
        )
    if not loop.CONTROL.exists():
        raise NoCloud(
            f'there is no {loop.CONTROL}, by which volumes become block devices. Run "modprobe '
            'loop", or use a machine or virtual machine of your own'
        )
    if (free := _free_memory()) < MEMORY:
        raise NoCloud(
            f"only {free >> 10} MiB of memory are free and the cloud needs {MEMORY >> 10}. End "
            "other programs first"
        )


def _check_root() -> None:
    if os.getuid():
        raise NoCloud('the cloud needs root, for its hosts\' networks. Run "sudo make cloud"')


def _check_programs() -> None:
    release = "" if NOVA.number == NEWEST else f" {NOVA.number}"
    stamps = [RELEASES[NEWEST].environment, NOVA.environment]
    made = [folder / "installed" for folder in stamps] + [PROGRAMS / "unpacked"]
    if not all(stamp.exists() for stamp in made):
        raise NoCloud(f'its programs are not there. Run "tools/setup cloud{release}" first')


def _bring_up() -> None:
    """Begin the cloud's first process in namespaces of its own, and follow what it says."""
    reading, writing = os.pipe()
    with LOCK.open("w") as lock, (LOGS / "cloud.log").open("wb") as log:
        fcntl.flock(lock, fcntl.LOCK_EX)
        files = (writing, lock.fileno())
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", sys.executable, "-m"]
        command += ["cloud.keeper", *map(str, files)]
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(RUN), "XDG_CACHE_HOME": f"{RUN}/cache"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=files,
            start_new_session=True,  # an interrupt is for this process, which ends the other
        )
    os.close(writing)
    with os.fdopen(reading) as lines:
        _follow(lines)
    (RUN / "ready").write_text(NOVA.number)


def _follow(lines: Iterator[str]) -> None:
    for line in lines:
        word, _, text = line.rstrip("\n").partition(" ")
        if word == "step":
            print(f"starting {text}", flush=True)
        elif word == "ready":
            return
    raise NoCloud(f"the cloud did not come up: {_last_words()}")


def _last_words() -> str:
    try:
        said = (LOGS / "cloud.log").read_text(errors="replace").strip()
    except FileNotFoundError:
        said = ""
    if not said:
        return "somebody has stopped it"
    return (
        f"{said.splitlines()[-1]}. The logs are in {LOGS}. Run it once more; if it fails again, "
        "report this as a bug"
    )


def _end(keep_logs: bool = False) -> None:
    """End the cloud's first process and with it all others; remove what they wrote."""
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in _STOPPING]
    while _runs():
        for pid in _holders(LOCK):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    loop.remove_made(RUN)
    _remove(keep_logs)
    for number, handler in before:
        signal.signal(number, handler)


def _stop_start() -> bool:
    """End who starts a cloud of which nothing lives yet; return whether somebody did."""
    found = False
    while not _runs() and _is_locked(STARTING):
        found = True
        for pid in _holders(STARTING):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        time.sleep(0.05)
    return found


def _holders(lock: Path) -> Iterator[int]:
    """Yield the processes that have a lock's file open: of LOCK the first one, and its parent."""
    for handle in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # it has just ended
            pid = int(handle.parts[2])
            if pid != os.getpid() and handle.samefile(lock):
                yield pid


def _remove(keep_logs: bool = False) -> None:
    if not keep_logs:
        shutil.rmtree(LOGS, ignore_errors=True)
    shutil.rmtree(RUN, ignore_errors=True)
    RC.unlink(missing_ok=True)


def _runs() -> bool:
    """Whether anything of a cloud lives."""
    FOLDER.mkdir(exist_ok=True)
    return _is_locked(LOCK)


def _is_locked(path: Path) -> bool:
    with path.open("w") as file:
        return not _lock(file)


def _lock(file: IO[str]) -> bool:
    """Whether nobody else has the file's lock; it is held until the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_memory() -> int:
    """KiB."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


if __name__ == "__main__":
    main()
