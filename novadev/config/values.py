"""Finds values in configuration files that an option cannot have, and says what it can have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oslo_config import cfg, types

from novadev.config.kinds import Text
from novadev.errors import BadInput

Sections = Mapping[str, Mapping[str, Sequence[str]]]
_DOLLAR = (cfg.TemplateSubstitutionError, cfg.NoSuchOptError)
"""What oslo.config raises for a ``$`` in a value that does not name another option."""
_PLACES = frozenset(("connection", "connection_uri", "libvirt_uri", "state_connection"))
"""The options that say where a database or libvirt is."""


@dataclass(frozen=True)
class WrongValue:
    """An option with a value that it cannot have; ``file`` is where the value stands.

    ``text`` says what it can have. ``is_place``: without the value, novadev does not know where
    a database or libvirt is.
    """

    file: str
    group: str
    name: str
    text: str
    is_place: bool

    def __str__(self) -> str:
        return f"{self.file}: {self.sentence}"

    @property
    def sentence(self) -> str:
        """What is wrong, without the file."""
        return f"[{self.group}] {self.name} {self.text}"


def find_wrong(
    options: cfg.ConfigOpts, known: Mapping[str, Iterable[Any]], files: Sequence[str], use_env: bool
) -> Iterator[WrongValue]:
    """Yield what is wrong in the values of the KNOWN options, by group, that FILES have.

    USE_ENV: the environment counts, too.
    """
    for group, opts in known.items():
        for opt in opts:
            try:
                _ = options[opt.dest] if group == "DEFAULT" else options[group][opt.dest]
            except (*_DOLLAR, cfg.Error, ValueError) as error:
                has_dollar = isinstance(error, _DOLLAR)
                text = (
                    "has a single $; write it as $$" if has_dollar else f"must be {_allowed(opt)}"
                )
                file = place(group, opt, files, use_env)
                yield WrongValue(file, group, opt.name, text, opt.name in _PLACES)


def _allowed(opt: Any) -> str:
    kind = opt.type
    if isinstance(kind, types.Boolean):
        return "true or false"
    if isinstance(kind, types.Integer):
        if kind.min is not None and kind.max is not None:
            return f"a whole number from {kind.min} to {kind.max}"
        return "a whole number" + ("" if kind.min is None else f", {kind.min} or more")
    kind = getattr(kind, "item_type", kind)
    if isinstance(kind, Text):
        return kind.allowed
    choices = getattr(kind, "choices", None)
    return f"one of {', '.join(map(str, choices))}" if choices else "another value"


def place(group: str, opt: Any, files: Sequence[str], use_env: bool) -> str:
    """Return where the value of OPT stands: a variable of the environment, or the last file."""
    variable = f"OS_{group.upper()}__{opt.name.upper()}"
    if use_env and variable in os.environ:
        return f"environment variable {variable}"
    names = {(group.lower(), opt.name)}
    names |= {((old.group or group).lower(), old.name) for old in opt.deprecated_opts}
    for file in reversed(files):
        if names & {(part.lower(), name) for part, of in sections(file).items() for name in of}:
            return file
    return "configuration"


def every_file(files: Sequence[str], directories: Sequence[str]) -> list[str]:
    """Return FILES and those in DIRECTORIES, in the order in which they are read."""
    inside = (sorted(Path(name).glob("*.conf")) for name in directories)
    return [*files, *(str(path) for found in inside for path in found)]


def sections(name: str) -> Sections:
    """Return what stands in the file NAME, by section and option; raises BadInput."""
    found: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(name, found).parse()
    except (cfg.ConfigFileParseError, OSError, UnicodeDecodeError):
        raise BadInput(f"{name} cannot be parsed as an INI file") from None
    return found
