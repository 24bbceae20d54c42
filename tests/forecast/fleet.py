"""Guests of Nova's own driver on one host, what is forecast of them, and what becomes of them."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import libvirt
from lxml import etree

from novadev.virt.domain import Domain
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.bed import reach
from tests.forecast import drifting, judging
from tests.forecast.drifting import Guest
from tests.forecast.judging import Changes
from tests.hypervisor import Hypervisor
from tests.nova_process import NovaProcess

INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
Drift = Callable[[Guest, Any], None]


class Fleet:
    """Guests that have drifted, on one host that Nova knows by many names."""

    def __init__(
        self,
        cloud: Cloud,
        hypervisor: Hypervisor,
        nova: NovaProcess,
        seed: int,
        size: tuple[int, int],
        drift: Drift = drifting.drift,
        properties: Mapping[str, Sequence[str]] = drifting.PROPERTIES,
    ) -> None:
        """SIZE: so many hosts, and so many guests on each."""
        self.cloud, self.hypervisor, self.nova = cloud, hypervisor, nova
        self._drift, self._properties = drift, properties
        self._canonical = machine_names(hypervisor)
        self.hosts = cloud.folder / "hosts"
        self.hosts.mkdir()
        reach(cloud, [hypervisor], timeout=30)
        with cloud.config_file.open("a") as file:
            file.write(f"compute_config_dir = {self.hosts}\n")
        self.random, self.guests = Random(seed), list[Guest]()
        self.on_old_rules: list[str] = []
        for number in range(size[0]):
            self._fill(number, size[1])
        self.before = self.definitions()

    def _fill(self, number: int, guests: int) -> None:
        """Have GUESTS on a host; of every third one the configuration has changed since."""
        host = f"cmp{number}"
        link = self.cloud.folder / f"{host}.sock"
        link.unlink(missing_ok=True)
        link.symlink_to(self.hypervisor.uri.partition("socket=")[2])
        first = drifting.config(self.random)
        later = drifting.config(self.random) if number % 3 == 0 else first
        (self.hosts / f"{host}.conf").write_text(drifting.as_text(later))
        numbers = range(number * guests, (number + 1) * guests)
        made = [drifting.guest(self.random, n, first, self._properties) for n in numbers]
        for guest, built in zip(made, self._built(made), strict=True):
            domain = self._define(built)
            if domain is not None:
                drifting.name_rows(guest, built["rows"])
                self._drift(guest, domain)
                drifting.place(guest, self.cloud, host)
                guest.case["config"] = later
                self.on_old_rules += [guest.uuid] if later is first else []
                self.guests.append(guest)

    def _built(self, guests: list[Guest]) -> list[dict[str, Any]]:
        return list(self.nova.call("guest_xml_many", cases=[guest.case for guest in guests]))

    def _define(self, built: dict[str, Any]) -> Any:
        """Define what Nova built; None where Nova or libvirt refuses."""
        try:
            return self.hypervisor.define(built["xml"]) if "xml" in built else None
        except libvirt.libvirtError:
            return None

    def definitions(self) -> dict[str, str]:
        """The definitions as they are now."""
        domains = self.hypervisor.connection.listAllDomains()
        return {domain.UUIDString(): domain.XMLDesc(INACTIVE) for domain in domains}

    def forget_the_rules(self) -> None:
        """Know nothing of the hosts' configuration any more."""
        for path in self.hosts.glob("*.conf"):
            path.unlink()

    def forecast(self) -> tuple[dict[str, Changes], list[str], float]:
        """What is told of each guest, as the judge names it; the notes; how long it took."""
        begun = time.monotonic()
        result = novadev(self.cloud, "device", "forecast", "--all", "-f", "json")
        took = time.monotonic() - begun
        assert result.code == 0, result.err
        told: dict[str, list[dict[str, Any]]] = {guest.uuid: [] for guest in self.guests}
        for record in result.json:
            told[record["instance"]].append(record)
        found = {guest.uuid: self._judged(guest, told[guest.uuid]) for guest in self.guests}
        return found, result.err.splitlines(), took

    def _judged(self, guest: Guest, records: list[dict[str, Any]]) -> Changes:
        keys = dict(_keys(self.before[guest.uuid]))
        macs = {f"port {vif['port']}": ("interface", vif["mac"]) for vif in guest.vifs}
        keys |= macs | {"machine": ("machine", "")}
        found = set()
        for record in records:
            key = keys.get(record["label"]) or _new_key(record["label"])
            after = self._canonical.get(record["after"], record["after"])
            values = judging.present(record["field"], record["now"], after)
            found.add((key, record["field"], *values))
        return found

    def happened(self) -> dict[str, Changes]:
        """What becomes of each guest that Nova builds, and libvirt defines, again."""
        found = {}
        for guest, built in zip(self.guests, self._built(self.guests), strict=True):
            self.hypervisor.connection.lookupByUUIDString(guest.uuid).undefine()
            domain = self._define(built)
            if domain is not None:
                after = domain.XMLDesc(INACTIVE)
                found[guest.uuid] = judging.changes(self.before[guest.uuid], after)
        return found


def _keys(xml: str) -> Iterator[tuple[str, Any]]:
    devices = Domain.from_xml(xml).devices
    numbers = Counter[str]()
    for device in devices:
        if judging.is_seen(device.element):
            tag = str(device.element.tag)
            numbers[tag] += 1
            yield device.label, (tag, judging.name(device.element, numbers[tag]))


def _new_key(label: str) -> tuple[str, str]:
    """The judge's name of a device that appears."""
    kind, _, rest = label.partition(" ")
    if kind in ("volume", "disk"):
        return "disk", rest
    return kind, {"input": rest.partition(" ")[0], "video": "1", "memballoon": "1"}.get(kind, rest)


def machine_names(hypervisor: Hypervisor) -> dict[str, str]:
    """The versioned machine type that each alias stands for on the host."""
    found = etree.fromstring(hypervisor.connection.getCapabilities())
    machines = found.xpath("guest/arch[@name='x86_64']//machine[@canonical]")
    return {str(item.text): str(item.get("canonical")) for item in machines}
