"""Text that came from a database, a guest or a file, made safe to be shown."""

from __future__ import annotations


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


def many(number: int, noun: str) -> str:
    """Return ``1 plan``, ``2 plans``, …."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
