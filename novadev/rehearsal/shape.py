"""The shape of a guest: what of its definition decides whether a host can define and start it.

Names, identities, sources, networks and sizes are taken out or replaced, so that ten thousand
guests come to a few shapes, and so that a shape can be started beside anybody's guests. What is
kept stands in tables: whatever novadev does not know is left out, and named as not rehearsed.
"""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from novadev.capabilities.neutral import OF_GUESTS, is_plain
from novadev.capabilities.security_labels import is_written_label
from novadev.capabilities.settings import follows
from novadev.capabilities.unlisted import parts
from novadev.rehearsal.devices import give_names, release_audio, stand_in
from novadev.rehearsal.hardware import resize
from novadev.rehearsal.identities import GENERATION, is_fit
from novadev.rehearsal.smbios import keep_tables
from novadev.virt import xml
from novadev.virt.domain import Domain

if TYPE_CHECKING:
    from lxml import etree

_SILENT = frozenset(
    (
        *("name", "uuid", "hwuuid", "metadata", "title", "description", "seclabel"),
        *("resource", "vcpus", "memory", "currentMemory"),
    )
)
"""Left out without a word: what only one guest has, and what :mod:`hardware` writes anew."""
_KEPT = frozenset(
    (
        *("os", "features", "cpu", "clock", "iothreads", "iothreadids", "defaultiothread"),
        *("memoryBacking", "cputune", "blkiotune", "memtune", "launchSecurity", "pm", "vcpu"),
        *("genid", "sysinfo"),
        *("on_poweroff", "on_reboot", "on_crash", "on_lockfailure", "devices"),
    )
)
_KEPT_OF: Mapping[str, frozenset[str]] = {
    "cputune": frozenset(
        (
            *("shares", "period", "quota", "emulator_period", "emulator_quota"),
            *("global_period", "global_quota", "iothread_period", "iothread_quota"),
        )
    ),
    "blkiotune": frozenset(("weight",)),
    "launchSecurity": frozenset(("policy", "cbitpos", "reducedPhysBits")),
}
"""Of these elements only the children here are kept: the others name what one host has."""


@dataclass(frozen=True)
class Shape:
    """What is rehearsed of a guest: ``definition`` is a domain without a name and a UUID.

    ``not_rehearsed`` is what was left out or replaced, a few words each, sorted.
    """

    definition: str
    not_rehearsed: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that only this shape has."""
        text = "\n".join((self.definition, *self.not_rehearsed))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @cached_property
    def summary(self) -> str:
        """The machine type and the devices in one line: ``pc-q35-7.2, 2 disk virtio``."""
        domain = Domain.from_xml(self.definition)
        kinds = (
            " ".join(filter(None, (str(item.element.tag), item.bus or item.model)))
            for item in domain.devices
            if item.element.tag in _TOLD
        )
        counts = Counter(kinds)
        devices = [name if number == 1 else f"{number} {name}" for name, number in counts.items()]
        firmware = ["UEFI"] if "<loader" in self.definition or "'efi'" in self.definition else []
        return ", ".join([domain.os_type("machine") or "no machine type", *firmware, *devices])


_TOLD = ("disk", "interface", "video", "tpm", "sound", "watchdog", "redirdev")


def shape_of(domain: Domain) -> Shape:
    """Return the shape of the guest that DOMAIN defines; a live definition serves as well.

    Addresses on PCI and USB are left to the libvirt of the host, as at a power-on by Nova.
    """
    told: list[str] = []
    root = copy.deepcopy(domain.root)
    xml.drop_attributes(root, "id")
    keep_tables(root, told)
    for child in xml.children(root):
        told += _prune(root, child)
    _firmware(root, told)
    _devices(root, domain, told)
    resize(root, told)
    for element in root.findall("genid"):
        if is_fit("genid", element.text):
            element.text = GENERATION
    return Shape(Domain(root).canonical.decode(), tuple(sorted(set(told))))


def _prune(root: etree._Element, child: etree._Element) -> Iterator[str]:
    """Take CHILD of ROOT out unless it is kept; yield its name where that must be said."""
    name = xml.local_name(child)
    if child.tag not in _KEPT:
        root.remove(child)
        if child.tag not in _SILENT or _has_to_be_said(child) or not is_fit(name, child.text):
            yield _NAMES.get(name, name)
        elif name in OF_GUESTS:
            lost = (
                path for path, value in parts(child) if not is_plain(OF_GUESTS[name], path, value)
            )
            yield from (
                f"{name} {path.partition('@')[0].removesuffix('()')}".strip() for path in lost
            )
        return
    for item in xml.children(child):
        if item.tag not in _KEPT_OF.get(name, (item.tag,)):
            child.remove(item)
            yield f"{name} {xml.local_name(item)}"


_NAMES = {"commandline": "arguments of QEMU", "override": "properties of QEMU devices"}


def _has_to_be_said(element: etree._Element) -> bool:
    """Whether one of `_SILENT` asks for what a host may lack."""
    return element.tag == "seclabel" and is_written_label(element)


def _firmware(root: etree._Element, told: list[str]) -> None:
    """Keep an image that QEMU only reads; the variables are made anew from their template."""
    os = root.find("os")
    if os is None:
        return
    for child in xml.children(os):
        if child.tag == "nvram":
            _variables(child, told)
        elif child.tag == "loader":
            if child.get("readonly") != "yes" and child.get("type") == "pflash":
                os.remove(child)
                told.append("firmware that the guest can write")
        elif child.tag not in ("type", "boot", "bootmenu", "bios", "firmware", "smbios"):
            os.remove(child)
            told.append(f"os {xml.local_name(child)}")


def _variables(element: etree._Element, told: list[str]) -> None:
    """Leave the template of the variables alone: libvirt makes the file, by the domain's name."""
    if element.get("type") not in (None, "file"):
        told.append(f"nvram of type {element.get('type')}")
    template = element.get("template")
    parent = element.getparent()
    if template is None and parent is not None:
        parent.remove(element)
        return
    element.text = None
    xml.keep_attributes(element, "template", "templateFormat", "format")
    for child in xml.children(element):
        element.remove(child)


def _devices(root: etree._Element, domain: Domain, told: list[str]) -> None:
    devices = root.find("devices")
    if devices is None:
        return
    release_audio(devices)
    for element in list(xml.children(devices)):
        if _is_libvirts(element, domain) or not stand_in(element, told):
            devices.remove(element)
    give_names(devices)


def _is_libvirts(element: etree._Element, domain: Domain) -> bool:
    """Whether the host's own libvirt adds the device as it is here.

    It gives the watchdog of the board the action of the guest's other one, else ``reset``; one
    with another action is what somebody has asked for.
    Source: libvirt, src/qemu/qemu_domain.c, qemuDomainDefAddDefaultDevices.
    """
    if element.tag == "watchdog" and follows(element, domain):
        dogs = domain.root.findall("devices/watchdog")
        actions = [dog.get("action", "reset") for dog in dogs if dog.get("model") != "itco"]
        return element.get("action", "reset") == (actions or ["reset"])[0]
    return element.tag == "emulator" or follows(element, domain)
