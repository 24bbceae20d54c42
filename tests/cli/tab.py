"""A real shell in which somebody presses Tab."""

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.cached import ROOT

COMPLETION = ROOT / "completion"
START: Mapping[str, tuple[Sequence[str], str]] = {
    "bash": (
        ("bash", "--norc", "--noprofile", "-i"),
        "PS1='> '; source {completion}/novadev.bash\n"
        "novadev() {{ printf '%s\\0' \"$@\" >{answer}.part; mv {answer}.part {answer}; }}\n",
    ),
    "zsh": (
        ("zsh", "-f", "-i"),
        "PS1='> '; fpath=({functions} $fpath); autoload -U compinit; compinit -u -D\n"
        "novadev() {{ printf '%s\\0' \"$@\" >{answer}.part; mv {answer}.part {answer} }}\n",
    ),
    "fish": (
        ("fish", "--no-config", "-i"),
        "source {completion}/novadev.fish\n"
        "function novadev; printf '%s\\0' $argv >{answer}.part; mv {answer}.part {answer}; end\n",
    ),
}
"""How each shell is started, and a novadev of its own that keeps its arguments.

What completes asks the real program, which `env` looks for.
"""


class Shell:
    """A shell of this kind in a terminal of its own, in `folder`; ended by `end`."""

    def __init__(self, kind: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._answer, functions = folder / "answer", folder / "functions"
        functions.mkdir()
        shutil.copy(COMPLETION / "novadev.zsh", functions / "_novadev")
        command, start = START[kind]
        places = {"completion": COMPLETION, "answer": self._answer, "functions": functions}
        quoted = {name: shlex.quote(str(place)) for name, place in places.items()}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._screen, terminal = pty.openpty()
        self._process = subprocess.Popen(
            ("setsid", "--ctty", *command),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            cwd=folder,
            env={"TERM": "xterm", "HOME": str(folder), "PATH": path, **environment},
        )
        os.close(terminal)
        os.write(self._screen, start.format(**quoted).encode())

    def press(self, typed: str) -> list[str]:
        """Type `novadev TYPED`, press Tab and Enter; return the arguments that novadev then got."""
        self._answer.unlink(missing_ok=True)
        os.write(self._screen, f"novadev {typed}\t\n".encode())
        _wait_for(self._answer, self._screen)
        return self._answer.read_text().split("\0")[:-1]

    def end(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.wait()
        os.close(self._screen)


def _wait_for(answer: Path, screen: int) -> None:
    """Read what the shell shows until the answer is there: a full terminal stops it."""
    shown, end = b"", time.monotonic() + 60
    while not answer.exists():
        assert time.monotonic() < end, shown.decode(errors="replace")
        if select.select([screen], [], [], 0.05)[0]:
            shown += os.read(screen, 4096)
