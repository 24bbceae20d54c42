"""libosinfo's recommendations, and the values of properties: against what Nova makes of them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from novadev.nova.image_fields import FIELDS
from novadev.rules.guest import Guest
from novadev.rules.image_meta import (
    VALUES,
    UnreadableProperty,
    check_readable,
    spelling,
    unreadable,
    values,
    was_unreadable,
)
from novadev.rules.osinfo import NO_RECOMMENDATION, OsInfo, Recommendation, UnreadableOsInfo
from tests.nova_process import NovaProcess
from tests.rules.guests import guest


def test_a_short_id_and_an_id(osinfo: OsInfo) -> None:
    assert osinfo.available
    assert osinfo.recommendation("ubuntu22.04") == Recommendation("virtio", "e1000e")
    assert osinfo.recommendation("http://microsoft.com/win/10") == Recommendation(None, "e1000")


@pytest.mark.parametrize("distro", ["ubuntu", "Win10", "", None, "http://nowhere.example/os/1"])
def test_what_libosinfo_does_not_know(osinfo: OsInfo, distro: str | None) -> None:
    assert osinfo.recommendation(distro) == NO_RECOMMENDATION


def test_without_pygobject_nothing_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    without = OsInfo()
    assert not without.available
    assert without.recommendation("win10") == NO_RECOMMENDATION
    assert without.every_recommendation() == {}


def test_without_libosinfo_s_typelib(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_available(*_: str) -> None:
        raise ValueError("Namespace Libosinfo not available")

    monkeypatch.setattr("gi.require_version", not_available)
    assert not OsInfo().available


def test_a_database_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "os" / "example.com").mkdir(parents=True)
    (tmp_path / "os" / "example.com" / "1.xml").write_text("<libosinfo>")
    monkeypatch.setenv("OSINFO_LOCAL_DIR", str(tmp_path))
    with pytest.raises(UnreadableOsInfo, match=r"1\.xml"):
        OsInfo()


@pytest.mark.slow
@pytest.mark.parametrize("release", ["34", "28"])
def test_recommendations_are_what_nova_takes(
    nova_of: Callable[[str], NovaProcess], osinfo: OsInfo, release: str
) -> None:
    every = osinfo.every_recommendation(int(release))
    names = [*every, "win10", "alpinelinux3.5", "ubuntu", "Win10", "", None, "http://foo", "foo"]
    answers = nova_of(release).call("osinfo_models", names=names)
    assert len(every) > 100
    assert [Recommendation(*answer) for answer in answers] == [
        osinfo.recommendation(name, int(release)) for name in names
    ]


@pytest.mark.slow
def test_devices_by_other_names(
    nova_of: Callable[[str], NovaProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of a database of one's own: the newer virtio, and what Nova has no name for."""
    virtio = ("http://pcisig.com/pci/1af4/1042", "http://pcisig.com/pci/1af4/1041")
    xen = ("http://xen.org/xen/vbd", "http://xen.org/xen/vif")
    write_systems(tmp_path, new=virtio, xen=xen)
    monkeypatch.setenv("OSINFO_LOCAL_DIR", str(tmp_path))
    local = OsInfo()
    found = [local.recommendation(name) for name in ("new", "xen")]
    assert found == [Recommendation("virtio", "virtio"), NO_RECOMMENDATION]
    answers = nova_of("34").call("osinfo_models", names=["new", "xen"], local_dir=str(tmp_path))
    assert [Recommendation(*answer) for answer in answers] == found


def write_systems(folder: Path, **systems: tuple[str, ...]) -> None:
    """A folder of libosinfo's with these operating systems, and the devices they drive."""
    (folder / "os" / "example.com").mkdir(parents=True)
    for name, devices in systems.items():
        links = "".join(f'<device id="{device}"/>' for device in devices)
        (folder / "os" / "example.com" / f"{name}.xml").write_text(
            f'<libosinfo version="0.0.1"><os id="http://example.com/{name}">'
            f"<short-id>{name}</short-id><devices>{links}</devices></os></libosinfo>"
        )


def test_nova_without_libosinfo_takes_nothing(nova_of: Callable[[str], NovaProcess]) -> None:
    answers = nova_of("34").call("osinfo_models", names=["win10"], available=False)
    assert answers == [[None, None]]


@pytest.mark.parametrize("release", ["34", "28"])
@pytest.mark.slow
def test_the_values_are_novas(nova_of: Callable[[str], NovaProcess], release: str) -> None:
    novas = nova_of(release).call("image_property_values")
    ours = {name: values(name, int(release)) for name in VALUES}
    assert {name: sorted(ours[name]) for name in ours if ours[name]} == {
        name: sorted(found) for name, found in novas.items()
    }


@pytest.mark.parametrize("release", ["34", "28"])
def test_the_names_are_novas(nova_of: Callable[[str], NovaProcess], release: str) -> None:
    novas = set(nova_of(release).call("image_property_names"))
    assert novas == FIELDS if release == "34" else novas < FIELDS


@pytest.mark.parametrize(
    ("made", "release"),
    [
        (guest(hw_vif_model="igb"), 30),
        (guest(architecture="z80", hw_architecture="x86_64"), 34),
        (guest(vmware_adaptertype="foo"), 34),
        (guest(hw_cpu_cores="four"), 34),
        (guest(os_type=""), 34),
    ],
)
def test_what_nova_cannot_read(made: Guest, release: int) -> None:
    with pytest.raises(UnreadableProperty):
        check_readable(made, release)


@pytest.mark.parametrize(
    ("made", "release"),
    [
        (guest(hw_vif_model="IGB"), 31),
        (guest(hw_sound_model="foo"), 31),
        (guest(hw_input_bus=None, hw_boot_menu="perhaps", anything="at all"), 34),
        (guest(os_type="Windows", img_hv_type="xapi", vm_mode="HV"), 34),
    ],
)
def test_what_nova_can_read(made: Guest, release: int) -> None:
    check_readable(made, release)


def test_all_that_a_release_cannot_read_is_told() -> None:
    """A null and what no release knows are read; a value may come with a later release."""
    stored = {
        "hw_vif_model": "igb",
        "os_type": "bsd",
        "hw_video_ram": "64MB",
        "hw_video_model": None,
    }
    stored |= {
        "architecture": "x64",
        "vmware_adaptertype": "lsi",
        "base_image_ref": "x",
        "owner": "",
    }
    bad = {"os_type", "hw_video_ram", "architecture", "vmware_adaptertype"}
    assert set(unreadable(stored, 34)) == bad
    assert set(unreadable(stored, 28)) == {"hw_vif_model", *bad}
    assert was_unreadable("hw_vif_model", "igb")
    assert not was_unreadable("hw_vif_model", "e1000")


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        *(("hw_disk_bus", "SCSI", "scsi"), ("hw_vif_model", " VirtualE1000", "e1000")),
        *(
            ("hw_tpm_model", "TPM-CRB ", "tpm-crb"),
            ("img_signature_hash_method", "sha-256", "SHA-256"),
        ),
        *(
            ("architecture", " AMD64", "x86_64"),
            ("hw_disk_bus", "nvme", None),
            ("hw_video_ram", "1 ", None),
        ),
    ],
)
def test_nova_s_own_spelling(name: str, value: str, known: str | None) -> None:
    assert spelling(name, value) == known
