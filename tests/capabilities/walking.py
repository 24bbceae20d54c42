"""Every value of the properties that name devices, as what a guest needs and as a definition."""

from collections.abc import Iterator
from dataclasses import astuple
from itertools import product
from typing import NamedTuple

from novadev.capabilities.facts import GuestFacts
from novadev.capabilities.stored_facts import facts_of_guest
from novadev.nova.image_properties import PROPERTIES
from novadev.rules.defaults import REFUSALS
from novadev.rules.device import GuestDevice
from novadev.rules.guest import DriverRules, Guest
from tests import domains
from tests.rules.guests import guest, image, volume

RULES = DriverRules(virt_type="qemu")
NAMES = {"virtio": "vda", "ide": "hda", "fdc": "fda", "xen": "xvda", "lxc": "vda", "uml": "ubda"}
INPUTS = tuple(product(("usb", "virtio", "ps2", "xen"), ("tablet", "keyboard", "mouse")))
USB = (
    *("piix3-uhci", "piix4-uhci", "ehci", "ich9-ehci1", "pci-ohci", "nec-xhci", "qemu-xhci"),
    *("vt82c686b-uhci", "qusb1", "qusb2"),
)
TPM = tuple(product(("tpm-tis", "tpm-crb", "tpm-spapr"), ("emulator", "passthrough")))


class Case(NamedTuple):
    """What is tried, and what the guest needs for it."""

    label: str
    facts: GuestFacts


def walked(machine: str) -> Iterator[Case]:
    """Every value of every property on the allow-list, and what two of them do together."""
    for prop in PROPERTIES.values():
        for value in prop.values if prop.name != "hw_rescue_bus" else ():  # Nova never reads it
            yield _of_property(prop.name, value, machine)
    for model in PROPERTIES["hw_scsi_model"].values:
        yield _stored({"hw_disk_bus": "scsi", "hw_scsi_model": model}, machine)
    yield _stored({"hw_input_bus": "virtio", "hw_pointer_model": "usbtablet"}, machine)
    yield _stored({"hw_input_bus": "virtio", "hw_disk_bus": "usb"}, machine)
    for sound in ("ac97", "es1370", "ich6", "ich9", "pcspk", "sb16", "usb"):
        yield _stored({"hw_sound_model": sound}, machine)
    yield _stored({"hw_tpm_version": "2.0", "hw_tpm_model": "tpm-crb"}, machine)
    yield _stored({"hw_watchdog_action": "reset"}, machine)


def odd(machine: str) -> Iterator[Case]:
    """What no property asks for, but a definition can have."""
    facts = [
        *(GuestDevice("", "video", model=model) for model in ("ramfb", "foo")),
        *(GuestDevice("", "rng", model=model) for model in ("virtio-transitional", "foo")),
        *(GuestDevice("", "memballoon", model=m) for m in ("none", "virtio-non-transitional")),
        *(GuestDevice("", "controller", "usb", model=model) for model in USB),
        *(GuestDevice("", "input", kind, bus) for bus, kind in INPUTS),
        *(GuestDevice("", "tpm", backend, model=model) for model, backend in TPM),
        *(GuestDevice("", "watchdog", model=model) for model in ("ib700", "diag288")),
        *(GuestDevice("", "graphics", kind) for kind in ("spice", "sdl", "rdp", "desktop")),
        *(GuestDevice("", "controller", kind) for kind in ("ide", "sata", "fdc", "ccid")),
    ]
    for model in ("ncr53c90", "dc390", "am53c974", "auto", "virtio-transitional"):
        facts.append(GuestDevice("", "controller", "scsi", model=model))
    for model in ("virtio-transitional", "i82551", "rocker", "ne2k_isa", "usb-net", "vlance"):
        facts.append(GuestDevice("", "interface", model=model))
    for model in ("isa-serial", "pci-serial", "usb-serial"):
        facts.append(GuestDevice("", "serial", "pty", model=model))
    for fact in facts:
        yield Case(" ".join(filter(None, astuple(fact))), _alone(machine, fact))
    no_usb = GuestDevice("controller usb 0", "controller", "usb", model="none")
    for fact in (
        GuestDevice("input", "input", "tablet", "usb"),
        GuestDevice("input", "input", "tablet", "virtio"),
        GuestDevice("disk sda", "disk", "disk", "usb"),
        GuestDevice("channel", "channel", "spicevmc", model="virtio"),
    ):
        yield Case(f"{fact.subject} {fact.bus} without usb", _alone(machine, no_usb, fact))


def _of_property(name: str, value: str, machine: str) -> Case:
    kind = {"hw_cdrom_bus": "cdrom", "hw_floppy_bus": "floppy", "hw_disk_bus": "disk"}.get(name)
    try:
        return _stored({name: value}, machine)
    except REFUSALS:  # Nova does not build it; another could
        fact = GuestDevice(f"disk {NAMES.get(value, 'sda')}", "disk", kind, value)
        return Case(f"{name}={value}", _alone(machine, fact))


def _stored(properties: dict[str, str | None], machine: str) -> Case:
    label = " ".join(f"{name}={value}" for name, value in properties.items())
    return Case(label, facts_of_guest(_guest(properties, machine), RULES))


def _guest(properties: dict[str, str | None], machine: str) -> Guest:
    """A guest whose root disk is on the bus of the property, or else on virtio."""
    rows = [image(1, disk_bus=properties.get("hw_disk_bus"))]
    if "hw_floppy_bus" in properties:
        rows.append(volume(2, device_type="floppy", disk_bus=properties["hw_floppy_bus"]))
    has_cdrom = "hw_cdrom_bus" in properties
    return guest(*rows, config_drive=has_cdrom, hw_machine_type=machine, **properties)


def _alone(machine: str, *facts: GuestDevice) -> GuestFacts:
    return GuestFacts("x86_64", "qemu", machine, facts)


def definition(facts: GuestFacts) -> str:
    """A definition with just these devices, besides what libvirt adds."""
    others = [fact for fact in facts.devices if fact.tag not in ("disk", "interface")]
    has_graphics = any(fact == GuestDevice(fact.subject, "graphics", "vnc") for fact in others)
    others = [fact for fact in others if not (has_graphics and fact.device == "vnc")]
    disks = [
        domains.disk(fact.subject.split()[-1], fact.bus or "", device=fact.device or "disk")
        for fact in facts.devices
        if fact.tag == "disk"
    ]
    nics = [
        domains.interface("52:54:00:12:34:56", kind="user", model=fact.model or "")
        for fact in facts.devices
        if fact.tag == "interface"
    ]
    machine = facts.machine_type or ""
    return domains.domain(
        machine=machine, disks=disks, interfaces=nics, devices=[_element(fact) for fact in others]
    )


def _element(fact: GuestDevice) -> str:
    """The XML of a device that is neither a disk nor an interface."""
    model = f" model='{fact.model}'" if fact.model else ""
    match fact.tag:
        case "video":
            return f"<video><model type='{fact.model}'/></video>"
        case "input":
            return f"<input type='{fact.device}' bus='{fact.bus}'/>"
        case "rng":
            return f"<rng{model}><backend model='random'>/dev/urandom</backend></rng>"
        case "tpm":
            return f"<tpm{model}><backend type='{fact.device}'/></tpm>"
        case "serial":
            return f"<serial type='pty'><target type='{fact.model}'/></serial>"
        case "channel":
            target = "<target type='virtio' name='com.redhat.spice.0'/>"
            return f"<channel type='{fact.device}'>{target}</channel>"
        case "controller" | "graphics":
            index = " index='0'" if fact.tag == "controller" else ""
            return f"<{fact.tag} type='{fact.device}'{index}{model}/>"
    return f"<{fact.tag}{model}/>"
