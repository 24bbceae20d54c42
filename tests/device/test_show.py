"""`device show`: the joined view of guests that run and that are shut off, and how it is told."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt
import pytest
import yaml

from tests import domains
from tests.cloud import Cloud
from tests.device.bed import compute_host
from tests.device.rig import Desk, Rig, Terminal, mac, port_id, tap, volume_id
from tests.hypervisor import Hypervisor

pytestmark = pytest.mark.slow

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
KEYS = [
    *("instance", "label", "type", "device", "bus", "model", "alias", "expected_alias"),
    *("owner_type", "owner_id", "matched_by", "target", "serial", "mac", "address", "boot_order"),
    *("managed", "plugged", "readonly", "logical_name", "definition", "live_alias"),
    *("live_address", "disagreements", "name"),
]
"""What scripts may rely on, in this order."""
MDEV = "4b20d080-1b54-4048-85b3-a6a62d165c01"
SHARE = "e8debdc0-447a-4376-a10a-4cd9122d7986"
PCI = "5d0cbfd3-2b6f-4b1c-9d3a-9f3c1e6f2a10"


@pytest.fixture
def rig(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Rig:
    return Rig(sqlite_cloud, [hypervisor])


def told(record: dict[str, Any]) -> tuple[Any, ...]:
    """Whose it is, by what, and where it is."""
    return tuple(record[key] for key in ("owner_type", "owner_id", "matched_by", "definition"))


@pytest.mark.parametrize("release", ["34", "28"])
def test_a_running_guest(
    make_cloud: Callable[[str, str], Cloud], hypervisor: Hypervisor, release: str
) -> None:
    cloud = make_cloud("sqlite", release)
    rig = Rig(cloud, [hypervisor])
    uuid = cloud.add_instance(vm_state="active", columns={"config_drive": "True"})
    cloud.add_disk(uuid)
    for number, name in enumerate(("/dev/vdb", "/dev/vdc", "/dev/vdd", "/dev/vde", "/dev/vdf")):
        cloud.add_volume(uuid, volume_id(number), name, disk_bus="virtio", device_type="disk")
    cloud.add_port(uuid, port_id(0), mac(0))
    cloud.add_port(uuid, port_id(1), mac(1))
    domain = rig.define(
        uuid,
        [
            domains.disk("vda"),
            domains.disk("vdb", serial=volume_id(0)),
            domains.disk("vdc", serial=volume_id(1), alias=f"ua-{volume_id(1)}"),
            domains.disk(
                "hdd", "ide", device="cdrom", source=f"{domains.IMAGES}/{uuid}/disk.config"
            ),
        ],
        [domains.interface(mac(0), port=port_id(0))],
        running=True,
        graphics_password="s3cret",
    )
    rig.attach(domain, domains.disk("vdd", serial=volume_id(2)), LIVE)
    rig.attach(domain, domains.disk("vde", serial=volume_id(3)), CONFIG)
    rig.attach(domain, domains.disk("vdx", source="/var/lib/nova/mnt/stray"), LIVE | CONFIG)
    found = rig.show("web-1")
    assert all(list(record) == KEYS for record in found.values())
    volumes = [("volume", volume_id(n)) for n in range(5)]
    assert {label: told(record) for label, record in found.items() if record["owner_type"]} == {
        "disk vda": ("local", None, "target", "both"),
        "disk vdb": (*volumes[0], "serial", "both"),
        "disk vdc": (*volumes[1], "alias", "both"),
        "disk vdd": (*volumes[2], "serial", "live"),
        "disk vde": (*volumes[3], "serial", "persistent"),
        f"volume {volume_id(4)}": (*volumes[4], None, "none"),
        "disk hdd": ("local", None, "file", "both"),
        f"interface {tap(0)}": ("port", port_id(0), "mac", "both"),
        f"port {port_id(1)}": ("port", port_id(1), None, "none"),
    }
    assert told(found["disk vdx"]) == (None, None, None, "both")
    assert {r["instance"] for r in found.values()} == {uuid}
    assert [found[f"disk vd{x}"]["plugged"] for x in "bdex"] == [True, True, False, True]
    assert [found[f"disk vd{x}"]["managed"] for x in "bx"] == [True, False]
    assert found["disk vdd"]["alias"] is found["disk vdd"]["address"] is None
    assert found["disk vdd"]["live_alias"].startswith("virtio-disk")
    assert found["disk vde"]["live_alias"] is found["disk vde"]["live_address"] is None
    assert found["disk vdc"]["alias"] == found["disk vdc"]["live_alias"] == f"ua-{volume_id(1)}"
    assert found["disk vdb"]["expected_alias"] == f"ua-{volume_id(0)}"
    assert found["disk hdd"]["readonly"] is True
    ghost = found[f"volume {volume_id(4)}"]
    assert (ghost["type"], ghost["plugged"], ghost["target"]) == (None, False, None)
    assert ghost["disagreements"]
    assert set(rig.show("web-1", "--live")) == {
        label for label, r in found.items() if r["definition"] in ("both", "live")
    }
    assert set(rig.show("web-1", "--persistent")) == {
        label for label, r in found.items() if r["definition"] in ("both", "persistent")
    }
    live = rig.show("web-1", "vdc", "--live")["disk vdc"]
    assert (live["definition"], live["live_alias"]) == ("both", f"ua-{volume_id(1)}")
    everything = [rig.novadev("device", "show", "web-1", "-f", kind).out for kind in FORMATS]
    assert not [text for text in everything if "s3cret" in text]
    table = rig.novadev("device", "show", "web-1", "--live").out
    assert next(line for line in table.splitlines() if "vdc" in line).split()[-1] == "yes"


FORMATS = ("table", "json", "yaml", "csv", "value")


def test_a_guest_that_is_shut_off(rig: Rig) -> None:
    cloud = rig.cloud
    uuid = cloud.add_instance(name="odd", image_ref="")
    root, lun, other = (volume_id(n) for n in range(3))
    cloud.add_volume(uuid, root, "/dev/vda", boot_index=0, disk_bus="virtio", device_type="disk")
    device_path = {"driver_volume_type": "iscsi", "data": {"device_path": "/dev/dm-7"}}
    cloud.add_volume(uuid, lun, "/dev/sda", device_path, disk_bus="scsi", device_type="lun")
    cloud.add_volume(uuid, other, "/dev/vdq", disk_bus="virtio", device_type="disk")
    for number in (1, 2, 3):
        cloud.add_port(uuid, port_id(number), mac(1))
    direct = {"type": "hw_veb", "vnic_type": "direct", "devname": None, "ovs_interfaceid": None}
    cloud.add_port(uuid, port_id(4), mac(4), profile={"pci_slot": "0000:81:00.2"}, **direct)
    cloud.add_port(uuid, port_id(5), mac(4), profile={"pci_slot": "0000:81:00.3"}, **direct)
    cloud.add_pci_device(uuid, "0000:82:00.1", PCI)
    cloud.add_pci_device(uuid, "0000:81:00.2")
    cloud.add_share(uuid, SHARE)
    rig.define(
        uuid,
        [
            domains.disk("vda", serial=root),
            domains.disk("sdb", "scsi", kind="block", device="lun", source="/dev/dm-7"),
            domains.disk("vdc", serial=other),
        ],
        [
            domains.interface(mac(1), port=port_id(1)),
            domains.interface(mac(1), port=port_id(2), kind="bridge"),
            domains.interface(mac(1), port=port_id(3), alias=f"ua-{port_id(3)}"),
            domains.sriov(mac(4), "0000:81:00.2"),
            domains.sriov(mac(4), "0000:81:00.3"),
        ],
        devices=[domains.pci("0000:82:00.1"), domains.mdev(MDEV), domains.share(SHARE)],
    )
    found = rig.show("odd")
    assert all(list(record) == KEYS for record in found.values())
    kinds = ("disk", "interface", "hostdev", "filesystem")
    by_owner = {
        record["owner_id"]: record["matched_by"]
        for record in found.values()
        if record["type"] in kinds
    }
    assert by_owner == {
        root: "serial",
        lun: "source",
        other: "serial",
        port_id(1): "interface-id",
        port_id(2): "tap",
        port_id(3): "alias",
        port_id(4): "pci-address",
        port_id(5): "pci-address",
        PCI: "pci-address",
        MDEV: "mdev",
        SHARE: "target",
    }
    assert not [label for label, record in found.items() if record["definition"] != "persistent"]
    assert found["disk vda"]["plugged"] is True
    assert found["disk sdb"]["disagreements"] == ["target is sdb, but sda in Nova"]
    assert found["disk vdc"]["disagreements"] == ["target is vdc, but vdq in Nova"]
    shut_off = rig.novadev("device", "show", "odd", "--live")
    assert (shut_off.code, "it is shut off" in shut_off.err) == (3, True)
    text = rig.novadev("device", "show", "odd").out
    assert f"odd ({uuid}) on cmp1, shut off" in text
    assert "! disk vdc: target is vdc, but vdq in Nova" in text
    names = {
        **{f"ua-{port_id(3)}": port_id(3), port_id(3): port_id(3), port_id(1): port_id(1)},
        **{lun: lun, PCI: PCI, MDEV: MDEV, SHARE: SHARE, tap(2): port_id(2), "sdb": lun},
        **{"vdc": other, other.upper(): other, "0000:82:00.1": PCI, "82:00.1": PCI},
        **{"0000:81:00.3": port_id(5), "hostdev 0000:82:00.1": PCI, "DISK vda": root},
    }
    for name, owner in names.items():
        (record,) = rig.show("odd", name).values()
        assert record["owner_id"] == owner, name
    several = rig.novadev("device", "show", "odd", mac(1).upper())
    assert several.code == 4
    assert "matches 3 devices" in several.err
    assert all(tap(number) in several.err for number in (1, 2, 3))


def test_a_volume_that_two_servers_have(rig: Rig) -> None:
    shared, cloud = volume_id(0), rig.cloud
    first, second, third = (cloud.add_instance(name=f"db-{n}") for n in range(3))
    for uuid, name in ((first, "/dev/vdb"), (second, "/dev/vdc"), (third, "/dev/vdb")):
        cloud.add_volume(uuid, shared, name, disk_bus="virtio", device_type="disk")
    for uuid, target in ((first, "vdb"), (second, "vdc")):
        rig.define(uuid, [domains.disk(target, serial=shared, shareable=True)])
    rig.define(third)
    assert told(rig.show("db-0", shared)["disk vdb"]) == ("volume", shared, "serial", "persistent")
    found = rig.show("db-1", shared)["disk vdc"]
    assert (found["instance"], found["disagreements"]) == (second, [])
    assert told(rig.show("db-2", shared)[f"volume {shared}"])[3] == "none"


def test_formats_and_columns(rig: Rig) -> None:
    uuid = rig.cloud.add_instance(name="web")
    rig.cloud.add_volume(uuid, volume_id(0), "/dev/vdq")
    rig.define(uuid, [domains.disk("vdb", serial=volume_id(0)), domains.disk("vdx")])

    def run(*arguments: str) -> str:
        result = rig.novadev("device", "show", *arguments)
        assert (result.code, result.err) == (0, "")
        return result.out

    documents = json.loads(run("web", "-f", "json")), yaml.safe_load(run("web", "-f", "yaml"))
    assert documents[0] == documents[1]
    rows = list(csv.DictReader(io.StringIO(run("web", "-f", "csv"))))
    assert list(rows[0]) == KEYS
    assert [row["label"] for row in rows] == [record["label"] for record in documents[0]]
    chosen = ("-c", "label", "-c", "owner_id", "-c", "disagreements")
    assert run("web", "vdb", "-f", "value", *chosen).split(" ", 2) == [
        "disk",
        "vdb",
        f"{volume_id(0)} target is vdb, but vdq in Nova\n",
    ]
    assert run("web", "vdb", "-c", "label", "-c", "plugged") == (
        "label     plugged\ndisk vdb  yes\n"
    )
    one = run("web", "vdb")
    assert [line.split()[0] for line in one.splitlines()[2:]] == KEYS[:-1]
    wrong = rig.novadev("device", "show", "web", "-c", "nonsense")
    assert (wrong.code, "The columns are instance, label" in wrong.err) == (4, True)


def test_what_is_not_there(rig: Rig, tmp_path: Path) -> None:
    cloud, host = rig.cloud, rig.host
    uuid = cloud.add_instance(name="web")
    rig.define(uuid, [domains.disk("vda")])
    gone = cloud.add_instance(name="gone")
    cloud.add_instance(name="away", vm_state="shelved_offloaded", host=None)
    stray = host.define(domains.domain(name="stray")).UUIDString()
    alone = Desk(compute_host(tmp_path, host))
    cases = [
        (rig, ("nobody",), 2, "instance 'nobody' not found"),
        (
            rig,
            ("web", "vdz"),
            2,
            f"Error: instance web ({uuid}) has no device 'vdz': novadev device",
        ),
        (rig, ("away",), 3, "is shelved_offloaded: it is on no host"),
        (rig, ("gone",), 2, f"host cmp1 has no domain gone ({gone})"),
        (rig, (stray,), 2, f"instance {stray} not found"),
        (rig, ("web", ""), 4, "it is empty"),
        (alone, ("nobody",), 2, "host cmp1 has no domain 'nobody'"),
    ]
    for where, arguments, code, text in cases:
        result = where.novadev("device", "show", *arguments)
        assert (result.code, result.out) == (code, ""), result.err
        assert text in result.err
        assert len(result.err.splitlines()) == 1 or code == 4
    found = alone.novadev("device", "show", "stray", "-f", "json")
    assert (found.code, found.json[0]["instance"]) == (0, stray)
    assert found.err == (
        "From libvirt only: the owners are those that Nova has written into the definition.\n"
    )


def test_on_a_compute_host(rig: Rig, tmp_path: Path) -> None:
    uuid = rig.cloud.add_instance(name="web")
    rig.define(
        uuid,
        [
            domains.disk("vda", source=f"{domains.IMAGES}/{uuid}/disk"),
            domains.disk("vdb", serial=volume_id(0)),
            domains.disk("vdx", source="/x"),
        ],
        [domains.interface(mac(0), port=port_id(0)), domains.interface(mac(0), port=port_id(1))],
    )
    bomb = _with_an_entity(rig, rig.cloud.add_instance(name="bomb"))
    alone = Desk(compute_host(tmp_path, rig.host))
    for name in (uuid, f"instance-{uuid[:8]}"):
        result = alone.novadev("device", "show", name, "-f", "json")
        assert result.code == 0, result.err
        assert {r["label"]: told(r)[1:3] for r in result.json if r["owner_type"]} == {
            "disk vda": (None, "file"),
            "disk vdb": (volume_id(0), "serial"),
            f"interface {tap(0)}": (port_id(0), "interface-id"),
            f"interface {tap(1)}": (port_id(1), "interface-id"),
        }
    for where, name in ((rig, "bomb"), (rig, bomb), (alone, bomb)):
        result = where.novadev("device", "show", name)
        assert (result.code, result.out) == (4, "")
        called = bomb if where is alone else f"bomb ({bomb})"
        told_of = f"the XML of domain {called} cannot be parsed: Entity 'e' not defined"
        assert told_of in result.err
    for filters in (["--project", "p"], ["--vm-state", "stopped"], ["--where", "hw_disk_bus=scsi"]):
        refused = alone.novadev("device", "alias-migrate", *filters, "--dry-run")
        assert (refused.code, f"{filters[0]} needs Nova's databases" in refused.err) == (4, True)


def _with_an_entity(rig: Rig, uuid: str) -> str:
    """Define a guest whose metadata refer to an entity: libvirt forgets what it stood for."""
    text = domains.domain(uuid).replace("<nova:name>instance", "<nova:name>&e;")
    rig.host.connection.defineXML(f'<!DOCTYPE domain [<!ENTITY e "x">]>{text}')
    return uuid


def test_what_others_wrote(rig: Rig) -> None:
    cloud = rig.cloud
    evil = "a\x1b[31mb\u202ec\nd"
    uuid = cloud.add_instance(name=evil)
    cloud.add_volume(uuid, "evil\x1b]0;owned\x07", "/dev/vd\x1b[2J")
    rig.define(uuid, [domains.disk("vda", serial=volume_id(0), source="/a/\u202eb")])
    for arguments in ((), ("vda",), *(("-f", name) for name in FORMATS[1:])):
        result = rig.novadev("device", "show", uuid, *arguments)
        assert result.code == 0, result.err
        assert not {"\x1b", "\u202e", "\x07"} & set(result.out + result.err)
    unknown = rig.novadev("device", "show", uuid, "x\x1b[2J")
    assert (unknown.code, "\x1b" in unknown.err) == (2, False)


@pytest.mark.parametrize("columns", [80, 100])
def test_on_a_terminal(rig: Rig, columns: int) -> None:
    uuid = rig.cloud.add_instance(name="web", vm_state="active")
    rig.cloud.add_disk(uuid)
    rig.cloud.add_volume(uuid, volume_id(0), "/dev/vdb")
    rig.cloud.add_volume(uuid, volume_id(1), "/dev/vdc")
    rig.cloud.add_port(uuid, port_id(0), mac(0))
    rig.define(
        uuid,
        [domains.disk("vda"), domains.disk("vdb", serial=volume_id(0))],
        [domains.interface(mac(0), port=port_id(0))],
        devices=[domains.scsi_controller()],
    )
    shown = Terminal(rig.cloud, "--color", "never", "device", "show", "web", columns=columns)
    assert shown.code == 0, shown.text
    assert "\x1b" not in shown.text
    assert max(len(line) for line in shown.lines if not line.startswith("!")) <= columns
    print(shown.text)
    if columns == 100:
        plain = rig.novadev("device", "show", "web").out.splitlines()
        assert [line.rstrip() for line in shown.lines] == plain
        assert sum(volume_id(0) in line for line in shown.lines) == 1
    coloured = Terminal(rig.cloud, "device", "show", "web", columns=columns)
    assert "\x1b" in coloured.text
