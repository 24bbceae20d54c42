"""What a cell says is attached to its instances."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from novadev.nova.attached import list_attachments
from novadev.nova.attachments import (
    Attachments,
    LocalDisk,
    PciAttachment,
    PortAttachment,
    ShareAttachment,
    VolumeAttachment,
)
from tests.cloud import Cloud
from tests.nova_process import NovaProcess

Nova = Callable[[Cloud], NovaProcess]
VOLUME = "77777777-7777-4777-8777-777777777777"
OTHER = "66666666-6666-4666-8666-666666666666"
PORT = "55555555-5555-4555-8555-555555555555"
DEVICE = "44444444-4444-4444-8444-444444444444"
SHARE = "33333333-3333-4333-8333-333333333333"
SECRET = "x9-secret-9x"
NO_CACHE = "it has no network info cache"
EXPORT = "192.0.2.40:/exports/cinder"
HASH = hashlib.md5(EXPORT.encode()).hexdigest()
UNKNOWN = "00000000-0000-4000-8000-000000000000"


def read_all(cloud: Cloud, *uuids: str) -> dict[str, Attachments]:
    with cloud.engine("cell1").connect() as connection:
        return list_attachments(connection, uuids)


def read(cloud: Cloud, uuid: str) -> Attachments:
    return read_all(cloud, uuid)[uuid]


@contextmanager
def statements(engine: sa.Engine) -> Iterator[list[str]]:
    """The statements that run on `engine` meanwhile."""
    ran: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        ran.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    yield ran
    sa.event.remove(engine, "before_cursor_execute", note)


# Disks


def test_a_volume(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    any_cloud.add_volume(uuid, VOLUME, boot_index=1, attachment_id=OTHER)
    row = any_cloud.disks(uuid)[0]["id"]
    volume = VolumeAttachment(VOLUME, VOLUME, row, "vdb", "virtio", "disk", 1, OTHER, ())
    assert read(any_cloud, uuid) == Attachments(volumes=(volume,))


def test_local_disks(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    image = any_cloud.add_disk(uuid)
    blank = {"source_type": "blank", "guest_format": "swap", "boot_index": -1}
    swap = any_cloud.add_disk(uuid, None, None, None, **blank)
    assert read(any_cloud, uuid).local_disks == (
        LocalDisk(image, "image", "vda", "virtio", "disk", 0),
        LocalDisk(swap, "blank", None, None, None, -1, is_swap=True),
    )


def test_rows_that_are_no_attachment(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    any_cloud.add_volume(uuid, deleted=5)
    any_cloud.add_volume(uuid, no_device=True)
    any_cloud.add_disk(uuid, deleted=6)
    any_cloud.add_disk(uuid, no_device=True)
    any_cloud.add_disk(uuid, source_type="blank", destination_type="volume")
    any_cloud.add_disk(uuid, destination_type=None)  # type: ignore[arg-type]
    assert read(any_cloud, uuid) == Attachments()


def test_no_device_may_be_null(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    any_cloud.add_volume(uuid, VOLUME, no_device=None)
    assert [volume.uuid for volume in read(any_cloud, uuid).volumes] == [VOLUME]


SERIALS: dict[str, tuple[Any, str]] = {
    "data before serial": ({"data": {"volume_id": OTHER}, "serial": "s"}, OTHER),
    "serial": ({"data": {"device_path": "/dev/sdb"}, "serial": OTHER}, OTHER),
    "serial, empty id": ({"data": {"volume_id": ""}, "serial": OTHER}, OTHER),
    "neither": ({"data": {}}, VOLUME),
    "no data": ({"serial": OTHER}, OTHER),
    "empty": ({}, VOLUME),
    "empty text": ("", VOLUME),
    "null": ("null", VOLUME),
    "no JSON": (f'{{"auth_password": "{SECRET}', VOLUME),
    "a list": ([1, {"serial": OTHER}], VOLUME),
    "a number": ("17", VOLUME),
    "a text": ('"serial"', VOLUME),
    "numbers inside": ({"data": {"volume_id": 5}, "serial": 7}, VOLUME),
    "data is a list": ({"data": [1], "serial": OTHER}, OTHER),
    "null bytes": ({"data": {"volume_id": "\0"}, "serial": "a\0b"}, VOLUME),
    "half a surrogate": ('{"serial": "\\ud800"}', VOLUME),
    "a long number": ('{"serial": ' + "1" * 5000 + "}", VOLUME),
    "too deep": ("[" * 100_000, VOLUME),
    "huge": ({"data": {"x": "y" * 2_000_000, "volume_id": OTHER}}, OTHER),
}


@pytest.mark.parametrize("name", SERIALS)
def test_the_serial(sqlite_cloud: Cloud, name: str) -> None:
    info, expected = SERIALS[name]
    uuid = sqlite_cloud.add_instance()
    sqlite_cloud.add_volume(uuid, VOLUME, connection_info=info)
    assert [(v.uuid, v.serial) for v in read(sqlite_cloud, uuid).volumes] == [(VOLUME, expected)]


def test_hostile_connection_infos_at_once(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    for info, _ in SERIALS.values():
        any_cloud.add_volume(uuid, VOLUME, connection_info=info)
    any_cloud.update("block_device_mapping", "cell1", {"boot_index": None}, device_name="/dev/vdx")
    found = read(any_cloud, uuid).volumes
    assert [volume.serial for volume in found] == [serial for _, serial in SERIALS.values()]
    assert {volume.device_name for volume in found} == {"vdx"}


def test_without_connection_info(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    any_cloud.add_volume(uuid, VOLUME)
    any_cloud.update("block_device_mapping", "cell1", {}, connection_info=None)
    assert [(v.serial, v.sources) for v in read(any_cloud, uuid).volumes] == [(VOLUME, ())]


SOURCES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "iscsi": ({"device_path": "/dev/sdb", "target_iqn": "iqn.x"}, ("/dev/sdb",)),
    "rbd": ({"name": "volumes/volume-1", "hosts": ["192.0.2.1"]}, ("volumes/volume-1",)),
    "nfs": (
        {"export": EXPORT, "name": "volume-1", "device_path": f"/mnt/{HASH}/volume-1"},
        (f"/mnt/{HASH}/volume-1", f"{HASH}/volume-1", "volume-1"),
    ),
    "quobyte": (
        {"export": f"quobyte://{EXPORT}", "name": "volume-1"},
        (f"{HASH}/volume-1", "volume-1"),
    ),
    "a relative path": ({"device_path": "sdb"}, ()),
    "the same twice": ({"device_path": "/dev/sdb", "name": "/dev/sdb"}, ("/dev/sdb",)),
    "other types": ({"device_path": ["/dev/sdb"], "name": 5, "export": {}}, ()),
    "null bytes": ({"device_path": "/dev/\0", "name": "a\0"}, ()),
    "no name": ({"export": EXPORT}, ()),
}


@pytest.mark.parametrize("name", SOURCES)
def test_sources(sqlite_cloud: Cloud, name: str) -> None:
    data, expected = SOURCES[name]
    uuid = sqlite_cloud.add_instance()
    sqlite_cloud.add_volume(uuid, connection_info={"data": data})
    assert read(sqlite_cloud, uuid).volumes[0].sources == expected


def test_no_secret_is_kept(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    data = {"auth_password": SECRET, "auth_username": SECRET, "secret_uuid": SECRET}
    data |= {"keyring": SECRET, "discovery_auth_password": SECRET, "options": f"password={SECRET}"}
    data |= {"export": f"mds1:/cluster:{SECRET}", "name": "volume-1", "volume_id": VOLUME}
    info = {"data": data, "serial": VOLUME, "connector": {"password": SECRET}}
    any_cloud.add_volume(uuid, VOLUME, connection_info=info)
    any_cloud.add_port(uuid, profile={"card_serial_number": SECRET}, details={"key": SECRET})
    found = read(any_cloud, uuid)
    assert (len(found.volumes), len(found.ports)) == (1, 1)
    assert SECRET not in repr(found)


# Ports


def test_ports(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    any_cloud.add_port(uuid, PORT, "FA:16:3E:00:00:AA")
    any_cloud.add_port(
        uuid,
        OTHER,
        vnic_type="direct",
        ovs_interfaceid=None,
        profile={"pci_slot": "0000:81:00.1", "pci_vendor_info": "8086:1520"},
    )
    tap = f"tap{PORT[:11]}"
    assert read(any_cloud, uuid).ports == (
        PortAttachment(PORT, "fa:16:3e:00:00:aa", tap, PORT, "normal", None),
        PortAttachment(
            *(OTHER, "fa:16:3e:00:00:01", f"tap{OTHER[:11]}", None, "direct", "0000:81:00.1")
        ),
    )


def test_a_port_without_the_rest(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    text = json.dumps([{"id": PORT, "profile": None}, {"id": OTHER, "devname": 5, "profile": [1]}])
    any_cloud.update("instance_info_caches", "cell1", {}, network_info=text)
    assert read(any_cloud, uuid).ports == (
        PortAttachment(PORT, None, f"nic{PORT[:11]}", None, None, None),
        PortAttachment(OTHER, None, f"nic{OTHER[:11]}", None, None, None),
    )


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "null", "{}", "17", '"[]"', "[", "[" * 100_000, f"[{'1' * 5000}]"),
        *('[1, null, "x", [], {}, {"id": 5}]', '[{"id": "\\u0000"}]', '[{"id": ""}]'),
        '{"id": "x"}',
    ],
)
def test_no_ports(sqlite_cloud: Cloud, text: str | None) -> None:
    uuid = sqlite_cloud.add_instance()
    sqlite_cloud.update("instance_info_caches", "cell1", {}, network_info=text)
    told = "its network info cache cannot be read"
    assert read(sqlite_cloud, uuid) == Attachments(cache_fault=told)


def test_an_empty_cache_is_not_a_server_without_ports(any_cloud: Cloud) -> None:
    uuid, other = any_cloud.add_instances(2)
    any_cloud.add_port(other)
    assert read(any_cloud, uuid).why_no_ports == "its network info cache is empty"
    assert read(any_cloud, other).why_no_ports is None


def test_the_cache_is_gone(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    any_cloud.add_port(uuid)
    any_cloud.update("instance_info_caches", "cell1", {}, deleted=3)
    assert read(any_cloud, uuid) == Attachments(cache_fault=NO_CACHE)


# PCI devices


def test_pci_devices(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    any_cloud.add_pci_device(uuid, device_uuid=DEVICE, request_id=OTHER)
    any_cloud.add_pci_device(uuid, "0000:81:00.2", status="claimed", host="cmp2")
    first, second = read(any_cloud, uuid).pci_devices
    assert first == PciAttachment(DEVICE, first.row, "0000:81:00.1", "allocated", OTHER)
    assert (second.address, second.status, second.request_id) == ("0000:81:00.2", "claimed", None)


def test_pci_devices_of_nobody(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    any_cloud.add_pci_device(None, status="available")
    any_cloud.add_pci_device(uuid, "0000:81:00.2", deleted=7)
    states = ("available", "removed", "deleted", "unclaimable", "unavailable")
    for number, status in enumerate(states):
        any_cloud.add_pci_device(uuid, f"0000:82:00.{number}", status=status)
    assert read(any_cloud, uuid) == Attachments()


# Shares


def test_shares_of_any_status(cloud: Cloud) -> None:
    uuid = cloud.add_instance()
    cloud.add_share(uuid, SHARE, tag="data", export_location="192.0.2.30:/a")
    others = [
        cloud.add_share(uuid, status=status)
        for status in ("attaching", "detaching", "inactive", "error")
    ]
    first, *rest = read(cloud, uuid).shares
    assert first == ShareAttachment(SHARE, "data", "192.0.2.30:/a")
    assert [share.share_id for share in rest] == others


@pytest.mark.parametrize("backend", ["sqlite", "mariadb"])
def test_a_nova_without_shares(make_cloud: Callable[[str, str], Cloud], backend: str) -> None:
    cloud = make_cloud(backend, "28")
    uuid = cloud.add_instance()
    any_port = cloud.add_port(uuid)
    found = read(cloud, uuid)
    assert ([port.uuid for port in found.ports], found.shares) == ([any_port], ())


def test_the_table_of_shares_is_asked_for_once(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    read(any_cloud, uuid)
    with statements(any_cloud.engine("cell1")) as ran:
        read(any_cloud, uuid)
    selects = [statement for statement in ran if statement.startswith("SELECT")]
    assert ran == selects
    assert len(ran) == (5 if any_cloud.release == "34" else 4)


# Migrations


@pytest.mark.parametrize(
    ("migration_type", "status", "told"),
    [
        ("live-migration", "running", "live-migration {} is running"),
        ("live-migration", "queued", "live-migration {} is queued"),
        ("resize", "finished", "resize {} is finished, not yet confirmed or reverted"),
        ("evacuation", "accepted", "evacuation {} is accepted"),
        (None, "migrating", "migration {} is migrating"),
    ],
)
def test_unfinished(any_cloud: Cloud, migration_type: str, status: str, told: str) -> None:
    uuid = any_cloud.add_instance()
    number = any_cloud.add_migration(uuid, status, migration_type)
    assert read(any_cloud, uuid).unfinished == told.format(number)


ENDED = ("confirmed", "reverted", "error", "failed", "completed", "cancelled", "done")


def test_ended_migrations(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    for status in ENDED:
        any_cloud.add_migration(uuid, status)
    any_cloud.add_migration(uuid, deleted=9)
    assert read(any_cloud, uuid).unfinished is None


def test_the_newest_migration_is_told(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    any_cloud.add_migration(uuid, "finished", "resize")
    newest = any_cloud.add_migration(uuid, hidden=True)
    any_cloud.add_migration(uuid, "completed")
    assert read(any_cloud, uuid).unfinished == f"live-migration {newest} is running"


# Many instances


def furnish(cloud: Cloud, uuid: str, number: int) -> None:
    cloud.add_disk(uuid)
    cloud.add_volume(uuid)
    cloud.add_port(uuid)
    cloud.add_pci_device(uuid, f"0000:81:00.{number}")
    cloud.add_migration(uuid)
    if cloud.release != "28":
        cloud.add_share(uuid)


def counts(found: Attachments) -> tuple[int, ...]:
    lists = (found.volumes, found.local_disks, found.ports, found.pci_devices, found.shares)
    return tuple(len(each) for each in lists)


def test_everybody_has_his_own(any_cloud: Cloud) -> None:
    uuids = any_cloud.add_instances(3)
    for number, uuid in enumerate(uuids[:2]):
        furnish(any_cloud, uuid, number)
    found = read_all(any_cloud, *uuids, UNKNOWN)
    assert list(found) == [*uuids, UNKNOWN]
    shares = 0 if any_cloud.release == "28" else 1
    assert [counts(found[uuid]) for uuid in uuids[:2]] == [(1, 1, 1, 1, shares)] * 2
    assert found[uuids[0]] == read(any_cloud, uuids[0])
    assert found[uuids[0]].volumes != found[uuids[1]].volumes
    assert found[uuids[2]] == Attachments()
    assert found[UNKNOWN] == Attachments(cache_fault=NO_CACHE)


def test_statements_do_not_grow(any_cloud: Cloud) -> None:
    uuids = any_cloud.add_instances(8)
    for number, uuid in enumerate(uuids):
        furnish(any_cloud, uuid, number)
    read(any_cloud, uuids[0])
    with statements(any_cloud.engine("cell1")) as of_one:
        read(any_cloud, uuids[0])
    with statements(any_cloud.engine("cell1")) as of_all:
        assert len(read_all(any_cloud, *uuids)) == 8
    assert len(of_all) == len(of_one)


def test_nobody_asked_for(sqlite_cloud: Cloud) -> None:
    with statements(sqlite_cloud.engine("cell1")) as ran:
        assert read_all(sqlite_cloud) == {}
    assert ran == []


def test_a_uuid_asked_twice_and_in_another_case(mariadb_cloud: Cloud) -> None:
    """MariaDB compares without case: the row is found, and belongs to nobody asked for."""
    uuid = mariadb_cloud.add_instance(uuid="abcdefab-cdef-4bcd-8fab-cdefabcdefab")
    furnish(mariadb_cloud, uuid, 1)
    found = read_all(mariadb_cloud, uuid.upper(), uuid.upper())
    assert found == {uuid.upper(): Attachments(cache_fault=NO_CACHE)}


# The real Nova


@pytest.mark.slow
def test_ports_as_nova_writes_them(any_cloud: Cloud, nova: Nova) -> None:
    ours, theirs = any_cloud.add_instances(2)
    slot = {"pci_slot": "0000:81:00.1", "pci_vendor_info": "8086:1520", "physical_network": None}
    direct: dict[str, Any] = {"vnic_type": "direct", "type": "hw_veb", "profile": slot}
    direct |= {"ovs_interfaceid": None}
    for port, mac, fields in (
        (PORT, "fa:16:3e:00:00:0a", {}),
        (OTHER, "FA:16:3E:00:00:0B", direct),
        (DEVICE, "fa:16:3e:00:00:0c", {"devname": None}),
    ):
        any_cloud.add_port(ours, port, mac, **fields)
        nova(any_cloud).call("add_port", uuid=theirs, port=port, mac=mac, **fields)
    found = read_all(any_cloud, ours, theirs)
    assert len(found[ours].ports) == 3
    assert found[ours] == found[theirs]
    assert cached(any_cloud, ours) == cached(any_cloud, theirs)


@pytest.mark.slow
def test_nova_reads_the_ports_alike(any_cloud: Cloud, nova: Nova) -> None:
    uuid = any_cloud.add_instance()
    any_cloud.add_port(uuid, PORT)
    any_cloud.add_port(uuid, OTHER, devname=None, profile={"pci_slot": "0000:81:00.1"})
    seen = nova(any_cloud).call("read_ports", uuid=uuid)
    assert seen == [
        {"id": port.uuid, "mac": port.mac, "tap": port.tap, "pci_slot": port.pci_address}
        for port in read(any_cloud, uuid).ports
    ]


def cached(cloud: Cloud, uuid: str) -> Any:
    return json.loads(
        cloud.rows("instance_info_caches", "cell1", instance_uuid=uuid)[0]["network_info"]
    )


@pytest.mark.slow
def test_pci_devices_as_nova_writes_them(any_cloud: Cloud, nova: Nova) -> None:
    ours, theirs = any_cloud.add_instances(2)
    for address, status in (("0000:81:00.1", "allocated"), ("0000:81:00.2", "claimed")):
        made = nova(any_cloud).call(
            *("add_pci_device",),
            **{"uuid": theirs, "address": address, "host": "cmp1", "request_id": OTHER},
            allocate=status == "allocated",
        )
        any_cloud.add_pci_device(ours, address, made, status, host="cmp2", request_id=OTHER)
    found = read_all(any_cloud, ours, theirs)
    assert len(found[ours].pci_devices) == 2
    assert without_rows(found[ours]) == without_rows(found[theirs])


def without_rows(found: Attachments) -> list[tuple[Any, ...]]:
    return [(d.uuid, d.address, d.status, d.request_id) for d in found.pci_devices]


@pytest.mark.slow
def test_shares_as_nova_writes_them(cloud: Cloud, nova: Nova) -> None:
    ours, theirs = cloud.add_instances(2)
    for number, status in enumerate(("active", "attaching", "detaching")):
        share = {"share_id": f"{SHARE[:-1]}{number}", "tag": status, "status": status}
        share |= {"export_location": "192.0.2.30:/a"}
        cloud.add_share(ours, **share)
        nova(cloud).call("add_share", uuid=theirs, **share)
    found = read_all(cloud, ours, theirs)
    assert [share.tag for share in found[ours].shares] == ["active", "attaching", "detaching"]
    assert found[ours] == found[theirs]


@pytest.mark.slow
def test_migrations_as_nova_counts_them(any_cloud: Cloud, nova: Nova) -> None:
    for status in ("accepted", "running", "finished", *ENDED):
        ours, theirs = any_cloud.add_instances(2)
        number = any_cloud.add_migration(ours, status)
        made = nova(any_cloud).call("add_migration", uuid=theirs, status=status)
        found = read_all(any_cloud, ours, theirs)
        for uuid, migration in ((ours, number), (theirs, made)):
            counted = nova(any_cloud).call("migrations_in_progress", uuid=uuid)
            told = found[uuid].unfinished
            assert counted == ([migration] if told else []), status
            assert told is None or told.startswith(f"live-migration {migration} is {status}")
            assert bool(told) == (status not in ENDED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("iscsi", {"device_path": "/dev/disk/by-id/dm-uuid-mpath-1", "volume_id": OTHER}),
        ("rbd", {"name": "volumes/volume-1", "auth_enabled": False, "hosts": [], "ports": []}),
        ("nfs", {"export": EXPORT, "name": "volume-1"}),
        ("quobyte", {"export": f"quobyte://{EXPORT}", "name": "volume-1"}),
    ],
)
def test_the_source_nova_writes_is_among_them(
    any_cloud: Cloud, nova: Nova, kind: str, data: dict[str, Any]
) -> None:
    info = {"driver_volume_type": kind, "data": data, "serial": VOLUME}
    uuid = any_cloud.add_instance()
    any_cloud.add_volume(uuid, VOLUME, connection_info=info)
    theirs = nova(any_cloud).call("volume_of", connection_info=info)
    ours = read(any_cloud, uuid).volumes[0]
    assert ours.serial == theirs["id"]
    assert any(theirs["source"].endswith(source) for source in ours.sources)
    if "export" not in data:
        assert theirs["source"] in ours.sources
