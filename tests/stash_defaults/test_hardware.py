"""What definitions say of the hardware, by example."""

import pickle
from dataclasses import fields
from pathlib import Path

import pytest

from novadev.errors import NotFound
from novadev.stash_defaults.hardware import Hardware, hardware_of
from novadev.virt.domain import Definitions, Domain
from tests import domains
from tests.domains import disk, domain, interface, scsi_controller

UUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
OWN = f"{domains.IMAGES}/{UUID}"
VOLUMES = [f"0f8fad5b-d9cb-469f-a165-70867728950{n}" for n in range(4)]
MAC = "fa:16:3e:00:00:01"
TABLET = '<input type="tablet" bus="usb"/>'
KEYBOARD = '<input type="keyboard" bus="usb"/>'
PS2 = ('<input type="mouse" bus="ps2"/>', '<input type="keyboard" bus="ps2"/>')
RNG = '<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>'
ROOT = disk("vda", source=f"{OWN}/disk")
CONFIG = disk("hda", "ide", device="cdrom", source=f"{OWN}/disk.config")
BARE = {"hw_machine_type": "pc"}


def video(model: str, rest: str = "") -> str:
    return f'<video><model type="{model}"{rest}/></video>'


def guest(*devices: str, machine: str = "pc", arch: str = "x86_64", live: bool = False) -> Domain:
    text = domain(UUID, machine=machine, devices=devices).replace('"x86_64"', f'"{arch}"')
    return Domain.from_xml(text.replace("<domain ", '<domain id="7" ') if live else text)


def hardware(persistent: Domain | None, live: Domain | None = None, root: str = "") -> Hardware:
    return hardware_of(Definitions(UUID, "guest", persistent, live, False, ()), root)


def values(*devices: str, root: str = "", machine: str = "pc", arch: str = "x86_64") -> object:
    """The values but the machine type; a doubt stands for a value that is not there."""
    found = hardware(guest(*devices, machine=machine, arch=arch), root=root)
    told = {name: f"? {doubt}" for name, doubt in found.doubts.items()} | dict(found.values)
    assert len(told) == len(found.values) + len(found.doubts)
    assert told.pop("hw_machine_type") == found.machine_type == machine
    return told


def nova_23_on_i440fx(machine: str = "pc-i440fx-6.2", live: bool = False) -> Domain:
    """Image and config drive, a volume, a port behind a hybrid bridge, cirrus, no alias."""
    disks = (ROOT, disk("vdb", serial=VOLUMES[0], kind="block", source="/dev/dm-7"), CONFIG)
    nic = interface(MAC, kind="bridge")
    return guest(*disks, nic, TABLET, *PS2, video("cirrus"), RNG, machine=machine, live=live)


def nova_32_on_q35(live: bool = False) -> Domain:
    """Booted from a volume in RBD, with a config drive there; virtio inputs, no USB."""
    disks = [
        disk("vda", serial=VOLUMES[0], kind="network"),
        disk("vdb", serial=VOLUMES[1], kind="network"),
        disk("sda", "sata", kind="network", device="cdrom", source=f"vms/{UUID}_disk.config"),
    ]
    inputs = (TABLET.replace("usb", "virtio"), KEYBOARD.replace("usb", "virtio"), *PS2)
    nics = (interface(MAC), interface(MAC))
    picture = video("virtio", ' heads="1" primary="yes"')
    return guest(*disks, *nics, *inputs, picture, RNG, machine="pc-q35-7.2", live=live)


OF_I440FX = {
    **{"hw_machine_type": "pc-i440fx-6.2", "hw_disk_bus": "virtio", "hw_cdrom_bus": "ide"},
    **{"hw_input_bus": "usb", "hw_pointer_model": "usbtablet", "hw_rng_model": "virtio"},
    **{"hw_video_model": "cirrus", "hw_vif_model": "virtio"},
}
OF_Q35 = {
    **{"hw_machine_type": "pc-q35-7.2", "hw_disk_bus": "virtio", "hw_cdrom_bus": "sata"},
    **{"hw_input_bus": "virtio", "hw_pointer_model": "usbtablet", "hw_rng_model": "virtio"},
    **{"hw_video_model": "virtio", "hw_vif_model": "virtio"},
}


def test_an_i440fx_guest() -> None:
    found = hardware(nova_23_on_i440fx())
    assert found == Hardware(OF_I440FX, {}, "persistent", "pc-i440fx-6.2", True)
    assert hardware(nova_23_on_i440fx(), nova_23_on_i440fx(live=True)) == found
    of_transient = hardware(None, nova_23_on_i440fx(live=True))
    assert of_transient == Hardware(OF_I440FX, {}, "live", "pc-i440fx-6.2", True)


def test_a_q35_guest() -> None:
    found = hardware(nova_32_on_q35(), nova_32_on_q35(live=True))
    assert found == Hardware(OF_Q35, {}, "persistent", "pc-q35-7.2", False)
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_domain_that_is_gone() -> None:
    with pytest.raises(NotFound, match=f"domain {UUID} ended while it was read"):
        hardware(None)


def test_where_the_running_guest_has_something_else_there_is_a_doubt() -> None:
    nics = [interface(MAC, model=model) for model in ("virtio", "e1000")]
    persistent = guest(ROOT, nics[0])
    live = guest(ROOT, nics[1], RNG, live=True)
    found = hardware(persistent, live)
    assert found.values == {**BARE, "hw_disk_bus": "virtio"}
    assert found.doubts == {
        "hw_vif_model": "the running guest has e1000, but its persistent definition has virtio",
        "hw_rng_model": "the running guest has virtio, but its persistent definition has no "
        "such device",
    }
    half_unplugged = hardware(persistent, guest(ROOT, *nics, live=True))
    assert half_unplugged.doubts == {
        "hw_vif_model": "in the running guest, interfaces have e1000 and virtio"
    }


SAMPLES = {
    "duplicate-mac-ghost": {
        **{"hw_disk_bus": "virtio", "hw_video_model": "vga"},
        "hw_vif_model": "? interfaces have e1000 and virtio",
    },
    "extras": {
        **{"hw_disk_bus": "virtio", "hw_vif_model": "virtio", "hw_input_bus": "usb"},
        **{"hw_pointer_model": "usbtablet", "hw_video_model": "vga"},
    },
    "legacy-pc": {**OF_I440FX, "hw_machine_type": "pc"},
    "lun": {"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"},
    "mdev": {"hw_disk_bus": "virtio"},
    "q35-uefi-rbd": {**OF_Q35, "hw_machine_type": "q35"},
    "share": {"hw_disk_bus": "virtio"},
    "sriov": {"hw_vif_model": "virtio"},
}


@pytest.mark.parametrize("path", domains.samples(), ids=lambda path: path.stem)
def test_a_sample(path: Path) -> None:
    found = hardware(Domain.from_xml(path.read_text()))
    told = {name: f"? {doubt}" for name, doubt in found.doubts.items()} | dict(found.values)
    assert told == {"hw_machine_type": found.machine_type, **SAMPLES[path.stem]}


def volume(target: str, bus: str = "virtio", number: int = 0, device: str = "disk") -> str:
    return disk(target, bus, serial=VOLUMES[number], device=device)


def own(name: str, target: str, bus: str, device: str = "disk") -> str:
    return disk(target, bus, source=f"{OWN}/{name}", device=device)


DISKS = {
    "a volume on a bus of its own is normal": (ROOT, volume("sda", "scsi"), "virtio"),
    "so is an ephemeral disk with a row": (ROOT, own("disk.eph0", "sda", "usb"), "virtio"),
    "swap without a row has what the root was built with": (
        *(own("disk", "hda", "ide"), own("disk.swap", "hdb", "ide"), volume("vda")),
        "ide",
    ),
    "root and swap apart": (ROOT, own("disk.swap", "sda", "usb"), "? disks have usb and virtio"),
    "an ephemeral disk without a row tells most": (
        *(own("disk", "hda", "ide"), own("disk.local", "vda", "virtio")),
        "virtio",
    ),
    "so does a config drive that is a disk": (
        *(own("disk", "sda", "sata"), own("disk.config", "hdd", "ide")),
        "ide",
    ),
    "a config drive in RBD": (
        *(volume("vda"), disk("sda", "usb", kind="network", source=f"vms/{UUID}_disk.config")),
        "usb",
    ),
    "swap beside volumes": (volume("vda"), own("disk.swap", "sda", "sata"), "sata"),
    "volumes alone": (volume("sda", "sata"), volume("sdb", "sata", 1), "sata"),
    "LUNs do not count": (volume("vda"), volume("sda", "scsi", 1, device="lun"), "virtio"),
    "volumes on several buses": (
        *(volume("vda"), volume("sda", "scsi", 1)),
        "? disks have scsi and virtio",
    ),
    "another instance's file is none of its own": (
        *(disk("sda", "sata", source="/elsewhere/disk"), volume("vda")),
        "? disks have sata and virtio",
    ),
    "a bus that Nova has not": (
        own("disk", "sda", "sd"),
        "? disks have sd, which is not a valid value",
    ),
}


@pytest.mark.parametrize("case", DISKS)
def test_disks(case: str) -> None:
    *disks, bus = DISKS[case]
    told = hardware(guest(*disks, scsi_controller()))
    assert told.values.get("hw_disk_bus", f"? {told.doubts.get('hw_disk_bus')}").startswith(bus)


def test_the_root_disk_s_name_decides_between_volumes() -> None:
    disks = (volume("vda"), volume("vdb", number=1), volume("sda", "usb", 2))
    assert values(*disks, root="/dev/vda") == {"hw_disk_bus": "virtio"}
    assert values(*disks, root="sda") == {"hw_disk_bus": "usb"}
    assert values(*disks, root="/dev/hda") == {"hw_disk_bus": "? disks have usb and virtio"}
    assert values(ROOT, *disks[2:], root="/dev/sda") == {"hw_disk_bus": "virtio"}


def test_no_disks_and_luns_alone() -> None:
    assert values() == {}
    luns = volume("sda", "scsi", device="lun"), scsi_controller("lsilogic")
    assert values(*luns) == {"hw_scsi_model": "lsilogic"}


def test_cdroms_and_floppies() -> None:
    iso = own("disk", "sda", "sata", device="cdrom")
    other = volume("sdb", "usb", device="cdrom")
    assert values(CONFIG, iso, other) == {"hw_cdrom_bus": "ide"}
    assert values(iso, other) == {"hw_cdrom_bus": "sata"}
    assert values(other) == {"hw_cdrom_bus": "usb"}
    both = (other, volume("hda", "ide", 1, device="cdrom"))
    assert values(*both) == {"hw_cdrom_bus": "? cdroms have ide and usb"}
    assert values(volume("fda", "fdc", device="floppy")) == {"hw_floppy_bus": "fdc"}


@pytest.mark.parametrize("name", ["disk.rescue", f"{UUID}_disk.rescue"])
def test_a_guest_in_rescue_has_nothing_of_its_own(name: str) -> None:
    disks = (disk("vda", source=f"{OWN}/{name}"), own("disk", "vdb", "virtio"))
    found = hardware(guest(*disks, TABLET, machine="pc-i440fx-7.2"))
    assert (found.values, found.keyboard_would_appear) == ({}, False)
    assert set(found.doubts) == {*OF_I440FX, "hw_floppy_bus", "hw_scsi_model"}
    assert "rescue" in found.doubts["hw_machine_type"]


def scsi(target: str, controller: int | None = None) -> str:
    made = own("disk.eph0", target, "scsi")
    address = f'<address type="drive" controller="{controller}" bus="0" target="0" unit="0"/>'
    return made if controller is None else made.replace("</disk>", f"{address}</disk>")


def controller(index: int, model: str) -> str:
    named = f' model="{model}"' if model else ""
    return f'<controller type="scsi" index="{index}"{named}/>'


BOTH = "? controllers of disks on SCSI have lsilogic and virtio-scsi"
NAMELESS = "? controllers of disks on SCSI name no value: libvirt chooses it at each start"
CONTROLLERS = [
    ((scsi("sda"), controller(0, "lsilogic")), "lsilogic"),
    ((scsi("sda", 0), scsi("sdb", 1), *(controller(n, "lsilogic") for n in (0, 1))), "lsilogic"),
    ((scsi("sda", 0), controller(0, "virtio-scsi"), controller(1, "lsilogic")), "virtio-scsi"),
    (
        (scsi("sda", 0), scsi("sdb", 1), controller(0, "virtio-scsi"), controller(1, "lsilogic")),
        BOTH,
    ),
    ((scsi("sda"), controller(0, "")), NAMELESS),
    ((scsi("sda"),), NAMELESS),
    (
        (scsi("sda"), controller(0, "virtio-transitional")),
        "? controllers of disks on SCSI have virtio-transitional, "
        "which is not a valid value of hw_scsi_model",
    ),
    ((ROOT, controller(0, "virtio-scsi")), "virtio-scsi"),
    (
        (ROOT, controller(0, "lsilogic")),
        "? no disk uses the SCSI controller lsilogic, which libvirt may have added",
    ),
    ((ROOT, '<controller type="sata" index="0"/>'), None),
]


@pytest.mark.parametrize(("devices", "model"), CONTROLLERS)
def test_scsi_controllers(devices: tuple[str, ...], model: str | None) -> None:
    told = values(*devices)
    assert isinstance(told, dict)
    assert told.get("hw_scsi_model") == model


VIRTIO_TABLET = TABLET.replace("usb", "virtio")
VIRTIO_KEYBOARD = KEYBOARD.replace("usb", "virtio")
INPUTS = [
    (PS2, "x86_64", None, False),
    (('<input type="mouse" bus="usb"/>',), "x86_64", None, False),
    ((TABLET, *PS2), "x86_64", "usb", True),
    ((TABLET, KEYBOARD), "x86_64", "usb", False),
    ((TABLET, VIRTIO_KEYBOARD), "i686", "usb", True),
    ((VIRTIO_TABLET, VIRTIO_KEYBOARD), "x86_64", "virtio", False),
    ((VIRTIO_TABLET,), "x86_64", "virtio", True),
    ((KEYBOARD,), "x86_64", "usb", False),
    ((VIRTIO_KEYBOARD,), "aarch64", "virtio", False),
    ((TABLET, KEYBOARD), "aarch64", "usb", False),
    ((TABLET,), "aarch64", "usb", False),
    ((KEYBOARD,), "aarch64", None, False),
    ((VIRTIO_TABLET, KEYBOARD), "aarch64", "virtio", True),
    ((KEYBOARD, '<input type="mouse" bus="usb"/>'), "ppc64le", None, False),
    ((TABLET, KEYBOARD), "ppc64le", "usb", False),
    ((TABLET,), "s390x", "usb", True),
]


@pytest.mark.parametrize(("devices", "arch", "bus", "appears"), INPUTS)
def test_inputs(devices: tuple[str, ...], arch: str, bus: str | None, appears: bool) -> None:
    found = hardware(guest(*devices, arch=arch))
    assert (found.values.get("hw_input_bus"), found.keyboard_would_appear) == (bus, appears)
    has_tablet = any("tablet" in device for device in devices)
    assert found.values.get("hw_pointer_model") == ("usbtablet" if has_tablet else None)
    assert found.doubts == {}


def test_tablets_on_both_buses() -> None:
    found = hardware(guest(TABLET, VIRTIO_TABLET))
    assert found.doubts == {"hw_input_bus": "input devices have usb and virtio"}
    assert not found.keyboard_would_appear


def test_video() -> None:
    for model in ("vga", "qxl", "none", "bochs", "gop"):
        assert values(video(model)) == {"hw_video_model": model}
    two = (video("qxl"), video("virtio", ' primary="yes"'))
    assert values(*two) == {"hw_video_model": "virtio"}
    assert values(video("ramfb")) == {
        "hw_video_model": "? video devices have ramfb, which is not a valid value of hw_video_model"
    }


def test_rng() -> None:
    assert values(RNG, RNG) == {"hw_rng_model": "virtio"}
    told = values(RNG.replace("virtio", "virtio-non-transitional"))
    assert "which is not a valid value" in str(told)


def nic(kind: str = "ovs", model: str = "virtio") -> str:
    made = interface(MAC, kind=kind, model=model)
    return made if model else made.replace('<model type=""/>', "")


def macvtap(model: str, mode: str) -> str:
    return f"""<interface type="direct"><mac address="{MAC}"/><source dev="eth0" mode="{mode}"/>
        <model type="{model}"/></interface>"""


SRIOV = domains.sriov(MAC, "0000:81:00.1")
VDPA = """<interface type="vdpa"><source dev="/dev/vhost-vdpa-0"/><model type="virtio"/>
    </interface>"""
INTERFACES = [
    ((), "x86_64", None),
    ((nic(), nic("bridge"), nic("ethernet")), "x86_64", "virtio"),
    ((nic(model="e1000"), nic()), "x86_64", "? interfaces have e1000 and virtio"),
    ((nic(model=""), nic(model="rtl8139")), "x86_64", "rtl8139"),
    ((nic(model=""),), "i686", "rtl8139"),
    ((nic(model=""), nic()), "aarch64", "? interfaces have none named and virtio"),
    ((SRIOV, VDPA), "x86_64", None),
    ((SRIOV, nic(model="e1000")), "x86_64", "e1000"),
    ((macvtap("virtio", "bridge"),), "x86_64", None),
    ((macvtap("virtio", "passthrough"),), "x86_64", "virtio"),
    ((macvtap("virtio", "passthrough"), nic(model="e1000")), "x86_64", "e1000"),
    ((macvtap("e1000", "passthrough"), nic()), "x86_64", "? interfaces have e1000 and virtio"),
    (
        (nic(model="usb-net"),),
        "x86_64",
        "? interfaces have usb-net, which is not a valid value of hw_vif_model",
    ),
]


@pytest.mark.parametrize(("devices", "arch", "model"), INTERFACES)
def test_interfaces(devices: tuple[str, ...], arch: str, model: str | None) -> None:
    assert values(*devices, arch=arch) == ({"hw_vif_model": model} if model else {})


def test_a_definition_without_anything() -> None:
    text = f"<domain type='lxc'><uuid>{UUID}</uuid><os><type>exe</type></os></domain>"
    assert hardware(Domain.from_xml(text)) == Hardware({}, {}, "persistent", None, False)
    assert [field.name for field in fields(Hardware)][:2] == ["values", "doubts"]
