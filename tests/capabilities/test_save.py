"""``novadev capabilities save`` as it is typed, on a real host and without one."""

import json
import stat
from pathlib import Path

import libvirt
import pytest

from novadev.capabilities import file
from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.errors import BadInput
from novadev.rules.osinfo import OsInfo
from novadev.virt.capabilities import MachineType, read_capabilities
from novadev.virt.domain_capabilities import DomainCapabilities
from novadev.virt.host import Host
from tests.capabilities.samples import configured
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.bed import ConfigFile, compute_host, reach
from tests.hypervisor import Hypervisor

SAVE = ("capabilities", "save")


def at_test_driver(folder: Path) -> ConfigFile:
    """The nova.conf of a host whose libvirt has the driver for tests."""
    path = folder / "nova.conf"
    path.write_text(
        "[DEFAULT]\nhost = cmp1\n[libvirt]\nconnection_uri = test:///default\nvirt_type = qemu\n"
        "[database]\nconnection = mysql://nova:SECRET@db/nova\n[vnc]\nenabled = no\n"
    )
    return ConfigFile(path)


def test_another_hypervisor_than_qemu(tmp_path: Path) -> None:
    result = novadev(at_test_driver(tmp_path), *SAVE, "--nova-release", "30")
    assert (result.code, result.err) == (0, "")
    assert result.json["versions"]["qemu"] is None
    assert result.json["versions"]["nova"] == 30
    assert result.json["driver"]["libvirt"]["virt_type"] == "qemu"
    assert result.json["driver"]["vnc"] == {"enabled": False}
    assert (result.json["domain_capabilities"], result.json["devices"]) == (None, None)
    assert "SECRET" not in result.out
    assert "test:///" not in result.out


def test_into_a_file(tmp_path: Path) -> None:
    config = at_test_driver(tmp_path)
    path = tmp_path / "cmp1.json"
    result = novadev(config, *SAVE, "--nova-release", "30", "-o", str(path))
    assert (result.code, result.out, result.err) == (0, "", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = ComputeHosts(configured(tmp_path)).find("cmp1")
    assert found is not None
    assert (found.rules.virt_type, found.rules.vnc_enabled, found.release) == ("qemu", False, 30)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--host", "cmp2"), 8),
        (("--host", ""), 4),
        (("--nova-release", "25"), 4),
        (("--nova-release", "zed"), 4),
        (("-o", ""), 4),
        (("-o", "/nowhere/x.json"), 4),
        (("-o", "/dev/null"), 4),
        (("cmp1",), 4),
    ],
)
def test_what_is_typed_wrongly(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    result = novadev(at_test_driver(tmp_path), *SAVE, *arguments)
    assert (result.code, result.out) == (code, "")
    assert result.err


def test_a_host_that_is_down(tmp_path: Path) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(
        f"[DEFAULT]\nhost = cmp1\n[libvirt]\nconnection_uri = qemu+unix:///system?socket={path}\n"
    )
    result = novadev(ConfigFile(path), *SAVE, "-o", str(tmp_path / "x.json"))
    assert result.code == 8, result.err
    assert not (tmp_path / "x.json").exists()


def test_a_broken_database_of_libosinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "os" / "example.com").mkdir(parents=True)
    (tmp_path / "os" / "example.com" / "1.xml").write_text("<libosinfo>")
    monkeypatch.setenv("OSINFO_LOCAL_DIR", str(tmp_path))
    result = novadev(at_test_driver(tmp_path), *SAVE)
    assert result.code == 3
    assert "1.xml" in result.err


class _Connection:
    """Stands in for libvirt where a host says what no host here says.

    Domain capabilities are by machine type; libvirt refuses the question for the others.
    """

    def __init__(self, xml: str, domains: dict[str, str]) -> None:
        self._xml, self._domains = xml, domains

    def getDomainCapabilities(self, emulator: None, arch: str, machine: str, *rest: object) -> str:
        if machine not in self._domains:
            error = libvirt.libvirtError("")
            error.err = (libvirt.VIR_ERR_INVALID_ARG, 10, "no such machine", 2, *[None] * 5)
            raise error
        return self._domains[machine]

    def getCapabilities(self) -> str:
        return self._xml

    def getCPUModelNames(self, arch: str) -> list[str]:
        return ["Nehalem", "EPYC"]

    def getLibVersion(self) -> int:
        return 10_003_002

    def getVersion(self) -> int:
        return 9_000_001

    def getType(self) -> str:
        return "QEMU"

    def isAlive(self) -> int:
        return 1

    def close(self) -> None:
        pass


def host_saying(xml: str, **domains: str) -> Host:
    host = Host("cmp1", "qemu:///system")
    host._connection = _Connection(xml, {n.replace("_", "-"): x for n, x in domains.items()})
    return host


def test_machine_types_of_accelerators_and_other_kinds_of_guests() -> None:
    xml = """<capabilities><host><cpu><arch>aarch64</arch></cpu></host>
    <guest><os_type>exe</os_type><arch name='x86_64'><machine>none</machine></arch></guest>
    <guest><os_type>hvm</os_type><arch name='aarch64'>
      <machine canonical='virt-9.0'>virt</machine><machine/>
      <domain type='kvm'><machine canonical='virt-8.2'>virt</machine>
      <machine deprecated='yes'>virt-2.6</machine></domain></arch></guest></capabilities>"""
    found = read_capabilities(host_saying(xml))
    assert (found.architecture, found.libvirt, found.qemu) == ("aarch64", "10.3.2", "9.0.1")
    assert found.machine_types == {
        "aarch64": {
            "virt": MachineType("virt-9.0"),
            "virt-2.6": MachineType("virt-2.6", deprecated=True),
        }
    }
    assert found.domain_types == {"aarch64": ("kvm",)}
    assert (found.emulator, found.domain_capabilities) == (None, {})


VIRT = """<capabilities><host><cpu><arch>aarch64</arch></cpu></host>
<guest><os_type>hvm</os_type><arch name='aarch64'>
<machine>virt-8</machine><machine>virt-9</machine></arch></guest></capabilities>"""
DOMAIN = """<domainCapabilities><path>/usr/bin/qemu</path><devices>
<disk supported='yes'><enum name='bus'><value>scsi</value><value>virtio</value></enum></disk>
<video supported='no'/><rng supported='yes'/>
<graphics supported='yes'><enum name='type'/></graphics>
</devices></domainCapabilities>"""


def test_domain_capabilities() -> None:
    found = read_capabilities(host_saying(VIRT, virt_8=DOMAIN, virt_9=DOMAIN))
    assert found.emulator == "/usr/bin/qemu"
    told = found.domain_capabilities["virt-8"]
    assert told is found.domain_capabilities["virt-9"]
    assert told == DomainCapabilities(disk_bus=("scsi", "virtio"), video=(), graphics=())


def test_domain_capabilities_of_some_machine_types() -> None:
    found = read_capabilities(host_saying(VIRT, virt_9="<domainCapabilities/>"))
    assert found.domain_capabilities == {"virt-9": DomainCapabilities()}
    assert found.emulator is None
    with pytest.raises(BadInput, match="host cmp1: the domain capabilities of virt-8"):
        read_capabilities(host_saying(VIRT, virt_8="<!DOCTYPE x><domainCapabilities/>"))


@pytest.mark.parametrize("xml", ["", "<capabilities/>", "<!DOCTYPE x><capabilities/>", "<a>"])
def test_capabilities_that_are_none(xml: str) -> None:
    with pytest.raises(BadInput, match="host cmp1: its capabilities"):
        read_capabilities(host_saying(xml))


@pytest.mark.slow
def test_on_a_real_host(hypervisor: Hypervisor, tmp_path: Path) -> None:
    config = compute_host(tmp_path, hypervisor)
    path = tmp_path / "cmp1.json"
    result = novadev(config, *SAVE, "--nova-release", "34", "-o", str(path))
    assert (result.code, result.err) == (0, "")
    again = novadev(config, *SAVE, "--nova-release", "34")
    untimed = [
        [line for line in text.splitlines() if '"saved_at"' not in line]
        for text in (path.read_text(), again.out)
    ]
    assert untimed[0] == untimed[1]
    assert len(untimed[0]) == len(again.out.splitlines()) - 1
    found = ComputeHosts(configured(tmp_path)).find("cmp1")
    assert found is not None
    assert found.machine_types["q35"].startswith("pc-q35-")
    assert found.rules.host_arch == "x86_64"
    machines = again.json["machine_types"]["x86_64"]
    assert {machine["deprecated"] for machine in machines.values()} == {True, False}
    assert again.json["versions"]["qemu"]
    assert again.json["devices"]["e1000"] == {"bus": "PCI"}
    assert not [name for name in again.json["devices"] if name.endswith("-cpu")]
    model = again.json["host_model"]
    assert {"fpu", "sse2"} <= {*model["features"]} < {*model["known"]}
    assert not any({*model["features"]} & {*lacking} for lacking in model["lacking"].values())
    domains = again.json["domain_capabilities"]
    assert "ide" in domains[min(name for name in domains if "i440fx" in name)]["disk_bus"]
    assert "qemu" in again.json["domain_types"]["x86_64"]
    assert file.loads(again.out, "-").domain_capabilities[found.machine_types["q35"]].video
    local = OsInfo()
    for name in (*local.every_recommendation(), "ubuntu", "http://foo"):
        assert found.recommendation(name) == local.recommendation(name)


@pytest.mark.slow
def test_of_another_host(
    hypervisors3: list[Hypervisor], sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    reach(sqlite_cloud, hypervisors3)
    result = novadev(sqlite_cloud, *SAVE, "--host", "cmp2")
    assert result.code == 0, result.err
    assert result.json["host"] == "cmp2" != result.json["saved_on"]
    assert f"those of {result.json['saved_on']}, not of cmp2" in result.err
    assert result.json["domain_capabilities"]
    assert result.json["devices"] is None
    assert result.json["host_model"]["features"]
    assert result.json["host_model"]["known"] is None
    assert "are not known, because only the host itself can list them" in result.err
    (tmp_path / "cmp2.json").write_text(json.dumps(result.json))
    found = ComputeHosts(configured(tmp_path)).find("cmp2")
    assert found is not None
    assert "(with the driver options of " in found.origin
