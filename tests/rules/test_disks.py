"""Bus and name of every disk: by example, and against Nova's own get_disk_info."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from novadev.nova.block_devices import BlockDevice
from novadev.rules.buses import TooManyDisks, UnsupportedBus
from novadev.rules.disks import GuestDisk, guest_disks
from novadev.rules.guest import ComputeRules, Guest, rows_of
from tests.nova_process import NovaProcess
from tests.rules.guests import ephemeral, guest, image, row, swap, volume

KVM = ComputeRules()


def names(guest: Guest, rules: ComputeRules = KVM) -> list[str]:
    return [f"{disk.name} {disk.bus} {disk.dev}" for disk in guest_disks(guest, rules)]


def test_an_image_backed_guest_with_everything() -> None:
    made = guest(
        image(1, disk_bus="virtio", device_name="/dev/vda"),
        ephemeral(2, device_name="/dev/vdb"),
        swap(3, device_name="/dev/vdc"),
        volume(4, device_name="/dev/vdd"),
        config_drive=True,
    )
    assert names(made) == [
        "root virtio vda",
        "disk.eph0 virtio vdb",
        "disk.swap virtio vdc",
        "/dev/vdd virtio vdd",
        "disk.config ide hda",
    ]


def test_a_local_disk_without_a_bus_takes_the_property_and_a_volume_its_name() -> None:
    made = guest(
        image(1, device_name="/dev/vda"),
        volume(2, device_name="/dev/vdb"),
        volume(3, device_name="/dev/hdc"),
        hw_disk_bus="scsi",
    )
    assert names(made) == ["root scsi vda", "/dev/vdb virtio vdb", "/dev/hdc ide hdc"]


def test_a_stored_bus_wins_over_the_property() -> None:
    made = guest(image(1, disk_bus="virtio", device_name="/dev/vda"), hw_disk_bus="scsi")
    assert names(made) == ["root virtio vda"]


def test_an_iso_root_is_a_cdrom_on_the_cdrom_bus_whatever_its_row_says() -> None:
    made = guest(image(1, disk_bus="ide", device_name="/dev/hda"), disk_format="iso")
    q35 = ComputeRules(hw_machine_type=("x86_64=q35",))
    assert guest_disks(made, q35) == (GuestDisk("root", "sata", "hda", "cdrom", 1),)


def test_swap_from_the_flavor_takes_a_name_no_row_has() -> None:
    made = guest(image(1, device_name="/dev/vda"), volume(2, device_name="/dev/vdb"), swap_mb=64)
    assert names(made) == ["root virtio vda", "disk.swap virtio vdc", "/dev/vdb virtio vdb"]


def test_an_ephemeral_disk_without_a_row_is_dropped_when_a_volume_has_its_name() -> None:
    root = image(1, device_name="/dev/vda")
    assert names(guest(root, ephemeral_gb=5)) == ["root virtio vda", "disk.local virtio vdb"]
    volumes = volume(2, device_name="/dev/vdb")
    assert names(guest(root, volumes, ephemeral_gb=5)) == ["root virtio vda", "/dev/vdb virtio vdb"]


def test_the_config_drive_takes_the_next_free_name() -> None:
    made = guest(image(1, disk_bus="ide", device_name="/dev/hda"), config_drive=True)
    assert names(made)[-1] == "disk.config ide hdb"
    assert names(made, ComputeRules(config_drive_format="vfat"))[-1] == "disk.config virtio vda"


def test_disk_prefix_names_every_bus() -> None:
    made = guest(image(1), volume(2, disk_bus="scsi"), config_drive=True)
    rules = ComputeRules(disk_prefix="xvd")
    assert names(made, rules) == ["root virtio xvda", "/dev/xvdb scsi xvdb", "disk.config ide xvdc"]


def test_a_bus_the_virt_type_lacks() -> None:
    with pytest.raises(UnsupportedBus, match="hw_disk_bus=xen: virt_type kvm"):
        guest_disks(guest(image(1), hw_disk_bus="xen"), KVM)


def test_a_fifth_ide_disk() -> None:
    four = [volume(n, disk_bus="ide", device_name=f"/dev/hd{c}") for n, c in enumerate("abcd", 1)]
    with pytest.raises(TooManyDisks):
        guest_disks(guest(*four, root="/dev/vda", config_drive=True), KVM)


BUSES = (None, None, "virtio", "scsi", "ide", "sata", "usb", "fdc")
ODD_BUSES = (*BUSES, *BUSES, "xen", "lxc", "")
NAMES = (None, *(f"/dev/{p}{c}" for p in ("vd", "sd", "hd") for c in "abc"), "/dev/fda", "vdb")
ODD_NAMES = (*NAMES, *NAMES, *NAMES, "", "/dev/xvda", "/dev/foo")
KINDS = (image, volume, volume, volume, ephemeral, swap, row)
SOURCES = (None, "volume", "snapshot", "image", "blank")
# A container (lxc) has no disk names: Nova mistakes one volume without a name for another there.
VIRT_TYPES = (*["kvm"] * 8, "qemu", "parallels", "xen", "foo")
MACHINES = (None, "pc", "q35", "pc-q35-7.2", "virt", "")


@st.composite
def block_devices(draw: st.DrawFn, number: int) -> BlockDevice:
    values = draw(
        st.fixed_dictionaries(
            {
                "disk_bus": st.sampled_from(ODD_BUSES),
                "device_name": st.sampled_from(ODD_NAMES),
                "device_type": st.sampled_from((None, "disk", "cdrom", "floppy", "lun", "fs")),
                "boot_index": st.sampled_from((None, -1, 0, 1)),
                "volume_size": st.sampled_from((None, 0, 1)),
            },
            optional={
                "source_type": st.sampled_from(SOURCES),
                "destination_type": st.sampled_from((None, "local", "volume")),
                "guest_format": st.sampled_from((None, "swap", "ext4")),
                "no_device": st.just(True),
                "connected": st.just(False),
            },
        )
    )
    made: BlockDevice = draw(st.sampled_from(KINDS))(number, **values)
    return made


properties = st.fixed_dictionaries(
    {},
    optional={
        "hw_disk_bus": st.sampled_from((*BUSES, *BUSES, "xen", "foo")),
        "hw_cdrom_bus": st.sampled_from((*BUSES, *BUSES, "xen", "foo")),
        "hw_floppy_bus": st.sampled_from(BUSES),
        "hw_machine_type": st.sampled_from(MACHINES),
        "hw_architecture": st.sampled_from((None, "x86_64", "amd64", "aarch64", "PPC64LE", "i586")),
        "architecture": st.sampled_from((None, "s390x", "aarch64")),
        "img_config_drive": st.sampled_from((None, "mandatory", "optional")),
        "vmware_adaptertype": st.sampled_from((None, "ide", "lsiLogic", "lsilogicsas", "")),
    },
)
rules_of_hosts = st.builds(
    ComputeRules,
    virt_type=st.sampled_from(VIRT_TYPES),
    hw_machine_type=st.sampled_from(((), (), ("x86_64=q35",), ("x86_64=", "i686=q35"), ("foo",))),
    disk_prefix=st.sampled_from((None, None, None, "vd", "xvd", "")),
    config_drive_format=st.sampled_from(("iso9660", "vfat")),
    max_disk_devices=st.sampled_from((-1, -1, -1, -1, -1, -1, 0, 3)),
)


@st.composite
def guests(draw: st.DrawFn) -> Guest:
    rows = [draw(block_devices(number)) for number in range(1, draw(st.integers(0, 6)) + 1)]
    return guest(
        *rows,
        root=draw(st.sampled_from(("/dev/vda", *NAMES))),
        config_drive=draw(st.booleans()),
        ephemeral_gb=draw(st.sampled_from((0, 0, 5))),
        swap_mb=draw(st.sampled_from((0, 0, 64))),
        disk_format=draw(st.sampled_from((None, "qcow2", "iso"))),
        **draw(properties),
    )


def as_nova_keys(found: tuple[GuestDisk, ...], guest: Guest) -> dict[str, tuple[str, str, str]]:
    """The disks under the keys of Nova's mapping, where the root disk has two."""
    facts = {disk.name: (disk.bus, disk.dev, disk.type) for disk in found}
    by_row = {disk.block_device: disk for disk in found if disk.block_device is not None}
    rows = rows_of(guest)
    mapping = {"root": facts["root"]}
    if rows.images or not rows.root:
        mapping["disk"] = facts["root"]
    mapping |= {name: value for name, value in facts.items() if name.startswith("disk.")}
    config = mapping.pop("disk.config", None)
    for found_row in rows.volumes:
        disk = by_row[found_row.id]
        mapping[f"/dev/{disk.dev}"] = (disk.bus, disk.dev, disk.type)
    return mapping | ({"disk.config": config} if config else {})


def as_nova_case(guest: Guest, rules: ComputeRules) -> dict[str, Any]:
    """What the worker's disk_info_of() takes."""
    rows = [asdict(row) for row in guest.block_devices]
    for values in rows:
        values["connection_info"] = '{"serial": "x"}' if values.pop("connected") else None
    properties = {**guest.image_properties, "disk_format": guest.disk_format}
    return {
        "instance": {
            "root_device_name": guest.root_device_name,
            "config_drive": "True" if guest.config_drive else "",
            "flavor": {"ephemeral_gb": guest.ephemeral_gb, "swap": guest.swap_mb},
        },
        "bdms": rows,
        "image_properties": properties,
        "virt_type": rules.virt_type,
        "config": {
            "DEFAULT": {"config_drive_format": rules.config_drive_format},
            "libvirt": {
                "disk_prefix": rules.disk_prefix,
                "hw_machine_type": list(rules.hw_machine_type),
            },
            "compute": {"max_disk_devices_to_attach": rules.max_disk_devices},
        },
    }


def nova_says(answer: Mapping[str, Any]) -> object:
    """Nova's mapping as (key, (bus, dev, type)) in order; or which kind of refusal."""
    if "error" in answer:
        return "too many" if answer["error"] == "TooManyDiskDevices" else "refused"
    return [
        ("/dev/" if key == "null" else key, (info["bus"] or "", info["dev"] or "", info["type"]))
        for key, info in answer["mapping"].items()
    ]


def we_say(guest: Guest, rules: ComputeRules) -> object:
    try:
        return list(as_nova_keys(guest_disks(guest, rules), guest).items())
    except TooManyDisks:
        return "too many"
    except UnsupportedBus:
        return "refused"


@pytest.fixture
def real_nova(nova_processes: dict[str, NovaProcess]) -> NovaProcess:
    if "34" not in nova_processes:
        nova_processes["34"] = NovaProcess("34")
    return nova_processes["34"]


@pytest.mark.slow
@settings(
    max_examples=3000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(  # Nova gives such a disk no bus
    made=guest(volume(1, device_type="floppy"), root="/dev/vda"),
    rules=ComputeRules(virt_type="parallels", disk_prefix="vd"),
)
@given(made=guests(), rules=rules_of_hosts)
def test_guest_disks_are_novas(real_nova: NovaProcess, made: Guest, rules: ComputeRules) -> None:
    [answer] = real_nova.call("disk_info_many", cases=[as_nova_case(made, rules)])
    assert we_say(made, rules) == nova_says(answer)
