"""Kinds of guest that KVM makes special: processors and their features, Hyper-V, timers, IOMMUs.

What became of each with KVM is recorded in ``samples/kvm/kvm.json``, by these names.
"""

from collections.abc import Iterator

from tests.capabilities.kinds import Kind, domain_of, with_parts

MODELS = (
    *("qemu64", "kvm64", "Opteron_G3", "Opteron_G5", "EPYC", "EPYC-v3", "EPYC-Rome", "EPYC-Milan"),
    *("EPYC-Genoa", "core2duo", "Penryn", "Nehalem", "IvyBridge", "Haswell", "Haswell-noTSX"),
    *("Broadwell-noTSX", "Skylake-Client", "Skylake-Server", "Cascadelake-Server", "pentium"),
    *("Icelake-Server", "SapphireRapids", "athlon", "Denverton"),
)
FEATURES = (
    *("x2apic", "invtsc", "cmp_legacy", "hle", "avx512f", "vmx", "svm", "aes", "ssbd", "spec-ctrl"),
    *("pdpe1gb", "topoext", "waitpkg", "ht", "vmx-ept", "nosuch"),
)
"""What an EPYC has, what it lacks, and names that no libvirt or a new one alone knows."""
HYPERV = (
    *("relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "reset", "frequencies"),
    *("tlbflush", "ipi"),
)
"""Nova's for a guest of Windows."""
IOMMUS = {
    "intel": "",
    "intel caching": "<driver caching_mode='on'/>",
    "intel intremap eim": "<driver intremap='on' eim='on'/>",
    "intel nova": ("<driver intremap='on' caching_mode='on' eim='on' iotlb='on' aw_bits='48'/>"),
}
BOARDS = ("pc-i440fx-2.12", "pc-i440fx-5.2", "pc-q35-2.12", "pc-q35-5.2", "pc-q35-10.0")


def kvm_kinds() -> Iterator[Kind]:
    """Every kind, each name once."""
    for name, part in _parts():
        yield of_kvm(f"q35 {name}", with_parts(domain_of("q35", ""), part))
    for name, driver in IOMMUS.items():
        device = f"<iommu model='intel'>{driver}</iommu>"
        xml = with_parts(domain_of("q35", device), features("<ioapic driver='qemu'/>"))
        yield of_kvm(f"q35 iommu {name} ioapic qemu", xml)
    for board in BOARDS:
        for number in (240, 255, 256, 288, 289, 1024):
            yield of_kvm(f"{board} {number} vcpus eim", many_processors(board, number))


def of_kvm(name: str, xml: str) -> Kind:
    """The guest under KVM."""
    return Kind(name, xml.replace('type="qemu"', 'type="kvm"', 1))


def many_processors(board: str, number: int) -> str:
    """A guest with so many processors, and the IOMMU that more than 255 need."""
    device = f"<iommu model='intel'>{IOMMUS['intel intremap eim']}</iommu>"
    parts = features("<ioapic driver='qemu'/>") + f"<vcpu>{number}</vcpu>"
    return with_parts(domain_of(board, device), parts)


def features(inside: str) -> str:
    return f"<features><acpi/><apic/>{inside}</features>"


def cpu(model: str, attributes: str = "", inside: str = "") -> str:
    head = f"mode='custom' match='exact' {attributes}".strip()
    return f"<cpu {head}><model>{model}</model>{inside}</cpu>"


def _parts() -> Iterator[tuple[str, str]]:
    yield from _modes()
    yield from _models()
    yield from _single_features()
    yield from _hyperv()
    for name in ("hidden", "poll-control"):
        yield f"kvm {name} on", features(f"<kvm><{name} state='on'/></kvm>")
    for part in ("<pmu state='on'/>", "<pmu state='off'/>", "<smm state='on'/>"):
        yield f"features {part}", features(part)
    for driver in ("kvm", "qemu"):
        part = f"<ioapic driver='{driver}'/>"
        yield f"features {part}", features(part)
    for name in ("kvmclock", "hypervclock", "tsc", "hpet"):
        for present in ("yes", "no"):
            timer = f"<timer name='{name}' present='{present}'/>"
            yield f"timer {name} {present}", f"<clock offset='utc'>{timer}</clock>"
    for kind in ("memfd", "file", "anonymous"):
        part = f"<source type='{kind}'/><access mode='shared'/>"
        yield f"memory {kind} shared", f"<memoryBacking>{part}</memoryBacking>"
    for mode in ("immediate", "ondemand"):
        part = f"<allocation mode='{mode}'/>"
        yield f"memory {part}", f"<memoryBacking>{part}</memoryBacking>"


def _modes() -> Iterator[tuple[str, str]]:
    for mode in ("host-passthrough", "host-model"):
        yield mode, f"<cpu mode='{mode}'/>"
        for check in ("none", "partial", "full"):
            yield f"{mode} check='{check}'", f"<cpu mode='{mode}' check='{check}'/>"
    for switch in ("on", "off"):
        attribute = f"migratable='{switch}'"
        yield f"host-passthrough {attribute}", f"<cpu mode='host-passthrough' {attribute}/>"
    yield "maximum", "<cpu mode='maximum'/>"


def _models() -> Iterator[tuple[str, str]]:
    for model in MODELS:
        yield f"cpu {model}", cpu(model)
        for check in ("none", "partial"):
            yield f"cpu {model} {check}", cpu(model, f"check='{check}'")
    for vendor in ("AMD", "Intel"):
        yield f"cpu EPYC vendor {vendor}", cpu("EPYC", inside=f"<vendor>{vendor}</vendor>")


def _single_features() -> Iterator[tuple[str, str]]:
    for name in FEATURES:
        for policy in ("require", "force", "optional", "disable", "forbid"):
            feature = f"<feature policy='{policy}' name='{name}'/>"
            words = f"feature {name} {policy}"
            yield f"pentium2 {words}", cpu("pentium2", inside=feature)
            yield f"host-model {words}", f"<cpu mode='host-model'>{feature}</cpu>"


def _hyperv() -> Iterator[tuple[str, str]]:
    switches = {name: f"<{name} state='on'/>" for name in (*HYPERV, "evmcs", "reenlightenment")}
    switches["spinlocks"] = "<spinlocks state='on' retries='8191'/>"
    for name in ("relaxed", "vapic", "vpindex", "runtime", "reset", "frequencies", "evmcs"):
        before = switches["vapic"] if name == "evmcs" else ""
        yield f"hv {name}", features(f"<hyperv>{before}{switches[name]}</hyperv>")
    windows = "".join(switches[name] for name in HYPERV)
    timer = "<timer name='hypervclock' present='yes'/>"
    clock = f"<clock offset='localtime'>{timer}</clock>"
    yield "nova 34 windows ", features(f"<hyperv>{windows}</hyperv>") + clock
