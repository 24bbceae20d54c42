"""The script ``novadev-nova-compute``: finds Nova's interpreter, and becomes nova-compute in it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from novadev.errors import NotFound, NovadevError

INSIDE = Path(__file__).with_name("nova_main.py")
_VARIABLE = "NOVADEV_NOVA_COMPUTE"
_HELP = """\
Usage: novadev-nova-compute [OPTIONS OF NOVA-COMPUTE]

Run nova-compute with the addresses that novadev has recorded of its guests.

The arguments are those of nova-compute. [novadev] keep_addresses in nova.conf says what is kept.
nova-compute is looked for in PATH, or is the program that NOVADEV_NOVA_COMPUTE names.
See https://docs.openstack.org/nova/latest/cli/nova-compute.html and "Keep addresses" in novadev's
documentation.
"""


def main() -> None:
    """Become nova-compute; without it, say so and end with 2."""
    if sys.argv[1:] in (["-h"], ["--help"]):
        sys.stdout.write(_HELP)
        return
    try:
        command = command_of(sys.argv[1:])
        os.execv(command[0], command)  # noqa: S606 - Nova's own interpreter
    except NovadevError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(error.exit_code)
    except OSError as error:
        sys.stderr.write(f"Error: {command[0]} cannot be run: {error.strerror}\n")
        sys.exit(NotFound.exit_code)


def command_of(arguments: Sequence[str]) -> list[str]:
    """Return the command that is nova-compute with these ARGUMENTS, and the wrapper in it.

    Raises NotFound where there is no nova-compute.
    """
    named = os.environ.get(_VARIABLE) or "nova-compute"
    program = shutil.which(named)
    if program is None:
        there = f"{named} is no program" if "/" in named else f"there is no {named} in PATH"
        raise NotFound(f"{there}. Install nova-compute, or set {_VARIABLE} to its program")
    return [*interpreter_of(Path(program)), str(INSIDE), sys.executable, program, *arguments]


def interpreter_of(program: Path) -> list[str]:
    """Return the Python, with its options, that the script PROGRAM names in its first lines.

    Raises NotFound for a program that is no Python script. An installer writes a path that is too
    long for a first line into the second (``distlib/scripts.py`` _build_shebang).
    """
    with program.open("rb") as file:
        lines = [file.readline(4096).decode(errors="replace").strip() for _ in range(2)]
    words = _words(lines[0].removeprefix("#!")) if lines[0].startswith("#!") else []
    if words[:1] == ["/bin/sh"] and lines[1].startswith("'''exec'"):
        words = _words(lines[1].removeprefix("'''exec'"))[:1]
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if word not in ("-S", "--split-string")]
        words[:1] = [shutil.which(word) or word for word in words[:1]]
    if not words or "python" not in Path(words[0]).name:
        raise NotFound(f"{program} is no Python script, so nova-compute cannot be wrapped")
    return words


def _words(line: str) -> list[str]:
    """Return the words of a LINE; of one with a quote that does not end, none."""
    try:
        return shlex.split(line)
    except ValueError:
        return []
