"""Kinds of guest, each with one thing that a host of another generation may lack.

A kind is a definition as an operator could have it; `moved` is what of it goes to another host.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import libvirt
from lxml import etree

from novadev.capabilities.content import Capabilities, Versions
from novadev.capabilities.facts import GuestFacts, facts_of_domain
from novadev.capabilities.target import Outcome
from novadev.config import DriverOptions
from novadev.virt.capabilities import read_capabilities
from novadev.virt.domain import Domain
from novadev.virt.emulator import NO_MACHINE, block_drivers_in, block_questions, devices_in
from novadev.virt.firmware import read_firmware
from novadev.virt.host import Host
from novadev.virt.host_model import read_host_model, read_known_features
from tests import domains
from tests.cached import CACHE
from tests.hypervisor import Hypervisor

MACHINES = ("pc", "q35")
OVMF = "/usr/share/OVMF"


@dataclass(frozen=True)
class Kind:
    """A guest: what is special of it, and its definition."""

    name: str
    xml: str

    @cached_property
    def facts(self) -> GuestFacts:
        """What it needs, by its definition."""
        return facts_of_domain(Domain.from_xml(self.xml))


def kinds() -> Iterator[Kind]:
    """Every kind, each name once."""
    for machine in MACHINES:
        for name, devices in _devices():
            yield Kind(f"{machine} {name}", domain_of(machine, devices))
        for name, parts in _parts():
            if machine == "q35" or name.startswith(_BY_BOARD):
                yield Kind(f"{machine} {name}", with_parts(domain_of(machine, ""), parts))
        yield Kind(f"{machine} without graphics", _without_graphics(machine))
    for machine in VERSIONS:
        yield Kind(machine, domain_of(machine, ""))


_BY_BOARD = ("loader OVMF_CODE_4M", "firmware", "secure", "features <smm", "256", "288")
"""The settings that depend on the board."""
VERSIONS = (
    *("pc-i440fx-2.0", "pc-i440fx-2.12", "pc-i440fx-4.2", "pc-i440fx-5.2", "pc-i440fx-7.2"),
    *("pc-i440fx-10.0", "pc-q35-2.4", "pc-q35-2.12", "pc-q35-4.2", "pc-q35-5.2", "pc-q35-7.2"),
    *("pc-q35-10.0", "pc-1.0", "pc-i440fx-1.4", "microvm", "isapc"),
)


def domain_of(machine: str, devices: str) -> str:
    card = domains.interface("fa:16:3e:00:00:01", kind="user")
    root = etree.fromstring(domains.domain(machine=machine, interfaces=[card], metadata=False))
    place = root.find("devices")
    assert place is not None
    for item in etree.fromstring(f"<all>{devices}</all>"):
        place.append(item)
    for tag in ("graphics", "controller[@type='usb']"):
        for extra in place.findall(tag)[:-1]:
            place.remove(extra)
    return etree.tostring(root, encoding="unicode")


def with_parts(xml: str, parts: str) -> str:
    """The definition with PARTS in it, each in the place of one of its name."""
    root = etree.fromstring(xml)
    for part in etree.fromstring(f"<all>{parts}</all>"):
        for old in root.findall(part.tag):
            if part.tag == "os":
                part.insert(0, old.find("type"))
            root.remove(old)
        root.insert(3, part)
    return etree.tostring(root, encoding="unicode")


def _without_graphics(machine: str) -> str:
    root = etree.fromstring(domain_of(machine, ""))
    place = root.find("devices")
    assert place is not None
    for item in (*place.findall("graphics"), *place.findall("video")):
        place.remove(item)
    return etree.tostring(root, encoding="unicode")


_ONE = "<{tag} model='{model}'/>"
_CHANNEL = "<channel type='{kind}'>{source}<target type='virtio' name='{name}'/></channel>"
_SOURCES = {
    "pty": "",
    "unix": "",
    "null": "",
    "tcp": "<source mode='bind' host='127.0.0.1' service='0'/><protocol type='raw'/>",
    "file": "<source path='/tmp/channel'/>",
    "spicevmc": "",
    "spiceport": "<source channel='org.x'/>",
    "dbus": "<source channel='org.x'/>",
    "qemu-vdagent": "<source><clipboard copypaste='yes'/></source>",
}


def _devices() -> Iterator[tuple[str, str]]:
    yield "plain", ""
    for model in ("virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet", "vmxnet3", "igb"):
        yield f"nic {model}", domains.interface("fa:16:3e:00:00:02", kind="user", model=model)
    for bus, dev in (("virtio", "vda"), ("scsi", "sda"), ("sata", "sda"), ("ide", "hda")):
        yield f"disk {bus}", _disk(dev, bus)
        yield f"cdrom {bus}", _disk(dev, bus, "cdrom")
    for bus, dev in (("usb", "sda"), ("sd", "sda"), ("xen", "xvda")):
        yield f"disk {bus}", _disk(dev, bus)
    long = _disk("sda", "scsi").replace("</disk>", f"<serial>{'a' * 41}</serial></disk>")
    yield "disk scsi with a long serial", long
    for over in ("rbd", "iscsi", "ssh", "https", "gluster"):
        image = domains.disk("vda", kind="network", source="pool/image")
        yield f"disk over {over}", image.replace('"rbd"', f'"{over}"')
    yield "floppy", _disk("fda", "fdc", "floppy")
    for setting in ("io='io_uring'", "discard='unmap' detect_zeroes='unmap'", "queues='2'"):
        yield (
            f"disk driver {setting}",
            _disk("vda", "virtio").replace("<driver ", f"<driver {setting} "),
        )
    scsi = ("virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "vmpvscsi", "buslogic")
    for model in scsi:
        yield f"scsi {model}", f"<controller type='scsi' index='0' model='{model}'/>"
    usb = ("piix3-uhci", "qemu-xhci", "nec-xhci", "ich9-ehci1", "ehci", "pci-ohci", "none")
    for model in usb:
        yield f"usb {model}", f"<controller type='usb' index='0' model='{model}'/>"
    for model in ("virtio", "vga", "cirrus", "qxl", "bochs", "vmvga", "ramfb", "none", "gop"):
        yield f"video {model}", f"<video><model type='{model}'/></video>"
    for model in ("ich6", "ich7", "ich9", "ac97", "es1370", "sb16", "usb", "virtio", "pcspk"):
        yield f"sound {model}", _ONE.format(tag="sound", model=model)
    for model in ("i6300esb", "ib700", "diag288"):
        yield f"watchdog {model}", f"<watchdog model='{model}' action='reset'/>"
    for kind, source in _SOURCES.items():
        needs = "<graphics type='spice'/>" if kind.startswith("spice") else ""
        needs = "<graphics type='dbus'/>" if kind == "dbus" else needs
        yield (
            f"channel {kind}",
            needs
            + _CHANNEL.format(
                kind=kind,
                source=source,
                name="com.redhat.spice.0" if kind in ("spicevmc", "qemu-vdagent") else "org.x.0",
            ),
        )
    for kind in ("tcp", "null", "file"):
        yield f"serial {kind}", f"<serial type='{kind}'>{_SOURCES[kind]}</serial>"
    for kind, graphics in (("spiceport", "spice"), ("dbus", "dbus")):
        port = f"<serial type='{kind}'>{_SOURCES[kind]}</serial>"
        yield f"serial {kind}", f"{port}<graphics type='{graphics}'/>"
    sound = "<sound model='ich9'><audio id='1'/></sound><audio id='1' type='dbus'/>"
    yield "sound dbus", f"{sound}<graphics type='dbus'/>"
    for kind in ("spice", "dbus", "egl-headless"):
        yield f"graphics {kind}", f"<graphics type='{kind}'/>"
    for bus in ("usb", "virtio", "ps2"):
        for kind in ("tablet", "keyboard", "mouse"):
            yield f"input {kind} {bus}", f"<input type='{kind}' bus='{bus}'/>"
    yield "input evdev", "<input type='evdev'><source dev='/dev/null'/></input>"
    for model in ("virtio", "virtio-transitional", "virtio-non-transitional"):
        yield (
            f"rng {model}",
            _ONE.format(tag="rng", model=model).replace(
                "/>", "><backend model='random'>/dev/urandom</backend></rng>"
            ),
        )
        yield f"memballoon {model}", _ONE.format(tag="memballoon", model=model)
    yield "rng builtin", "<rng model='virtio'><backend model='builtin'/></rng>"
    yield "memballoon none", _ONE.format(tag="memballoon", model="none")
    for model in ("isa", "pvpanic", "hyperv"):
        yield f"panic {model}", _ONE.format(tag="panic", model=model)
    for model in ("tpm-tis", "tpm-crb"):
        for version in ("1.2", "2.0"):
            backend = f"<backend type='emulator' version='{version}'/>"
            yield f"tpm {model} {version}", f"<tpm model='{model}'>{backend}</tpm>"
    yield "redirdev", "<redirdev bus='usb' type='spicevmc'/><graphics type='spice'/>"
    yield "redirdev tcp", f"<redirdev bus='usb' type='tcp'>{_SOURCES['tcp']}</redirdev>"
    yield "hub", "<hub type='usb'/>"
    yield "crypto", "<crypto model='virtio' type='qemu'><backend model='builtin'/></crypto>"
    yield (
        "9p",
        (
            "<filesystem type='mount' accessmode='mapped'><source dir='/tmp'/><target dir='x'/>"
            "</filesystem>"
        ),
    )
    for model in ("intel", "virtio", "amd"):
        yield f"iommu {model}", _ONE.format(tag="iommu", model=model)


def _disk(dev: str, bus: str, device: str = "disk") -> str:
    source = None if device == "cdrom" else f"{domains.IMAGES}/kind/{dev}"
    return domains.disk(dev, bus, device=device, source=source)


_LOADER = "<loader readonly='yes' type='pflash'{more}>{path}</loader>"
_CPUS = (
    *("qemu64", "Nehalem", "Haswell-noTSX", "Icelake-Client", "Icelake-Server", "EPYC"),
    *("EPYC-Rome", "EPYC-Milan", "EPYC-Genoa", "Snowridge", "SapphireRapids", "GraniteRapids"),
    *("Cascadelake-Server", "Cascadelake-Server-v5", "Cooperlake", "pentium3", "athlon"),
    *("Icelake-Server-v7", "EPYC-v4", "NoSuchModel"),
)


def _parts() -> Iterator[tuple[str, str]]:
    for image in ("OVMF_CODE.fd", "OVMF_CODE_4M.fd"):
        loader = _LOADER.format(more="", path=f"{OVMF}/{image}")
        template = f"{OVMF}/{image.replace('CODE', 'VARS')}"
        yield f"loader {image}", f"<os>{loader}</os>"
        yield f"loader {image} with a template", f"<os>{loader}<nvram template='{template}'/></os>"
    secure = _LOADER.format(more=" secure='yes'", path=f"{OVMF}/OVMF_CODE_4M.secboot.fd")
    template = f"<nvram template='{OVMF}/OVMF_VARS_4M.ms.fd'/>"
    smm = "<features><acpi/><smm state='on'/></features>"
    yield "secure boot", f"<os>{secure}{template}</os>{smm}"
    yield "loader that is nowhere", f"<os>{_LOADER.format(more='', path='/nowhere/OVMF.fd')}</os>"
    yield "firmware efi", "<os firmware='efi'/>"
    yield "firmware bios", "<os firmware='bios'/>"
    wanted = "<firmware><feature enabled='yes' name='secure-boot'/></firmware>"
    yield "firmware efi with secure boot", f"<os firmware='efi'>{wanted}</os>{smm}"
    for model in _CPUS:
        yield f"cpu {model}", f"<cpu mode='custom' match='exact'><model>{model}</model></cpu>"
    for mode in ("host-model", "host-passthrough", "maximum"):
        yield f"cpu {mode}", f"<cpu mode='{mode}'/>"
    for name in ("vmx", "clwb", "nosuch"):
        feature = f"<feature policy='require' name='{name}'/>"
        yield f"cpu feature {name}", f"<cpu mode='custom'><model>qemu64</model>{feature}</cpu>"
    for features in (
        *("<vmport state='off'/>", "<pmu state='off'/>", "<smm state='on'/>", "<vmcoreinfo/>"),
        *("<hyperv><relaxed state='on'/></hyperv>", "<kvm><hidden state='on'/></kvm>"),
        *("<ps2 state='off'/>", "<async-teardown enabled='yes'/>", "<ioapic driver='qemu'/>"),
        *("<hap/>", "<pae/>", "<pvspinlock state='on'/>"),
    ):
        yield f"features {features}", f"<features><acpi/><apic/>{features}</features>"
    for number in (8, 255, 256, 288, 500):
        yield f"{number} vcpus", f"<vcpu>{number}</vcpu>"
    for kind in ("memfd", "file", "anonymous"):
        yield f"memory {kind}", f"<memoryBacking><source type='{kind}'/></memoryBacking>"
    for size, unit in (("2", "MiB"), ("64", "KiB")):
        pages = f"<hugepages><page size='{size}' unit='{unit}'/></hugepages>"
        yield f"huge pages of {size} {unit}", f"<memoryBacking>{pages}</memoryBacking>"
    for kind in ("sev", "sev-snp"):
        policy = "<policy>0x0003</policy><cbitpos>47</cbitpos><reducedPhysBits>1</reducedPhysBits>"
        yield f"launch security {kind}", f"<launchSecurity type='{kind}'>{policy}</launchSecurity>"
    yield "iothreads", "<iothreads>2</iothreads>"
    yield "cputune shares", "<cputune><shares>1024</shares></cputune>"
    yield "cputune pinned", "<cputune><vcpupin vcpu='0' cpuset='99'/></cputune>"
    yield "genid", "<genid>43dc0cf8-809b-4adb-9bea-a9abb5f3d90e</genid>"
    for timer in ("kvmclock", "hypervclock", "tsc", "hpet"):
        present = f"<timer name='{timer}' present='yes'/>"
        yield f"timer {timer}", f"<clock offset='utc'>{present}</clock>"
    yield "numatune", "<numatune><memory mode='strict' nodeset='7'/></numatune>"


# A host, and what it makes of a kind


@dataclass(frozen=True)
class Result:
    """What really became of a definition, why, and what a migration would take along."""

    outcome: Outcome
    why: str
    moved: str


def capabilities_of(host: Hypervisor) -> Capabilities:
    """What ``capabilities save`` would find on a host of another generation."""
    tree = CACHE / f"generation-{host.name.rstrip('0123456789')}"

    def ask(*arguments: str, questions: str = "") -> str:
        command = ["chroot", str(tree), "/usr/bin/qemu-system-x86_64", *arguments]
        return subprocess.run(
            command, input=questions, capture_output=True, text=True, check=True
        ).stdout

    asked = Host(host.name, host.uri)
    found, model = read_capabilities(asked), read_host_model(asked, "x86_64")
    loaders = {path for item in found.domain_capabilities.values() for path in item.loader or ()}
    return Capabilities(
        host=host.name,
        saved_on=host.name,
        saved_at="2026-11-28T00:00:00Z",
        novadev="0",
        architecture=found.architecture,
        versions=Versions(None, found.libvirt, 34, None, found.qemu),
        driver=DriverOptions(virt_type="qemu"),
        machine_types=found.machine_types,
        recommendations=None,
        domain_types=found.domain_types,
        emulator=found.emulator,
        domain_capabilities=found.domain_capabilities,
        devices=devices_in(ask("-device", "help")),
        block_drivers=block_drivers_in(ask(*NO_MACHINE, questions=block_questions())),
        firmware=read_firmware(loaders, tree),
        page_sizes=found.page_sizes,
        processors=found.processors,
        security_models=found.security_models,
        host_model=model and replace(model, known=read_known_features(tree)),
    )


def tried(host: Hypervisor, xml: str) -> Result:
    """Define and start XML on the host, paused, and take it away again."""
    try:
        domain: Any = host.define(xml)
    except libvirt.libvirtError as error:
        return Result("cannot be defined", str(error), xml)
    moved = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_MIGRATABLE)
    try:
        domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        domain.destroy()
    except libvirt.libvirtError as error:
        return Result("would not start", str(error), moved)
    finally:
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)
    return Result("fine", "", moved)


def is_wrong(verdict: Outcome, found: Outcome) -> bool:
    """Whether a verdict was a false "fine" or a false refusal; "not checked" claims nothing."""
    if verdict == "not checked":
        return False
    return verdict != found and not (verdict == "deprecated" and found == "fine")
