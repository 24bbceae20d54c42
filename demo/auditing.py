"""The last part of the demo: what will break or change, and every remedy that is named."""

import json
import shlex
import subprocess

from demo.shell import run, say

_WAITS = "the server has to be stopped for the remedy"


def walk() -> None:
    """Walk through an audit, its remedies, and another audit."""
    say("What will break or change at the next power-on, and what to run?")
    run("novadev audit --all", 3, "there are failures")
    say("Every remedy that does not have to wait for a server to be stopped:")
    for remedy in _remedies():
        run(remedy if remedy.startswith("novadev device record") else f"{remedy} --yes")
    say("Again. What is left is for the owners of the servers to decide, or has to wait.")
    run("novadev audit --all", 3, "there are failures")


def _remedies() -> list[str]:
    """Return the remedies of an audit, each once."""
    command = shlex.split("novadev audit --all --format json")
    printed = subprocess.run(command, check=False, capture_output=True, text=True).stdout
    due = [item for item in json.loads(printed) if not item["details"].endswith(_WAITS)]
    return list(dict.fromkeys(item["remedy"] for item in due if item["remedy"]))
