"""Guests of every kind, as cases of the worker's guest_xml_of()."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from novadev.stash_defaults.observed import VALUES
from tests.domains import IMAGES

UUID = "c1a5e6f0-1111-4a01-8b01-0a0b0c0d0e01"
BUSES = ("virtio", "scsi", "sata", "ide", "usb")
KVM_MODELS = ("virtio", "ne2k_pci", "pcnet", "rtl8139", "e1000", "e1000e", "vmxnet3")
DISTRIBUTIONS = ("ubuntu22.04", "freebsd13.0", "win2k12", "debian11", "cirros0.5.0")
PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "hw_disk_bus": BUSES,
    "hw_cdrom_bus": ("ide", "sata", "scsi", "usb"),
    "hw_floppy_bus": ("fdc",),
    "hw_input_bus": VALUES["hw_input_bus"],
    "hw_pointer_model": VALUES["hw_pointer_model"],
    "hw_scsi_model": VALUES["hw_scsi_model"],
    "hw_video_model": VALUES["hw_video_model"],
    "hw_vif_model": KVM_MODELS,
    "hw_machine_type": ("pc", "q35", "pc-i440fx-7.2", "pc-q35-7.1"),
    "os_distro": DISTRIBUTIONS,
}
Case = dict[str, Any]

_properties = st.fixed_dictionaries(
    {}, optional={k: st.sampled_from(v) for k, v in PROPERTIES.items()}
)
_flags = st.booleans()
_own_bus = st.sampled_from((None, None, *BUSES))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A guest at its first start: no row has a name yet, and few ask for a bus of their own."""
    return {
        "instance": {
            "uuid": UUID,
            "root_device_name": None,
            "config_drive": draw(st.sampled_from(("", "True"))),
            "flavor": {
                "swap": draw(st.sampled_from((0, 512))),
                "ephemeral_gb": draw(st.sampled_from((0, 1))),
            },
        },
        "bdms": draw(_rows()),
        "image_properties": draw(_properties),
        "vifs": draw(_vifs()),
        "config": draw(configs()),
    }


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """A compute host's nova.conf: what an image property overrules, and what none does."""
    vnc, spice = draw(st.sampled_from(((True, False), (False, True), (True, True), (False, False))))
    return {
        "DEFAULT": {
            "instances_path": IMAGES,
            "pointer_model": draw(st.sampled_from(("usbtablet", "ps2mouse"))),
            "config_drive_format": draw(st.sampled_from(("iso9660", "vfat"))),
        },
        "libvirt": {
            "virt_type": "qemu",
            "use_virtio_for_bridges": draw(_flags),
            "hw_machine_type": draw(st.sampled_from(([], ["x86_64=q35"], ["x86_64=pc"]))),
        },
        "vnc": {"enabled": vnc},
        "spice": {"enabled": spice, "agent_enabled": draw(_flags)},
    }


@st.composite
def _rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    root = {"boot_index": 0, "device_type": "disk", "volume_size": 1}
    if draw(_flags):
        rows = [{**root, "source_type": "image", "destination_type": "local"}]
    else:
        rows = [{**root, **_volume(0)}]
    if draw(_flags):
        local = {"source_type": "blank", "destination_type": "local", "device_type": "disk"}
        rows.append({**local, "volume_size": 1, "disk_bus": draw(_own_bus)})
    kinds = draw(st.lists(st.sampled_from(("disk", "disk", "cdrom", "floppy")), max_size=3))
    for number, kind in enumerate(kinds, 1):
        bus = draw(_own_bus) if kind == "disk" else None
        rows.append({**_volume(number), "device_type": kind, "volume_size": 1, "disk_bus": bus})
    return rows


def _volume(number: int) -> dict[str, Any]:
    serial = f"701e000{number}-1111-4a01-8b01-0a0b0c0d0e01"
    place = {"source_type": "volume", "destination_type": "volume", "volume_id": serial}
    return {**place, "connection_info": f'{{"serial": "{serial}"}}'}


@st.composite
def _vifs(draw: st.DrawFn) -> list[dict[str, Any]]:
    kinds = draw(st.lists(st.sampled_from(("ovs", "ovs", "direct", "macvtap")), max_size=3))
    return [_vif(number, kind) for number, kind in enumerate(kinds)]


def _vif(number: int, kind: str) -> dict[str, Any]:
    vif = {
        "port": f"9027000{number}-1111-4a01-8b01-0a0b0c0d0e01",
        "mac": f"fa:16:3e:00:00:0{number}",
    }
    if kind == "direct":
        place = {"profile": {"pci_slot": f"0000:81:00.{number}"}, "details": {"vlan": "100"}}
        return {**vif, **place, "type": "hw_veb", "vnic_type": "direct"}
    if kind == "macvtap":
        source = {"macvtap_source": "eth0", "macvtap_mode": "bridge", "physical_interface": "eth0"}
        return {**vif, "type": "macvtap", "details": source}
    return vif
