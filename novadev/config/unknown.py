"""Finds options in configuration files that novadev does not know."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from novadev.config import read_files
from novadev.config.options import NOVADEV_OPTS
from novadev.config.values import every_file, sections

_ENVIRONMENT = "OS_NOVADEV__"
_OWN = frozenset(option.name for option in NOVADEV_OPTS)


@dataclass(frozen=True)
class UnknownOption:
    """An unknown option in ``[novadev]``, its file, and a similar name."""

    file: str
    option: str
    near: str | None


def find_unknown(files: Sequence[str], directories: Sequence[str]) -> list[UnknownOption]:
    """Return what novadev does not know in ``[novadev]`` of the files that `load` reads.

    A group whose name is nearly ``novadev`` is unknown as a whole, and so is a variable of the
    environment that oslo.config would take for an option of this group. Raises as `load`.
    """
    files, directories = read_files(files, directories)
    found = [item for name in every_file(files, directories) for item in _unknown_in(name)]
    for variable in sorted(os.environ):
        option = variable.removeprefix(_ENVIRONMENT).lower()
        if variable.startswith(_ENVIRONMENT) and option not in _OWN:
            found.append(UnknownOption("environment", variable, None))
    return found


def _unknown_in(name: str) -> list[UnknownOption]:
    found = []
    for section, options in sections(name).items():
        if section == "novadev":
            wrong = [option for option in options if option not in _OWN]
            found += [
                UnknownOption(name, f"[novadev] {option}", _nearest(option, _OWN))
                for option in wrong
            ]
        elif get_close_matches(section.lower(), ["novadev"], 1, 0.85):
            found.append(UnknownOption(name, f"group [{section}]", "[novadev]"))
    return found


def _nearest(name: str, known: Iterable[str]) -> str | None:
    near = get_close_matches(name.replace("-", "_"), sorted(known), 1, 0.7)
    return near[0] if near else None
