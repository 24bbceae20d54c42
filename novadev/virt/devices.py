"""The devices of a guest, each by its element under ``<devices>``, in libvirt's words.

A class is its element: the tag, then one line for each attribute.
"""

from __future__ import annotations

from lxml import etree

from novadev.virt.address import Address
from novadev.virt.consoles import is_serial_target
from novadev.virt.device import Device, Labels
from novadev.virt.elements import Flag, Text

NOT_DEVICES = {"emulator"}
"""Children of ``<devices>`` that are none."""


class Disk(Device):
    """A disk, cdrom, floppy or LUN.

    ``<disk type="block" device="disk"><source dev="/dev/dm-7"/><target dev="vdb" bus="virtio"/>
    <serial>0f8fad5b-d9cb-469f-a165-70867728950e</serial></disk>``
    """

    tag = "disk"
    device = Text("@device")
    bus = Text("target/@bus")
    model = Text("@model")
    target = Text("target/@dev")
    short_name = Text("target/@dev")
    serial = Text("serial")
    source_type = Text("@type")
    source = Text(
        *("source/@file", "source/@dev", "source/@name", "source/@volume", "source/@dir"),
        "source/@path",
    )
    """A path, or the name within a protocol's or pool's space: ``volumes/volume-…``."""
    protocol = Text("source/@protocol")
    startup_policy = Text("source/@startupPolicy")
    """Whether the guest starts without its source: mandatory, requisite or optional."""
    mirrored = Flag("mirror")

    @property
    def is_lun(self) -> bool:
        """Whether it is a SCSI LUN passed through, which can have no serial."""
        return self.device == "lun"


class Interface(Device):
    """A network interface, also one that is a device of the host (type ``hostdev``).

    ``<interface type="bridge"><mac address="fa:16:3e:77:10:01"/><target dev="tapa3bb189e-8b"/>
    <virtualport type="openvswitch"><parameters interfaceid="…"/></virtualport></interface>``
    """

    tag = "interface"
    device = Text("@type")
    model = Text("model/@type")
    mac = Text("mac/@address")
    target = Text("target/@dev")
    short_name = Text("target/@dev", "mac/@address")
    interface_id = Text("virtualport/parameters/@interfaceid")
    """The port's UUID where Open vSwitch is told it."""
    source = Text("source/@bridge", "source/@network", "source/@dev", "source/@path")
    teaming_persistent = Text("teaming/@persistent")
    """The alias of the device it stands in for."""

    @property
    def identity(self) -> str | None:
        """Its MAC: a running guest has a target even where its definition has none (``vnet0``)."""
        return self.mac or self.short_name

    @property
    def host_address(self) -> Address | None:
        """Where the host has the device that is passed through; None of any other interface."""
        return Address.from_element(self.element.find("source/address"), "pci")


class Hostdev(Device):
    """A device of the host given to the guest.

    ``<hostdev mode="subsystem" type="pci" managed="yes"><source>
    <address domain="0x0000" bus="0x81" slot="0x00" function="0x1"/></source></hostdev>``
    """

    tag = "hostdev"
    mode = Text("@mode")
    device = Text("@type")
    model = Text("@model")
    managed = Text("@managed")
    uuid = Text("source/address/@uuid")
    """The mediated device's UUID."""
    teaming_persistent = Text("teaming/@persistent")
    _vendor = Text("source/vendor/@id")
    _product = Text("source/product/@id")
    _other_source = Text(
        *("source/adapter/@name", "source/@wwpn", "source/block", "source/char"),
        *("source/interface", "source/vendor/@id"),
    )

    @property
    def host_address(self) -> Address | None:
        """Where the host has it: its PCI, USB or SCSI address; None of a mediated device."""
        if self.uuid:
            return None
        return Address.from_element(self.element.find("source/address"), self.device or "")

    @property
    def short_name(self) -> str | None:  # type: ignore[override]
        """Its UUID, else the host's address, else whatever the source names."""
        return self.uuid or (str(self.host_address or "") or self._other_source or self.device)

    @property
    def identity(self) -> str | None:
        """Its vendor and product where it is named by them: its address is found at each start.

        So ``qemuHostdevPrepareUSBDevices``; else the short name.
        """
        named = [part for part in (self._vendor, self._product) if part]
        return ":".join(named) or self.short_name


class Filesystem(Device):
    """A folder or a share of the host: ``<source dir="…"/><target dir="tag"/>``."""

    tag = "filesystem"
    device = Text("@type")
    model = Text("driver/@type")
    source = Text("source/@dir", "source/@file", "source/@socket", "source/@name")
    target = Text("target/@dir")
    short_name = Text("target/@dir")


class Controller(Device):
    """A controller: ``<controller type="scsi" index="0" model="virtio-scsi"/>``."""

    tag = "controller"
    kind = Text("@type")
    index = Text("@index")

    @property
    def device(self) -> str | None:  # type: ignore[override]
        """Its type, or ``virtio-scsi`` (``VmDevicesConverter.parseControllers`` of oVirt)."""
        return self.model if self.model == "virtio-scsi" else self.kind

    @property
    def short_name(self) -> str | None:  # type: ignore[override]
        """Its type and index."""
        return f"{self.kind} {self.index}" if self.index else self.kind


class Input(Device):
    """A tablet, mouse or keyboard: ``<input type="tablet" bus="usb"/>``."""

    tag = "input"
    device = Text("@type")

    @property
    def short_name(self) -> str | None:  # type: ignore[override]
        """Its type and bus."""
        return f"{self.device} {self.bus}" if self.bus else self.device


class Video(Device):
    """A display adapter: ``<video><model type="virtio" primary="yes"/></video>``."""

    tag = "video"
    device = Text("model/@type")
    model = Text("model/@type")
    short_name = Text("model/@type")


class Rng(Device):
    """A source of randomness: ``<rng model="virtio">``."""

    tag = "rng"
    device = Text("@model")
    backend = Text("backend/@model")
    source = Text("backend")


class Graphics(Device):
    """A display's server, which has neither alias nor address: ``<graphics type="vnc"/>``."""

    tag = "graphics"
    device = Text("@type")


class CharacterDevice(Device):
    """A serial or parallel port, a console or a channel.

    ``<channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0"/></channel>``
    """

    device = Text("@type")
    target_type = Text("target/@type")
    target_name = Text("target/@name", "target/@port")
    source = Text("source/@path")
    short_name = Text("target/@name", "target/@port", "@type")


class SoleKind(Device):
    """A balloon, watchdog, tpm …: oVirt knows one kind, of the tag's name."""

    @property
    def device(self) -> str | None:  # type: ignore[override]
        """The tag: ``balloon`` / ``memballoon`` (``VmDevicesConverter.parseBalloon``)."""
        return str(self.element.tag)


class Console(SoleKind):
    """A console: ``console`` / ``console``; the first one is the serial port once more.

    Its port is no name: libvirt counts the consoles each time it reads the definition
    (``virDomainDefParseXML``), and puts the serial port in front only later. So before 11 the port
    of a virtio console is 0 when it was just defined and 1 after a restart of libvirtd. Serial and
    parallel ports keep the port that they have (``virDomainChrDefParseXML``).
    """

    tag = "console"
    target_type = Text("target/@type")
    short_name = Text("target/@type", "@type")

    @property
    def is_serial_port(self) -> bool:
        """Whether it is the serial port once more (``virDomainDefAddConsoleCompat``)."""
        ports = self.element.getparent()
        is_there = ports is not None and ports.find("serial") is not None
        return is_there and is_serial_target(self.target_type)


_CLASSES: dict[str, type[Device]] = {
    **dict.fromkeys(("serial", "parallel", "channel"), CharacterDevice),
    **dict.fromkeys(("memballoon", "watchdog", "tpm", "memory", "smartcard"), SoleKind),
    **{
        cls.tag: cls
        for cls in (
            *(Disk, Interface, Hostdev, Filesystem, Controller),
            *(Input, Video, Rng, Graphics, Console),
        )
    },
}


def device_of(element: etree._Element, labels: Labels | None = None) -> Device:
    """Return the view of a child of ``<devices>``, of the class that knows its tag.

    The views of one guest may share LABELS, so that they are made once.
    """
    return _CLASSES.get(str(element.tag), Device)(element, labels)
