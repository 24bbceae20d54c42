"""Whether a host meets the needs of a guest, and what happens to the guest otherwise.

Two things can go wrong with what a host lacks: libvirt refuses to define the guest, or takes it
and QEMU refuses to start it. What tells is the host's list of machine types, libvirt's domain
capabilities (buses of disks; models of video, rng and TPM devices) and QEMU's own list of devices,
for all that libvirt reports nothing of: models of interfaces and SCSI controllers, input devices.
Where none of them tells, the verdict is "not checked", and never "fine".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial

from novadev.capabilities.content import Capabilities
from novadev.capabilities.device_verdicts import judge
from novadev.capabilities.facts import GuestFacts
from novadev.capabilities.migration_verdicts import judge_migration
from novadev.capabilities.need import Need
from novadev.capabilities.setting_verdicts import judge_setting
from novadev.capabilities.target import BEST_FIRST, FINE, Outcome, Target, Told, unknown, worse
from novadev.capabilities.versions import Version, VersionNotKnown
from novadev.rules.device import GuestDevice
from novadev.rules.machine_types import family_of, have_same_boards, version_of
from novadev.virt.capabilities import MachineType

_USB = ("controller", "usb")
_SPICE = ("graphics", "spice")
_LOOKS_FOR_SPICE = (9, 0)
"""A libvirt that refuses ``spicevmc`` without SPICE graphics: seen with 9.0, and not with 7.0."""
_LONGEST_NAME = 100
REFUSED: tuple[Outcome, ...] = ("cannot be defined", "would not start")
"""The outcomes with which a guest does not run."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of one thing that a guest needs: "disk vda", "machine type pc".

    ``message`` says why. Where the outcome is "fine" it is empty, or tells what an alias or a
    default comes to on the host. ``asked`` is what the guest asks for, which the subject need not
    say: the model of an interface, the features of a processor.
    """

    subject: str
    outcome: Outcome
    message: str
    asked: str = field(default="", compare=False)


def check(guest: GuestFacts, host: Capabilities) -> tuple[Verdict, ...]:
    """Return the verdict on each thing that GUEST needs of HOST: types, devices, settings.

    Where the host lacks the machine type, nothing else is looked at. Whether there is room for
    them (slots, ports, memory) never is, nor are the sources of disks.
    """
    types = (_domain_type(guest, host), _machine_type(guest, host))
    if types[1].outcome == "cannot be defined":
        return types
    return types + _hardware(guest, host)


def check_beside_machine_type(guest: GuestFacts, host: Capabilities) -> tuple[Verdict, ...]:
    """Return the verdicts of `check` but for that on the machine type, which HOST may lack.

    Then only what does not depend on it is asked: QEMU's list of devices, firmware, and the like.
    """
    return (_domain_type(guest, host), *_hardware(guest, host))


def _hardware(guest: GuestFacts, host: Capabilities) -> tuple[Verdict, ...]:
    target, absent = _target(guest, host), frozenset(_absent(guest))
    devices = tuple(
        Verdict(one.subject, *_on_device(one, guest, target, absent), _asked(one))
        for one in guest.devices
    )
    needs = (Need(one, guest, host, target) for one in guest.settings)
    settings = tuple(
        Verdict(one.setting.subject, *_told(partial(judge_setting, one)), one.value)
        for one in needs
    )
    return devices + settings


def _on_device(
    fact: GuestDevice, guest: GuestFacts, target: Target, absent: Collection[str]
) -> Told:
    """Return what becomes of a device, also on the way to the host if GUEST migrates as it runs."""
    there = _told(partial(_device, fact, target, absent))
    if not guest.is_carried:
        return there
    return worse(there, _told(partial(judge_migration, fact, target)))


def _told(judged: Callable[[], Told]) -> Told:
    """Return what a rule says; nothing where it goes by a version that is not known."""
    try:
        return judged()
    except VersionNotKnown as error:
        return unknown(str(error))


def _asked(fact: GuestDevice) -> str:
    return " ".join(word for word in (fact.device, fact.bus, fact.model) if word)


def worst(verdicts: Iterable[Verdict]) -> Outcome:
    """Return the worst outcome among VERDICTS; "fine" for none."""
    return max((one.outcome for one in verdicts), key=BEST_FIRST.index, default="fine")


def missing_machine_type(guest: GuestFacts, host: Capabilities) -> Verdict | None:
    """Return the verdict on the machine type of GUEST if HOST lacks it."""
    found = _machine_type(guest, host)
    return found if found.outcome == "cannot be defined" else None


def _domain_type(guest: GuestFacts, host: Capabilities) -> Verdict:
    subject = f"domain type {guest.domain_type}"
    if host.domain_types is None:
        return Verdict(subject, "not checked", "the file does not say the host's domain types")
    types = host.domain_types.get(guest.architecture, ())
    if guest.domain_type in types:
        return Verdict(subject, *FINE)
    has = ", ".join(types) or "none"
    return Verdict(subject, "cannot be defined", f"for {guest.architecture} the host has {has}")


def _machine_type(guest: GuestFacts, host: Capabilities) -> Verdict:
    name = guest.machine_type
    there = host.machine_types.get(guest.architecture)
    if there is None:
        is_other = not have_same_boards(guest.architecture, host.architecture)
        other = f"is of another architecture, {host.architecture}, and " if is_other else ""
        why = f"the host {other}has no emulator for {guest.architecture}"
        return Verdict(f"machine type {name}", _missing(host), why)
    if name is None:
        return Verdict(
            "machine type", "not checked", "no machine type is named, so the host's default applies"
        )
    found = there.get(name)
    if found is None:
        return Verdict(f"machine type {name}", _missing(host), why_missing(name, there))
    stands_for = "" if found.canonical == name else f"{name} is {found.canonical} there"
    if found.deprecated:
        why = f"{stands_for}, which is deprecated" if stands_for else "it is deprecated there"
        return Verdict(f"machine type {name}", "deprecated", why)
    return Verdict(f"machine type {name}", "fine", stands_for)


def why_missing(name: str, there: Mapping[str, MachineType]) -> str:
    """Return a sentence on why NAME is not among the machine types that are THERE.

    It is older than the oldest of its kind, newer than the newest, or no such kind is there; Red
    Hat's are a kind of their own. Of names without a version, such as ``pc-q35-noble``, nothing
    can be said.
    """
    kind, version = _kind_and_version(name)
    if not version:
        return f"the host has no machine type {name}"
    versions = ((*_kind_and_version(other), other) for other in there)
    same = [(number, other) for (found, number, other) in versions if number and found == kind]
    if not same:
        return f"the host has no machine type of the kind of {name}"
    oldest, newest = min(same), max(same)
    if version < oldest[0]:
        return f"{name} is older than the oldest of its kind that the host has, {oldest[1]}"
    if version > newest[0]:
        return f"{name} is newer than the newest of its kind that the host has, {newest[1]}"
    return f"the host has no machine type {name}, although it has older and newer ones of its kind"


@lru_cache(maxsize=1024)
def _kind_and_version(name: str) -> tuple[tuple[str, bool], tuple[int, ...]]:
    if len(name) > _LONGEST_NAME:
        return ("", False), ()
    return (family_of(name), "rhel" in name), version_of(name)


def _missing(host: Capabilities) -> Outcome:
    """Return what it means that the file lacks a machine type."""
    is_complete = host.example is None or host.example.has_every_machine_type
    return "cannot be defined" if is_complete else "not checked"


def _target(guest: GuestFacts, host: Capabilities) -> Target:
    """Return what is known of HOST for the machine type; of a foreign architecture nothing is."""
    name = guest.machine_type or ""
    found = host.machine_types.get(guest.architecture, {}).get(name)
    canonical = name if found is None else found.canonical
    is_own = guest.architecture == host.architecture
    return Target(
        architecture=guest.architecture,
        machine_type=canonical,
        domain=(host.domain_capabilities or {}).get(canonical) if is_own else None,
        devices=host.devices if is_own else None,
        libvirt=Version.of("libvirt", host.versions.libvirt),
        qemu=Version.of("QEMU", host.versions.qemu),
    )


def _device(fact: GuestDevice, target: Target, absent: Collection[str]) -> Told:
    if fact.bus == "usb" and "usb" in absent:
        return "cannot be defined", "the guest's USB is switched off"
    if fact.device == "spicevmc" and "spice" in absent:
        if target.libvirt < _LOOKS_FOR_SPICE:
            return unknown("the guest has no SPICE graphics")
        return "cannot be defined", "the guest has no SPICE graphics"
    return judge(fact, target)


def _absent(guest: GuestFacts) -> Iterator[str]:
    """Yield what GUEST itself lacks though its other devices may need it: "usb", "spice".

    Source: libvirt, src/conf/domain_validate.c (virDomainDefHasUSB) and
    src/qemu/qemu_validate.c (qemuValidateDomainChrSourceDef).
    """
    models = [fact.model for fact in guest.devices if (fact.tag, fact.device) == _USB]
    if models and set(models) == {"none"}:
        yield "usb"
    if not any((fact.tag, fact.device) == _SPICE for fact in guest.devices):
        yield "spice"
