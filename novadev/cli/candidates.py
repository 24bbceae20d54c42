"""What the shell may offer for a word, kept in a file: databases are too slow to wait for.

The file lies in the user's cache folder, one for each configuration, readable by nobody else. A
process of its own writes it in the background whenever the shell asks and the file is older than a
few seconds, so what is offered is as old as the last time somebody pressed Tab.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from novadev.deployment import Deployment

FRESH = 5.0
"""Seconds for which the file is taken as it is."""
WAIT = 0.1
"""Seconds that the shell waits for a newer file."""
LONGEST = 60
"""Seconds after which a process that still collects ends itself."""
SERVERS = 50_000
"""So many servers are offered, of each cell."""
Kinds = Mapping[str, Sequence[str]]


def known(
    kind: str, config_files: Sequence[str] = (), config_dirs: Sequence[str] = ()
) -> list[str]:
    """Return the candidates of this KIND with this configuration; none where nothing is known."""
    named = [[os.path.abspath(name) for name in names] for names in (config_files, config_dirs)]
    found = _kept(json.dumps(named))
    return [str(item) for item in found[kind]] if kind in found else of_novadev(kind)


def _kept(arguments: str) -> Kinds:
    """Return what the file has; nothing where no file can be written, or not yet."""
    try:
        path = _file_of(arguments)
        if _age(path) > FRESH:
            _collect_aside(path, arguments)
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder
        return {}
    return _read(path)


def _file_of(arguments: str) -> Path:
    from hashlib import sha256

    digest = sha256(arguments.encode(errors="replace")).hexdigest()[:16]
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "novadev" / f"completion-{digest}.json"


def _age(path: Path) -> float:
    try:
        return abs(time.time() - path.stat().st_mtime)
    except OSError:
        return float("inf")


def _read(path: Path) -> Kinds:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _collect_aside(path: Path, arguments: str) -> None:
    """Begin to write PATH anew in a process that outlives this one, and wait a moment for it."""
    from subprocess import DEVNULL, Popen

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    Popen(  # noqa: S603 - it is this program
        [sys.executable, "-m", __name__, str(path), arguments],
        start_new_session=True,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    end = time.monotonic() + WAIT
    while time.monotonic() < end and _age(path) > FRESH:
        time.sleep(0.01)


def main() -> None:
    """Write the file of candidates; nothing where another process is at it."""
    import fcntl
    import signal

    path, arguments = Path(sys.argv[1]), sys.argv[2]
    signal.alarm(LONGEST)
    lock = path.with_suffix(".lock")
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    with suppress(OSError), os.fdopen(descriptor, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write(path, arguments)


def _write(path: Path, arguments: str) -> None:
    from novadev import config
    from novadev.deployment import Deployment
    from novadev.private_file import replacing

    files, folders = json.loads(arguments)
    found: dict[str, list[str]] = {}
    with suppress(Exception):
        found |= {kind: of_novadev(kind) for kind in _fixed_kinds()}
    with suppress(Exception), Deployment(config.load(files, folders)) as deployment:
        for kind, names in _of_deployment(deployment):
            found[kind] = sorted({*found.get(kind, ()), *names})
    with replacing(path) as file:
        json.dump(found, file)


COLUMNS = "columns of "


def _fixed_kinds() -> list[str]:
    from novadev.cli.schema import RECORDS

    return [*_FIXED, *(COLUMNS + command for command in RECORDS)]


def of_novadev(kind: str) -> list[str]:
    """Return the candidates of KIND that are the same in every deployment.

    Only what this kind needs is imported: the operator who pressed Tab waits for it.
    """
    if kind.startswith(COLUMNS):
        return _columns(kind.removeprefix(COLUMNS))
    return _FIXED[kind]() if kind in _FIXED else []


def _columns(command: str) -> list[str]:
    from importlib import import_module

    from novadev.cli.output import columns_of
    from novadev.cli.schema import RECORDS

    module, _, name = RECORDS.get(command, "").partition(":")
    return columns_of(getattr(import_module(module), name)) if module else []


def _checks() -> list[str]:
    from novadev.audit.checks import CHECKS

    return [check.name for check in CHECKS]


def _properties() -> list[str]:
    from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES

    return [*PROPERTIES, MACHINE_TYPE]


def _stored_properties() -> list[str]:
    from novadev.nova.image_fields import FIELDS

    return list(FIELDS)


def _values() -> list[str]:
    from novadev.nova.image_properties import PROPERTIES

    return [f"{item.name}={value}" for item in PROPERTIES.values() for value in item.values]


_FIXED: Mapping[str, Callable[[], list[str]]] = {
    "checks": _checks,
    "properties": _properties,
    "stored properties": _stored_properties,
    "values": _values,
    "machine types": lambda: ["pc", "q35"],
}


def _of_deployment(deployment: Deployment) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield what the databases and the capability files have; what gives no answer has nothing."""
    from novadev.nova.known_names import list_hosts, list_projects, list_servers
    from novadev.runs.history import RunFilter

    hosts: set[str] = set()
    projects: set[str] = set()
    servers: set[str] = set()
    with suppress(Exception):
        for cell in deployment.cells:
            with suppress(Exception), deployment.cell_database(cell).reading() as connection:
                hosts |= list_hosts(connection)
                projects |= list_projects(connection)
                servers |= list_servers(connection, SERVERS)
        yield "cells", [cell.name or cell.uuid for cell in deployment.cells]
    yield from (("hosts", hosts), ("projects", projects), ("servers", servers))
    yield "machine types", _machine_types(deployment, hosts)
    with suppress(Exception):
        yield "runs", [str(run.run) for run in deployment.journal.iter_runs(RunFilter(limit=50))]


def _machine_types(deployment: Deployment, hosts: Iterable[str]) -> set[str]:
    from novadev.capabilities.compute_hosts import ComputeHosts

    found: set[str] = set()
    with suppress(Exception):
        files = ComputeHosts(deployment.config)
        for host in sorted(hosts):
            compute = files.find(host)
            found |= {*(compute.machine_types if compute else ())}
    return found


if __name__ == "__main__":
    main()
