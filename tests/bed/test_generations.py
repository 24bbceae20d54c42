"""Hosts of other generations; and no test that needs a host is left out in silence."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import domains
from tests.hypervisor import GENERATIONS, Hypervisor
from tests.hypervisor.required import OPTION
from tests.templates import ROOT

VERSIONS = {
    "bullseye": (7_000_000, 5_002_000),
    "bookworm": (9_000_000, 7_002_000),
    "trixie": (11_003_000, 10_000_000),
}
SKIPPED = """\
import pytest

def test_skips():
    pytest.skip("no namespaces here")

@pytest.mark.skipif(True, reason="only root's host")
def test_is_skipped():
    pass

@pytest.fixture
def host():
    pytest.skip("no namespaces here")

def test_has_no_host(host):
    pass

@pytest.mark.xfail
def test_fails_as_expected():
    raise AssertionError
"""


@pytest.mark.slow
def test_a_guest_runs_on_each_generation(any_generation: Hypervisor) -> None:
    name = any_generation.name.removesuffix("1")
    found = any_generation.connection
    assert name in GENERATIONS
    libvirt, qemu = VERSIONS[name]
    assert found.getLibVersion() == libvirt
    assert found.getVersion() // 1000 == qemu // 1000
    assert found.getHostname() == any_generation.name
    disks, card = [domains.disk("vda")], domains.interface("fa:16:3e:00:00:01", kind="user")
    domain = any_generation.define(domains.domain(disks=disks, interfaces=[card], machine="q35"))
    any_generation.start(domain.UUIDString())
    assert domain.isActive()


@pytest.mark.slow
def test_a_host_leaves_its_tree_as_it_was(generations: dict[str, Hypervisor]) -> None:
    """What it mounts and writes is its own."""
    for host in generations.values():
        host.define(domains.domain(disks=[domains.disk("vda")]))
        tree = ROOT / ".cache" / f"generation-{host.name.removesuffix('1')}"
        assert not any((tree / "proc").iterdir())
        assert not any((tree / "var/lib/libvirt").rglob("*.xml"))
        assert (tree / "etc/passwd").read_bytes() == b""
        host.empty()


@pytest.mark.slow
@pytest.mark.parametrize("required", [False, True])
def test_a_required_hypervisor_makes_a_skip_a_failure(tmp_path: Path, required: bool) -> None:
    (tmp_path / "test_it.py").write_text(SKIPPED)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.hypervisor.required"]
    command += ["-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", "/dev/null"]
    command += [OPTION] if required else []
    result = subprocess.run(
        [*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    last = result.stdout.splitlines()[-1]
    if required:
        assert result.returncode == 1
        assert "1 failed, 1 xfailed, 2 errors" in last
        assert "no namespaces here" in result.stdout
    else:
        assert (result.returncode, "3 skipped, 1 xfailed" in last) == (0, True)
