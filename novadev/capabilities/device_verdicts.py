"""Whether a host has a device, from libvirt's domain capabilities and QEMU's own list.

Each rule was seen with libvirt 9.0.0 and QEMU 7.2 on x86, by defining and starting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from novadev.capabilities.device_names import SCSI, names_of
from novadev.capabilities.target import (
    FINE,
    Outcome,
    Target,
    Told,
    in_qemu,
    listed,
    unknown,
    unless_lacking,
    worse,
)
from novadev.rules.device import GuestDevice
from novadev.rules.machine_types import I440FX, X86, family_of
from novadev.rules.slots import DEFAULT_NIC, DEFAULT_USB

_DEFINE_CHECKED = {
    "controller": frozenset(SCSI) - {"am53c974", "dc390", "ibmvscsi"},
    "sound": frozenset(("ich9", "usb")),
}
"""Models for which libvirt looks whether QEMU has them when a guest is defined, and not later."""
_TOLD_BY_LIBVIRT = ("graphics", "rng", "tpm", "video")
_PLAIN_CHARACTER_DEVICES = (
    *("pty", "unix", "tcp", "udp", "file", "null", "pipe", "dev", "stdio", "vc"),
)
"""What every QEMU can put behind a serial port."""
_LIBVIRT_HAS = ("xen", "uml")
"""Buses that libvirt takes and QEMU has not; of any other word it says that there is none."""


_LONGEST_USB_SERIAL = 20
_SHORTENS_SERIALS, _REFUSES_SERIALS = (8,), (10,)
"""QEMU before the first takes any serial on USB, and from the second on no long one."""


def judge(fact: GuestDevice, host: Target) -> Told:
    """Return the verdict on a device, and why.

    It is "not checked" where neither source tells, on a board that novadev does not know, and on
    other processors than x86, where the rules were not tried, but for virtio devices and for what
    libvirt itself lists.
    """
    if not host.is_known_board:
        return unknown(f"novadev knows no rules for the board {host.machine_type}")
    by_tag = _JUDGES.get(fact.tag)
    told = by_tag(fact, host) if by_tag else unknown(f"novadev knows no rule for a {fact.tag}")
    is_told = fact.tag in _TOLD_BY_LIBVIRT or _is_virtio(fact)
    if told[0] == "fine" and host.architecture not in X86 and not is_told:
        return unknown(f"the rules were not tried on {host.architecture}")
    return told


def _is_virtio(fact: GuestDevice) -> bool:
    return any((word or "").startswith("virtio") for word in (fact.bus, fact.model))


def _disk(fact: GuestDevice, host: Target) -> Told:
    """Judge a disk; libvirt's qemuValidateDomainDeviceDefDisk has what a bus takes."""
    kind, bus = fact.device, fact.bus
    if bus is None:
        return unknown("it names no bus")
    if kind == "cdrom" and bus == "virtio":
        return "cannot be defined", "virtio has no removable media"
    if (kind == "floppy") != (bus == "fdc"):
        return "cannot be defined", "bus fdc is only for floppies, and floppies need bus fdc"
    if kind == "lun" and bus not in ("scsi", "virtio"):
        return "cannot be defined", f"a LUN cannot be on bus {bus}"
    on_bus = listed(host, "disk_bus", f"bus {bus}", bus)
    if on_bus[0] == "cannot be defined" and bus in _LIBVIRT_HAS:
        return "would not start", on_bus[1]
    if bus == "fdc" and "rhel" in host.machine_type and "-rhel7." not in host.machine_type:
        # Red Hat's QEMU: fdctrl_realize_common() in hw/block/fdc.c
        return "would not start", f"Red Hat's QEMU has no floppies on {host.machine_type}"
    if kind == "lun" and bus == "virtio":
        return worse(on_bus, unknown("only QEMU decides whether a LUN can be on virtio"))
    on_it = _disk_controller(bus, host)
    return worse(on_bus, unless_lacking(fact, host), on_it, _serial(fact, host))


def _serial(fact: GuestDevice, host: Target) -> Told:
    """Judge the serial of a USB disk, which a later QEMU no longer shortens in silence.

    Source: QEMU, hw/scsi/scsi-disk.c, scsi_realize. Tried with 5.2, 7.2 and 10.0; the change came
    in between, to releases of several series.
    """
    if fact.bus != "usb" or fact.serial_length <= _LONGEST_USB_SERIAL:
        return FINE
    if host.qemu < _SHORTENS_SERIALS:
        return FINE
    if host.qemu >= _REFUSES_SERIALS:
        why = f"on USB its QEMU takes serials of at most {_LONGEST_USB_SERIAL} characters"
        return "would not start", f"{why}, and that of a volume has 36"
    return unknown("whether its QEMU takes such a long serial on USB is not known")


def _disk_controller(bus: str, host: Target) -> Told:
    """Judge the controller that libvirt adds for the bus, where the board has none itself."""
    needs_one = {"fdc": host.is_q35, "sata": not host.is_q35}
    if not needs_one.get(bus):
        return FINE
    controller = GuestDevice("", "controller", bus)
    return unless_lacking(
        controller, host, "cannot be defined" if bus == "sata" else "would not start"
    )


def _by_model(enumeration: str) -> Callable[[GuestDevice, Target], Told]:
    """Return a judge by libvirt's domain capabilities; QEMU's list counts where those are silent.

    libvirt makes them of what QEMU itself says, so its yes is not overruled.
    """

    def judge(fact: GuestDevice, host: Target) -> Told:
        return listed(host, enumeration, f"{fact.tag} model {fact.model}", fact.model)

    return judge


def _video(fact: GuestDevice, host: Target) -> Told:
    """Judge a display adapter; older boards than 2.5 have not what ramfb needs (``fw_cfg`` DMA)."""
    told = _by_model("video")(fact, host)
    if told == FINE and fact.model == "ramfb":
        return unknown("ramfb does not start on every board")
    if told == FINE and fact.model == "cirrus" and "rhel" in host.machine_type:
        # Red Hat's QEMU: pci_cirrus_vga_realize() in hw/display/cirrus_vga.c
        return "deprecated", "Red Hat's QEMU warns that it is deprecated"
    return told


def _by_qemu(fact: GuestDevice, host: Target) -> Told:
    return in_qemu(fact, host)


def _interface(fact: GuestDevice, host: Target) -> Told:
    """Judge an interface: libvirt takes any model at all, and QEMU then has it or not."""
    if fact.device in ("hostdev", "vdpa"):
        return unknown("it depends on a device of the host")
    model = (fact.model or "").lower() or (DEFAULT_NIC if host.architecture in X86 else None)
    if model is None:
        return unknown("it names no model")
    named = GuestDevice(fact.subject, fact.tag, model=model)
    if names_of(named, host.architecture) is not None:
        return in_qemu(named, host)
    if host.devices is not None and model not in host.devices:
        return "would not start", f"the host's QEMU has no device {model}"
    return unknown(f"novadev does not know the model {model}")


def _controller(fact: GuestDevice, host: Target) -> Told:
    if fact.device == "scsi":
        return _scsi(fact, host)
    if fact.device == "ide":
        return listed(host, "disk_bus", "bus ide", "ide")
    if fact.device == "sata":
        return FINE if host.is_q35 else in_qemu(fact, host, "cannot be defined")
    if fact.device == "usb" and fact.model in ("qusb1", "qusb2"):
        return "cannot be defined", f"libvirt has no USB controller {fact.model} for QEMU"
    if fact.device == "usb" and fact.model is None:
        return _default_usb(host)
    return in_qemu(fact, host)


def _default_usb(host: Target) -> Told:
    """Judge the USB controller of no model: on x86 libvirt's choice is piix3-uhci if it is there.

    Source: libvirt, src/qemu/qemu_domain.c, qemuDomainControllerDefPostParse.
    """
    told = in_qemu(GuestDevice("", "controller", "usb", model=DEFAULT_USB), host)
    return FINE if told == FINE else unknown("libvirt chooses its model")


def _scsi(fact: GuestDevice, host: Target) -> Told:
    """Judge a SCSI controller; without a model, or with "auto", libvirt chooses one.

    Source: libvirt, src/qemu/qemu_domain.c, qemuDomainGetSCSIControllerModel.
    """
    model = fact.model
    if model in (None, "auto"):
        choice = next((name for name in _scsi_choices(host) if _has_scsi(name, host)), None)
        if choice is None:
            return unknown("libvirt chooses its model")
        return "fine", f"libvirt chooses its model, {choice} there"
    if model not in SCSI:
        return "cannot be defined", f"libvirt has no SCSI controller {model} for QEMU"
    return in_qemu(fact, host, _if_missing(fact))


def _if_missing(fact: GuestDevice) -> Outcome:
    checked = fact.model in _DEFINE_CHECKED[fact.tag]
    return "cannot be defined" if checked else "would not start"


def _scsi_choices(host: Target) -> tuple[str, ...]:
    return ("lsilogic", "virtio-scsi") if host.architecture in X86 else ()


def _has_scsi(model: str, host: Target) -> bool:
    return in_qemu(GuestDevice("", "controller", "scsi", model=model), host)[0] == "fine"


def _input(fact: GuestDevice, host: Target) -> Told:
    if fact.device in ("evdev", "passthrough"):
        return unknown("it depends on a device of the host")
    if fact.bus == "ps2":
        if fact.device == "tablet":
            return "cannot be defined", "there is no tablet on bus ps2"
        return FINE if host.architecture in X86 else unknown("ps2 is for x86")
    if fact.bus in (None, "none"):
        return unknown("it names no bus")
    if fact.bus not in ("usb", "virtio"):
        return "cannot be defined", f"libvirt has no input devices on bus {fact.bus} for QEMU"
    if fact.device not in ("tablet", "mouse", "keyboard"):
        return unknown("it depends on a device of the host")
    starts_first = fact.bus == "usb" and fact.device != "keyboard"
    return in_qemu(fact, host, "would not start" if starts_first else "cannot be defined")


def _graphics(fact: GuestDevice, host: Target) -> Told:
    """Judge a console; others than VNC and SPICE need what no list tells, such as a GPU."""
    told = listed(host, "graphics", f"graphics {fact.device}", fact.device)
    if told == FINE and fact.device not in ("vnc", "spice"):
        return unknown(f"{fact.device} needs more of the host than libvirt reports")
    return told


def _tpm(fact: GuestDevice, host: Target) -> Told:
    backend = listed(host, "tpm_backend", f"TPM backend {fact.device}", fact.device)
    if backend == FINE and fact.device == "passthrough":
        backend = unknown("it depends on a device of the host")
    return worse(backend, _by_model("tpm")(fact, host))


def _channel(fact: GuestDevice, host: Target) -> Told:
    """Judge a channel by what is behind it: libvirt lists three types and takes many more."""
    return worse(_character_device(fact.device, host), in_qemu(fact, host))


def _character_device(kind: str | None, host: Target) -> Told:
    """Judge the host's side of a serial port, console, channel or USB redirection.

    Source: libvirt, src/qemu/qemu_validate.c, qemuValidateDomainChrSourceDef; QEMU, chardev/.
    """
    if kind in _PLAIN_CHARACTER_DEVICES:
        return FINE
    if kind in ("spicevmc", "spiceport"):
        return listed(host, "graphics", "SPICE", "spice")
    if kind == "dbus":
        return listed(host, "graphics", "D-Bus", "dbus")
    if kind == "qemu-vdagent":
        has_it = host.libvirt >= (8, 4) and host.qemu >= (6, 1)
        return FINE if has_it else ("cannot be defined", "it needs libvirt 8.4 and QEMU 6.1")
    return unknown(f"novadev does not know type {kind}")


def _by_source(fact: GuestDevice, host: Target) -> Told:
    if fact.tag != "redirdev" and fact.model is None and host.architecture in X86:
        fact = replace(fact, model="isa-serial")  # what libvirt takes for it
    return worse(_character_device(fact.device, host), in_qemu(fact, host))


def _watchdog(fact: GuestDevice, host: Target) -> Told:
    """Judge a watchdog; libvirt has itco, and a rule for ib700, since 9.1."""
    is_elsewhere = family_of(host.machine_type) != I440FX
    if fact.model == "ib700" and host.libvirt >= (9, 1) and is_elsewhere:
        return "cannot be defined", "ib700 needs i440fx"
    if fact.model == "itco" and not (host.is_q35 and host.libvirt >= (9, 1)):
        return "cannot be defined", "itco needs q35 and libvirt 9.1"
    return in_qemu(fact, host)


def _iommu(fact: GuestDevice, host: Target) -> Told:
    if fact.model == "smmuv3" and host.architecture in X86:
        return "cannot be defined", "smmuv3 needs the virt board of ARM"
    if fact.model == "intel" and not host.is_q35:
        return "cannot be defined", "an Intel IOMMU needs q35"
    if fact.model == "virtio" and host.libvirt < (8, 3):
        return "cannot be defined", "a virtio IOMMU needs libvirt 8.3"
    if fact.model == "virtio" and host.architecture in X86 and not host.is_q35:
        return "cannot be defined", "a virtio IOMMU needs q35"
    return in_qemu(fact, host)


def _panic(fact: GuestDevice, host: Target) -> Told:
    """Judge a panic device; libvirt has that of PCI since 9.1."""
    if fact.model == "pvpanic" and host.libvirt < (9, 1):
        return "cannot be defined", "pvpanic on PCI needs libvirt 9.1"
    return in_qemu(fact, host, "cannot be defined")


def _filesystem(fact: GuestDevice, host: Target) -> Told:
    """Judge a share; virtiofs is a program of the host, which nothing tells of."""
    if fact.device == "virtiofs":
        return unknown("it is not known whether the host has virtiofsd")
    return in_qemu(fact, host)


def _sound(fact: GuestDevice, host: Target) -> Told:
    """Judge a sound device; libvirt has that of virtio since 10.4."""
    if fact.model == "virtio" and host.libvirt < (10, 4):
        return "cannot be defined", "virtio sound needs libvirt 10.4"
    return in_qemu(fact, host, _if_missing(fact))


def _hostdev(fact: GuestDevice, host: Target) -> Told:
    return unknown("it depends on a device of the host")


def _audio(fact: GuestDevice, host: Target) -> Told:
    """Judge an audio backend; libvirt has ``none`` for QEMU since 7.2."""
    if fact.device == "none" and host.libvirt < (7, 2):
        return "cannot be defined", "audio of type none needs libvirt 7.2"
    return FINE if fact.device == "none" else unknown(f"audio {fact.device} is the host's")


_JUDGES: Mapping[str, Callable[[GuestDevice, Target], Told]] = {
    **dict.fromkeys(("hub", "memballoon"), _by_qemu),
    **dict.fromkeys(("console", "redirdev", "serial"), _by_source),
    "audio": _audio,
    "channel": _channel,
    "controller": _controller,
    "crypto": _by_model("crypto"),
    "disk": _disk,
    "filesystem": _filesystem,
    "graphics": _graphics,
    "hostdev": _hostdev,
    "input": _input,
    "interface": _interface,
    "iommu": _iommu,
    "panic": _panic,
    "rng": _by_model("rng"),
    "sound": _sound,
    "tpm": _tpm,
    "video": _video,
    "watchdog": _watchdog,
}
