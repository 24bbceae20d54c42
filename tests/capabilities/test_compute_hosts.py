"""What is known of a compute host, and which file it is taken from."""

import os
import sys
from dataclasses import asdict, fields
from pathlib import Path

import pytest

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.content import Example
from novadev.config import DriverOptions
from novadev.errors import BadInput, NotAsNeeded
from novadev.rules.guest import DriverRules
from novadev.rules.osinfo import NO_RECOMMENDATION, Recommendation
from novadev.rules.releases import NEWEST_RELEASE
from tests.capabilities.samples import WINDOWS, configured, saved

NO_OPTIONS = {"host_arch", "release", "counts_disks", "is_assumed"}


def test_the_rules_have_every_option() -> None:
    names = {item.name for item in fields(DriverRules)}
    assert names == {item.name for item in fields(DriverOptions)} | NO_OPTIONS
    assert DriverRules(**asdict(DriverOptions())) == DriverRules()


def test_a_capability_file(tmp_path: Path) -> None:
    path = saved(tmp_path, "cmp1.json")
    found = ComputeHosts(configured(tmp_path)).find("cmp1")
    assert found is not None
    assert (found.host, found.origin) == ("cmp1", f"capability file {path}")
    assert found.rules == DriverRules(
        virt_type="qemu", hw_machine_type=("x86_64=q35",), pointer_model=None, release=34
    )
    assert found.release == 34
    assert found.machine_types["pc"] == "pc-i440fx-7.2"
    assert "virt" not in found.machine_types
    assert found.osinfo_available
    assert found.recommendation("win10") == WINDOWS
    assert found.recommendation("http://microsoft.com/win/10") == WINDOWS
    assert found.recommendation("win11") == found.recommendation(None) == NO_RECOMMENDATION


def test_a_host_without_libosinfo_and_of_another_architecture(tmp_path: Path) -> None:
    saved(tmp_path, "cmp1.json", recommendations=None, architecture="aarch64")
    found = ComputeHosts(configured(tmp_path)).find("cmp1")
    assert found is not None
    assert not found.osinfo_available
    assert found.recommendation("win10") == NO_RECOMMENDATION
    assert found.rules.host_arch == "aarch64"
    assert found.machine_types == {"virt": "virt-7.2"}


def test_the_host_s_own_nova_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_LIBVIRT__VIRT_TYPE", "lxc")
    path = tmp_path / "cmp1.conf"
    path.write_text(
        "[DEFAULT]\nhost = cmp1\npointer_model = ps2mouse\n[spice]\nenabled = yes\n"
        "[libvirt]\nvirt_type = qemu\nhw_machine_type = x86_64=q35, aarch64=virt\n"
    )
    found = ComputeHosts(configured(tmp_path)).find("cmp1")
    assert found is not None
    assert found.rules == DriverRules(
        virt_type="qemu",
        hw_machine_type=("x86_64=q35", "aarch64=virt"),
        pointer_model="ps2mouse",
        spice_enabled=True,
    )
    assert (found.origin, found.machine_types, found.release) == (str(path), {}, None)
    assert found.rules.release == NEWEST_RELEASE
    assert found.recommendation("ubuntu22.04") == Recommendation("virtio", "e1000e")


def test_what_goes_before_what(tmp_path: Path) -> None:
    assumed = tmp_path / "x"
    assumed.write_text("[libvirt]\nvirt_type = parallels\n")
    folder = tmp_path / "hosts"
    folder.mkdir()
    saved(folder, "cmp1.json")
    for name in ("cmp1", "cmp2"):
        (folder / f"{name}.conf").write_text("[libvirt]\nvirt_type = lxc\n")
    hosts = ComputeHosts(configured(folder), str(assumed))
    found = [hosts.find(name) for name in ("cmp1", "cmp2", "cmp3", None)]
    assert [item and item.rules.virt_type for item in found] == ["qemu", "lxc", *["parallels"] * 2]
    assert [item and item.host for item in found] == ["cmp1", "cmp2", "cmp3", ""]
    assert found[2] is not None
    assert found[2].origin == f"--assume-config {assumed}"


def test_a_capability_file_can_be_assumed(tmp_path: Path) -> None:
    assumed = saved(tmp_path, "anything", saved_on="ctl1")
    found = ComputeHosts(configured(None), str(assumed)).find("cmp9")
    assert found is not None
    assert (found.host, found.rules.virt_type) == ("cmp9", "qemu")
    assert found.origin == f"--assume-config {assumed} (with the driver options of ctl1)"


def test_an_example_says_that_it_is_one(tmp_path: Path) -> None:
    assumed = saved(tmp_path, "anything", example=Example("public facts", True))
    found = ComputeHosts(configured(None), str(assumed)).find("cmp9")
    assert found is not None
    assert found.origin == f"--assume-config {assumed} (an example, not a real host)"


def test_nothing_is_known(tmp_path: Path) -> None:
    assert ComputeHosts(configured(None)).find("cmp1") is None
    hosts = ComputeHosts(configured(tmp_path))
    assert hosts.find("cmp1") is hosts.find(None) is None


@pytest.mark.parametrize(
    ("files", "host", "rules", "said"),
    [
        (("qemu", "qemu"), None, "qemu", "virt_type qemu"),
        (("qemu", "qemu"), "cmp9", "qemu", "virt_type qemu (assumed"),
        (("qemu", "kvm"), None, "parallels", "virt_type parallels (assumed"),
        (("qemu", "["), None, "parallels", "virt_type parallels (assumed"),
        ((), None, "parallels", "virt_type parallels (assumed"),
    ],
    ids=["alike", "a host without a file", "different", "a bad file", "no files"],
)
def test_what_all_files_say_is_no_assumption(
    tmp_path: Path, files: tuple[str, ...], host: str | None, rules: str, said: str
) -> None:
    for number, virt_type in enumerate(files):
        text = f"[libvirt]\nvirt_type = {virt_type}\nnum_pcie_ports = {number + 5}\n"
        (tmp_path / f"cmp{number}.conf").write_text("[" if virt_type == "[" else text)
    hosts = ComputeHosts(configured(tmp_path))
    own = DriverOptions(virt_type="parallels", num_pcie_ports=2)
    for found in (hosts.assumed(host, own), hosts.rules_of(host, own, 30)):
        assert found.virt_type == rules
        assert found.virt_type_text.startswith(said)
        assert found.is_assumed == ("assumed" in said)
        assert found.num_pcie_ports == 2


def test_a_host_is_read_once(tmp_path: Path) -> None:
    path = saved(tmp_path, "cmp1.json")
    hosts = ComputeHosts(configured(tmp_path))
    found = hosts.find("cmp1")
    path.unlink()
    assert hosts.find("cmp1") is found is not None


def test_hosts_share_what_is_the_same(tmp_path: Path) -> None:
    for host in ("cmp1", "cmp2"):
        saved(tmp_path, f"{host}.json", host=host, saved_on=host)
    hosts = ComputeHosts(configured(tmp_path))
    one, two = hosts.find("cmp1"), hosts.find("cmp2")
    assert one is not None
    assert two is not None
    assert one.osinfo is two.osinfo


@pytest.mark.parametrize(
    "name", ["../cmp1", "/cmp1", "a/../../cmp1", "..", ".", "", "cmp1\0", "cmp1\n", "x" * 5000]
)
def test_a_name_does_not_leave_the_folder(tmp_path: Path, name: str) -> None:
    saved(tmp_path, "cmp1.json")
    folder = tmp_path / "hosts"
    (folder / "a").mkdir(parents=True)
    assert ComputeHosts(configured(folder)).find(name) is None
    assert ComputeHosts(configured(folder)).find(str(tmp_path / "cmp1")) is None


def test_the_file_of_another_host(tmp_path: Path) -> None:
    saved(tmp_path, "cmp2.json", host="cmp1")
    (tmp_path / "cmp3.conf").write_text("[DEFAULT]\nhost = cmp1\n")
    hosts = ComputeHosts(configured(tmp_path))
    for name in ("cmp2.json", "cmp3.conf"):
        with pytest.raises(BadInput, match=rf"{name} is the file of another host: 'cmp1'"):
            hosts.find(name.partition(".")[0])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cmp1.json", "[libvirt]\nvirt_type = kvm\n"),
        ("cmp1.conf", "{}"),
        ("cmp1.conf", "no option"),
        ("cmp1.conf", "[libvirt]\nvirt_type = xen\n"),
        ("cmp1.conf", "[DEFAULT]\npointer_model = joystick\n"),
        ("cmp1.conf", "[vnc]\nenabled = perhaps\n"),
        ("cmp1.conf", "[compute]\nmax_disk_devices_to_attach = -2\n"),
        ("cmp1.conf", "[libvirt]\ndisk_prefix = $password\n"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput, match=name) as caught:
        ComputeHosts(configured(tmp_path)).find("cmp1")
    assert "\n" not in str(caught.value)
    if name.endswith(".conf"):
        with pytest.raises(BadInput):
            ComputeHosts(configured(None), str(tmp_path / name))


def test_no_secret_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "cmp1.conf").write_text("[database]\nSECRET\n")
    with pytest.raises(BadInput) as caught:
        ComputeHosts(configured(tmp_path)).find("cmp1")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "large"])
@pytest.mark.parametrize("name", ["cmp1.json", "cmp1.conf"])
def test_odd_files(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / name
    match kind:
        case "link":
            path.symlink_to("nowhere")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "large":
            path.touch()
            os.truncate(path, 1 << 30)
    with pytest.raises(BadInput, match=name):
        ComputeHosts(configured(tmp_path)).find("cmp1")


def test_what_is_given_is_looked_at_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="compute_config_dir"):
        ComputeHosts(configured(tmp_path / "missing"))
    with pytest.raises(BadInput, match="No such file"):
        ComputeHosts(configured(None), str(tmp_path / "missing"))


def test_a_broken_database_of_libosinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "os" / "example.com").mkdir(parents=True)
    (tmp_path / "os" / "example.com" / "1.xml").write_text("<libosinfo>")
    monkeypatch.setenv("OSINFO_LOCAL_DIR", str(tmp_path))
    (tmp_path / "cmp1.conf").touch()
    found = ComputeHosts(configured(tmp_path)).find("cmp1")
    assert found is not None
    assert found.recommendation(None) == found.recommendation("") == NO_RECOMMENDATION
    with pytest.raises(NotAsNeeded, match=r"1\.xml"):
        found.recommendation("win10")


def test_this_machine_has_no_libosinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gi", None)
    (tmp_path / "cmp1.conf").touch()
    found = ComputeHosts(configured(tmp_path)).find("cmp1")
    assert found is not None
    assert not found.osinfo_available
    assert found.recommendation("win10") == NO_RECOMMENDATION


def test_a_bad_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "cmp1.json"
    path.write_text("{}")
    hosts = ComputeHosts(configured(tmp_path))
    with pytest.raises(BadInput, match="not a capability file") as first:
        hosts.find("cmp1")
    path.unlink()
    with pytest.raises(BadInput, match="not a capability file") as second:
        hosts.find("cmp1")
    assert second.value is first.value
