"""What is forecast is what becomes of guests that the real Nova builds again: every address.

Guests of Nova's own driver are defined on a host, and drift there, in Nova's records and in the
host's configuration. Then Nova's driver builds each from its records, libvirt defines that, and
what differs is compared with what was told.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import libvirt
import pytest

from novadev.errors import Unreachable
from novadev.virt.domain import Domain
from novadev.virt.scratch import ADDED, Scratch
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.bed import reach
from tests.forecast import drifting, judging
from tests.forecast.drifting import Guest
from tests.forecast.judging import Changes
from tests.hypervisor import Hypervisor
from tests.nova_process import NovaProcess

pytestmark = pytest.mark.slow

HOSTS = 10
GUESTS = 40
SEED = 34
INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
CANONICAL = {"pc": "pc-i440fx-7.2", "q35": "pc-q35-7.2"}
"""What the host's QEMU takes the names for: its nova.conf does not tell."""


class Fleet:
    """Guests that have drifted, on one host that Nova knows by many names."""

    def __init__(self, cloud: Cloud, hypervisor: Hypervisor, nova: NovaProcess, seed: int) -> None:
        self.cloud, self.hypervisor, self.nova = cloud, hypervisor, nova
        self.hosts = cloud.folder / "hosts"
        self.hosts.mkdir()
        reach(cloud, [hypervisor], timeout=30)
        with cloud.config_file.open("a") as file:
            file.write(f"compute_config_dir = {self.hosts}\n")
        self.random, self.guests = Random(seed), list[Guest]()
        self.on_old_rules: list[str] = []
        for number in range(HOSTS):
            self._fill(f"cmp{number}")
        self.before = self.definitions()

    def _fill(self, host: str) -> None:
        """Have guests on HOST; of every third one the configuration has changed since."""
        link, number = self.cloud.folder / f"{host}.sock", int(host[3:])
        link.unlink(missing_ok=True)
        link.symlink_to(self.hypervisor.uri.partition("socket=")[2])
        first = drifting.config(self.random)
        later = drifting.config(self.random) if number % 3 == 0 else first
        (self.hosts / f"{host}.conf").write_text(drifting.as_text(later))
        numbers = range(number * GUESTS, (number + 1) * GUESTS)
        made = [drifting.guest(self.random, n, first) for n in numbers]
        for guest, built in zip(made, self._built(made), strict=True):
            domain = self._define(built)
            if domain is not None:
                drifting.name_rows(guest, built["rows"])
                drifting.drift(guest, domain)
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
            after = CANONICAL.get(record["after"], record["after"])
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
    one_of_its_kind = dict.fromkeys(("video", "memballoon", "hub"), "1")
    return kind, (one_of_its_kind | {"input": rest.partition(" ")[0]}).get(kind, rest)


@pytest.fixture
def fleet(
    sqlite_cloud: Cloud, hypervisor: Hypervisor, nova: Callable[[Cloud], NovaProcess]
) -> Fleet:
    return Fleet(sqlite_cloud, hypervisor, nova(sqlite_cloud), SEED)


def test_every_change_is_told_and_nothing_is_touched(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By libvirt and by the rules of layout, which tell nothing of what it adds; and how much of it

    without the rules of the hosts.
    """
    told, _, took = fleet.forecast()
    with monkeypatch.context() as patch:
        patch.setattr(Scratch, "lay_out", _no_libvirt)
        by_rules, notes, _ = fleet.forecast()
    assert sum("are told by rules" in note for note in notes) == 1
    fleet.forget_the_rules()
    unknown, _, _ = fleet.forecast()
    assert fleet.definitions() == fleet.before
    happened = fleet.happened()
    assert len(happened) > 0.85 * HOSTS * GUESTS
    wrong = {uuid: (told[uuid] - real, real - told[uuid]) for uuid, real in happened.items()}
    assert {uuid: both for uuid, both in wrong.items() if any(both)} == {}
    fields = Counter(change[1] for changes in happened.values() for change in changes)
    assert min(fields[name] for name in ("address", "bus", "model", "machine", "device")) > 10
    right = [
        uuid
        for uuid, real in happened.items()
        if _without_controllers(by_rules[uuid]) == _without_controllers(real)
    ]
    print(f"{len(happened)} guests, {sum(fields.values())} changes, {len(told) / took:.0f} /s")
    print(f"the rules are right of {len(right)} guests of {len(happened)}")
    assert len(right) / len(happened) > 0.99
    same = [uuid for uuid in fleet.on_old_rules if uuid in happened]
    kept = [uuid for uuid in same if unknown[uuid] == happened[uuid]]
    print(f"without the host's rules {len(kept)} guests of {len(same)} are told right")
    assert len(kept) / len(same) > 0.9


def _no_libvirt(*_: Any) -> Any:
    raise Unreachable("host scratch could not be reached: no QEMU driver")


def _without_controllers(found: Changes) -> Changes:
    return {change for change in found if change[0][0] not in ADDED}
