"""Which devices of a guest a plan gives another bus or model, or takes away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from novadev.capabilities.compute_hosts import ComputeHost, ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.errors import NotAsNeeded
from novadev.image_property.changes import guest_with
from novadev.image_property.effects import disk_effects
from novadev.image_property.facts import Facts, read_facts
from novadev.image_property.present_effects import chunk_of
from novadev.rules.defaults import REFUSALS, os_type_of, with_recommended_bus
from novadev.rules.device import GuestDevice
from novadev.rules.guest import DriverRules, Guest, machine_type, property_value
from novadev.rules.hardware import hardware
from novadev.rules.machine_types import is_q35
from novadev.rules.osinfo import NO_RECOMMENDATION
from novadev.runs.place import Kind
from novadev.runs.plan import Plan

_HARDWARE = (Kind.PROPERTY, Kind.DISK, Kind.ROOT)
"""Kinds of places that decide what devices a guest gets."""
_TOLD_APART = ("controller", "input", "channel", "graphics", "tpm")
"""Tags whose devices are of several kinds, by :attr:`GuestDevice.device`."""
_NONE = "none"
"""The model of a device that Nova asks libvirt to leave out."""
Group = tuple[str, str | None]
Devices = Mapping[Group, Sequence[GuestDevice]]


@dataclass(frozen=True)
class HardwareChange:
    """The devices before and after a change, where they differ.

    ``is_other_machine``: no PCI address stays. ``buses`` are those of disks, by the bus and target
    before; None is a bus that is decided later. ``is_assumed``: it rests on rules of a host of
    which nothing is known.
    """

    is_other_machine: bool
    buses: Mapping[str, str | None]
    before: Devices
    after: Devices
    is_assumed: bool

    def keeps(self, tag: str, kind: str, bus: str | None, model: str | None) -> bool | None:
        """Whether a device, no disk, stays as it is; None where that is not known.

        TAG, KIND, BUS and MODEL are those it has in the definition.
        """
        group = _group(tag, kind)
        before, after = self.before.get(group, ()), self.after.get(group, ())
        if sorted(map(repr, before)) == sorted(map(repr, after)):
            return True
        fits = [_fits(device, bus, model) for device in after]
        if True in fits:
            return True if len(after) >= len(before) else None
        return None if None in fits or self.is_assumed else False

    def keeps_disk(self, bus: str | None, target: object) -> bool | None:
        """Whether the disk that is at TARGET of BUS stays on it; None where that is not known."""
        there = f"{bus} {target}"
        if there not in self.buses or self.buses[there] == bus:
            return True
        return None if self.buses[there] is None or self.is_assumed else False


class HardwareChanges:
    """Finds what plans of a deployment change of the devices of their guests."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._hosts = ComputeHosts(deployment.config)
        self._releases = ServerReleases(deployment, self._hosts)

    def of(self, plan: Plan) -> HardwareChange | None:
        """Return what PLAN changes for its guest as it is stored now; None without such a change.

        Raises NotAsNeeded where Nova would not build the guest, before or after, and another
        NovadevError where it cannot be read.
        """
        if not is_about_hardware(plan):
            return None
        facts = next(
            read_facts(self._deployment, chunk_of(self._deployment, [plan]), self._releases), None
        )
        try:
            return self._change(facts, plan) if facts else None
        except REFUSALS as error:
            raise NotAsNeeded(str(error)) from error

    def _change(self, facts: Facts, plan: Plan) -> HardwareChange:
        old, new = facts.guest, guest_with(facts.guest, plan.changes)
        rules = facts.rules(self._hosts, self._deployment.config)
        compute = self._hosts.find(facts.instance.host or facts.instance.shelved_host)
        machines = [machine_type(guest, rules) for guest in (old, new)]
        return HardwareChange(
            is_other_machine=is_q35(machines[0]) != is_q35(machines[1]),
            buses=dict(_buses(old, new, rules, compute)),
            before=_devices(facts, old, rules, compute),
            after=_devices(facts, new, rules, compute),
            is_assumed=rules.is_assumed and not _is_stored(plan),
        )


def is_about_hardware(plan: Plan) -> bool:
    """Whether PLAN writes anything that decides the devices of its guest."""
    return any(item.place.kind in _HARDWARE for item in plan.changes)


def _is_stored(plan: Plan) -> bool:
    """Whether every property that PLAN writes has a value then, so that no default counts."""
    places = (item for item in plan.changes if item.place.kind is Kind.PROPERTY)
    return all(isinstance(item.after, str) for item in places)


def _buses(
    old: Guest, new: Guest, rules: DriverRules, compute: ComputeHost | None
) -> Iterator[tuple[str, str | None]]:
    """Yield the bus after the change of each disk, by bus and target before."""
    before, after = (_recommended(guest, compute) for guest in (old, new))
    for effect in disk_effects(before, after, rules):
        if effect.before is not None and effect.after is not None:
            bus, _, target = str(effect.after).partition(" ")
            is_known = len(target.split()) == 1
            yield str(effect.before), bus if is_known else None


def _recommended(guest: Guest, compute: ComputeHost | None) -> Guest:
    if compute is None:
        return guest
    return with_recommended_bus(guest, compute.recommendation(property_value(guest, "os_distro")))


def _devices(
    facts: Facts, guest: Guest, rules: DriverRules, compute: ComputeHost | None
) -> Devices:
    """Return the devices of GUEST at its next power-on, without disks, by what they are."""
    distro = property_value(guest, "os_distro")
    recommended = compute.recommendation(distro) if compute else NO_RECOMMENDATION
    os_type = os_type_of(facts.instance.vm_mode, rules)
    found: dict[Group, list[GuestDevice]] = {}
    for device in hardware(guest, rules, recommended, os_type=os_type):
        if device.tag != "disk" and device.model != _NONE:
            found.setdefault(_group(device.tag, device.device), []).append(device)
    return found


def _group(tag: str, kind: str | None) -> Group:
    return tag, kind if tag in _TOLD_APART else None


def _fits(device: GuestDevice, bus: str | None, model: str | None) -> bool | None:
    """Whether a device with BUS and MODEL is DEVICE; None where libvirt chooses the model."""
    if device.bus and bus and device.bus != bus:
        return False
    if device.model is None:
        return None if model else True
    return model is None or model == device.model
