"""What a guest may get instead of what another host lacks: its present host has to have it too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from novadev.audit.remedies import set_machine_type, set_property
from novadev.capabilities.compute_hosts import ComputeHost
from novadev.capabilities.content import Capabilities
from novadev.capabilities.facts import GuestFacts
from novadev.capabilities.verdicts import REFUSED, Verdict, check, missing_machine_type
from novadev.rules.device import GuestDevice
from novadev.rules.machine_types import family_of, version_of
from novadev.virt.capabilities import has_same_machine_types

BETTER = {
    **dict.fromkeys(("video", "hw_video_model"), ("hw_video_model", ("virtio", "vga"))),
    **dict.fromkeys(("interface", "hw_vif_model"), ("hw_vif_model", ("virtio", "e1000e", "e1000"))),
}
"""What a guest may have instead of a device that a host lacks, by how the device is called.

The first that the target has and no other of the hosts refuses. Every host has them since QEMU 5.2,
so one that is not known does: see `novadev.capabilities.host_word`.
"""
TAGS = {"hw_video_model": "video", "hw_vif_model": "interface"}


@dataclass(frozen=True)
class Present:
    """The host that a guest is on, and what is known of it.

    Without ``host`` the guest is on none, and without ``capabilities`` nothing is known.
    """

    host: str | None = None
    capabilities: Capabilities | None = None


def present_host(
    host: str | None,
    compute: ComputeHost | None,
    qemu: str | None,
    targets: Sequence[Capabilities],
) -> Present:
    """Return what is known of HOST: from its own file COMPUTE, else from that among TARGETS.

    A file of another version of QEMU than the host's present one counts for nothing.
    """
    known = compute.beside(qemu) if compute else None
    if known is not None and known.capabilities is not None and known.outdated is None:
        return Present(host, known.capabilities)
    given = (item for item in targets if host is not None and item.host == host)
    return Present(host, next((item for item in given if _is_present(item, qemu)), None))


def _is_present(found: Capabilities, qemu: str | None) -> bool:
    saved = found.versions.qemu
    return qemu is None or saved is None or has_same_machine_types(qemu, saved)


@dataclass(frozen=True)
class Prescription:
    """What one guest may get, which is on the PRESENT host and is to run on all TARGETS.

    A command that is pasted must not keep it from starting where it is, nor on another target.
    """

    present: Present
    targets: Sequence[Capabilities]

    def remedy(
        self, uuid: str, one: Verdict, needs: GuestFacts, target: Capabilities
    ) -> tuple[str | None, str]:
        """Return the command against the verdict ONE, or None and what there is to choose.

        The latter is empty where TARGET itself has nothing instead, or where nothing says so.
        """
        kind = one.subject.partition(" ")[0].partition("=")[0]
        if kind in BETTER:
            return self._model(uuid, kind, needs, target)
        if one.subject.startswith("machine type "):
            name = one.subject.removeprefix("machine type ")
            newer = self.machine_type(replace(needs, machine_type=name))
            if newer is not None:
                return set_machine_type(uuid, newer), ""
            return None, self._machine_type_choice(name, needs.architecture, target)
        return None, ""

    def machine_type(self, needs: GuestFacts) -> str | None:
        """Return what NEEDS may have instead of a machine type that a target lacks.

        That is the nearest newer one of its family that all hosts have, and a deprecated one only
        if there is no other. None where there is none, where the present host is not known, and
        where no target lacks the machine type.
        """
        is_known = self.present.host is None or self.present.capabilities is not None
        lack = (missing_machine_type(needs, target) for target in self.targets)
        if not is_known or not any(lack):
            return None
        name, architecture = needs.machine_type or "", needs.architecture
        return _nearest([_newer(name, architecture, item) for _, item in self._hosts()])

    def on_board(self, needs: GuestFacts, host: Capabilities) -> GuestFacts:
        """Return NEEDS with the machine type that the guest is to get.

        Where no command gives one, but HOST lacks the present one, with the nearest of that host.
        """
        newer = self.machine_type(needs)
        if newer is None and missing_machine_type(needs, host):
            newer = _nearest([_newer(needs.machine_type or "", needs.architecture, host)])
        return replace(needs, machine_type=newer) if newer else needs

    def _hosts(self) -> Iterator[tuple[str, Capabilities]]:
        if self.present.capabilities is not None:
            yield self.present.host or "", self.present.capabilities
        yield from ((item.host, item) for item in self.targets)

    def _model(
        self, uuid: str, kind: str, needs: GuestFacts, target: Capabilities
    ) -> tuple[str | None, str]:
        name, values = BETTER[kind]
        there = [one for one in values if self._outcome(name, one, needs, target) == "fine"]
        refused = dict[str, list[str]]()
        for value in there:
            refused[value] = [
                host
                for host, item in self._hosts()
                if self._outcome(name, value, needs, item) in REFUSED
            ]
            if not refused[value]:
                return set_property(uuid, name, value), ""
        told = (f"{value} cannot be used on {', '.join(hosts)}" for value, hosts in refused.items())
        return None, f"; there is no {name} for all hosts: {', '.join(told)}" if refused else ""

    def _outcome(self, name: str, value: str, needs: GuestFacts, host: Capabilities) -> str | None:
        """Return what becomes of this model of a device on HOST for the guest with these NEEDS."""
        device = GuestDevice(f"{name}={value}", TAGS[name], model=value)
        alone = replace(self.on_board(needs, host), devices=(device,), settings=())
        found = {one.subject: one.outcome for one in check(alone, host)}
        return found.get(device.subject)

    def _machine_type_choice(self, name: str, architecture: str, target: Capabilities) -> str:
        """Return why no command sets a machine type, and what the TARGET has."""
        there = sorted(_newer(name, architecture, target), key=version_of)
        if not there:
            return ""
        choice = there[0] if len(there) == 1 else f"{there[0]} to {there[-1]}"
        has = f"{target.host} has {choice} of this kind"
        present = self.present.host
        if present is not None and self.present.capabilities is None:
            return (
                f"; {has}, but novadev does not know which of these {present} has, where the guest "
                "must still start: run novadev capabilities save there and give that file with "
                "another --capabilities"
            )
        hosts = list(dict.fromkeys(host for host, _ in self._hosts()))
        until = f" when it no longer has to start on {present}" if present else ""
        return (
            f"; {has}, but no such machine type is on all of {', '.join(hosts)}: choose one "
            f"(novadev machine-type set){until}"
        )


def _newer(name: str, architecture: str, host: Capabilities) -> Mapping[str, bool]:
    """Return the newer machine types of the family of NAME on HOST, and which are deprecated."""
    kind, version = _kind(name)
    return {
        other: machine.deprecated
        for other, machine in host.machine_types.get(architecture, {}).items()
        if kind[0] and kind == _kind(other)[0] and version < _kind(other)[1]
    }


def _nearest(found: Sequence[Mapping[str, bool]]) -> str | None:
    """Return the oldest name that is in all of FOUND, a deprecated one only if there is no other.

    One is deprecated if it is so on any of the hosts.
    """
    common = set(found[0]).intersection(*found[1:])
    return min(
        common,
        key=lambda name: (any(there[name] for there in found), version_of(name), name),
        default=None,
    )


@lru_cache(maxsize=1024)
def _kind(name: str) -> tuple[tuple[str, bool], tuple[int, ...]]:
    """Return the family of NAME, whether it is Red Hat's (with other versions), and its version."""
    return (family_of(name), "rhel" in name), version_of(name)
