"""What a guest needs of the processor of a host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from novadev.capabilities.neutral import OF_PROCESSORS
from novadev.capabilities.unlisted import OTHER, Setting, unlisted
from novadev.virt.sent_processor import OF_MODEL

if TYPE_CHECKING:
    from lxml import etree

_SIGNS = {"require": "+", "force": "+", "disable": "-", OF_MODEL: "~"}
"""How a feature is written in the value of the setting ``whole cpu``, by its policy."""
COMPARED = "compared"
"""What stands in the value of a feature where libvirt compares it with the host's processor first.

Source: libvirt, src/qemu/qemu_process.c, qemuProcessUpdateGuestCPU.
"""
SEVERAL = "several"
"""What stands in that value for a guest with several processors in one socket."""
_IN_A_SOCKET = ("dies", "clusters", "cores", "threads")


def processor(element: etree._Element, is_carried: bool) -> Iterator[Setting]:
    """Yield the mode, the model and the features of ELEMENT, and what is in no table.

    Where the guest has to get all of it (``check='full'``), the model and its features are one
    setting: a feature that is switched off is none of the model's then. If ``is_carried``, ELEMENT
    is of a guest that runs, and so lists all that QEMU adds to the model.
    """
    mode = element.get("mode") or "custom"
    model = (element.findtext("model") or "").strip()
    is_exact = mode == "custom" and model and element.get("match", "exact") == "exact"
    found = element.iterfind("feature")
    policies = [(one.get("name", ""), one.get("policy", "require")) for one in found]
    if mode != "custom":
        yield Setting(f"cpu mode {mode}", "cpu mode", mode)
        if element.get("check") == "full":
            yield Setting(f"cpu mode {mode} check=full", OTHER)
    elif is_exact and element.get("check") == "full":
        whole = [_SIGNS[policy] + name for name, policy in policies if policy in _SIGNS]
        several = [SEVERAL] if _has_several_in_a_socket(element) else []
        value = " ".join([model, _fallback(element), *several, *whole])
        kind = "whole cpu" if is_carried else "cpu without extras"
        yield Setting(f"cpu model {model} with its features", kind, value)
        policies = [(name, policy) for name, policy in policies if policy not in _SIGNS]
    elif is_exact:
        check = element.get("check") or "default"
        yield Setting(f"cpu model {model}", "cpu model", f"{model} {check} {_fallback(element)}")
    compared = COMPARED if _is_compared(element) else "passed"
    for name, policy in policies:
        yield Setting(
            f"cpu feature {name} ({policy})", "cpu feature", f"{name} {policy} {compared}"
        )
    yield from _named_vendor(element)
    if is_carried:
        yield from _kept_from_migration(element)
    yield from unlisted("cpu", element, OF_PROCESSORS)


def _is_compared(element: etree._Element) -> bool:
    """Return whether libvirt compares the processor with the host's under KVM, as by default."""
    is_own_choice = element.get("mode", "custom") in ("custom", "host-model")
    return is_own_choice and element.get("check", "partial") == "partial"


def _named_vendor(element: etree._Element) -> Iterator[Setting]:
    """Yield a vendor that the host's processor must have; libvirt adds one to a guest that runs."""
    vendor = element.findtext("vendor")
    if vendor and _is_compared(element):
        yield Setting(f"cpu vendor {vendor}", OTHER)


def _kept_from_migration(element: etree._Element) -> Iterator[Setting]:
    """Yield what QEMU sends to no other host, or to one with the same processor alone.

    Source: QEMU, target/i386/kvm/kvm.c, kvm_arch_init_vcpu (invtsc_mig_blocker).
    """
    has_frequency = element.find("../clock/timer[@name='tsc'][@frequency]") is not None
    found = element.iterfind("feature[@name='invtsc']")
    if not has_frequency and any(_SIGNS.get(one.get("policy", "require")) == "+" for one in found):
        yield Setting("cpu feature invtsc in a migration", "sent invtsc")
    if (mode := element.get("mode")) in ("host-passthrough", "maximum"):
        yield Setting(f"cpu mode {mode} in a migration", "sent mode")


def _has_several_in_a_socket(element: etree._Element) -> bool:
    topology = element.find("topology")
    return topology is not None and any(topology.get(one, "1") != "1" for one in _IN_A_SOCKET)


def _fallback(element: etree._Element) -> str:
    named = element.find("model")
    return "allow" if named is None else named.get("fallback", "allow")
