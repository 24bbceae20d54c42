"""Which device is whose: every identity, every mix-up."""

from collections.abc import Mapping
from uuid import UUID, uuid4

import pytest

from novadev.device.named import find_named
from novadev.device.owners import Owner
from novadev.nova.attachments import Attachments, LocalDisk
from tests import domains
from tests.device.attached import entry, inventory, local, matched, pci, port, share, volume
from tests.device.variety import own_disk

A, B = "0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"
P, Q = "a3bb189e-8bf9-4c8c-9b3e-6e1f0f2f5d10", "b1c2d3e4-0001-4c8c-9b3e-6e1f0f2f5d11"
MAC, OTHER_MAC = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"


def test_disks_by_alias_serial_and_target() -> None:
    lun = domains.disk("sda", "scsi", device="lun", kind="block", source="/dev/dm-7")
    text = domains.domain(
        disks=[
            domains.disk("vda"),
            domains.disk("vdb", serial=A, alias=f"ua-{A}"),
            domains.disk("vdc", serial=B),
            lun,
        ]
    )
    c = str(uuid4())
    attached = Attachments((volume(A, "vdb"), volume(B, "vdx"), volume(c, "sda")), (local("vda"),))
    assert matched(inventory(text, attached)) == {
        "disk vda": ("local disk vda", "target"),
        "disk vdb": (f"volume {A}", "alias"),
        "disk vdc": (f"volume {B}", "serial"),
        "disk sda": (f"volume {c}", "target"),
    }


def test_a_console_is_the_serial_port_once_more() -> None:
    """One device, by the alias that both of them have."""
    port = '<{}><target type="{}" port="0"/><alias name="serial0"/></{}>'
    devices = [port.format("serial type='pty'", "isa-serial", "serial")]
    devices.append(port.format("console type='pty'", "serial", "console"))
    text = domains.domain(devices=devices)
    found = inventory(text, Attachments(), text.replace("<domain ", '<domain id="1" '))
    assert find_named(found.entries, "serial0", "it").label == "serial 0"
    assert not any(item.label.startswith("console") for item in found.entries)


def test_nova_s_file_name_beats_a_target_of_the_next_definition() -> None:
    """After hw_disk_bus=scsi: Nova's row has the root at sda, which the config drive still is."""
    uuid = str(uuid4())
    disks = [
        own_disk(uuid, "vda", "virtio", "disk"),
        own_disk(uuid, "vdb", "virtio", "disk.eph0"),
        own_disk(uuid, "vdc", "virtio", "disk.swap"),
        own_disk(uuid, "sda", "sata", "disk.config", "cdrom"),
        domains.disk("vdd", serial=A),
        domains.disk("sdd", "sata", device="cdrom", source="/iso/tools.iso"),
    ]
    root = LocalDisk(1, "image", "sda", "scsi", "disk", 0)
    rows = (
        LocalDisk(2, "blank", "sdb", "scsi", "disk", -1, is_swap=True),
        LocalDisk(3, "blank", "sdc", "scsi", "disk", -1),
    )
    attached = Attachments((volume(A, "sdd"),), (root, *rows))
    found = inventory(domains.domain(uuid, disks=disks), attached, has_config_drive=True)
    assert matched(found) == {
        "disk vda": ("local disk sda", "file"),
        "disk vdb": ("local disk sdc", "file"),
        "disk vdc": ("local disk sdb", "file"),
        "disk sda": ("local disk disk.config", "file"),
        "disk vdd": (f"volume {A}", "serial"),
        "disk sdd": (None, None),
    }
    assert found.ghosts == ()
    (stray,) = (item for item in found.entries if item.label == "disk sdd")
    assert stray.doubts == ()


def test_kind_and_bus_together_deny_a_target() -> None:
    cdrom = domains.disk("sda", "sata", device="cdrom", source="/iso/tools.iso")
    found = inventory(domains.domain(disks=[cdrom]), Attachments((volume(A, "sda"),)))
    assert matched(found) == {"disk sda": (None, None)}


def test_a_name_that_shifted_is_told_and_denies_nothing() -> None:
    text = domains.domain(disks=[domains.disk("vdb", serial=A), domains.disk("vdc", serial=B)])
    found = inventory(text, Attachments((volume(A, "vdc"), volume(B, "vdb"))))
    assert matched(found) == {
        "disk vdb": (f"volume {A}", "serial"),
        "disk vdc": (f"volume {B}", "serial"),
    }
    assert entry(found, "disk vdb").doubts == ()
    assert entry(found, "disk vdb").disagreements == ("target is vdb, but vdc in Nova",)


def test_a_disk_with_another_volumes_serial_is_not_found_by_its_name() -> None:
    text = domains.domain(disks=[domains.disk("vdb", serial=B)])
    found = inventory(text, Attachments((volume(A, "vdb"),)))
    assert matched(found) == {"disk vdb": (None, None)}
    (ghost,) = found.ghosts
    assert ghost.label == f"volume {A}"


def test_luns_are_told_apart_by_source_when_names_say_nothing() -> None:
    luns = [
        domains.disk("sda", "scsi", device="lun", kind="block", source="/dev/dm-7"),
        domains.disk("sdb", "scsi", device="lun", kind="block", source="/dev/dm-70"),
    ]
    attached = Attachments(
        (volume(A, None, sources=("/dev/dm-70",)), volume(B, None, sources=("/dev/dm-7",)))
    )
    assert matched(inventory(domains.domain(disks=luns), attached)) == {
        "disk sda": (f"volume {B}", "source"),
        "disk sdb": (f"volume {A}", "source"),
    }


def test_a_lun_whose_source_is_another_volumes_is_doubted() -> None:
    luns = [domains.disk("sda", "scsi", device="lun", kind="block", source="/dev/dm-7")]
    attached = Attachments(
        (volume(A, "sda", sources=("/dev/dm-8",)), volume(B, "sdb", sources=("/dev/dm-7",)))
    )
    found = inventory(domains.domain(disks=luns), attached)
    assert entry(found, "disk sda").doubts == (f"its source /dev/dm-7 is that of volume {B}",)


def test_an_rbd_image_names_its_volume() -> None:
    text = domains.domain(
        disks=[domains.disk("vda", kind="network", source=f"volumes/volume-{A}", serial=None)]
    )
    assert matched(inventory(text, Attachments((volume(A, None),)))) == {
        "disk vda": (f"volume {A}", "source")
    }


def test_two_disks_of_one_volume_are_both_doubted() -> None:
    text = domains.domain(disks=[domains.disk("vdb", serial=A), domains.disk("vdc", serial=A)])
    found = inventory(text, Attachments((volume(A, "vdb"),)))
    assert all(
        "have the serial of volume" in entry(found, f"disk {n}").doubts[0] for n in ("vdb", "vdc")
    )


def test_an_alias_that_names_another_volume_than_the_serial() -> None:
    text = domains.domain(disks=[domains.disk("vdb", serial=A, alias=f"ua-{B}")])
    found = inventory(text, Attachments((volume(A, "vdb"), volume(B, "vdc"))))
    assert entry(found, "disk vdb").matched_by == "alias"
    assert entry(found, "disk vdb").doubts[0] == f"its serial {A} is that of volume {A}"


def test_an_alias_of_nobody_counts_for_nothing() -> None:
    text = domains.domain(disks=[domains.disk("vdb", serial=A, alias=f"ua-{B}")])
    found = entry(inventory(text, Attachments((volume(A, "vdb"),))), "disk vdb")
    assert (found.matched_by, found.doubts) == ("serial", ())
    assert found.disagreements == (f"alias is ua-{B}, and should be ua-{A}",)


def test_a_volume_whose_connection_calls_it_otherwise() -> None:
    """Nova makes serial and alias of the connection_info, not of the row's volume_id."""
    text = domains.domain(disks=[domains.disk("vdb", serial=B)])
    found = entry(inventory(text, Attachments((volume(A, "vdb", serial=B),))), "disk vdb")
    assert (found.matched_by, str(found.expected_alias)) == ("serial", f"ua-{B}")


def test_interfaces_with_one_mac() -> None:
    text = domains.domain(
        interfaces=[
            domains.interface(MAC, port=P, kind="bridge"),
            domains.interface(MAC, port=Q, kind="ovs"),
        ],
    )
    found = inventory(text, Attachments(ports=(port(P, MAC), port(Q, MAC))))
    assert matched(found) == {
        f"interface tap{P[:11]}": (f"port {P}", "tap"),
        f"interface tap{Q[:11]}": (f"port {Q}", "interface-id"),
    }
    assert [item.doubts for item in found.entries if item.is_detachable] == [(), ()]


def test_macvtap_interfaces_with_one_mac_cannot_be_told_apart() -> None:
    text = domains.domain(interfaces=[domains.interface(MAC, kind="user")] * 2)
    found = inventory(text, Attachments(ports=(port(P, MAC, tap=False), port(Q, MAC, tap=False))))
    assert {item.owner for item in found.entries if item.is_detachable} == {None}
    assert all(item.doubts for item in found.entries if item.is_detachable)
    assert "it may be" in found.ghosts[0].disagreements[0]


def test_a_mac_in_capitals() -> None:
    text = domains.domain(interfaces=[domains.interface(MAC.upper(), kind="user")])
    found = inventory(text, Attachments(ports=(port(P, MAC),)))
    assert [owner for owner, _ in matched(found).values()] == [f"port {P}"]


def test_host_devices() -> None:
    mdev = str(uuid4())
    text = domains.domain(
        interfaces=[domains.sriov(MAC, "0000:81:00.1")],
        devices=[
            domains.pci("0000:82:00.0"),
            domains.pci("0000:83:00.0", alias=f"ua-{B}"),
            domains.pci("0000:84:00.0"),
            domains.mdev(mdev),
        ],
    )
    attached = Attachments(
        ports=(
            port(P, MAC, pci_address="0000:81:00.1"),
            port(Q, OTHER_MAC, pci_address="0000:84:00.0"),
        ),
        pci_devices=(
            *(pci("0000:81:00.1", str(uuid4())), pci("0000:82:00.0", A)),
            *(pci("0000:83:00.0", None), pci("0000:84:00.0", str(uuid4()))),
        ),
    )
    found = inventory(text, attached)
    assert matched(found) == {
        f"interface {MAC}": (f"port {P}", "mac"),
        "hostdev 0000:82:00.0": ("PCI device 0000:82:00.0", "pci-address"),
        "hostdev 0000:83:00.0": ("PCI device 0000:83:00.0", "pci-address"),
        "hostdev 0000:84:00.0": (f"port {Q}", "pci-address"),
        f"hostdev {mdev}": (f"mediated device {mdev}", "mdev"),
    }
    assert found.ghosts == ()
    assert str(entry(found, "hostdev 0000:82:00.0").expected_alias) == f"ua-{A}"
    assert entry(found, "hostdev 0000:83:00.0").expected_alias is None


def test_shares_and_the_config_drive() -> None:
    uuid = str(uuid4())
    drive = f"/var/lib/nova/instances/{uuid}/disk.config"
    text = domains.domain(
        uuid,
        disks=[domains.disk("hdd", "ide", device="cdrom", source=drive), domains.disk("vdz")],
        devices=[domains.share(A), domains.share(B)],
    )
    attached = Attachments(shares=(share(A), share(B)))
    assert matched(inventory(text, attached, has_config_drive=True)) == {
        "disk hdd": ("local disk disk.config", "file"),
        "disk vdz": (None, None),
        f"filesystem {A}": (f"share {A}", "target"),
        f"filesystem {B}": (f"share {B}", "target"),
    }
    assert matched(inventory(text, attached))["disk hdd"] == (None, None)


def test_from_the_definition_alone() -> None:
    uuid = str(uuid4())
    lun = domains.disk("sda", "scsi", device="lun", kind="block", source="/dev/dm-7")
    text = domains.domain(
        uuid,
        disks=[
            domains.disk("vda", source=f"/var/lib/nova/instances/{uuid}/disk"),
            domains.disk("vdb", serial=A),
            lun,
        ],
        interfaces=[
            domains.interface(MAC, port=P, kind="ovs"),
            domains.interface(OTHER_MAC, port=Q, kind="bridge"),
            domains.sriov(MAC, "0000:81:00.1"),
        ],
        ports=[P, Q],
    )
    assert matched(inventory(text, None)) == {
        "disk vda": ("local disk disk", "file"),
        "disk vdb": (f"volume {A}", "serial"),
        "disk sda": (None, None),
        f"interface tap{P[:11]}": (f"port {P}", "interface-id"),
        f"interface tap{Q[:11]}": (f"port {Q}", "tap"),
        f"interface {MAC}": (None, None),
    }
    assert inventory(text, None).ghosts == ()


def test_a_port_that_the_metadata_do_not_name_is_left_alone() -> None:
    text = domains.domain(interfaces=[domains.interface(MAC, port=P)], ports=[Q])
    assert matched(inventory(text, None)) == {f"interface tap{P[:11]}": (None, None)}


def test_what_runs_differs_from_what_is_defined() -> None:
    persistent = domains.domain(A, disks=[domains.disk("vdb", serial=B)])
    live = persistent.replace("<domain ", "<domain id='3' ").replace('bus="virtio"', 'bus="scsi"')
    found = entry(inventory(persistent, Attachments((volume(B, "vdb"),)), live), "disk vdb")
    assert found.disagreements == (
        "bus is virtio in the persistent definition, scsi in the live one",
    )


def test_a_local_disk_with_an_alias() -> None:
    text = domains.domain(disks=[domains.disk("vda", alias="ua-root")])
    found = entry(inventory(text, Attachments(local_disks=(local("vda"),))), "disk vda")
    assert found.expected_alias is None
    assert found.disagreements == (
        "alias ua-root is on a local device, which should have no alias",
    )


def test_nobody_compares_every_device_with_every_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest with thousands of disks would take longer than its host may take to answer."""
    number, calls = 200, 0
    has = Owner.has

    def counted(owner: Owner, key: str, keys: Mapping[str, str]) -> bool:
        nonlocal calls
        calls += 1
        return has(owner, key, keys)

    monkeypatch.setattr(Owner, "has", counted)
    disks = [domains.disk(f"vd{name}", serial=str(UUID(int=name))) for name in range(number)]
    volumes = tuple(volume(str(UUID(int=name)), f"vd{name}") for name in range(number))
    for attachments in (None, Attachments(volumes)):
        found = inventory(domains.domain(disks=disks), attachments)
        assert [item.matched_by for item in found.entries if item.owner] == ["serial"] * number
    assert calls < 10 * number
