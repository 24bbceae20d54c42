"""What the demo prints and runs: every command before its output, so that it can be typed again."""

import os
import shlex
import subprocess
import sys
from pathlib import Path


class Unexpected(Exception):
    """A command of the demo did not end as the demo expects."""


def prepare(config_file: Path) -> None:
    """Let the commands find novadev and the deployment; say how to find them later."""
    programs = Path(sys.executable).parent
    os.environ["NOVADEV_CONFIG_FILE"] = str(config_file)
    os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
    print(f"$ export NOVADEV_CONFIG_FILE={config_file}")
    print(f"$ export PATH={programs}:$PATH")


def say(text: str) -> None:
    """Print TEXT as a remark between commands."""
    print(f"\n\033[36m# {text}\033[0m" if sys.stdout.isatty() else f"\n# {text}", flush=True)


def run(command: str, code: int = 0, why: str = "") -> None:
    """Print COMMAND and run it; raises Unexpected when it does not end with CODE."""
    print(f"\n\033[1m$ {command}\033[0m" if sys.stdout.isatty() else f"\n$ {command}", flush=True)
    found = subprocess.run(shlex.split(command), check=False).returncode
    if found != code:
        raise Unexpected(f'"{command}" ended with exit code {found} instead of {code}')
    if why:
        print(f"# exit code {code}: {why}", flush=True)


def newest_run() -> str:
    """Return the number of the newest run in the journal."""
    command = ("novadev", "history", "--format", "value", "--column", "run")
    ended = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        raise Unexpected(f'"{shlex.join(command)}" ended with exit code {ended.returncode}')
    return ended.stdout.partition("\n")[0]
