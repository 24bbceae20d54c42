"""A device of a guest: its alias, its address and what it is called.

A view of an element under ``<devices>``, in libvirt's words. What a class of views does not know
stays in the element, untouched.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from lxml import etree

from novadev.virt.address import ZPCI, Address
from novadev.virt.alias import Alias
from novadev.virt.elements import Flag, Text, insert_before, remove

if TYPE_CHECKING:
    from typing_extensions import Self


_AFTER_ALIAS = ("master", "rom", "acpi", "address")
"""What libvirt writes behind ``<alias>`` (``virDomainDeviceInfoFormat``)."""
_OVIRT_TYPES = {"memballoon": "balloon", "redirdev": "redir"}
"""``VmDeviceGeneralType`` of ovirt-engine, where it is not libvirt's tag."""


class Labels:
    """The labels of one guest's devices, made for all of a tag when one of them is asked for."""

    def __init__(self, devices: etree._Element | None) -> None:
        self._devices = devices
        self._made: dict[str, dict[etree._Element, str]] = {}

    def of(self, device: Device) -> str:
        """Return the label of DEVICE: see `Device.label`."""
        tag, kind = str(device.element.tag), type(device)
        if tag not in self._made:
            siblings = () if self._devices is None else self._devices.iterchildren(tag)
            self._made[tag] = _told_apart({item: kind(item).plain_label for item in siblings})
        return self._made[tag].get(device.element) or device.plain_label


class Device:
    """Any device; one that has no class of its own is seen through this one.

    Two views are equal only if they are the same view. ``device``, ``bus`` and ``model`` are
    None where the element says nothing.
    """

    tag: ClassVar[str] = ""
    device = Text("@type", "@model")
    bus = Text("@bus")
    model = Text("@model", "model/@type", "model/@name")
    short_name = Text("target/@name", "@model", "@type")
    boot = Text("boot/@order")
    readonly = Flag("readonly")

    def __init__(self, element: etree._Element, labels: Labels | None = None) -> None:
        self.element = element
        self._labels = labels or Labels(element.getparent())

    def __repr__(self) -> str:
        return f"<{self.label}>"

    @property
    def type(self) -> str:
        """The class of device in oVirt's words, which are libvirt's but for two."""
        return _OVIRT_TYPES.get(str(self.element.tag), str(self.element.tag))

    @property
    def alias(self) -> Alias | None:
        """The alias; setting one, or None, changes the ``<alias>`` element and nothing else.

        Setting raises BadInput for an alias that libvirt would drop.
        """
        found = self.element.find("alias")
        name = None if found is None else found.get("name")
        return None if name is None else Alias(name)

    @alias.setter
    def alias(self, alias: Alias | None) -> None:
        found = self.element.find("alias")
        if alias is None:
            if found is not None:
                remove(found)
            return
        name = alias.checked().name
        if found is None:
            insert_before(self.element, _AFTER_ALIAS, etree.Element("alias", name=name))
        else:
            found.set("name", name)

    @property
    def address(self) -> Address | None:
        """Where the guest sees it; None before libvirt gave it a place.

        Only a direct child counts: the address in a hostdev's source is the host's. Setting one,
        or None, changes that element's attributes and nothing else.
        """
        return _address_of(self.element)

    @address.setter
    def address(self, address: Address | None) -> None:
        found = self.element.find("address")
        if address is None:
            if found is not None:
                remove(found)
            return
        if found is None:
            found = etree.Element("address")
            insert_before(self.element, (), found)
        values = {"type": address.type, **address.values}
        zpci = {name: values.pop(name) for name in ZPCI if name in values}
        _set_attributes(found, values)
        _set_zpci(found, zpci)

    @property
    def boot_order(self) -> int | None:
        """Its place in the boot order, from 1."""
        return int(self.boot) if self.boot and self.boot.isdecimal() else None

    @property
    def identity(self) -> str | None:
        """What tells it from the others of its tag in either definition, running or not.

        The short name, unless it is one that libvirt gives for as long as the guest runs. Not
        always unique: see :mod:`novadev.virt.pairing`.
        """
        return self.short_name

    @property
    def label(self) -> str:
        """What the device is called everywhere: "disk vdb", "interface tap1f2e3d4c-5b".

        The tag and the short name, as they were when a label was first asked for. Where devices
        of the guest share that, its address follows, else its number among them.
        """
        return self._labels.of(self)

    @property
    def plain_label(self) -> str:
        """The tag and the short name alone, in which no address is: several may share it."""
        name = self.short_name
        return f"{self.element.tag} {name}" if name else str(self.element.tag)

    def copy(self) -> Self:
        """Return a view of a copy of the element, which is in no domain."""
        element = copy.deepcopy(self.element)
        element.tail = None
        return type(self)(element)


def _told_apart(plain: Mapping[etree._Element, str]) -> dict[etree._Element, str]:
    """Return a label for each device from those that several may share, as `Device.label`."""
    sharing: dict[str, list[etree._Element]] = {}
    for element, label in plain.items():
        sharing.setdefault(label, []).append(element)
    labels: dict[etree._Element, str] = {}
    for label, same in sharing.items():
        ends = _ends(same) if len(same) > 1 else [""]
        labels.update((item, label + end) for item, end in zip(same, ends, strict=True))
    return labels


def _ends(same: Sequence[etree._Element]) -> list[str]:
    """Return what tells devices of one name apart: an address that no other has, or a number."""
    places = [_address_of(element) for element in same]
    number = Counter(map(str, places))
    return [
        f" at {place}" if place and number[str(place)] == 1 else f" #{index}"
        for index, place in enumerate(places, 1)
    ]


def _set_attributes(element: etree._Element, values: Mapping[str, str]) -> None:
    """Give ELEMENT these attributes and no other."""
    for name in set(element.keys()) - set(values):
        del element.attrib[name]
    for name, value in values.items():
        element.set(name, value)


def _set_zpci(address: etree._Element, values: Mapping[str, str]) -> None:
    """Give the element ADDRESS a ``<zpci>`` with these attributes; without any nothing changes."""
    if not values:
        return
    found = address.find("zpci")
    if found is None:
        found = etree.SubElement(address, "zpci")
    _set_attributes(found, values)


def _address_of(element: etree._Element) -> Address | None:
    return Address.from_element(element.find("address"))
