"""What is kept, on real libvirt and QEMU: nothing is refused, every address is the recorded one.

Definitions as Nova writes them are given to libvirt, which places their devices: that is recorded.
Then the guest loses some devices and gets others, and Nova writes it again.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import libvirt
import pytest
from lxml import etree

from novadev.keep.definition import Record, keep
from novadev.virt.devices import Controller
from novadev.virt.domain import Domain
from novadev.virt.xml import serialise
from tests import domains
from tests.cloud import Cloud
from tests.device import variety
from tests.forecast import drifting
from tests.hypervisor import Hypervisor
from tests.keep.guests import as_nova, record_of, unfit, with_more, without
from tests.nova_process import NovaProcess

pytestmark = pytest.mark.slow

INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
EVERY, STARTED, NOVA_GUESTS = 3, 6, 60


def defined(host: Hypervisor, text: str, start: bool = False) -> str | None:
    """The definition that libvirt makes of a text, None where it refuses; it is gone afterwards."""
    try:
        domain = host.define(text)
    except libvirt.libvirtError:
        return None
    try:
        if start:
            domain.create()
            domain.destroy()
        return str(domain.XMLDesc(INACTIVE))
    except libvirt.libvirtError:
        return None
    finally:
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM)


def moved(recorded: Record, text: str) -> list[str]:
    """The devices that are not where they are recorded; a port of a USB hub is not kept."""
    places = {row.device_id: row.address for row in recorded.devices if row.address}
    return [
        f"{row.label}: {places[row.device_id]} -> {row.address}"
        for row in record_of(text, recorded).devices
        if row.address != places.get(row.device_id, row.address) and not is_behind_hub(places, row)
    ]


def free_ports(text: str) -> int:
    """The root ports with nothing on them: as many devices can be attached to a running guest."""
    domain = Domain.from_xml(text)
    ports = {one.index for one in domain.of_class(Controller) if one.model == "pcie-root-port"}
    places = (device.address for device in domain.devices if device.address)
    return len(ports - {str(int(at.values["bus"], 0)) for at in places if at.type == "pci"})


def on_q35(number: int) -> str:
    """A guest with a number of cards, as Nova writes it where num_pcie_ports is 0."""
    cards = [domains.interface(f"fa:16:3e:00:00:0{one}") for one in range(number)]
    root = etree.fromstring(as_nova(domains.domain(machine="q35", interfaces=cards)))
    for port in root.findall("devices/controller[@type='pci']"):
        port.getparent().remove(port)
    return serialise(root)


def is_behind_hub(places: dict[str, str], row: Any) -> bool:
    address = places[row.device_id]
    return "type=usb" in address and "." in address


def test_every_kind_of_device_on_every_generation(any_generation: Hypervisor) -> None:
    random, counts = Random(17), Counter[str]()
    for text in map(as_nova, list(variety.guests())[::EVERY]):
        first = defined(any_generation, text)
        if first is None:
            counts["unknown to this generation"] += 1
            continue
        assert unfit(first) == []
        recorded = record_of(first)
        later = with_more(without(text, random, 0.3), random)
        if (own := defined(any_generation, later)) is None:
            continue
        kept = keep(later, recorded, aliases=True)
        found = defined(any_generation, kept.text)
        assert found is not None, kept.text
        assert moved(recorded, found) == [], kept.text
        assert free_ports(found) or not free_ports(own), kept.text
        counts["moved by Nova"] += bool(moved(recorded, own))
        counts["kept"] += 1
        if counts["started"] < STARTED and defined(any_generation, later, start=True):
            counts["started"] += 1
            assert defined(any_generation, kept.text, start=True), kept.text
    print(counts)
    assert counts["kept"] > 40
    assert counts["moved by Nova"] > counts["kept"] / 2
    assert counts["started"] == STARTED


def test_a_running_guest_on_q35_still_has_a_port_to_attach_a_device_to(
    any_generation: Hypervisor,
) -> None:
    """libvirt leaves one free where Nova names no root ports; ours name those of kept places."""
    first = defined(any_generation, on_q35(2))
    assert first is not None
    assert free_ports(first) == 1
    for number in (1, 2, 3, 4):
        text = on_q35(number)
        kept = keep(text, record_of(first))
        found = defined(any_generation, kept.text)
        assert found is not None
        assert moved(record_of(first), found) == []
        assert free_ports(found) == 1, "of a card that is gone it is that card's"
        again = keep(text, record_of(found, record_of(first)))
        assert defined(any_generation, again.text) == found, "no port is added at each start"


@pytest.mark.parametrize("release", ["34", "28"])
def test_guests_that_novas_own_driver_writes_again(
    sqlite_cloud: Cloud,
    hypervisor: Hypervisor,
    nova: Callable[[Cloud], NovaProcess],
    nova_processes: dict[str, NovaProcess],
    release: str,
) -> None:
    """A guest drifts on its host; what Nova's driver writes then keeps what the guest had."""
    process = nova(sqlite_cloud) if release == "34" else NovaProcess(release)
    try:
        counts = _drift(process, hypervisor)
    finally:
        if release != "34":
            process.close()
    print(counts)
    assert counts["kept"] > NOVA_GUESTS / 2
    assert counts["moved by Nova"] > counts["kept"] / 4


def _drift(nova: NovaProcess, host: Hypervisor) -> Counter[str]:
    random, counts = Random(34), Counter[str]()
    settings = [drifting.config(random) for _ in range(4)]
    guests = [drifting.guest(random, n, settings[n % 4]) for n in range(NOVA_GUESTS)]
    here: list[tuple[drifting.Guest, Record]] = []
    for guest, built in zip(guests, _built(nova, guests), strict=True):
        try:
            domain = host.define(built["xml"])
        except (KeyError, libvirt.libvirtError):
            continue
        drifting.name_rows(guest, built["rows"])
        drifting.drift(guest, domain)
        here.append((guest, record_of(domain.XMLDesc(INACTIVE))))
        domain.undefine()
    for (_, recorded), built in zip(here, _built(nova, [guest for guest, _ in here]), strict=True):
        own = defined(host, built["xml"]) if "xml" in built else None
        if own is None:
            continue
        kept = keep(built["xml"], recorded, aliases=True)
        found = defined(host, kept.text)
        assert found is not None, kept.text
        wrong = [
            line for line in moved(recorded, found) if line.split(":")[0] not in str(kept.left)
        ]
        assert wrong == [], (kept.left, kept.text)
        assert free_ports(found) or not free_ports(own), kept.text
        counts["moved by Nova"] += bool(moved(recorded, own))
        counts["kept"] += 1
    return counts


def _built(nova: NovaProcess, guests: list[drifting.Guest]) -> list[dict[str, Any]]:
    return list(nova.call("guest_xml_many", cases=[guest.case for guest in guests]))
