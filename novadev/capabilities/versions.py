"""The version of a program on a host, which a rule can go by only where the file tells it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"\d+(\.\d+)+", re.ASCII)


class VersionNotKnown(Exception):
    """A rule goes by a version that nothing tells: there is no verdict then."""


@dataclass(frozen=True)
class Version:
    """The version of a PROGRAM in numbers, empty where it is not known or no release.

    It is compared with tuples of numbers alone, which raises VersionNotKnown for one that is empty.
    """

    program: str
    numbers: tuple[int, ...] = ()

    @classmethod
    def of(cls, program: str, text: str | None) -> Version:
        """Return what TEXT says, such as "9.0.0"; nothing where it is another text."""
        is_known = text is not None and _VERSION.fullmatch(text)
        return cls(program, tuple(map(int, (text or "").split("."))) if is_known else ())

    def __lt__(self, other: tuple[int, ...]) -> bool:
        return self._known < other

    def __le__(self, other: tuple[int, ...]) -> bool:
        return self._known <= other

    def __gt__(self, other: tuple[int, ...]) -> bool:
        return self._known > other

    def __ge__(self, other: tuple[int, ...]) -> bool:
        return self._known >= other

    @property
    def _known(self) -> tuple[int, ...]:
        if not self.numbers:
            raise VersionNotKnown(f"the file does not say which version of {self.program} it has")
        return self.numbers
