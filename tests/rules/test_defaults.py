"""The driver's defaults: by example, and against what Nova's own driver registers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from novadev.nova.block_devices import BlockDevice
from novadev.rules.buses import UnsupportedBus
from novadev.rules.defaults import REFUSALS, REGISTERED, default_of, os_type_of, registered
from novadev.rules.guest import DriverRules, Guest
from novadev.rules.image_meta import UnreadableProperty, check_readable
from novadev.rules.osinfo import OsInfo, Recommendation
from tests.nova_process import NovaProcess
from tests.rules.guests import ephemeral, guest, image, row, swap, volume
from tests.rules.test_disks import as_nova_case

KVM = DriverRules()
SPICE_ALONE = DriverRules(spice_enabled=True, vnc_enabled=False)


def values(guest: Guest, rules: DriverRules = KVM, **others: Any) -> list[str | None]:
    return list(registered(guest, rules, **others).values())


def test_a_guest_that_asks_for_nothing() -> None:
    assert registered(guest(), KVM) == {
        "hw_machine_type": "pc",
        "hw_cdrom_bus": "ide",
        "hw_disk_bus": "virtio",
        "hw_input_bus": "usb",
        "hw_pointer_model": "usbtablet",
        "hw_video_model": "virtio",
        "hw_vif_model": "virtio",
    }


def test_only_what_is_absent_is_registered_and_a_null_is_not() -> None:
    stored = dict.fromkeys(REGISTERED[:5])
    assert registered(guest(**stored), KVM) == {
        "hw_video_model": "virtio",
        "hw_vif_model": "virtio",
    }


def test_the_host_s_machine_type_and_architecture() -> None:
    q35 = DriverRules(hw_machine_type=("aarch64=virt-8.0", "x86_64=pc-q35-9.2"))
    assert values(guest(), q35)[:2] == ["pc-q35-9.2", "sata"]
    assert values(guest(hw_architecture="aarch64"), q35)[:2] == ["virt-8.0", "scsi"]
    assert values(guest(), DriverRules(host_arch="mipsel"))[:2] == [None, "ide"]


def test_spice_leaves_the_video_model_out_and_was_qxl_up_to_release_30() -> None:
    found = [default_of("hw_video_model", guest(), spice(release)) for release in (28, 30, 31, 34)]
    assert found == ["qxl", "qxl", None, None]


def spice(release: int) -> DriverRules:
    return DriverRules(spice_enabled=True, release=release)


def test_the_video_model_alone_goes_by_the_emulated_architecture() -> None:
    made = guest(hw_emulation_architecture="ppc64le")
    assert values(made)[0:2] == ["pc", "ide"]
    assert default_of("hw_video_model", made, KVM) == "vga"


def test_no_pointer_beside_the_spice_agent_nor_in_a_container() -> None:
    assert values(guest(), SPICE_ALONE)[3:5] == [None, None]
    assert values(guest(hw_input_bus="virtio"), SPICE_ALONE)[3:4] == [None]
    assert values(guest(), os_type="xen")[3:5] == [None, None]
    assert values(guest(), DriverRules(virt_type="lxc"))[3:5] == [None, None]


def test_a_pointer_model_of_the_host_or_the_image() -> None:
    mouse = DriverRules(pointer_model="ps2mouse")
    assert values(guest(), mouse)[3:5] == [None, None]
    assert values(guest(hw_pointer_model="usbtablet"), mouse)[3:4] == ["usb"]
    assert values(guest(hw_input_bus="virtio"), mouse)[3:4] == ["usbtablet"]


def test_libosinfo_s_recommendation() -> None:
    ubuntu = Recommendation("virtio", "e1000e")
    assert values(guest(), recommended=ubuntu)[-1] == "e1000e"
    parallels = DriverRules(virt_type="parallels")
    with pytest.raises(UnsupportedBus, match="hw_disk_bus=virtio: virt_type parallels"):
        registered(guest(), parallels, ubuntu)


def test_no_virtio_for_bridges() -> None:
    assert values(guest(), DriverRules(use_virtio_for_bridges=False))[-1] is None


def test_a_stored_value_is_given_in_nova_s_spelling() -> None:
    assert default_of("hw_vif_model", guest(hw_vif_model="VirtualE1000"), KVM) == "e1000"
    assert default_of("hw_disk_bus", guest(vmware_adaptertype="lsiLogic"), KVM) == "scsi"


def test_disks_that_cannot_be_and_properties_that_cannot_be_read() -> None:
    with pytest.raises(UnsupportedBus):
        registered(guest(image(1, disk_bus="xen", device_name="/dev/foo")), KVM)
    with pytest.raises(UnreadableProperty, match="hw_cpu_policy=some"):
        registered(guest(hw_cpu_policy="some"), KVM)


def test_where_nothing_is_absent_nothing_is_read() -> None:
    assert registered(guest(**dict.fromkeys(REGISTERED), hw_cpu_policy="some"), KVM) == {}


def test_disks_are_looked_at_for_their_buses_only() -> None:
    impossible = image(1, disk_bus="xen", device_name="/dev/foo")
    made = guest(impossible, hw_disk_bus="virtio", hw_cdrom_bus=None)
    assert registered(made, KVM)["hw_machine_type"] == "pc"


def test_a_property_that_nova_does_not_register() -> None:
    with pytest.raises(LookupError):
        default_of("hw_rng_model", guest(), KVM)


@pytest.mark.parametrize("mode", ["hvm", "HV", "pv", "xen", "exe", "baremetal", None])
def test_os_type(mode: str | None) -> None:
    expected = {"HV": "hvm", "pv": "xen", "baremetal": "hvm", None: "hvm"}
    assert os_type_of(mode, KVM) == expected.get(mode, mode)


def test_os_type_of_a_container_and_of_no_mode() -> None:
    assert os_type_of(None, DriverRules(virt_type="lxc")) == "exe"
    with pytest.raises(UnreadableProperty):
        os_type_of("foo", KVM)


# Against the driver of a real Nova.

CASES = 2500
BUSES = ("virtio", "scsi", "ide", "sata", "usb", "fdc", "lxc", "xen")
CPUS = (
    *("x86_64", "x86_64", "aarch64", "ppc64le", "ppc64", "s390x", "i686", "armv7l", "mipsel"),
    *("ppcle", "riscv64", "ppc", "s390", "alpha"),
)
MACHINES = ("pc", "q35", "pc-q35-7.2", "virt", "pseries", "s390-ccw-virtio", "")
PLAIN_DISTROS = (
    *("ubuntu", "windows", "centos", "Win10", "", " win10", "http://microsoft.com/win/10"),
    *("http://ubuntu.com/ubuntu/22.04", "http", "http://nowhere.example/os/1"),
)
PROPERTIES: dict[str, tuple[str, ...]] = {
    "hw_machine_type": MACHINES,
    "hw_cdrom_bus": (*BUSES, *BUSES, "foo"),
    "hw_disk_bus": (*BUSES, *BUSES, "foo"),
    "hw_floppy_bus": BUSES,
    "hw_input_bus": (*["usb", "virtio"] * 5, "ps2"),
    "hw_pointer_model": (*["usbtablet"] * 9, "tablet"),
    "hw_video_model": ("virtio", "vga", "qxl", "none", "cirrus", "gop", "bochs", "Virtio"),
    "hw_vif_model": ("virtio", "E1000", "VirtualVmxnet3", "igb", "lan9118", "virtio", "foo"),
}
OTHERS: dict[str, tuple[str, ...]] = {
    "hw_architecture": (*CPUS, "AMD64", "i386", "x86_32p"),
    "architecture": ("x86_64", "aarch64", "AMD64", "z80"),
    "hw_emulation_architecture": ("aarch64", "ppc64le", "S390X", "mipsel", "amd64", "foo"),
    "vmware_adaptertype": ("ide", "lsiLogic", "lsilogicsas", "paraVirtual", "", "foo"),
    "vmware_ostype": ("win10", "otherLinux64Guest"),
    "hw_scsi_model": ("virtio-scsi", "lsiLogicsas", "foo"),
    "hw_vm_mode": ("hvm", "XEN", "pv", "foo"),
    "vm_mode": ("hvm", "hv", "foo"),
    "hw_cpu_cores": ("4", " 4", "four", "1_0", "1.5", ""),
    "hw_video_ram": ("16", "much"),
    "hw_usb_model": ("nec-xhci", "ehci"),
    "hw_mem_encryption_model": ("amd-sev", "amd"),
    "hw_maxphysaddr_bits": ("42", "all"),
    "hw_firmware_type": ("uefi", "UEFI"),
    "hw_boot_menu": ("yes", "perhaps"),
    "img_config_drive": ("mandatory", "optional", "always"),
    "img_hv_type": ("kvm", "QEMU", "xapi", "foo"),
    "os_type": ("linux", "Windows", "other"),
    "hypervisor_type": ("kvm", "foo"),
    "xenapi_device_id": ("0001", "x"),
    "min_ram": ("512", "x"),
}
EXTRA_SPECS = {
    "hw:machine_type": "q35",
    "hw_video:ram_max_mb": "64",
    "hw:mem_encryption": "true",
    "hw:vif_multiqueue_enabled": "true",
    "hw:firmware_type": "uefi",
    "hw:input_bus": "virtio",
    "hw:video_model": "vga",
    "hw_rng:allowed": "false",
    "quota:cpu_shares": "10",
}


@dataclass(frozen=True)
class Case:
    """A guest on a host, and what else Nova is given of it."""

    guest: Guest
    rules: DriverRules
    os_type: str | None
    vm_mode: str | None
    extra_specs: dict[str, str]


def cases(release: str, distros: tuple[str, ...], number: int) -> list[Case]:
    """The same cases each time."""
    random = Random(release)
    return [random_case(random, int(release), distros) for _ in range(number)]


def random_case(random: Random, release: int, distros: tuple[str, ...]) -> Case:
    return Case(
        random_guest(random, distros),
        random_rules(random, release),
        random.choice((None, None, None, "hvm", "xen", "exe")),
        random.choice((None, None, None, "hvm", "HV", "pv", "exe")),
        {name: EXTRA_SPECS[name] for name in EXTRA_SPECS if random.random() < 0.1},
    )


def random_rules(random: Random, release: int) -> DriverRules:
    virt_type = random.choice(("kvm", "kvm", "kvm", "qemu", "qemu", "lxc", "parallels"))
    return DriverRules(
        virt_type=virt_type,
        hw_machine_type=tuple(
            f"{random.choice(CPUS)}={random.choice(MACHINES)}" for _ in range(random.randrange(5))
        ),
        disk_prefix=random.choice((None, None, None, "vd", "")),
        config_drive_format=random.choice(("iso9660", "vfat")),
        host_arch=random.choice([cpu for cpu in CPUS if cpu != "riscv64"]),
        max_disk_devices=random.choice((-1, -1, -1, -1, 2)),
        use_virtio_for_bridges=random.random() < 0.7,
        pointer_model=random.choice((None, "ps2mouse", "usbtablet", "usbtablet")),
        vnc_enabled=random.random() < 0.6,
        spice_enabled=random.random() < 0.4,
        spice_agent_enabled=random.random() < 0.7,
        release=release,
    )


def random_guest(random: Random, distros: tuple[str, ...]) -> Guest:
    stored: dict[str, str | None] = {
        name: random.choice(choices)
        for likely, properties in ((0.15, PROPERTIES), (0.03, OTHERS))
        for name, choices in properties.items()
        if random.random() < likely
    }
    stored |= dict.fromkeys(name for name in (*PROPERTIES, *OTHERS) if random.random() < 0.05)
    if random.random() < 0.7:
        stored["os_distro"] = random.choice(random.choice((distros, distros, PLAIN_DISTROS)))
    return guest(
        *random_rows(random),
        root=random.choice(("/dev/vda", "/dev/vda", "/dev/sda", None)),
        config_drive=random.random() < 0.2,
        ephemeral_gb=random.choice((0, 0, 5)),
        swap_mb=random.choice((0, 0, 64)),
        disk_format=random.choice((None, "qcow2", "iso")),
        **stored,
    )


def random_rows(random: Random) -> Iterator[BlockDevice]:
    """A root disk as a rule, and others, now and then of an odd kind."""
    for number in range(1, random.randrange(5)):
        kind = random.choice((image, volume) if number == 1 else (volume, ephemeral, swap, row))
        odd = random.random() < 0.1
        prefix = random.choice(("vd", "sd", "xvd" if odd else "hd"))
        yield kind(
            number,
            disk_bus=random.choice((None, "virtio", "scsi", "ide", *(["xen"] if odd else ()))),
            device_name=f"/dev/{prefix}{'abcdef'[number]}",
            connected=random.random() < 0.8,
        )


def as_driver_case(case: Case) -> dict[str, Any]:
    """What the worker's registered_of() takes."""
    made, rules = as_nova_case(case.guest, case.rules), case.rules
    del made["virt_type"]
    made["instance"]["vm_mode"] = case.vm_mode
    made["instance"]["flavor"]["extra_specs"] = case.extra_specs
    made["config"]["DEFAULT"]["pointer_model"] = rules.pointer_model
    made["config"]["libvirt"]["virt_type"] = rules.virt_type
    made["config"]["libvirt"]["use_virtio_for_bridges"] = rules.use_virtio_for_bridges
    made["config"]["vnc"] = {"enabled": rules.vnc_enabled}
    made["config"]["spice"] = {
        "enabled": rules.spice_enabled,
        "agent_enabled": rules.spice_agent_enabled,
    }
    return {**made, "host_arch": rules.host_arch, "os_type": case.os_type}


def facts(case: Case, osinfo: OsInfo) -> tuple[Recommendation, str]:
    """What the rules take besides the guest and the host."""
    stored = case.guest.image_properties
    distro = stored.get("os_distro")
    asked = stored.get("vmware_ostype") if distro is None else distro
    os_type = case.os_type or os_type_of(case.vm_mode, case.rules)
    return osinfo.recommendation(asked, case.rules.release), os_type


def we_register(case: Case, osinfo: OsInfo) -> object:
    try:
        return list(registered(case.guest, case.rules, *facts(case, osinfo)).items())
    except REFUSALS:
        return "refused"


def nova_registers(case: Case, answer: dict[str, Any]) -> object:
    """What Nova registered, in its order; it registers nothing where each property fails alone."""
    absent = [name for name in REGISTERED if name not in case.guest.image_properties]
    if "error" in answer or (absent and not answer):
        return "refused"
    return list(answer.items())


def our_defaults(case: Case, osinfo: OsInfo) -> dict[str, object]:
    return {name: our_default(name, case, osinfo) for name in REGISTERED}


def our_default(name: str, case: Case, osinfo: OsInfo) -> object:
    try:
        check_readable(case.guest, case.rules.release)
        return default_of(name, case.guest, case.rules, *facts(case, osinfo))
    except REFUSALS:
        return "refused"


def nova_s_defaults(answer: dict[str, Any]) -> dict[str, object]:
    return {name: found.get("value", "refused") for name, found in answer.items()}


def difference(drawn: list[Case], ours: list[Any], novas: list[Any]) -> list[str]:
    """The first cases where they differ."""
    found = [
        f"{case}\n  ours {our}\n  Nova {nova}"
        for case, our, nova in zip(drawn, ours, novas, strict=True)
        if our != nova
    ]
    return found[:3]


@pytest.mark.slow
@pytest.mark.parametrize("release", ["34", "28"])
def test_what_is_registered_is_what_nova_registers(
    nova_of: Callable[[str], NovaProcess], osinfo: OsInfo, release: str
) -> None:
    drawn = cases(release, tuple(osinfo.every_recommendation()), CASES)
    asked = [as_driver_case(case) for case in drawn]
    answers = nova_of(release).call("registered_many", cases=asked)
    novas = [nova_registers(case, answer) for case, answer in zip(drawn, answers, strict=True)]
    assert difference(drawn, [we_register(case, osinfo) for case in drawn], novas) == []
    assert novas.count("refused") < CASES / 2


@pytest.mark.slow
@pytest.mark.parametrize("release", ["34", "28"])
def test_each_default_is_novas_stored_or_not(
    nova_of: Callable[[str], NovaProcess], osinfo: OsInfo, release: str
) -> None:
    drawn = cases(release, tuple(osinfo.every_recommendation()), CASES // 3)
    asked = [{**as_driver_case(case), "names": REGISTERED} for case in drawn]
    for case in asked:
        del case["bdms"]
    answers = nova_of(release).call("defaults_many", cases=asked)
    novas = [nova_s_defaults(answer) for answer in answers]
    assert difference(drawn, [our_defaults(case, osinfo) for case in drawn], novas) == []
