"""What speaks against a machine type: its name, what its host has, what the rules say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from novadev.machine_type.gathering import Evidence
from novadev.rules.fault import Fault
from novadev.rules.guest import Guest, emulated_architecture
from novadev.rules.machine_types import FAMILIES, family_of, version_of

_TOLD = 8


def canonical(name: str, evidence: Evidence) -> str:
    """Return the versioned name that NAME stands for on the instance's host; itself if unknown."""
    return known_names(evidence).get(name, name)


def known_names(evidence: Evidence) -> Mapping[str, str]:
    """Return the machine types of the host for this guest, each with its versioned name.

    Empty where the host is not known, or the guest has another architecture than it.
    """
    compute, guest = evidence.compute, evidence.facts.guest
    is_own = emulated_architecture(guest, evidence.rules) == evidence.rules.host_arch
    return compute.machine_types if compute is not None and is_own else {}


def name_faults(before: str, wanted: str, guest: Guest, evidence: Evidence) -> Iterator[Fault]:
    """Yield what is wrong with the WANTED machine type whatever devices GUEST has.

    Source: nova/virt/libvirt/host.py, _check_machine_type, for what the host lacks.
    """
    names = known_names(evidence)
    name, was = canonical(wanted, evidence), canonical(before, evidence)
    arch = emulated_architecture(guest, evidence.rules)
    families = FAMILIES.get(arch, ())
    family = family_of(name)
    if names and wanted not in names and evidence.compute is not None:
        message = (
            f"{wanted}: {evidence.host} has no such machine type ({evidence.compute.origin}); "
            f"{_alternatives(wanted, names)}"
        )
        yield Fault("machine-type-unknown", "error", message)
    if families and family not in families:
        message = (
            f"{wanted} is not a machine type that novadev supports for {arch}: it knows what "
            f"happens to the devices only for the families {' and '.join(families)}"
        )
        yield Fault("machine-type-family", "error", message)
    elif families and family_of(was) not in ("", family, *families):
        message = (
            f"{wanted}: the guest has {was}, a board of another family. Most of its devices do not "
            "exist on that board. Rebuild the server instead"
        )
        yield Fault("machine-type-family", "error", message)
    if evidence.compute is not None and {wanted, name} & evidence.compute.deprecated:
        message = (
            f"{wanted}: {evidence.host} calls it deprecated: a newer QEMU will no longer have it"
        )
        yield Fault("machine-type-deprecated", "warning", message)
    if family == family_of(was) and () < version_of(name) < version_of(was):
        yield Fault("machine-type-older", "warning", f"{name} is older than {was}")


def _alternatives(wanted: str, names: Mapping[str, str]) -> str:
    """Return what the host has of the family of WANTED, the newest first, or what is like it."""
    family = family_of(wanted)
    same = [name for name, stands_for in names.items() if family_of(stands_for) == family]
    if not family or not same:
        near = get_close_matches(wanted, names, 3)
        return f"did you mean {', '.join(near)}?" if near else f"it has {_shortened(names)}"
    return f"of {family} it has {_shortened(same)}"


def _shortened(names: Iterable[str]) -> str:
    ordered = sorted(names, key=lambda name: (not version_of(name), version_of(name)), reverse=True)
    rest = len(ordered) - _TOLD
    return ", ".join(ordered[:_TOLD]) + (f" and {rest} more" if rest > 0 else "")
