"""The wrapper in real releases of Nova, with eventlet and with native threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from novadev.keep.definition import keep
from novadev.virt.domain import Domain
from tests.compute.test_keeper import DRIFTED, NOVA
from tests.keep.guests import record_of
from tests.templates import ROOT, nova_environment, nova_program

pytestmark = pytest.mark.slow

NATIVE, EVENTLET = "1", "0"
"""``OS_NOVA_DISABLE_EVENTLET_PATCHING``."""


@pytest.mark.parametrize(
    ("release", "threads"), [("34", NATIVE), ("34", EVENTLET), ("28", EVENTLET)]
)
def test_a_hard_reboot_and_a_rebuild_keep_what_the_guest_had(
    tmp_path: Path, release: str, threads: str
) -> None:
    """Nova's own functions are wrapped; while the keeper hangs, Nova's other work goes on."""
    config, nova, seen = (tmp_path / name for name in ("nova.conf", "nova.xml", "seen.xml"))
    state = f"state_connection = sqlite:///{tmp_path / 'state.sqlite'}"
    config.write_text(f"[novadev]\nkeep_addresses = on\n{state}\n")
    nova.write_text(NOVA)
    seen.write_text(DRIFTED)
    uuid = Domain.from_xml(DRIFTED).uuid
    result = subprocess.run(
        [
            *(nova_program(release, "python"), ROOT / "tests" / "compute" / "in_nova.py"),
            *(sys.executable, ROOT, config, uuid, nova, seen),
        ],
        env={**nova_environment(), "OS_NOVA_DISABLE_EVENTLET_PATCHING": threads},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["kept"] == keep(NOVA, record_of(DRIFTED)).text
    assert found["rebuilt"] == found["kept"]
    assert found["given"] == [found["kept"], NOVA]
    assert found["is_lost"], "Nova has no connection, and gives up"
    assert found["off"] == NOVA
    assert found["ticks"] > 3
    assert "no answer within 2000 ms" in " ".join(found["log"])


@pytest.mark.parametrize("release", ["34", "28"])
def test_the_script_is_nova_compute(release: str, tmp_path: Path) -> None:
    """What only prints something touches no state database."""
    config, state = tmp_path / "nova.conf", tmp_path / "state.sqlite"
    config.write_text(f"[novadev]\nkeep_addresses = on\nstate_connection = sqlite:///{state}\n")
    folder = Path(nova_program(release, "nova-compute")).parent
    path = os.pathsep.join((str(folder), os.environ["PATH"]))
    answers = [
        subprocess.run(
            [*command, "--config-file", str(config), "--version"],
            env={**nova_environment(), "PATH": path},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        for command in (
            [str(folder / "nova-compute")],
            [sys.executable, "-c", "from novadev.compute.start import main; main()"],
        )
    ]
    assert answers[1].returncode == answers[0].returncode == 0, answers[1].stderr
    assert answers[1].stdout == answers[0].stdout
    assert not state.exists()
