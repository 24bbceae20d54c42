"""Messages on stderr. A failure to print one never stops a command."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click

heard: list[Callable[[str], object]] = []
"""Who else gets what is said: the log, while there is one."""
_above: list[Callable[[str], object]] = []
"""What prints above the line that is redrawn on a terminal, while there is such a line."""


@contextmanager
def talking_above(print_above: Callable[[str], object]) -> Iterator[None]:
    """Let PRINT_ABOVE say what is said meanwhile, so that it shares no line with a spinner."""
    _above.append(print_above)
    try:
        yield
    finally:
        _above.pop()


def say(text: str) -> None:
    """Print TEXT on stderr; a reader that went away, or a full disk, ends the talking only."""
    for listener in heard:
        listener(text)
    tell(text)


def tell(text: str) -> None:
    """Print TEXT on stderr, for nobody else to hear."""
    text = _fitted(text)
    try:
        if _above:
            _above[-1](text)
        else:
            click.echo(text, err=True)
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


_COMMAND = re.compile(r": (novadev .*)$")


def _fitted(text: str) -> str:
    """Return TEXT with its long lines broken between words, where stderr is a terminal.

    A command at the end of a line has a line of its own then: it can be pasted in one piece. Lines
    that are indented are a part of something that is laid out already.
    """
    from novadev.cli.grouping import wrapped
    from novadev.cli.options import screen_width

    width = screen_width(sys.stderr)
    if width is None or all(len(line) <= width for line in text.split("\n")):
        return text
    lines: list[str] = []
    for line in text.split("\n"):
        if len(line) <= width or line.startswith(" "):
            lines.append(line)
        elif command := _COMMAND.search(line):
            lines += [*wrapped(line[: command.start() + 1], width), f"  {command[1]}"]
        else:
            lines += wrapped(line, width)
    return "\n".join(lines)


def open_standard_files() -> None:
    """Give this process the standard files it was started without, and let them take any text.

    Otherwise the next file that is opened, such as a database, would take their place.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # what is written to stdout is lost then, which is an error; what is said is not
            os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    codecs.register_error(_SPELLED, _spelled)
    for file in (sys.stdout, sys.stderr):
        if isinstance(file, io.TextIOWrapper):
            file.reconfigure(errors=_SPELLED)


_SPELLED = "novadev.spelled"
_ASCII = {"…": "..."}


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what stands for a character that the encoding of the output lacks: an escape."""
    if isinstance(error, UnicodeEncodeError):
        character = error.object[error.start]
        if character in _ASCII:
            return _ASCII[character], error.start + 1
    return codecs.backslashreplace_errors(error)
