"""What a guest needs of the processor of a host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from novadev.capabilities.neutral import OF_PROCESSORS
from novadev.capabilities.unlisted import Setting, unlisted
from novadev.virt.sent_processor import OF_MODEL

if TYPE_CHECKING:
    from lxml import etree

_SIGNS = {"require": "+", "force": "+", "disable": "-", OF_MODEL: "~"}
"""How a feature is written in the value of the setting ``whole cpu``, by its policy."""
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
    for name, policy in policies:
        yield Setting(f"cpu feature {name} ({policy})", "cpu feature", f"{name} {policy}")
    yield from unlisted("cpu", element, OF_PROCESSORS)


def _has_several_in_a_socket(element: etree._Element) -> bool:
    topology = element.find("topology")
    return topology is not None and any(topology.get(one, "1") != "1" for one in _IN_A_SOCKET)


def _fallback(element: etree._Element) -> str:
    named = element.find("model")
    return "allow" if named is None else named.get("fallback", "allow")
