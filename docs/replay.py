"""Run the console examples of the documentation on the demo's deployment, and keep what they print.

In a ``console`` block a line ``$ novadev …`` is run and its output put after it; other lines with
a ``$`` are kept. A document's commands run one after the other on a deployment of its own.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "guide.rst")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
STARTS = ("```console", ".. code-block:: console")

Run = Callable[[str], Iterator[str]]


def replayed(document: Path) -> str:
    """Return the text of DOCUMENT with the output its commands have now."""
    with tempfile.TemporaryDirectory() as folder:
        run = _runner(Path(folder))
        text = document.read_text(encoding="utf-8")
        return "\n".join(_replay(text.splitlines(), run)) + "\n"


def _runner(folder: Path) -> Run:
    sys.path.insert(0, str(ROOT))
    from demo import run as demo

    numbers = random.Random(7)  # noqa: S311 - the same identities every time, no secret

    def identity() -> uuid.UUID:
        return uuid.UUID(int=numbers.getrandbits(128), version=4)

    with (
        mock.patch.object(demo, "FOLDER", folder / "demo"),
        mock.patch.object(uuid, "uuid4", new=identity),
    ):
        config = demo.build()
    environment = os.environ | {
        "NOVADEV_CONFIG_FILE": str(config),
        "SUDO_USER": "alice",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT),
    }

    def run(command: str) -> Iterator[str]:
        words = [sys.executable, "-m", *shlex.split(command)]
        found = subprocess.run(  # noqa: S603 - the documents' own commands
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for line in found.stdout.splitlines():
            yield TIME.sub("2026-11-21T03:07:45Z", line).rstrip()
        if found.returncode:
            yield f"# exit code {found.returncode}"

    return run


def _replay(lines: list[str], run: Run) -> Iterator[str]:
    """Yield LINES with the output in console blocks replaced."""
    indent: str | None = None
    first = True
    for line in lines:
        if indent is None:
            yield line
            if line in STARTS:
                indent, first = ("", True) if line == STARTS[0] else ("   ", False)
        elif _ends(line, indent):
            yield from ("", line) if indent else (line,)
            indent = None
        elif line.startswith(f"{indent}$ "):
            yield from () if first else ("",)
            yield from _example(line, indent, run)
            first = False


def _ends(line: str, indent: str) -> bool:
    """Return whether a block ends with LINE: at the fence, or where less is indented."""
    return bool(line.strip()) and not line.startswith(indent) if indent else line == "```"


def _example(line: str, indent: str, run: Run) -> Iterator[str]:
    yield line
    command = line.removeprefix(f"{indent}$ ")
    if command.startswith("novadev "):
        yield from (f"{indent}{text}".rstrip() for text in run(command))
