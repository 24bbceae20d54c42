"""A real Nova of a given release, in a process of its own, asked one call at a time."""

import json
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from tests.mortal import MORTAL
from tests.templates import ROOT, nova_environment, nova_program

PATIENCE = 300.0
"""Seconds that one call may take."""


class NovaError(Exception):
    """Nova answered with an exception: `kind` is its class name."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind


class NovaProcess:
    """Calls of tests/nova/worker.py by name, on the deployment of a nova.conf.

    >>> nova.call("read", uuid=uuid)["vm_state"]
    'stopped'
    """

    def __init__(self, release: str, config_file: Path | None = None) -> None:
        self.release = release
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            [*MORTAL, nova_program(release, "python"), ROOT / "tests" / "nova" / "worker.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=nova_environment(),
            text=True,
        )
        if config_file is not None:
            self.use(config_file)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def use(self, config_file: Path) -> None:
        """Work on another deployment of the same release from now on."""
        self.call("use", config_file=str(config_file))

    def call(self, name: str, /, **arguments: Any) -> Any:
        """The answer to a call; raises NovaError when Nova raised."""
        line = self._exchange(json.dumps({"name": name, "arguments": arguments}))
        if not line:
            raise NovaError("Died", self._last_words())
        answer = json.loads(line)
        if "error" in answer:
            raise NovaError(answer["error"], answer["message"])
        return answer["result"]

    def close(self) -> None:
        """End the process: with its input, or by force where it hangs."""
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._log.close()

    def _exchange(self, request: str) -> str:
        """Send a line and return the answer's; a worker that hangs is killed, and has died."""
        assert self._process.stdin
        assert self._process.stdout
        hangs = threading.Timer(PATIENCE, self._process.kill)
        hangs.start()
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
            return self._process.stdout.readline()
        finally:
            hangs.cancel()

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-4000:]
