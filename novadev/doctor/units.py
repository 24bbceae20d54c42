"""novadev's units on this machine, as systemd knows them: the timers and the watch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from novadev.doctor.result import Result
from novadev.errors import NotAsNeeded
from novadev.text import many

TIMERS = ("novadev-alias-migrate", "novadev-record", "novadev-stash-defaults")
WATCH = "novadev-watch.service"
"""The units in ``systemd/``."""
_LINES = 3
_LONGEST = 200
"""So many lines of the journal are shown, and so many characters of each."""


def examine_units(run_folder: Path = Path("/run/systemd/system")) -> Iterator[Result]:
    """Yield a result for each of novadev's timers and for the watch, as systemd knows them."""
    program = shutil.which("systemctl")
    if program is None or not run_folder.is_dir():
        yield Result("timer", "systemd timers", "skipped", "systemd does not run here")
        return
    for name in TIMERS:
        timer, service = (_shown(program, f"{name}.{kind}") for kind in ("timer", "service"))
        yield timer_result(name, timer, service)
    found = _shown(program, WATCH)
    yield service_result(found, _last_lines() if is_installed(found) else ())


def _shown(program: str, unit: str) -> dict[str, str]:
    """Return the properties of a UNIT; none where systemd gives no answer."""
    return dict(re.findall(r"^(\w+)=(.*)$", _printed(program, "show", unit), re.MULTILINE))


def _last_lines() -> tuple[str, ...]:
    """Return the last lines that the watch wrote to the journal; none where it cannot be read."""
    program = shutil.which("journalctl")
    if program is None:
        return ()
    text = _printed(program, "--unit", WATCH, "--lines", str(_LINES), "--output", "cat")
    return tuple(line.strip()[:_LONGEST] for line in text.splitlines() if line.strip())


def _printed(program: str, *arguments: str) -> str:
    """Return what one of systemd's programs prints; nothing where it gives no answer."""
    try:
        found = subprocess.run(  # noqa: S603 - with arguments of ours
            [program, "--no-pager", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout if found.returncode == 0 else ""


def timer_result(name: str, timer: Mapping[str, str], service: Mapping[str, str]) -> Result:
    """Return what the properties of a timer and its service say."""
    unit, last = f"{name}.timer", timer.get("LastTriggerUSec", "")
    if not is_installed(timer):
        return Result("timer", unit, "skipped", "it is not installed")
    if timer.get("ActiveState") != "active":
        text = "it is installed but not started"
        return Result("timer", unit, "warning", text, (f"systemctl enable --now {unit}",))
    if last in ("", "n/a", "0"):
        return Result("timer", unit, "ok", "it has not run yet")
    if service.get("Result", "success") != "success":
        code = service.get("ExecMainStatus", "?")
        text = f"it last ran {last} and failed with exit code {code}"
        look = f"journalctl -u {name}.service"
        return Result("timer", unit, "failure", text, (look,), NotAsNeeded.exit_code)
    return Result("timer", unit, "ok", f"it last ran {last}")


def service_result(service: Mapping[str, str], lines: Sequence[str]) -> Result:
    """Return what the properties of the watch say; LINES are the last of its journal."""
    if not is_installed(service):
        return Result("service", WATCH, "skipped", "it is not installed")
    last = f"; its last lines: {' | '.join(lines)}" if lines else ""
    state, look = service.get("ActiveState"), (f"journalctl -u {WATCH}",)
    if service.get("Result", "success") != "success" or state == "failed":
        code = service.get("ExecMainStatus", "?")
        again = ", and systemd starts it again" if state == "activating" else ""
        text = f"it failed with exit code {code}{again}{last}"
        return Result("service", WATCH, "failure", text, look, NotAsNeeded.exit_code)
    if state == "active":
        restarts = int(service.get("NRestarts") or 0)
        often = f", restarted {many(restarts, 'time')}" if restarts else ""
        since, says = service.get("ActiveEnterTimestamp", "?"), service.get("StatusText", "")
        text = f"it runs since {since}{often}" + (f": {says}" if says else "")
        return Result("service", WATCH, "warning" if restarts else "ok", text + last)
    if state == "activating":
        return Result("service", WATCH, "warning", f"it is being started{last}", look)
    text = "it is installed but not started; it would record changes within seconds"
    return Result("service", WATCH, "skipped", text)


def is_installed(unit: Mapping[str, str]) -> bool:
    """Whether systemd knows the UNIT with these properties."""
    return unit.get("LoadState", "not-found") != "not-found"
