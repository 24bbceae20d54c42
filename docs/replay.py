"""Run the console examples of the documentation on the demo's deployment, and keep what they print.

In a ``console`` block a line ``$ novadev …`` is run and its output put after it; other lines with
a ``$`` are kept. A document's commands run one after the other on a deployment of its own. In a
document of `HOSTED` that has private compute hosts with guests, and a comment outside of the blocks
does something there: ``.. demo: soft_reboot busy-1``, ``.. demo: pause cmp7`` and ``resume``;
``.. demo: on cmp1`` gives the next commands the nova.conf of that host, ``.. demo: on nova`` that
of the deployment again. For the folder of capability files a document has a name of its own.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from demo.hosts import Hosts

HOSTED = (ROOT / "README.md", ROOT / "docs" / "devices.rst", ROOT / "docs" / "stash_defaults.rst")
DOCUMENTS = (*HOSTED, ROOT / "docs" / "guide.rst", ROOT / "docs" / "machine_type.rst")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
MACHINE_TYPE = re.compile(r"\bpc-(i440fx|q35)-[\w.]+")
CAPABILITY_FILES = "/etc/novadev/hosts"
STARTS = ("```console", ".. code-block:: console")
ACTION = ".. demo: "
UNEXPECTED = "Error: unexpected "
"""What novadev says of an error of its own: nothing that a document is to show."""


def replayed(document: Path) -> str:
    """Return the text of DOCUMENT with the output its commands have now."""
    text = document.read_text(encoding="utf-8")
    with stage(document in HOSTED) as made:
        return "\n".join(_replay(text.splitlines(), made)) + "\n"


def why_not(document: Path) -> str:
    """Return why DOCUMENT cannot be replayed on this machine; empty where it can be."""
    from demo import hosts

    return hosts.why_not_the_same() if document in HOSTED else ""


@dataclass
class Stage:
    """Where a document's commands run: a deployment, and its compute hosts if it has them."""

    folder: Path
    environment: dict[str, str]
    hosts: Hosts | None

    def run(self, command: str) -> Iterator[str]:
        """Yield the lines that COMMAND prints, and its exit code unless that is 0.

        Raises RuntimeError where novadev did not expect what happened.
        """
        files = str(self.folder / "demo" / "hosts")
        words = shlex.split(command.replace(CAPABILITY_FILES, files))
        found = subprocess.run(  # noqa: S603 - the documents' own commands
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if UNEXPECTED in found.stdout:
            raise RuntimeError(f"$ {command}\n{found.stdout}")
        for line in found.stdout.splitlines():
            yield _told(line.replace(files, CAPABILITY_FILES))
        if found.returncode:
            yield f"# exit code {found.returncode}"

    def act(self, line: str) -> None:
        """Do what LINE says, if it is a comment for the demo."""
        if not line.startswith(ACTION):
            return
        verb, name = line.removeprefix(ACTION).split()
        if verb == "on":
            self.environment["NOVADEV_CONFIG_FILE"] = str(self.folder / "demo" / f"{name}.conf")
        else:
            getattr(self.hosts, verb)(name)


def _told(line: str) -> str:
    """Return LINE with one time, one host and one QEMU, whatever those of this run are."""
    line = line.replace(f"alice on {socket.gethostname()}", "alice on controller1")
    line = MACHINE_TYPE.sub(r"pc-\1-7.2", line)
    return TIME.sub("2026-11-21T03:07:45Z", line).rstrip()


@contextmanager
def stage(with_hosts: bool) -> Iterator[Stage]:
    """Give a deployment of the demo in a folder of its own, WITH_HOSTS or without."""
    from demo.hosts import private_hosts
    from demo.servers import build

    numbers = random.Random(7)  # noqa: S311 - the same identities every time, no secret

    def identity() -> uuid.UUID:
        return uuid.UUID(int=numbers.getrandbits(128), version=4)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with mock.patch.object(uuid, "uuid4", new=identity):
            cloud = build(folder / "demo")
            hosts = stack.enter_context(private_hosts(cloud)) if with_hosts else None
        yield Stage(folder, _environment(cloud.config_file), hosts)


def _environment(config_file: Path) -> dict[str, str]:
    return os.environ | {
        "NOVADEV_CONFIG_FILE": str(config_file),
        "SUDO_USER": "alice",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT),
    }


def _replay(lines: list[str], stage: Stage) -> Iterator[str]:
    """Yield LINES with the output in console blocks replaced."""
    indent: str | None = None
    first = True
    for line in lines:
        if indent is not None and _ends(line, indent):
            yield from ("",) if indent else ()
            indent = None
        elif indent is not None:
            if line.startswith(f"{indent}$ "):
                yield from () if first else ("",)
                yield from _example(line, indent, stage)
                first = False
            continue
        yield line
        stage.act(line)
        if line in STARTS:
            indent, first = ("", True) if line == STARTS[0] else ("   ", False)


def _ends(line: str, indent: str) -> bool:
    """Return whether a block ends with LINE: at the fence, or where less is indented."""
    return bool(line.strip()) and not line.startswith(indent) if indent else line == "```"


def _example(line: str, indent: str, stage: Stage) -> Iterator[str]:
    yield line
    command = line.removeprefix(f"{indent}$ ")
    if command.startswith("novadev "):
        yield from (f"{indent}{text}".rstrip() for text in stage.run(command))
