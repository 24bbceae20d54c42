"""Text that came from a database, a guest or a file, made safe to be shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches


def printable(text: str) -> str:
    r"""Return TEXT with everything that could steer a terminal or a line written as an escape.

    Control characters, bidirectional marks and line breaks become ``\x1b``, ``\u202e`` ….
    """
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return which of the KNOWN words WORD most probably means, in any case; None for none."""
    spelled = {name.casefold(): name for name in known}
    found = get_close_matches(word.casefold()[:60], spelled, 1, _NEAR_ENOUGH)
    return spelled[found[0]] if found else None


_NEAR_ENOUGH = 0.6


def meant(word: str, known: Iterable[str]) -> str:
    """Return which of the KNOWN words WORD may mean, as a question; all of them if none is near."""
    names = list(known)
    near = nearest(word, names)
    return f"did you mean {near}?" if near else f"there are {', '.join(names)}"


def many(number: int, noun: str) -> str:
    """Return ``1 plan``, ``2 plans``, …."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


_NUMBER = re.compile("([0-9]{1,18})")


def natural(text: str) -> tuple[tuple[tuple[int, str], ...], str]:
    """Return the key by which texts are sorted as people do: cmp2 comes before cmp10."""
    parts = enumerate(_NUMBER.split(text))
    return tuple((int(part), "") if n % 2 else (0, part) for n, part in parts), text
