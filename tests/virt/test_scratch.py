"""The scratch libvirt: what it answers, what it refuses, and that nothing of it is left."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from novadev.errors import NotAsNeeded, NotFound, NovadevError
from novadev.virt.outline import Board, Outline
from novadev.virt.scratch import Scratch

pytestmark = pytest.mark.slow

NIC = Outline.of("interface", {"@type": "bridge", "model/@type": "virtio"})
IDE = Outline.of("disk", {"@device": "disk", "target/@dev": "hda", "target/@bus": "ide"})


@pytest.fixture
def scratch() -> Iterator[Scratch]:
    with Scratch() as found:
        try:
            found.lay_out(Board("x86_64", "pc", ()))
        except NovadevError as error:
            pytest.skip(f"no libvirt with QEMU here: {error}")
        yield found


def test_places_and_what_libvirt_adds(scratch: Scratch) -> None:
    layout = scratch.lay_out(Board("x86_64", "pc", (NIC,)))
    assert layout.is_exact
    assert [(place.address, place.model) for place in layout.places] == [
        ("0000:00:02.0", "virtio"),
    ]
    assert {place.name for place in layout.added} >= {"pci 0", "usb 0"}


def test_the_same_question_is_asked_once(scratch: Scratch) -> None:
    asked = scratch.asked
    for bridge in ("br-int", "br-ex"):
        nic = Outline.of("interface", {"@type": bridge, "model/@type": "virtio"})
        scratch.lay_out(Board("x86_64", "q35", (nic,)))
    assert scratch.asked == asked + 1


def test_a_refusal_is_of_that_guest_alone(scratch: Scratch) -> None:
    for _ in range(2):
        with pytest.raises(NotAsNeeded, match="IDE controllers are unsupported"):
            scratch.lay_out(Board("x86_64", "q35", (IDE,)))
    with pytest.raises(NotFound, match="no QEMU here for s390x"):
        scratch.lay_out(Board("s390x", "s390-ccw-virtio", (NIC,)))
    assert scratch.lay_out(Board("x86_64", "pc", (IDE,))).places[0].address == "0:0:0:0"


def folders(process: int) -> list[Path]:
    places = (Path("/dev/shm"), Path(tempfile.gettempdir()), Path("/tmp"))
    return [path for place in places for path in place.glob(f"novadev-scratch-{process}-*")]


def test_its_folder_is_private_and_goes(scratch: Scratch) -> None:
    others = set(folders(os.getpid()))
    with Scratch() as other:
        (made,) = set(folders(os.getpid())) - others
        assert other.lay_out(Board("x86_64", "pc", (NIC,))).is_exact
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert list(made.glob("etc/qemu/*.xml")) == []
    assert set(folders(os.getpid())) == others


def test_a_closed_folder_for_temporary_files_is_gone_around(
    monkeypatch: pytest.MonkeyPatch, scratch: Scratch
) -> None:
    """As root has with pam_tmpdir: the scratch libvirt is an ordinary user's."""
    monkeypatch.setattr("novadev.virt.scratch._IN_MEMORY", "/nowhere")
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        with Scratch() as other:
            assert other.lay_out(Board("x86_64", "pc", (NIC,))).is_exact
