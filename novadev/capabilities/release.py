"""Which release of Nova a compute host runs."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import distributions
from pathlib import Path

from novadev.deployment import Deployment
from novadev.errors import NovadevError
from novadev.nova.cells import CELL0_UUID
from novadev.nova.services import find_compute_version
from novadev.rules.releases import release_of


def find_release(deployment: Deployment, host: str) -> int | None:
    """Return the major version of Nova on HOST, such as 34, or None if it is not known.

    On the host itself the installed Nova tells, elsewhere the cell's services, where 27 counts as
    28 and 29 as 30: their services have one version. Raises the error of a cell that cannot be
    read where no other cell has the host.
    """
    found = installed_release() if host == deployment.config.host else None
    if found is None and deployment.has_databases:
        return _registered_release(deployment, host)
    return found


def installed_release(program: str = "nova-compute") -> int | None:
    """Return the release of the Nova that is installed beside novadev, or for PROGRAM."""
    for found in distributions(name="nova", path=[*sys.path, *_libraries_of(program)]):
        number = found.version.partition(".")[0]
        if number.isdecimal():
            return int(number)
    return None


def _libraries_of(program: str) -> list[str]:
    """Return where the Python that runs PROGRAM, by its first line, has its libraries."""
    path = shutil.which(program)
    if path is None:
        return []
    with Path(path).open("rb") as file:
        first = file.readline(256).decode(errors="replace")
    interpreter = first.removeprefix("#!").split()
    if not first.startswith("#!") or not interpreter:
        return []
    prefix = Path(interpreter[0]).parent.parent
    return [str(found) for found in sorted(prefix.glob("lib*/python3*/*-packages"))]


def _registered_release(deployment: Deployment, host: str) -> int | None:
    lost: NovadevError | None = None
    for cell in deployment.cells:
        if cell.uuid == CELL0_UUID:
            continue
        try:
            with deployment.cell_database(cell).reading() as connection:
                version = find_compute_version(connection, host)
        except NovadevError as error:
            lost = lost or error
            continue
        if version is not None:
            return release_of(version)
    if lost is not None:
        raise lost
    return None
