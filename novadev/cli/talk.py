"""What is said on stderr: never a reason to stop, whoever listens."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import click


def say(text: str) -> None:
    """Print TEXT on stderr; a reader that went away, or a full disk, ends the talking only."""
    try:
        click.echo(text, err=True)
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def open_standard_files() -> None:
    """Give this process the standard files it was started without.

    Otherwise the next file that is opened, such as a database, would take their place.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
