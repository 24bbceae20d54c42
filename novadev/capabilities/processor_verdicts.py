"""Whether a host can give a guest its processor: a mode, a model, single features, or all of them.

A guest that runs has all that its definition says (``check='full'``), and a live migration asks the
other host for the whole of it, no more and no less: see `novadev.virt.sent_processor`. A definition
with ``check='full'`` that did not come from a guest that runs is refused for what QEMU adds to the
model, such as ``hypervisor``. Source: libvirt, src/cpu/cpu_x86.c, virCPUx86UpdateLive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from novadev.capabilities.need import NOT_TOLD, Need
from novadev.capabilities.processor import COMPARED, SEVERAL
from novadev.capabilities.target import FINE, Told, listed, unknown
from novadev.rules.machine_types import X86
from novadev.virt.host_model import HostModel

_HAS_MAXIMUM = (7, 1)
"""Since this libvirt there is the cpu mode ``maximum``."""
_TELLS_HT = (10, 0)
"""Since this QEMU a guest with several processors in a socket has the feature ``ht`` for libvirt,
and with a processor of AMD ``cmp_legacy`` too, on every machine type. Source: QEMU,
target/i386/cpu.c, x86_cpu_expand_features."""
_MAY_TAKE_HT = (11, 4)
"""The first libvirt of which it is not known that it refuses a guest then that came without ``ht``:
11.3 does."""
_ASKED_NOBODY, _ASKS_QEMU = (9, 1), (11, 3)
"""Between these libvirt began to ask QEMU which models it can run."""
_BY_TOPOLOGY = ("cmp_legacy", "ht")
_NOT_OF_HOST = ("topoext",)
"""What QEMU gives a guest of KVM on any processor, but not its model ``host``, which libvirt takes
``host-model`` from; the EPYC models have it. Source: QEMU, target/i386/kvm/kvm.c,
kvm_arch_get_supported_cpuid, and target/i386/cpu.c, feature_word_info (no_autoenable_flags)."""
_MOST_NAMED = 5
_SAVE_AGAIN = "the file does not have the features of the host's processor: save it again"


def _mode(need: Need) -> Told:
    """Judge a mode; libvirt tells those of its best accelerator alone."""
    if need.guest.domain_type != _best_type(need):
        return unknown(f"the file says it only for guests of type {_best_type(need)}")
    told = listed(need.target, "cpu_modes", f"cpu mode {need.value}", need.value)
    is_known = need.value != "maximum" or need.libvirt >= _HAS_MAXIMUM
    return ("would not start", told[1]) if told[0] == "cannot be defined" and is_known else told


def _best_type(need: Need) -> str:
    types = (need.host.domain_types or {}).get(need.target.architecture, ())
    return "kvm" if "kvm" in types else need.guest.domain_type


def _model(need: Need) -> Told:
    """Judge a model by its name; under KVM the host's processor must be able to run it."""
    model, check, fallback = need.value.rsplit(" ", 2)
    is_kvm = need.guest.domain_type == "kvm"
    told = _name_of_model(need, model, fallback)
    if told != FINE:
        return told
    if check == "partial" and not is_kvm:
        return unknown(f"check={check!r} compares it with the host's processor")
    usable = need.target.domain.cpu_usable if need.target.domain else None
    if not is_kvm:
        return FINE
    is_usable = model in (usable or ())
    told = FINE if check == "none" else _compared(need, model, is_usable)
    return told if told != FINE or is_usable else _unusable(need, model, check)


def _compared(need: Need, model: str, is_usable: bool) -> Told:
    """Judge a model by what libvirt asks of the host: KVM, or else its processor, has all of it.

    A new libvirt asks QEMU instead, which leaves out of some models what KVM never has: ``svm`` of
    qemu64 on Intel. Seen with 11.3, and not with 9.0. Source: libvirt, src/cpu/cpu_x86.c,
    x86Compute; src/qemu/qemu_capabilities.c, virQEMUCapsInitHostCPUModel (the host is
    VIR_QEMU_CAPS_HOST_CPU_FULL); QEMU, target/i386/kvm/kvm-cpu.c, kvm_default_props.
    """
    found = need.host.host_model
    if found is None or found.processor is None:
        return FINE
    missing = {*found.lacking.get(model, ())} - _off(need) - {*found.processor}
    if not missing or (is_usable and need.libvirt >= _ASKS_QEMU):
        return FINE
    if is_usable and need.libvirt >= _ASKED_NOBODY:
        return unknown(f"its libvirt may want {_some(missing)} of the host's processor")
    return _no_such(missing)


def _unusable(need: Need, model: str, check: str) -> Told:
    """Judge a model of which QEMU cannot give the guest all, but for what the guest has off."""
    off, found = _off(need), need.host.host_model
    if check == "none":
        return unknown("the host's processor does not have all of its features")
    if found is not None and found.processor is not None:
        missing = {*found.lacking.get(model, ())}
        if missing and missing <= off:
            return FINE
        return unknown("the host's QEMU cannot give a guest all of its features")
    if off:
        return unknown("the host's processor lacks features of it, which may be those switched off")
    return "would not start", "the host's processor cannot run it"


def _name_of_model(need: Need, model: str, fallback: str) -> Told:
    """Judge whether libvirt and QEMU know a model.

    For one that it knows and its QEMU has not, libvirt takes another one if it may. Source:
    libvirt, src/cpu/cpu.c, virCPUTranslate.
    """
    told = listed(need.target, "cpu_models", f"cpu model {model}", model)
    if told[0] != "cannot be defined":
        return told
    known = need.host.processors
    if known is None or (model in known and fallback == "allow"):
        return unknown("the host's QEMU lacks it, and libvirt may use another one instead")
    return "would not start", told[1]


def _off(need: Need) -> set[str]:
    """Return the features that the guest switches off: libvirt subtracts them."""
    found = (one.value.split() for one in need.guest.settings if one.kind == "cpu feature")
    return {name for name, policy, _ in found if policy in ("disable", "forbid")}


def _feature(need: Need) -> Told:
    """Judge a feature that is asked for; libvirt subtracts the others, and forbids some."""
    name, policy, compared = need.value.split()
    found = need.host.host_model
    if found is not None and found.known is not None and name not in _names(found):
        return "would not start", f"the host's libvirt does not know the feature {name}"
    if policy == "forbid":
        return unknown("a host whose processor has it refuses the guest")
    known = {*((need.target.domain and need.target.domain.cpu_features) or ())}
    if found is not None and policy == "disable":
        known |= _names(found)
    elif found is not None and found.domain_type == need.guest.domain_type:
        known |= {*found.features}
    if name in known:
        return FINE
    if found is None or not found.domain_type == need.guest.domain_type == "kvm":
        return unknown(NOT_TOLD)
    return _beyond_host_model(name, policy == "require" and compared == COMPARED, found)


def _beyond_host_model(name: str, is_compared: bool, found: HostModel) -> Told:
    """Judge a feature that ``host-model`` lacks under KVM; libvirt asks for it, or QEMU warns."""
    if is_compared and found.processor is None:
        return unknown(NOT_TOLD)
    if is_compared and name not in (found.processor or ()):
        return _no_such({name})
    return FINE if name in _NOT_OF_HOST else unknown("the host's QEMU may not give it to a guest")


def _names(found: HostModel) -> frozenset[str]:
    """Return the features that the host's libvirt knows, as far as the file says."""
    return frozenset(found.known or ()).union(found.features, *found.lacking.values())


def _there(found: HostModel) -> frozenset[str]:
    """Return the features that QEMU can give a guest."""
    return frozenset(found.features).union(_NOT_OF_HOST if found.domain_type == "kvm" else ())


def _whole(need: Need) -> Told:
    """Judge a processor that a guest runs with, all of which the host has to give it."""
    model, fallback, *features = need.value.split()
    found, told = need.host.host_model, _name_of_model(need, model, fallback)
    if told != FINE:
        return told
    if need.target.architecture not in X86:
        return unknown("novadev knows it of x86 alone")
    if found is None:
        return unknown(_SAVE_AGAIN)
    if found.domain_type != need.guest.domain_type:
        return unknown(f"the file says it only for guests of type {found.domain_type}")
    wanted = {one[1:] for one in features if one.startswith("+")}
    unwanted = {one[1:] for one in features if one.startswith(("-", "~"))}
    tells_ht = SEVERAL in features and need.target.qemu >= _TELLS_HT
    there = _there(found).union(_BY_TOPOLOGY if tells_ht else ())
    missing = ({*found.lacking.get(model, ())} - unwanted | wanted) - there
    if missing:
        strange = missing - _names(found) if found.known else set()
        return _named(found, strange) if strange else _no_such(missing)
    if tells_ht and "ht" not in wanted:
        return _told_ht(need)
    return _named(found, {one[1:] for one in features if one.startswith("-")})


def _without_extras(need: Need) -> Told:
    """Judge a processor whose definition may not list all that QEMU adds to the model."""
    told = _whole(need)
    return unknown("check='full' refuses what the host's QEMU adds") if told == FINE else told


def _sent_mode(_need: Need) -> Told:
    """Judge a processor of which neither libvirt nor QEMU says what it is.

    Source: QEMU, docs/system/cpu-models-x86.rst.inc (Host passthrough). A guest of a KVM with the
    processor of an EPYC arrived where KVM had that of a Xeon, and the other way round.
    """
    return unknown("nobody compares the processors of the two hosts, which have to be the same")


def _invtsc(need: Need) -> Told:
    """Judge a time stamp counter that never changes its pace: KVM may have another on the host."""
    if need.guest.domain_type != "kvm":
        return FINE
    return (
        "would not start",
        "QEMU migrates no guest with invtsc whose TSC has no set frequency",
    )


def _told_ht(need: Need) -> Told:
    """Judge a guest of an older QEMU that has several processors in a socket, and no ``ht``."""
    if need.libvirt >= _MAY_TAKE_HT:
        return unknown("the host's QEMU adds the feature ht, which its libvirt may refuse")
    return "would not start", "the host's QEMU adds the feature ht, which its libvirt refuses"


def _named(found: HostModel, unwanted: set[str]) -> Told:
    """Judge the names of what is switched off: libvirt has to know these too."""
    strange = unwanted - _names(found)
    if strange and found.known is None:
        return unknown(f"the file does not say whether the host's libvirt knows {_some(strange)}")
    if strange:
        return "would not start", f"the host's libvirt does not know the feature {_some(strange)}"
    return FINE


def _no_such(features: set[str]) -> Told:
    return "would not start", f"the host's processor has no {_some(features)}"


def _some(names: set[str]) -> str:
    told = sorted(names)
    more = [f"{len(told) - _MOST_NAMED} more"] if len(told) > _MOST_NAMED else []
    return ", ".join([*told[:_MOST_NAMED], *more])


JUDGES: Mapping[str, Callable[[Need], Told]] = {
    "cpu feature": _feature,
    "cpu mode": _mode,
    "cpu model": _model,
    "cpu without extras": _without_extras,
    "sent invtsc": _invtsc,
    "sent mode": _sent_mode,
    "whole cpu": _whole,
}
