"""The processor that a host can give its guests, feature by feature, in libvirt's names.

libvirt's domain capabilities say what ``host-model`` is there: a model, and what is added to it and
taken from it. Which features a model has libvirt tells when it is asked for the baseline of that
one model (``virsh cpu-baseline --features``), without those that it added to or removed from the
model later, which it never misses. The guests of every machine type have the same processor.
Source: libvirt, src/qemu/qemu_capabilities.c, virQEMUCapsFillDomainCPUCaps; src/cpu/cpu_x86.c,
virCPUx86UpdateLive and virCPUx86ExpandFeatures.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from novadev.errors import BadInput
from novadev.virt.binding import libvirt
from novadev.virt.host import Host
from novadev.virt.xml import parse

LOG = logging.getLogger(__name__)
_MAP = "usr/share/libvirt/cpu_map/x86_features.xml"
"""Every feature of processors that libvirt knows: it refuses a guest that names another one."""
_MOST_NAMES = 5_000


@dataclass(frozen=True)
class HostModel:
    """The features that guests of the accelerator ``domain_type`` can have on a host of x86.

    ``features`` are all of them; ``lacking`` what the models of libvirt's list have beyond these,
    by model, without those that lack nothing; ``known`` every name of a feature that the host's
    libvirt knows, None where that was not read. ``processor`` are the features of the host's own
    processor, which are more than a guest gets, or fewer; None where they are not known.
    """

    domain_type: str
    features: tuple[str, ...]
    lacking: Mapping[str, tuple[str, ...]]
    known: tuple[str, ...] | None = None
    processor: tuple[str, ...] | None = None


def read_host_model(host: Host, architecture: str) -> HostModel | None:
    """Return the processor that guests can have on HOST, by what its libvirt says.

    None where it has no ``host-model``. A millisecond for each model of libvirt's list. Raises
    Unreachable, and BadInput for an XML that is none.
    """
    with host.translated():
        try:
            return _read(host, architecture)
        except libvirt.libvirtError as error:
            if error.get_error_code() not in _NOT_TOLD:
                raise
            return None


_NOT_TOLD = (
    *(libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_CONFIG_UNSUPPORTED, libvirt.VIR_ERR_NO_SUPPORT),
    *(libvirt.VIR_ERR_OPERATION_UNSUPPORTED, libvirt.VIR_ERR_INTERNAL_ERROR),
)


def _read(host: Host, architecture: str) -> HostModel | None:
    text = host.connection.getDomainCapabilities(None, architecture, None, None, 0)
    root = parse(text, f"host {host.name}: its domain capabilities")
    found = root.find("cpu/mode[@name='host-model'][@supported='yes']")
    model = None if found is None else found.findtext("model")
    if found is None or not model:
        return None
    policies = {str(one.get("name")): one.get("policy") for one in found.iterfind("feature")}
    changed = {name for name, policy in policies.items() if policy == "require"}
    features = (_features_of(host, architecture, model) - policies.keys()) | changed
    models = [one.text or "" for one in root.iterfind("cpu/mode[@name='custom']/model")]
    lacking = {name: _features_of(host, architecture, name) - features for name in models}
    own = _own_features(host)
    return HostModel(
        domain_type=root.findtext("domain") or "",
        features=tuple(sorted(features)),
        lacking={name: tuple(sorted(missing)) for name, missing in lacking.items() if missing},
        processor=None if own is None else tuple(sorted(own)),
    )


def _own_features(host: Host) -> frozenset[str] | None:
    """Return every feature of the host's own processor; None where its libvirt does not tell."""
    root = parse(host.connection.getCapabilities(), f"host {host.name}: its capabilities")
    cpu = root.find("host/cpu")
    return None if cpu is None or cpu.find("model") is None else _features(host, cpu)


def _features_of(host: Host, architecture: str, model: str) -> frozenset[str]:
    """Return every feature of MODEL as the host's libvirt has it."""
    cpu = etree.Element("cpu")
    etree.SubElement(cpu, "arch").text = architecture
    etree.SubElement(cpu, "model").text = model
    return _features(host, cpu)


def _features(host: Host, cpu: etree._Element) -> frozenset[str]:
    flags = libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES
    text = host.connection.baselineCPU([etree.tostring(cpu, encoding="unicode")], flags)
    root = parse(text, f"host {host.name}: the features of {cpu.findtext('model')}")
    return frozenset(
        str(item.get("name"))
        for item in root.iterfind("feature")
        if item.get("policy", "require") == "require"  # it may have taken another model as a base
    )


def read_known_features(root: Path = Path("/")) -> tuple[str, ...] | None:
    """Return the features of x86 that the libvirt knows whose files are under ROOT.

    None where its list is not there or cannot be read.
    """
    path = root / _MAP
    try:
        found = parse(path.read_text(encoding="utf-8"), str(path)).iterfind(".//feature[@name]")
    except (OSError, ValueError, BadInput) as error:
        LOG.info("the features of processors that libvirt knows are not known: %r", error)
        return None
    names = sorted({str(item.get("name")) for item in found})
    return tuple(names) if len(names) <= _MOST_NAMES else None
