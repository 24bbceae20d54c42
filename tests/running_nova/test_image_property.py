"""`image-property set`, `unset` and `undo` on stopped servers, and what Nova then starts."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.running_nova.forecast import compare, foretold
from tests.running_nova.guest import Guest
from tests.running_nova.nova import Nova, Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]

SEEN = {
    "hw_disk_bus": {"virtio": "1af4:1001", "sata": "8086:2922"},
    "hw_scsi_model": {
        "virtio-scsi": "1af4:1004",
        "lsilogic": "1000:0012",
        "lsisas1068": "1000:0054",
        "lsisas1078": "1000:0060",
        "vmpvscsi": "15ad:07c0",
    },
    "hw_vif_model": {
        "virtio": "1af4:1000",
        "e1000": "8086:100e",
        "e1000e": "8086:10d3",
        "rtl8139": "10ec:8139",
        "pcnet": "1022:2000",
        "ne2k_pci": "10ec:8029",
        "vmxnet3": "15ad:07b0",
    },
    "hw_video_model": {
        "virtio": "1af4:1050",
        "cirrus": "1013:00b8",
        "vga": "1234:1111",
        "qxl": "1b36:0100",
        "vmvga": "15ad:0405",
        "bochs": "1234:1111",
    },
    "hw_input_bus": {"virtio": "1af4:1052"},
    "hw_rng_model": {"virtio": "1af4:1005"},
}
"""VENDOR:DEVICE of what a value brings, as a guest has it on its PCI bus."""
FLOPPY = {
    "source_type": "blank",
    "destination_type": "local",
    "boot_index": -1,
    "volume_size": 1,
    "device_type": "floppy",
    "disk_bus": "fdc",
}
"""A local disk that is a floppy: QEMU takes no volume as one, for it has a serial."""
LATE_KEYBOARD = ("keyboard", "usb")
"""What Nova adds at the second power-on, as it has stored hw_input_bus=usb at the first."""
ROUNDS = (
    "hw_disk_bus=scsi hw_scsi_model=virtio-scsi hw_cdrom_bus=sata hw_vif_model=e1000 "
    "hw_video_model=vga hw_rng_model=virtio hw_pointer_model=usbtablet hw_rescue_bus=usb",
    "hw_disk_bus=sata hw_cdrom_bus=ide hw_vif_model=rtl8139 hw_video_model=cirrus "
    "hw_input_bus=virtio",
    "hw_disk_bus=ide hw_cdrom_bus=usb hw_vif_model=pcnet hw_video_model=qxl hw_input_bus=usb",
    "hw_disk_bus=usb hw_cdrom_bus=sata hw_vif_model=e1000e hw_video_model=bochs",
    "hw_disk_bus=scsi hw_scsi_model=lsilogic hw_cdrom_bus=scsi hw_vif_model=ne2k_pci "
    "hw_video_model=vmvga",
    "hw_scsi_model=lsisas1078 hw_vif_model=vmxnet3 hw_video_model=none",
    "hw_disk_bus=virtio hw_cdrom_bus=ide hw_vif_model=virtio hw_video_model=virtio",
)
"""Every value of this host, a few at a time."""


def test_every_value_is_what_nova_starts(make: Callable[..., Server]) -> None:
    server = make(flavor="full", config_drive=True)
    server.wait_for_guest()
    server.attach_volume()
    first, runs = look(server.guest), []
    assert first["disks"] == dict.fromkeys(("vda", "vdb", "vdc", "vdd"), "virtio") | {"hda": "ide"}
    server.stop()
    for words in ROUNDS:
        runs.append(set_and_start(server, words))
        server.stop()
    few = ("--property", "hw_disk_bus=scsi", "--property", "hw_scsi_model=lsisas1068")
    server.nova.write("image-property", "set", *few, server.uuid, code=6)
    for run in reversed(runs):
        server.nova.write("undo", str(run))
    server.start()
    assert look(server.guest) == first


def test_controllers_that_take_few_disks_and_a_card_of_novas_choice(
    make: Callable[..., Server],
) -> None:
    server = make()
    server.wait_for_guest()
    for model in ("lsisas1068", "vmpvscsi"):
        server.stop()
        set_and_start(server, f"hw_disk_bus=scsi hw_scsi_model={model} hw_vif_model=e1000")
    server.stop()
    change_and_start(server, "unset", "--property", "hw_vif_model")
    assert server.guest.models("interface") == ["virtio"]


def test_a_server_that_boots_from_a_volume(nova: Nova, make: Callable[..., Server]) -> None:
    root, data = nova.create_bootable_volume(), nova.create_volume()
    server = make(
        flavor="full",
        config_drive=True,
        block_device_mapping=[volume(root, 0), volume(data, -1), FLOPPY],
    )
    server.volumes += [root, data]
    server.wait_for_guest()
    first = look(server.guest)
    virtio = dict.fromkeys(("vda", "vdb", "vdc"), "virtio")
    assert first["disks"] == virtio | {"fda": "fdc", "hda": "ide"}
    assert first["nodes"] == ["vda", "vdb", "vdc"]
    server.stop()
    run = set_and_start(server, "hw_disk_bus=scsi hw_scsi_model=virtio-scsi hw_cdrom_bus=sata")
    assert server.guest.nodes() == ["sda", "sdb", "sdc", "sr0"]
    server.stop()
    nova.write("undo", str(run))
    nova.write("image-property", "set", "--property", "hw_floppy_bus=fdc", server.uuid)
    server.start()
    assert look(server.guest) == first


def volume(uuid: str, boot_index: int) -> dict[str, Any]:
    """A volume as the API takes it for a new server."""
    kind = {"source_type": "volume", "destination_type": "volume"}
    return {"uuid": uuid, "boot_index": boot_index, **kind}


def set_and_start(server: Server, words: str) -> int:
    """Set what WORDS say of a stopped server and start it; the number of the run comes back."""
    options = [part for word in words.split() for part in ("--property", word)]
    if "hw_rng_model" in words:  # Nova makes no other, and asks images alone for hw_rescue_bus
        options.append("--force")
    run = change_and_start(server, "set", *options)
    seen = set(server.guest.pci().values())
    for name, value in (word.split("=") for word in words.split()):
        wanted = SEEN.get(name, {}).get(value)
        assert wanted is None or wanted in seen, (name, value, seen)
    return run


def change_and_start(server: Server, command: str, *options: str) -> int:
    """Change image properties and start the server: what the plan and the forecast say comes."""
    said = server.nova.write("image-property", command, *options, server.uuid)
    (plan,) = said["plans"]
    expected = foretold(server)
    server.start()
    effects = {effect["after"] for effect in plan["effects"]}
    if effects:
        assert {f"{bus} {target}" for target, bus in server.guest.disks().items()} == effects
    compare(server, expected)
    return int(said["run"])


def look(guest: Guest) -> dict[str, Any]:
    """What the properties decide of a guest, with what it sees itself."""
    return {
        "disks": guest.disks(),
        "interface": guest.models("interface"),
        "video": guest.models("video"),
        "scsi": guest.controllers("scsi"),
        "inputs": guest.inputs() - {LATE_KEYBOARD},
        "pci": sorted(guest.pci().values()),
        "nodes": guest.nodes(),
    }
