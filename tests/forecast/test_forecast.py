"""`device forecast` as an operator runs it: what is told, noted and skipped, and what is left."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import libvirt
import pytest

from novadev.state.keeping import write_keeping
from novadev.state.store import open_state
from novadev.virt.capabilities import MachineType
from novadev.virt.domain import Domain
from novadev.virt.host import PERSISTENT, Host
from novadev.virt.outline import Board, Outline, definition_of
from tests import domains
from tests.capabilities.samples import saved
from tests.cloud import Cloud
from tests.command import Result, heed_signals
from tests.device.bed import compute_host
from tests.device.rig import Rig, mac, port_id, tap, volume_id
from tests.device.site import Site, record
from tests.forecast import judging
from tests.hypervisor import Hypervisor
from tests.virt.test_scratch import folders

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
KEYS = ["instance", "label", "field", "now", "after", "name"]
"""What scripts may rely on, in this order."""
MDEV = "4b20d080-1b54-4048-85b3-a6a62d165c01"
SHARE = "e8debdc0-447a-4376-a10a-4cd9122d7986"
Told = dict[tuple[str, str], tuple[str | None, str | None]]


@pytest.fixture
def rig(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Rig:
    return Rig(sqlite_cloud, [hypervisor])


def run(rig: Rig, *arguments: str, code: int = 0) -> Result:
    result = rig.novadev("device", "forecast", *arguments, "-f", "json")
    assert result.code == code, result.err
    return result


def told(result: Result) -> Told:
    """What is told of one guest."""
    return {(item["label"], item["field"]): (item["now"], item["after"]) for item in result.json}


def test_the_drifted_guest_and_what_nova_made_of_it(rig: Rig) -> None:
    drifted, regenerated = (
        (HERE / f"{name}.xml").read_text() for name in ("drifted", "regenerated")
    )
    rig.host.define(drifted)
    known = re.sub(r"<disk type=\"block\"(?:(?!</disk>).)*vdd.*?</disk>", "", drifted, flags=re.S)
    uuid = record(rig.cloud, known, flavor={"swap": 2048}, columns={"ephemeral_gb": 0})
    rig.cloud.delete("block_device_mapping", "cell1", device_name="/dev/vdb")
    result = run(rig, uuid)
    assert list(result.json[0]) == KEYS
    real = judging.changes(drifted, regenerated)
    labels = {"disk vda": "disk", "disk vdb": "disk.swap", "disk vdd": "sdl"}
    names = {"interface tap90270003-77": "fa:16:3e:00:07:09"}
    names |= {"disk vdc": "701e0001-7777-4a07-8b07-0a0b0c0d0e07"} | labels
    found = {
        ((label.split()[0], names.get(label, "1")), field, *judging.present(field, *values))
        for (label, field), values in told(result).items()
    }
    assert found == real
    assert "Linux may rename network interfaces" in result.err
    assert "interface tap90270003-77" in result.err


def test_a_host_that_keeps_recorded_addresses_moves_nothing(rig: Rig) -> None:
    """The same guest: its disks and cards stay, and of a new disk's place nothing is told."""
    rig.host.define((HERE / "drifted.xml").read_text())
    uuid = record(
        *(rig.cloud, (HERE / "drifted.xml").read_text()),
        flavor={"swap": 2048},
        columns={"ephemeral_gb": 0},
    )
    rig.cloud.add_volume(uuid, volume_id(2), "/dev/vdx")
    before = told(run(rig, uuid))
    moved = {label for label, field in before if field == "address"}
    assert len(moved) > 3
    state = open_state(f"sqlite:///{rig.cloud.folder / 'state.sqlite'}")
    write_keeping(state, "cmp1", "on", False, {})
    result = run(rig, uuid)
    found = told(result)
    assert {label for label, field in found if field == "address"} == set()
    assert {key for key in found if key[1] == "device" and "controller" not in key[0]} == {
        key for key in before if key[1] == "device" and "controller" not in key[0]
    }
    assert "host cmp1: its nova-compute keeps recorded addresses" in result.err
    write_keeping(state, "cmp1", "log", False, {})
    assert told(run(rig, uuid)) == before
    write_keeping(state, "cmp2", "on", False, {})
    assert "is not known here" not in run(rig, uuid).err, "this host said that it only logs"


def guest(rig: Rig, running: bool = False, **more: Any) -> str:
    """A guest with a root disk, a volume and a port, as Nova and libvirt have it."""
    state = "active" if running else "stopped"
    uuid: str = rig.cloud.add_instance(**{"vm_state": state, **more})
    rig.cloud.add_disk(uuid)
    rig.cloud.add_volume(uuid, volume_id(1))
    rig.cloud.add_port(uuid, port_id(1), mac(1))
    rig.define(
        uuid,
        disks=[domains.disk("vda"), domains.disk("vdb", serial=volume_id(1))],
        interfaces=[domains.interface(mac(1), port=port_id(1))],
        running=running,
    )
    return uuid


def test_a_guest_that_is_as_nova_makes_it_changes_in_nothing(rig: Rig) -> None:
    uuid = guest(rig)
    result = run(rig, uuid)
    assert result.json == []
    assert "its rules are not known" in result.err


def test_what_appears_and_what_vanishes(rig: Rig) -> None:
    uuid = guest(rig)
    domain = rig.host.connection.lookupByUUIDString(uuid)
    rig.attach(domain, domains.disk("vdc", serial=volume_id(9)), CONFIG)
    rig.attach(domain, domains.interface(mac(9), port=port_id(9)), CONFIG)
    rig.cloud.add_volume(uuid, volume_id(2), "/dev/vdd")
    rig.cloud.add_port(uuid, port_id(2), mac(2))
    rig.cloud.add_pci_device(uuid, "0000:81:00.1")
    rig.cloud.add_share(uuid, SHARE)
    found = told(run(rig, uuid))
    devices = {label: values for (label, field), values in found.items() if field == "device"}
    assert devices == {
        "disk vdc": ("disk vdc", None),
        f"interface {tap(9)}": (f"interface {tap(9)}", None),
        f"volume {volume_id(2)}": (None, f"volume {volume_id(2)}"),
        f"port {port_id(2)}": (None, f"port {port_id(2)}"),
        "PCI device 0000:81:00.1": (None, "PCI device 0000:81:00.1"),
        f"share {SHARE}": (None, f"share {SHARE}"),
    }
    places = {label: values[1] for (label, field), values in found.items() if field == "address"}
    assert [places[label] for label in devices if devices[label][0] is None] == [
        *("0000:00:08.0", "0000:00:05.0", "0000:00:09.0", "0000:00:03.0"),
    ]


def test_devices_of_the_host_keep_novas_order(rig: Rig) -> None:
    """Ports first, then PCI devices by their rows, then what nobody owns, then mediated ones."""
    uuid = rig.cloud.add_instance()
    rig.cloud.add_disk(uuid)
    rig.cloud.add_pci_device(uuid, "0000:82:00.0")
    rig.cloud.add_pci_device(uuid, "0000:81:00.0")
    devices = [domains.mdev(MDEV), domains.pci("0000:83:00.0"), domains.pci("0000:81:00.0")]
    rig.define(uuid, [domains.disk()], devices=[*devices, domains.pci("0000:82:00.0")])
    result = run(rig, uuid)
    now = {device.label: device for device in persistent(rig, uuid).devices}
    found = told(result)
    after = {
        label: found.get((label, "address"), (0, str(device.address)))[1]
        for label, device in now.items()
        if label.startswith("hostdev")
    }
    assert [label.partition(" ")[2] for label in sorted(after, key=lambda k: str(after[k]))] == [
        *("0000:82:00.0", "0000:81:00.0", "0000:83:00.0", MDEV),
    ]
    assert "hostdev 0000:83:00.0 is in none of Nova's tables" in result.err


def persistent(rig: Rig, uuid: str) -> Domain:
    handle = rig.host.connection.lookupByUUIDString(uuid)
    return Domain.from_xml(handle.XMLDesc(PERSISTENT))


def test_windows_and_a_new_machine_type_are_told(rig: Rig) -> None:
    uuid = guest(rig, hw_machine_type="q35", os_type="windows")
    know(rig)
    result = run(rig, uuid)
    found = told(result)
    assert found["machine", "machine"] == ("pc-i440fx-7.2", "pc-q35-7.2")
    assert found["disk vda", "address"] == ("0000:00:04.0", "0000:04:00.0")
    assert f"({uuid}): Windows will detect new hardware" in result.err
    assert "its rules are not known" not in result.err


def test_the_config_drive_leaves_ide_with_a_stored_machine_type(rig: Rig) -> None:
    """Where nothing is known of the host: q35 has no IDE, and Nova's rule for it is sata."""
    uuid = guest(rig, hw_machine_type="q35", columns={"config_drive": "True"})
    path = f"{domains.IMAGES}/{uuid}/disk.config"
    disks = [domains.disk("vda"), domains.disk("vdb", serial=volume_id(1))]
    disks.append(domains.disk("hda", "ide", source=path, device="cdrom"))
    rig.define(uuid, disks, [domains.interface(mac(1), port=port_id(1))])
    result = run(rig, uuid)
    assert told(result)["disk hda", "bus"] == ("ide", "sata")
    assert told(result)["disk hda", "target"] == ("hda", "sda")
    assert "by rules" not in result.err


@pytest.mark.parametrize(
    ("machine", "name", "bus", "to", "after"),
    [
        ("q35", "sda", "sata", "scsi", "sdb"),
        ("q35", "sda", "sata", "usb", "sdb"),
        ("pc", "hda", "ide", "ide", "hdb"),
    ],
)
def test_a_root_disk_that_takes_the_name_of_the_config_drive(
    rig: Rig, machine: str, name: str, bus: str, to: str, after: str
) -> None:
    """Where nothing is known of the host: Nova looks for another name for the config drive."""
    uuid = rig.cloud.add_instance(vm_state="stopped", columns={"config_drive": "True"})
    folder = f"{domains.IMAGES}/{uuid}"
    rig.cloud.add_disk(uuid, "/dev/vda", "virtio", "disk")
    root = domains.disk("vda", source=f"{folder}/disk")
    config = domains.disk(name, bus, source=f"{folder}/disk.config", device="cdrom")
    rig.host.define(domains.domain(uuid, machine=machine, disks=[root, config]))
    properties = (f"--property=hw_disk_bus={to}", "--property=hw_scsi_model=virtio-scsi")
    assert rig.novadev("image-property", "set", "--yes", *properties, uuid).code == 0
    result = run(rig, uuid)
    assert told(result)["disk vda", "target"] == ("vda", name)
    assert told(result)[f"disk {name}", "target"] == (name, after)
    assert "libvirt refuses" not in result.err


def know(rig: Rig) -> None:
    """Keep a capability file of the host."""
    folder = rig.cloud.folder / "hosts"
    folder.mkdir()
    names = {"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2"}
    machines = {name: MachineType(canonical) for name, canonical in names.items()}
    saved(folder, "cmp1.json", machine_types={"x86_64": machines})
    with rig.cloud.config_file.open("a") as file:
        file.write(f"compute_config_dir = {folder}\n")


@pytest.mark.parametrize(
    ("architecture", "stored", "code"),
    [
        ("aarch64", {}, 4),
        ("aarch64", {"hw_emulation_architecture": "x86_64"}, 0),
        ("i686", {}, 0),
    ],
)
def test_the_file_of_another_architecture_is_not_used(
    rig: Rig, tmp_path: Path, architecture: str, stored: dict[str, str], code: int
) -> None:
    path = saved(tmp_path, "other.json", architecture=architecture)
    result = run(rig, guest(rig, **stored), "--assume-config", str(path), code=code)
    assert (f"x86_64, but the capability file of its host says {architecture}" in result.err) == (
        code == 4
    )


def test_what_is_not_forecast(rig: Rig) -> None:
    rescued = guest(rig, vm_state="rescued")
    refused = rig.cloud.add_instance(hw_disk_bus="xen")
    rig.cloud.add_disk(refused, disk_bus=None)
    missing = rig.cloud.add_instance()
    rig.cloud.add_disk(missing)
    assert "is rescued" in run(rig, rescued, code=3).err
    assert "Nova cannot power it on: hw_disk_bus=xen" in run(rig, refused, code=3).err
    assert "has no domain" in run(rig, missing, code=2).err
    assert run(rig, "--all").json == []


def test_soft_reboot_of_a_running_guest(rig: Rig) -> None:
    uuid = guest(rig, running=True)
    domain = rig.host.connection.lookupByUUIDString(uuid)
    assert told(run(rig, uuid, "--after", "soft-reboot")) == {}
    rig.attach(domain, domains.disk("vdc", serial=volume_id(8)), LIVE)
    rig.attach(domain, domains.disk("vdd", serial=volume_id(9)), CONFIG)
    alias = f"ua-{volume_id(1)}"
    assert rig.novadev("device", "alias-migrate", uuid, "--yes").code == 0
    found = told(run(rig, uuid, "--after", "soft-reboot"))
    assert found["disk vdc", "device"] == ("disk vdc", None)
    assert found["disk vdd", "device"] == (None, "disk vdd")
    assert found["disk vdb", "alias"] == ("virtio-disk1", alias)
    before = domain.XMLDesc(0)
    domain.destroy()
    domain.create()
    real = judging.changes(before, domain.XMLDesc(0))
    assert {(change[0][1], change[2]) for change in real if change[1] == "device"} == {
        (volume_id(8), "present"),
        (volume_id(9), None),
    }
    addresses = {change[0][1]: change[2:] for change in real if change[1] == "address"}
    names = {volume_id(8): "disk vdc", volume_id(9): "disk vdd"}
    assert {names.get(key, key) for key in addresses} <= {label for label, _ in found}


def test_soft_reboot_of_what_does_not_run(rig: Rig) -> None:
    uuid = guest(rig)
    result = run(rig, uuid, "--after", "soft-reboot")
    assert result.json == []
    assert f"({uuid}): it is shut off: a soft reboot does not start it" in result.err


def test_power_on_of_a_running_guest_begins_with_what_it_has(rig: Rig) -> None:
    uuid = guest(rig, running=True)
    domain = rig.host.connection.lookupByUUIDString(uuid)
    rig.attach(domain, domains.disk("vdc", serial=volume_id(8)), LIVE)
    rig.cloud.add_volume(uuid, volume_id(8), "/dev/vdc")
    live = Domain.from_xml(domain.XMLDesc(0)).device("disk vdc")
    found = told(run(rig, uuid))
    assert found["disk vdc", "address"] == (str(live.address), "0000:00:06.0")


def test_without_databases_everything_is_kept(
    sqlite_cloud: Cloud, hypervisor: Hypervisor, tmp_path: Path
) -> None:
    site = Site.of(sqlite_cloud, hypervisor)
    uuid = site.add((HERE / "drifted.xml").read_text())
    result = site.run(
        "device", "forecast", uuid, "-f", "json", on=compute_host(tmp_path, hypervisor)
    )
    assert result.code == 0
    assert {item["field"] for item in result.json} == {"address"}
    assert "without Nova's databases" in result.err


def test_no_compute_host_sees_anything(rig: Rig) -> None:
    """Nothing is defined on the host, and the definition stays; nor is anything left here."""
    uuid = guest(rig, running=True)
    before, host = persistent(rig, uuid).text, Host("cmp1", rig.host.uri)
    with host, host.watch(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE) as watch:
        assert "by rules" not in run(rig, uuid).err
        rig.host.connection.defineXML(domains.domain())
        defined = watch.wait(lambda event: event.details[0] == libvirt.VIR_DOMAIN_EVENT_DEFINED, 5)
        assert defined is not None
        assert watch.events == (defined,)
    assert persistent(rig, uuid).text == before
    assert folders(os.getpid()) == []


def test_nothing_of_the_guest_reaches_the_scratch_libvirt(rig: Rig) -> None:
    """Not its name, its sources, its MAC addresses or its passwords."""
    text = domains.domain(
        disks=[domains.disk("vda", serial=volume_id(1), source="/srv/secret-1")],
        interfaces=[domains.interface(mac(1), port=port_id(1))],
        devices=[domains.pci("0000:81:00.1"), domains.share(SHARE), domains.mdev(MDEV)],
        graphics_password="secret-2",
    )
    domain = Domain.from_xml(text)
    outlines = tuple(filter(None, map(Outline.of_device, domain.devices)))
    assert len(outlines) > 4
    made = definition_of(Board("x86_64", "pc", outlines, has_graphics=True))
    told = (volume_id(1), "secret", mac(1), port_id(1), SHARE, MDEV, domain.uuid, "0x81")
    assert [word for word in told if word in made] == []


def test_ctrl_c_leaves_nothing(rig: Rig) -> None:
    """Even amid the first question, when libvirt asks QEMU what it can: a daemon of its own."""
    guest(rig)
    command = [sys.executable, "-m", "novadev", "--config-file", str(rig.cloud.config_file)]
    process = subprocess.Popen(
        [*command, "device", "forecast", "--all"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    )
    name = f"novadev-scratch-{process.pid}-"
    while not _commands(name) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert folders(process.pid) == []
    assert _commands(name) == []


def _commands(word: str) -> list[str]:
    """The command lines with this word: those of QEMU, which is told of files in the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            text = path.read_text()
            found += [text] if word in text else []
    return found
