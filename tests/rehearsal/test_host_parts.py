"""A host that cannot write or start what a guest needs beside QEMU: no shape is at fault."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from novadev.rehearsal.definition import plainest
from novadev.rehearsal.host_parts import (
    DBUS,
    MEMORY,
    TPM,
    VARIABLES,
    OwnParts,
    own_parts,
    parts_of,
    with_parts,
)
from novadev.rehearsal.on_host import Unable, prepare, rehearse
from novadev.rehearsal.shape import shape_of
from novadev.virt.domain import Domain
from novadev.virt.host import Host
from novadev.virt.trial import PREFIX, Nature, Trial, list_all
from tests.audit.auditing import STASHED
from tests.cached import CACHE
from tests.capabilities.kinds import domain_of
from tests.capabilities.kinds import with_parts as with_settings
from tests.cloud import Cloud
from tests.device.bed import reach
from tests.device.site import Site
from tests.hypervisor import PRIVILEGED, Hypervisor

UEFI = (
    "<os><loader readonly='yes' type='pflash'>/usr/share/OVMF/{}</loader>"
    "<nvram template='/usr/share/OVMF/OVMF_VARS_4M.fd'/></os>"
)
SHAPES = {
    VARIABLES: with_settings(domain_of("q35", ""), UEFI.format("OVMF_CODE_4M.fd")),
    TPM: domain_of("q35", "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"),
    MEMORY: with_settings(
        domain_of("q35", ""), "<memoryBacking><source type='file'/></memoryBacking>"
    ),
}
"""A guest with each part."""
MISSING = with_settings(domain_of("q35", ""), UEFI.format("OVMF_CODE_NONE.fd"))
"""A guest with firmware that no host has."""
FOLDERS = {VARIABLES: "qemu/nvram", TPM: "swtpm", MEMORY: "qemu/ram"}
"""Where below /var/lib/libvirt the host makes each."""
STATES = {"read-only": "ro", "without inodes": "nr_inodes=1", "full": "size=4k"}


needs_mounts = pytest.mark.skipif(not PRIVILEGED, reason="only root mounts")


def shape(text: str) -> str:
    return shape_of(Domain.from_xml(text)).definition


@contextmanager
def unwritable(host: Hypervisor, folder: str, state: str) -> Iterator[None]:
    """Have FOLDER of HOST in STATE."""
    tree = CACHE / f"generation-{host.name.rstrip('0123456789')}"
    enter, place = host.enter("--mount"), f"{tree}/var/lib/libvirt/{folder}"
    subprocess.run([*enter, "mkdir", "-p", place], check=True)
    mount = ("mount", "-t", "tmpfs", "-o", STATES[state], "tmpfs", place)
    subprocess.run([*enter, *mount], check=True)
    if state == "full":
        fill = f"head -c 4096 /dev/zero > {place}/fill"
        subprocess.run([*enter, "sh", "-c", fill], check=True)
    try:
        yield
    finally:
        subprocess.run([*enter, "umount", place], check=True)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        *((text, (name,)) for name, text in SHAPES.items()),
        (domain_of("q35", "<graphics type='dbus'/>"), (DBUS,)),
        (MISSING, (VARIABLES,)),
        (with_settings(SHAPES[TPM], "<os firmware='efi'/>"), (VARIABLES, TPM)),
        (domain_of("q35", ""), ()),
    ],
)
def test_the_parts_of_a_shape(text: str, parts: tuple[str, ...]) -> None:
    assert parts_of(shape(text)) == parts


def test_the_plainest_guest_gets_the_parts_of_the_host() -> None:
    texts = ('<os firmware="efi"/>', "<devices><tpm/></devices>")
    parts = (f"<domain>{text}</domain>" for text in texts)
    own = OwnParts("q35", dict(zip((VARIABLES, TPM), parts, strict=True)))
    plain = plainest(Nature("x86_64", "qemu", ()))
    found = Domain.from_xml(with_parts(plain, own, [VARIABLES, TPM]))
    assert found.os_type("machine") == "q35"
    assert len(found.root.findall("devices")) == len(found.root.findall("os")) == 1
    assert found.root.find("os[@firmware='efi']") is not None
    assert found.root.find("devices/tpm") is not None
    assert len(found.root.findall("devices/disk")) == 2


@pytest.mark.slow
@needs_mounts
def test_what_the_host_cannot_write_is_no_fault_of_a_shape(any_generation: Hypervisor) -> None:
    host = Host(any_generation.name, any_generation.uri)
    stage = prepare(host, tuple(f"{PREFIX}{number}" for number in (1, 2)), {})
    own = own_parts(host, stage.nature.architecture)
    assert own is not None
    assert set(SHAPES) <= set(own.xml)
    plain = shape(domain_of("q35", ""))
    for name, text in SHAPES.items():
        (before,) = rehearse(host, stage, [shape(text)])
        lost = {}
        for state in STATES:
            with unwritable(any_generation, FOLDERS[name], state):
                first, lost[state] = rehearse(host, stage, [plain, shape(text)])
            assert first == Trial("started"), (name, state)
        assert rehearse(host, stage, [shape(text)]) == [before]
        if before != Trial("started"):  # a host without swtpm: that it lacks it is the shape's fate
            assert name == TPM
            assert set(lost.values()) == {before}
            continue
        if name == MEMORY:  # the file has no size as long as nobody writes to it
            assert lost.pop("full") == before
        for state, found in lost.items():
            assert isinstance(found, Unable), (name, state, found)
            assert f"even the plainest guest with {name} does not start" in found.message
    assert list_all(host).marked == ()


@pytest.mark.slow
@needs_mounts
def test_what_the_host_lacks_is_the_fate_of_the_shape(any_generation: Hypervisor) -> None:
    """The host's own firmware starts, so the missing one is not the fault of its disk."""
    host = Host(any_generation.name, any_generation.uri)
    stage = prepare(host, (f"{PREFIX}1",), {})
    (missing,) = rehearse(host, stage, [shape(MISSING)])
    assert isinstance(missing, Trial)
    assert missing.fate == "would not start"
    with unwritable(any_generation, FOLDERS[VARIABLES], "read-only"):
        (hidden,) = rehearse(host, stage, [shape(MISSING)])
    assert isinstance(hidden, Unable)


@pytest.mark.slow
@needs_mounts
def test_an_audit_says_what_the_host_could_not_write(
    sqlite_cloud: Cloud, generations: dict[str, Hypervisor]
) -> None:
    old, new = generations["bookworm"], generations["trixie"]
    reach(sqlite_cloud, [old, new], 30)
    site = Site(sqlite_cloud, old)
    texts = [SHAPES[VARIABLES], SHAPES[TPM], domain_of("q35", "<sound model='ich9'/>")]
    for text in texts:
        site.add(text, host=old.name, **STASHED)
    options = ("--check", "rehearsal", "--rehearse", new.name, "-f", "json")
    with unwritable(new, "qemu/nvram", "read-only"), unwritable(new, "swtpm", "full"):
        result = site.run("audit", "--all", *options)
    old.empty()
    assert result.code == 3, result.out + result.err
    failures = [item for item in result.json if item["severity"] == "failure"]
    assert {item["check"] for item in failures} == {"unreachable"}
    told = {item["details"].partition(": host ")[0] for item in failures}
    assert told == {f"guests with {what} were not rehearsed" for what in (VARIABLES, TPM)}
    assert "3 shapes of 3 guests" in result.err
    assert "1 started, 2 not rehearsed" in result.err
    assert new.connection.listAllDomains() == []
