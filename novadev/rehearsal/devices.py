"""The device that stands in for each one of a guest, so that nothing of a host is touched.

A disk is ``/dev/null``, a network card has QEMU's own network, a console shows nobody anything. The
tables say what is kept of a device. What else it has is either what every host has, by
:mod:`novadev.capabilities.neutral` (a MAC address, a path), and is left out without a word, or it
is named as not rehearsed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from novadev.capabilities.unlisted import COPIES
from novadev.rehearsal.identities import (
    like_password,
    name_cards,
    name_disks,
)
from novadev.rehearsal.losses import lost
from novadev.virt import xml

if TYPE_CHECKING:
    from lxml import etree

NULL = "/dev/null"
_RANDOM = ("/dev/urandom", "/dev/random")
_LEFT_TO_LIBVIRT = ("pci", "usb", "ccw")
"""Addresses that libvirt gives anew, as at a power-on by Nova."""
_KEPT: Mapping[str, tuple[str, ...]] = {
    "audio": (),
    "channel": ("target",),
    "console": ("target",),
    "controller": ("model", "target", "driver", "master", "pcihole64"),
    "crypto": ("backend",),
    "disk": (
        *("driver", "target", "iotune", "readonly", "serial", "vendor", "product", "blockio"),
        *("geometry", "boot", "wwn"),
    ),
    "graphics": ("image", "jpeg", "zlib", "playback", "streaming", "clipboard", "mouse"),
    "hub": (),
    "input": ("driver",),
    "interface": ("mac", "model", "driver", "boot", "link", "rom", "acpi", "target"),
    "iommu": ("driver",),
    "memballoon": ("driver",),
    "panic": (),
    "parallel": ("target",),
    "redirdev": ("boot",),
    "redirfilter": ("usbdev",),
    "rng": ("backend", "driver", "rate"),
    "serial": ("target",),
    "sound": ("codec", "audio"),
    "tpm": ("backend",),
    "video": ("model", "driver"),
    "watchdog": (),
}
"""What is kept of each device; one that is not here is left out."""
_StandIn = Callable[["etree._Element", list[str]], bool]


def stand_in(element: etree._Element, told: list[str]) -> bool:
    """Make ELEMENT, a device of the guest, the one that is rehearsed.

    Adds to TOLD what of it is not rehearsed. Returns False where nothing can stand in for it.
    """
    tag, before = str(element.tag), copy.deepcopy(element)
    if tag not in _KEPT:
        told.append(_kind(element))
        return False
    is_kept = _STAND_INS.get(tag, _as_it_is)(element, told)
    for child in xml.children(element) if is_kept else ():
        if child.tag == "address":
            if child.get("type") in _LEFT_TO_LIBVIRT:
                element.remove(child)
        elif child.tag not in (*_KEPT[tag], *_MADE.get(tag, ())):
            element.remove(child)
    if is_kept:
        _without_paths(element, told)
        told += lost(before, element)
    return is_kept


def release_audio(devices: etree._Element) -> None:
    """Take the reference of each sound card of DEVICES to an audio that is left out.

    A reference to an audio that the guest does not have stays: libvirt refuses it.
    """
    left_out = {
        item.get("id") for item in devices.iterfind("audio") if item.get("type") != _KEPT_AUDIO
    }
    for sound in devices.iterfind("sound[audio]"):
        wanted = sound.find("audio")
        if wanted is not None and wanted.get("id") in left_out:
            sound.remove(wanted)


def give_names(devices: etree._Element) -> None:
    """Give the network cards and disks of DEVICES identities that are novadev's own."""
    name_cards(devices)
    name_disks(devices)


_MADE = {
    "disk": ("source", "shareable"),
    "graphics": ("listen",),
    **dict.fromkeys(("channel", "console", "parallel", "serial"), ("source",)),
    "rng": ("backend",),
}
"""Children that the stand-in itself has."""


def _kind(element: etree._Element) -> str:
    """Return what the device is, without what only one guest has of it."""
    driver = element.find("driver")
    kind = element.get("type") or (None if driver is None else driver.get("type"))
    if element.tag == "filesystem" and driver is not None:
        kind = driver.get("type", kind)
    words = (xml.local_name(element), kind or element.get("model") or element.get("mode"))
    return " ".join(word for word in words if word)


def _without_paths(element: etree._Element, told: list[str]) -> None:
    """Leave no attribute that is a path on a host, but for those of the stand-in."""
    for item in [element, *element.iterfind(".//*")]:
        for name in [str(key) for key, value in item.items() if str(value).startswith("/")]:
            if item.get(name) != NULL:
                xml.drop_attributes(item, name)
                told.append(f"{xml.local_name(element)} {xml.local_name(item)} {name}")


def _as_it_is(_element: etree._Element, _told: list[str]) -> bool:
    return True


def _disk(element: etree._Element, told: list[str]) -> bool:
    """Make it ``/dev/null``, or an empty drive; what is behind a disk is never rehearsed."""
    kind, source = element.get("type", "file"), element.find("source")
    if kind == "network" and source is not None:
        told.append(f"disk over {source.get('protocol')}")
    kinds = [item.get("type", "file") for item in (element, *element.iter(*COPIES))]
    told += [f"disk of type {one}" for one in kinds if one not in ("file", "block", "network")]
    if element.find(".//encryption") is not None:
        told.append("disk encryption")
        xml.drop(element, "encryption")
    if element.get("device") == "lun":
        element.set("device", "disk")
        told.append("disk as a LUN")
        xml.drop_attributes(element, "rawio")
    if element.find("shareable") is not None and element.find("driver[@type='qcow2']") is not None:
        told.append("disk format qcow2 that is shareable")
    xml.keep_attributes(element, "type", "device", "model", "rawio")
    xml.drop(element, "source", "shareable")
    _disk_driver(xml.child(element, "driver"), told)
    if element.get("device") in ("cdrom", "floppy"):
        element.set("type", "file")
    else:
        element.set("type", "block")
        xml.child(element, "source").set("dev", NULL)
        xml.child(element, "shareable")
    return True


def _disk_driver(driver: etree._Element, told: list[str]) -> None:
    """Take what only a real source can have: direct I/O, a format, caches of its tables.

    A disk that is shared by many takes no lock, and is not cached unless it says so. Native I/O
    stays where libvirt refuses it: with a cache (src/qemu/qemu_validate.c).
    """
    if (image := driver.get("type", "raw")) not in _PLAIN_FORMATS:
        told.append(f"disk format {image}")
    for child in xml.children(driver):
        if child.tag not in ("iothreads", "statistics"):
            driver.remove(child)
    xml.drop_attributes(driver, "discard_no_unref")  # only qcow2 has it
    if driver.get("io") == "native" and driver.get("cache") in ("none", "directsync"):
        del driver.attrib["io"]
    driver.set("name", "qemu")
    driver.set("type", "raw")
    driver.set("cache", "writeback")


_PLAIN_FORMATS = ("raw", "qcow2")
"""Formats of images that every QEMU has."""
_OWN_NETWORKS = ("bridge", "ethernet", "network", "user")


def _interface(element: etree._Element, told: list[str]) -> bool:
    """Give the card QEMU's own network, which leads nowhere while the guest is paused."""
    kind = element.get("type", "")
    if kind == "hostdev":
        told.append("interface of a device of the host")
        return False
    if kind not in _OWN_NETWORKS:
        told.append(f"interface of type {kind}")
    element.attrib.clear()
    element.set("type", "user")
    xml.drop(element, "target")
    for mac in element.findall("mac"):
        if not mac.attrib:
            element.remove(mac)
    driver = element.find("driver")
    if driver is not None:
        if xml.drop_attributes(driver, "queues", "tx_queue_size"):
            told.append("interface with several or longer queues")
        xml.drop_attributes(driver, "name")
    return True


def _graphics(element: etree._Element, told: list[str]) -> bool:
    """Have it listen on a socket of the guest's own, and nobody be let in."""
    kind = element.get("type", "")
    if kind not in ("vnc", "spice", "dbus", "egl-headless"):
        told.append(f"graphics {kind}")
        return False
    if element.find("gl[@enable='no']") is not None:
        xml.drop(element, "gl")
    xml.keep_attributes(element, "type", "keymap", "sharePolicy", "p2p", "passwd")
    if "passwd" in element.attrib:
        element.set("passwd", like_password(element.get("passwd", "")))
    xml.drop(element, "listen")
    if kind in ("vnc", "spice"):
        xml.child(element, "listen").set("type", "socket")
    return True


_LIKE_NULL = ("tcp", "udp", "file", "dev", "pipe", "stdio", "vc", "nmdm", "unix")
"""Ways to the outside that every QEMU has: nothing of theirs is left but the device itself."""


def _character(element: etree._Element, told: list[str]) -> bool:
    """Lead a port nowhere, unless where it leads is what a host may lack."""
    kind, target = element.get("type", "pty"), element.find("target")
    if element.tag == "channel" and (target is None or target.get("type") != "virtio"):
        told.append("channel that is not on virtio")
        return False
    source = element.find("source")
    xml.keep_attributes(element, "type")
    if kind in _LIKE_NULL:
        is_own = kind == "unix" and element.tag == "channel"
        element.set("type", "unix" if is_own else "null")
        xml.drop(element, "source")
    elif source is not None and kind not in ("spiceport", "dbus", "qemu-vdagent"):
        xml.drop(element, "source")
    if target is not None:
        xml.drop_attributes(target, "state")
    return True


def _redirected(element: etree._Element, _told: list[str]) -> bool:
    if element.get("type") != "spicevmc":
        element.set("type", "null")
    return True


def _input(element: etree._Element, told: list[str]) -> bool:
    if element.get("type") in ("evdev", "passthrough"):
        told.append(f"input {element.get('type')}")
        return False
    return True


def _rng(element: etree._Element, told: list[str]) -> bool:
    backend = element.find("backend")
    if backend is not None and backend.get("model") != "builtin":
        is_random = backend.get("model") == "random"
        if not is_random or (backend.text or "").strip() not in _RANDOM:
            told.append("rng backend")
        for child in xml.children(backend):
            backend.remove(child)
        backend.attrib.clear()
        backend.set("model", "random")
        backend.text = _RANDOM[0]
    return True


def _tpm(element: etree._Element, told: list[str]) -> bool:
    """Keep an emulated TPM; its state is libvirt's, and goes with the domain."""
    backend = element.find("backend")
    if backend is None or backend.get("type") != "emulator":
        told.append("tpm of the host")
        return False
    xml.keep_attributes(backend, "type", "version")
    for child in xml.children(backend):
        if child.tag not in ("active_pcr_banks", "profile"):
            backend.remove(child)
            told.append(f"tpm {xml.local_name(child)}")
    return True


def _crypto(element: etree._Element, told: list[str]) -> bool:
    backend = element.find("backend")
    if backend is None or backend.get("model") != "builtin":
        told.append("crypto backend")
        return False
    return True


def _video(element: etree._Element, told: list[str]) -> bool:
    model, driver = element.find("model"), element.find("driver")
    acceleration = None if model is None else model.find("acceleration")
    if model is not None and acceleration is not None:
        model.remove(acceleration)
        if acceleration.get("accel3d") not in (None, "no"):
            told.append("video acceleration")
    if driver is not None and driver.get("name") == "vhostuser":
        xml.drop_attributes(driver, "name")
        told.append("video driver vhostuser")
    return True


_KEPT_AUDIO = "dbus"


def _audio(element: etree._Element, told: list[str]) -> bool:
    """Keep the sound that goes with D-Bus graphics; every other is the host's."""
    if element.get("type") == _KEPT_AUDIO:
        xml.keep_attributes(element, "id", "type")
        return True
    told.append(f"audio {element.get('type')}")
    return False


_STAND_INS: Mapping[str, _StandIn] = {
    "audio": _audio,
    "channel": _character,
    "console": _character,
    "crypto": _crypto,
    "disk": _disk,
    "graphics": _graphics,
    "input": _input,
    "interface": _interface,
    "parallel": _character,
    "redirdev": _redirected,
    "rng": _rng,
    "serial": _character,
    "tpm": _tpm,
    "video": _video,
}
