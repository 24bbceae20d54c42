"""Nothing of a device is lost in a rehearsal without a word, whatever libvirt lets it have.

What it can have is read from libvirt's own schema, that of the newest generation.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from lxml import etree

from novadev.capabilities.neutral import is_plain
from novadev.capabilities.unlisted import parts
from novadev.rehearsal.devices import _KEPT
from novadev.rehearsal.losses import table_of_device
from novadev.rehearsal.shape import Shape, shape_of
from novadev.virt.domain import Domain
from tests import domains
from tests.cached import CACHE

SCHEMAS = CACHE / "generation-trixie/usr/share/libvirt/schemas"
RNG = "{http://relaxng.org/ns/structure/1.0}"
DEEPEST = 3
DEVICES = {
    "audio": "<audio id='1' type='dbus'/>",
    "channel": "<channel type='pty'><target type='virtio' name='x'/></channel>",
    "console": "<console type='pty'><target type='virtio'/></console>",
    "controller": "<controller type='scsi' index='0' model='virtio-scsi'/>",
    "crypto": "<crypto model='virtio' type='qemu'><backend model='builtin'/></crypto>",
    "disk": domains.disk("vda", source="/x"),
    "graphics": "<graphics type='spice'/>",
    "hub": "<hub type='usb'/>",
    "input": "<input type='tablet' bus='virtio'/>",
    "interface": "<interface type='bridge'><source bridge='b'/><model type='virtio'/></interface>",
    "iommu": "<iommu model='intel'/>",
    "memballoon": "<memballoon model='virtio'/>",
    "panic": "<panic model='isa'/>",
    "redirdev": "<redirdev bus='usb' type='spicevmc'/>",
    "rng": "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",
    "serial": "<serial type='pty'><target type='isa-serial'/></serial>",
    "sound": "<sound model='ich9'/>",
    "tpm": "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>",
    "video": "<video><model type='virtio'/></video>",
    "watchdog": "<watchdog model='i6300esb' action='reset'/>",
}
"""A device of each kind for which a rehearsal has a stand-in."""


@cache
def defines() -> dict[str, list[Any]]:
    """What the schemas of domains and all that they include define, by name."""
    found: dict[str, list[Any]] = {}
    for path in sorted(SCHEMAS.glob("*.rng")):
        if path.name == "domaincommon.rng" or "common" in path.name or "types" in path.name:
            for item in etree.parse(str(path)).iter(f"{RNG}define"):
                found.setdefault(item.get("name", ""), []).append(item)
    return found


def allowed(node: Any, where: tuple[str, ...], seen: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Elements, as their paths, and attributes with a value that NODE allows."""
    for item in node:
        if item.tag == f"{RNG}ref" and item.get("name") not in seen:
            for one in defines().get(item.get("name"), ()):
                yield from allowed(one, where, (*seen, item.get("name")))
        elif item.tag == f"{RNG}element" and item.get("name") and len(where) < DEEPEST:
            path = (*where, item.get("name"))
            yield path
            yield from allowed(item, path, seen)
        elif item.tag == f"{RNG}attribute" and item.get("name"):
            values = [value.text for value in item.iter(f"{RNG}value")]
            for value in values or ["1"]:
                yield (*where, f"{item.get('name')}={value}")
        elif item.tag != f"{RNG}element":
            yield from allowed(item, where, seen)


def of_device(tag: str) -> list[tuple[str, ...]]:
    """All that a device may have by the schema, each once."""
    found: dict[tuple[str, ...], None] = {}
    for definition in (one for items in defines().values() for one in items):
        for element in definition.iter(f"{RNG}element"):
            if element.get("name") == tag and element.getparent() is definition:
                found |= dict.fromkeys(allowed(element, (), ()))
    return list(found)


def with_part(tag: str, part: tuple[str, ...]) -> Any:
    """The device of a kind, with one more element or attribute."""
    device = etree.fromstring(DEVICES[tag])
    place = device
    for name in part:
        if "=" in name:
            place.set(*name.split("=", 1))
        else:
            inner = place.find(name)
            place = etree.SubElement(place, name) if inner is None else inner
    return device


def shape(device: Any) -> Shape:
    text = domains.domain(machine="q35", interfaces=[], metadata=False)
    root = etree.fromstring(text)
    devices = root.find("devices")
    assert devices is not None
    for extra in devices.findall(device.tag):
        devices.remove(extra)
    devices.append(device)
    return shape_of(Domain(root))


@pytest.mark.parametrize("tag", sorted(DEVICES))
def test_what_libvirt_lets_a_device_have_is_rehearsed_plain_or_named(tag: str) -> None:
    before, lost, total = shape(etree.fromstring(DEVICES[tag])), [], 0
    assert before.not_rehearsed == ()
    for part in of_device(tag):
        device = with_part(tag, part)
        total += 1
        rare = [one for one in parts(device) if not is_plain(table_of_device(device), *one)]
        found = shape(device)
        there = etree.fromstring(found.definition).find(f"devices/{tag}")
        kept = set() if there is None else set(parts(there))
        if not set(rare) <= kept and not found.not_rehearsed:
            lost.append((part, set(rare) - kept))
    assert lost == []
    assert total > 0


def test_every_device_that_has_a_stand_in_is_tried() -> None:
    assert set(_KEPT) - {"parallel", "redirfilter"} == set(DEVICES)


@pytest.mark.parametrize(
    ("driver", "kept", "told"),
    [
        (
            "<driver name='qemu' type='qcow2'><metadata_cache><max_size unit='KiB'>1</max_size>"
            "</metadata_cache></driver>",
            "",
            ("disk driver metadata_cache",),
        ),
        (
            "<driver name='qemu' type='qcow2' discard='unmap' discard_no_unref='on'/>",
            "discard",
            ("disk driver discard_no_unref",),
        ),
        (
            "<driver name='qemu' type='raw' queues='2'><iothreads><iothread id='1'/></iothreads>"
            "</driver>",
            "iothreads",
            (),
        ),
        ("<driver name='qemu' type='raw' copy_on_read='on'/>", "copy_on_read", ()),
    ],
)
def test_what_a_null_disk_cannot_carry_is_named(
    driver: str, kept: str, told: tuple[str, ...]
) -> None:
    disk = etree.fromstring(domains.disk("vda", source="/x"))
    old = disk.find("driver")
    assert old is not None
    disk.replace(old, etree.fromstring(driver))
    found = shape(disk)
    assert found.not_rehearsed == told
    assert kept in found.definition
    assert "discard_no_unref" not in found.definition


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("<resource><partition>/machine</partition></resource>", ()),
        ("<resource><partition>/tenants/x</partition></resource>", ("resource partition",)),
        ("<resource><fibrechannel appid='x'/></resource>", ("resource fibrechannel",)),
        ("<cputune><shares>16384</shares></cputune>", ()),
        ("<blkiotune><weight>500</weight></blkiotune>", ()),
        ("<blkiotune><device><path>/dev/x</path></device></blkiotune>", ("blkiotune device",)),
    ],
)
def test_what_a_guest_has_of_the_hosts_processors_and_disks(
    part: str, told: tuple[str, ...]
) -> None:
    text = domains.domain(machine="q35").replace("<devices>", f"{part}<devices>")
    found = shape_of(Domain.from_xml(text))
    assert found.not_rehearsed == told
    kept = [one for one in ("shares", "weight", "partition") if f"<{one}>" in found.definition]
    assert kept == [one for one in ("shares", "weight") if f"<{one}>" in part]
