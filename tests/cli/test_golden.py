"""What commands print, word by word, in files that one command makes again: `make golden`.

A sentence is changed in the code alone; the files then show, in one place, where it is said.
"""

import os
import re
import shlex
from pathlib import Path

import pytest

from tests.cloud import Cloud
from tests.command import novadev

FOLDER = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[2]
IS_MADE_AGAIN = bool(os.environ.get("NOVADEV_GOLDEN"))
SESSIONS = {
    "first_day": [
        "history",
        "image-property list web-1",
        "image-property list --all --wide --differing",
        "image-property set --property hw_vif_model=virtio web-1 web-2 --dry-run",
        "image-property set --property hw_vif_model=virtio web-1 --yes",
        "image-property set --property hw_vif_model=virtio web-1 --yes",
        "undo 1 --yes",
        "undo 1 --yes",
        "undo 1 --dry-run",
        "resume --yes",
        "resume 2 --yes",
    ],
    "refusals": [
        "image-property set --property hw_disk_bus=floppy web-1",
        "image-property set --property os_distro=debian web-1",
        "image-property set --property hw_vif_model=virtio web-1",
        "image-property set --property hw_vif_model=virtio",
        "image-property set --property hw_vif_model=virtio busy-1 --yes",
        "image-property show web-1 hw_disk_bus",
        "image-property list nobody-1",
        "image-property list --host cmp99",
        "image-property lst web-1",
        "device show web-1 --config-file nova.conf",
        "-f json image-property list web-1",
        "history --since last",
        "history 7",
        "undo 7 --yes",
        "undo web-1",
        "schema device lst",
    ],
    "empty_cloud": [
        "image-property list --all",
        "image-property list --all --stored -f json",
        "image-property set --property hw_vif_model=virtio --all --yes",
        "stash-defaults --all --dry-run",
        "device list --all --changed",
        "device record --all",
        "device drift --all",
        "device forecast --all",
        "audit --all",
        "history",
        "resume --yes",
    ],
    "formats": [
        *(f"image-property list web-1 --stored -f {name}" for name in ("json", "jsonl", "yaml")),
        *(f"image-property list web-1 --stored -f {name}" for name in ("csv", "value", "table")),
        "image-property list web-1 -c property -c value -f csv --stored",
        "image-property list web-1 -c nothing",
    ],
}
"""What is typed, one after the other, on a deployment of three servers, or of none."""
CHANGING = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
    (r"\b(root|[a-z_][a-z0-9_-]*) on [\w.-]+$", "USER on HOST"),
)


def fill(cloud: Cloud) -> None:
    """Add two servers that are stopped and one that runs, each with its own uuid."""
    for number, name in enumerate(("web-1", "web-2", "busy-1"), 1):
        uuid = f"{number}" * 8 + "-1111-4111-8111-" + f"{number}" * 12
        state = "active" if name == "busy-1" else "stopped"
        cloud.add_instance(uuid=uuid, name=name, vm_state=state, host="cmp1", hw_vif_model="e1000")
        cloud.add_disk(uuid)


def transcript(cloud: Cloud, lines: list[str]) -> str:
    """What a terminal would show of LINES, with each exit code that is not 0."""
    parts = []
    for line in lines:
        result = novadev(cloud, *shlex.split(line))
        code = f"[exit code {result.code}]\n" if result.code else ""
        errors = "".join(f"! {text}".rstrip() + "\n" for text in result.err.splitlines())
        parts.append(f"$ novadev {line}\n{result.out}{errors}{code}")
    text = "\n".join(parts)
    for changing, word in CHANGING:
        text = re.sub(changing, word, text, flags=re.MULTILINE)
    return text


@pytest.mark.parametrize("name", SESSIONS)
def test_commands_say_what_the_files_have(sqlite_cloud: Cloud, name: str) -> None:
    if name != "empty_cloud":
        fill(sqlite_cloud)
    found, file = transcript(sqlite_cloud, SESSIONS[name]), FOLDER / f"{name}.txt"
    if IS_MADE_AGAIN:
        FOLDER.mkdir(exist_ok=True)
        file.write_text(found)
    assert found == file.read_text(), "if that is meant, run: make golden"


def test_there_is_no_other_file() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(SESSIONS)


def test_an_error_begins_like_every_other() -> None:
    text = (FOLDER / "refusals.txt").read_text()
    assert len(re.findall(r"(?m)^! Error: ", text)) > 10
    assert not re.search(r"(?m)^! (error|ERROR)\b", text)
    sources = [*ROOT.glob("novadev/**/*.py"), *ROOT.glob("cloud/*.py"), *ROOT.glob("demo/*.py")]
    wrong = [path.name for path in sources if re.search(r"""["']error: """, path.read_text())]
    assert not wrong
