"""A guest as its hypervisor defines it: the XML of a domain, and the devices in it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from lxml import etree

from novadev.errors import BadInput, NotAsNeeded, NotFound
from novadev.virt import xml
from novadev.virt.address import Address
from novadev.virt.alias import Alias
from novadev.virt.device import Device, Labels
from novadev.virt.devices import NOT_DEVICES, Hostdev, Interface, device_of
from novadev.virt.elements import insert_before

if TYPE_CHECKING:
    from typing_extensions import Self

NOVA_NAMESPACE = "http://openstack.org/xmlns/libvirt/nova/"
"""A version follows (``nova/virt/libvirt/config.py`` NOVA_NS)."""
QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
_SET_BY_ALIAS = re.compile(r"device\.([^.]+)\.")
_SHARES_ALIAS = {"console"}
"""The first console is its serial port once more, alias and all."""
_NUMBER = etree.XPath("count(devices/*[not(self::console)]/alias[@name = $name])")

D = TypeVar("D", bound=Device)


@dataclass(frozen=True)
class NovaMetadata:
    """Nova's metadata in the definition; None for elements that are missing."""

    name: str | None
    flavor: str | None
    version: str | None
    ports: tuple[str, ...] | None


class Domain:
    """A definition: the persistent one, or the live one of a running guest."""

    def __init__(self, root: etree._Element, source: str | None = None) -> None:
        self.root = root
        self.source = source
        """The text that it was read from; None of a copy."""

    @classmethod
    def from_xml(cls, text: str, what: str = "the domain's XML") -> Self:
        """Return the domain of TEXT; raises BadInput, naming WHAT, as `xml.parse` does."""
        root = xml.parse(text, what)
        if root.tag != "domain":
            raise BadInput(f"{what} is a <{root.tag}>, not a <domain>")
        return cls(root, text)

    def __repr__(self) -> str:
        return f"Domain({self.name!r}, {self.uuid!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_xml, (self.text,)

    @property
    def text(self) -> str:
        """The XML: what was read, but for quotes and where namespaces stand among attributes."""
        return xml.serialise(self.root)

    @cached_property
    def uuid(self) -> str:
        """The domain's UUID, which is the instance's."""
        return (self.root.findtext("uuid") or "").strip()

    @cached_property
    def name(self) -> str:
        """The domain's name, such as ``instance-0000002a``."""
        return (self.root.findtext("name") or "").strip()

    def os_type(self, attribute: str) -> str | None:
        """Return an attribute of ``<os><type>``: ``arch`` or ``machine``."""
        found = self.root.find("os/type")
        return None if found is None else found.get(attribute)

    @property
    def is_live(self) -> bool:
        """Whether it is the XML of a running guest rather than a persistent definition."""
        return self.root.get("id") is not None

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        """Every device, in the order of the XML."""
        found = self.root.find("devices")
        elements = () if found is None else found.iterchildren(tag=etree.Element)
        labels = Labels(found)
        return tuple(device_of(item, labels) for item in elements if item.tag not in NOT_DEVICES)

    def of_class(self, kind: type[D]) -> tuple[D, ...]:
        """Return the devices of one class, such as `Disk`."""
        return tuple(device for device in self.devices if isinstance(device, kind))

    def device(self, label: str) -> Device:
        """Return the device with this label; raises NotFound."""
        tag = label.partition(" ")[0]
        for device in self.devices:
            if device.element.tag == tag and device.label == label:
                return device
        raise NotFound(f"domain {self.name} has no {label}")

    def find_by_alias(self, alias: Alias) -> Device | None:
        """Return the device with this alias, or None."""
        named = (device for device in self.devices if device.alias == alias)
        return next((device for device in named if device.element.tag not in _SHARES_ALIAS), None)

    @cached_property
    def nova(self) -> NovaMetadata | None:
        """What Nova says of the instance; None when the domain is none of Nova's."""
        for element in self.root.iterfind("metadata/{*}instance"):
            if str(element.tag).startswith(f"{{{NOVA_NAMESPACE}"):
                return _nova_metadata(element)
        return None

    @property
    def alias_references(self) -> frozenset[str]:
        """Aliases by which other parts of the XML name a device, libvirt's own ones too.

        In ``<teaming persistent=…>``, ``<qemu:override>`` and ``-set device.ALIAS.…`` on QEMU's
        command line: a device that is named there must keep its alias.
        """
        namespace = f"{{{QEMU_NAMESPACE}}}"
        names = {device.teaming_persistent for device in self.of_class(Interface)}
        names |= {device.teaming_persistent for device in self.of_class(Hostdev)}
        names |= {item.get("alias") for item in self.root.iter(f"{namespace}device")}
        for item in self.root.iter(f"{namespace}arg"):
            names.update(_SET_BY_ALIAS.findall(item.get("value", "")))
        return frozenset(name for name in names if name)

    def with_aliases(self, aliases: Mapping[Device, Alias | None]) -> str:
        """Return the XML with these devices' aliases set, or taken out; nothing else differs.

        Raises BadInput for an alias that libvirt would drop, NotAsNeeded when two devices would
        have the same one, and ValueError for a device that is not of this domain.
        """
        return self._changed(aliases).text

    def with_addresses(self, addresses: Mapping[Device, Address]) -> str:
        """Return the XML with these devices at these addresses; nothing else differs.

        Raises ValueError for a device that is not of this domain.
        """
        return self._moved(addresses).text

    def without_addresses(self, devices: Iterable[Device]) -> Self:
        """Return a copy in which these devices have no address; raises as `with_addresses`."""
        return self._moved(dict.fromkeys(devices))

    def _moved(self, addresses: Mapping[Device, Address | None]) -> Self:
        numbers = {device: number for number, device in enumerate(self.devices)}
        if not addresses.keys() <= numbers.keys():
            raise ValueError(
                f"{next(iter(addresses.keys() - numbers.keys()))!r} is not of {self!r}"
            )
        places = {numbers[device]: address for device, address in addresses.items()}
        changed = self.copy()
        for place, address in places.items():
            changed.devices[place].address = address
        return changed

    def device_with_alias(self, device: Device, alias: Alias | None) -> Device:
        """Return a copy of DEVICE alone, with this alias or none; the domain is not copied.

        Raises as `with_aliases`.
        """
        if device not in self.devices:
            raise ValueError(f"{device!r} is not of {self!r}")
        changed = device.copy()
        changed.alias = alias
        if device.alias != alias and device.element.tag not in _SHARES_ALIAS:
            self._check_alias(alias, most=0)
        return changed

    def _changed(self, aliases: Mapping[Device, Alias | None]) -> Self:
        places = {self.devices.index(device): alias for device, alias in aliases.items()}
        changed = self.copy()
        for place, alias in places.items():
            changed.devices[place].alias = alias
        changed.check_aliases(alias for alias in aliases.values() if alias)
        return changed

    def copy(self) -> Self:
        """Return a copy, whose devices are in the same order."""
        return type(self)(copy.deepcopy(self.root.getroottree()).getroot())

    def with_devices(self, devices: Iterable[tuple[str, Mapping[str, str]]]) -> Self:
        """Return a copy with more DEVICES, each a tag and its attributes, behind all others."""
        copied = self.copy()
        parent = copied.root.find("devices")
        if parent is None:
            raise NotAsNeeded(f"domain {self.name} has no devices")
        for tag, attributes in devices:
            insert_before(parent, (), etree.Element(tag, dict(attributes)))
        return type(self)(copied.root)

    def check_aliases(self, aliases: Iterable[Alias]) -> None:
        """Raise NotAsNeeded when two devices have one of ALIASES.

        libvirt refuses to define such a domain, but ``virDomainUpdateDeviceFlags`` makes one.
        """
        for alias in aliases:
            self._check_alias(alias, most=1)

    def _check_alias(self, alias: Alias | None, most: int) -> None:
        if alias and _NUMBER(self.root, name=alias.name) > most:  # type: ignore[operator]
            raise NotAsNeeded(f"two devices of domain {self.name} would have alias {alias}")

    @property
    def canonical(self) -> bytes:
        """The canonical form: equal when only spelling, or the order of controllers, differs.

        libvirt puts controllers that it has added elsewhere when it reads its own XML again.
        """
        return _canonical(self.copy())

    @property
    def canonical_without_aliases(self) -> bytes:
        """The canonical form of everything but the devices' aliases."""
        stripped = self.copy()
        for device in stripped.devices:
            device.alias = None
        return _canonical(stripped)


@dataclass(frozen=True)
class Definitions:
    """What a host has of one domain at one moment.

    ``persistent`` is None of a transient domain, ``live`` of one that is shut off. ``jobs`` are
    what runs on it, in words: ``block job on vda``, ``migration or save``; those that the XML does
    not show only where the guest's QEMU was asked (`Host.definitions_and_jobs`).
    """

    uuid: str
    name: str
    persistent: Domain | None
    live: Domain | None
    has_managed_save: bool
    jobs: tuple[str, ...]

    @property
    def is_active(self) -> bool:
        """Whether the guest runs (or is paused)."""
        return self.live is not None

    @property
    def is_persistent(self) -> bool:
        """Whether the host keeps it when the guest ends."""
        return self.persistent is not None


def _canonical(domain: Domain) -> bytes:
    """Return the canonical form of DOMAIN, sorting its controllers."""
    _sort(domain.root.findall("devices/controller"))
    return xml.canonical(domain.text)


def _controller_order(element: etree._Element) -> tuple[str, str, str]:
    return element.get("type", ""), element.get("index", "").zfill(6), element.get("model", "")


def _sort(controllers: list[etree._Element]) -> None:
    """Sort CONTROLLERS, children of one element, among the places that they have."""
    wanted = sorted(controllers, key=_controller_order)
    if wanted == controllers:
        return
    tails = [element.tail for element in controllers]
    places = [etree.Element("place") for _ in controllers]
    for element, place in zip(controllers, places, strict=True):
        element.getparent().replace(element, place)  # type: ignore[union-attr]
    for element, place, tail in zip(wanted, places, tails, strict=True):
        place.getparent().replace(place, element)  # type: ignore[union-attr]
        element.tail = tail


def _nova_metadata(element: etree._Element) -> NovaMetadata:
    flavor, package = element.find("{*}flavor"), element.find("{*}package")
    ports = element.find("{*}ports")
    return NovaMetadata(
        name=element.findtext("{*}name"),
        flavor=None if flavor is None else flavor.get("name"),
        version=None if package is None else package.get("version"),
        ports=None if ports is None else tuple(filter(None, (port.get("uuid") for port in ports))),
    )
