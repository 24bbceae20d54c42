"""A file that a command writes, or standard output where it is called ``-``."""

from __future__ import annotations

import click

from novadev import private_file
from novadev.cli.session import Session
from novadev.text import printable


def check(name: str, what: str) -> None:
    """Raise BadInput, which calls the file WHAT, where NAME could not be written."""
    if name != private_file.STDOUT:
        private_file.check(name, what)


def put(session: Session, name: str, text: str, what: str, told: str = "") -> None:
    """Write TEXT to the file NAME, and say that what is TOLD (``The page``) is there.

    Raises BadInput where the file cannot be written.
    """
    if name == private_file.STDOUT:
        click.echo(text, nl=not text.endswith("\n"))
        return
    private_file.write(name, text, what)
    if told:
        session.say(f"{told} is in {printable(name)}.")
