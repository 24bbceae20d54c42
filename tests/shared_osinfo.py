"""libosinfo's database, read once for all tests of a process: nothing changes it."""

import os
from functools import cache
from typing import Any

from novadev.rules import osinfo

FOLDERS = (
    "OSINFO_DATA_DIR",
    "OSINFO_SYSTEM_DIR",
    "OSINFO_LOCAL_DIR",
    "OSINFO_USER_DIR",
    "XDG_CONFIG_HOME",
)
"""The variables that lead libosinfo to a database; see osinfo_loader.c of libosinfo."""


def read_osinfo_once() -> None:
    """Let this process read the database that the FOLDERS lead to once, not for each command.

    It takes a quarter of a second each time. A database that cannot be read is read again.
    """
    read = osinfo._read_systems

    @cache
    def systems(library: Any, *_folders: str | None) -> Any:
        return read(library)

    osinfo._read_systems = lambda library: systems(library, *map(os.environ.get, FOLDERS))
