"""Whether a host meets a guest's needs apart from devices and firmware: CPU, memory, features.

Sources are libvirt's domain capabilities and the version of libvirt. Each rule was seen on three
generations of libvirt and QEMU on x86: see docs/capabilities.rst. Whether a host has room for a
guest is never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from novadev.capabilities import firmware_verdicts, processor_verdicts
from novadev.capabilities.need import NOT_TOLD, Need
from novadev.capabilities.settings import OLD_SWITCHES
from novadev.capabilities.target import FINE, Told, listed, unknown
from novadev.capabilities.unlisted import Setting
from novadev.rules.machine_types import X86

_ADDS_IOMMU = (10, 10)
"""Since this libvirt a guest with very many processors gets an IOMMU and a split I/O APIC.

They work under KVM alone (NEWS). Seen with 11.3, and not with 9.0."""
_WITHOUT_EIM = 255
"""Processors for which QEMU needs no extended interrupt mode (libvirt, qemu_validate.c)."""
_HAS_ABSOLUTE_CLOCK = (8, 4)
"""Since this libvirt a clock can begin at a given time: ``offset='absolute'``."""
_PASSES_OVER_NONE = (12, 3)
"""Since this libvirt a label of ``type='none'`` is for drivers, too, that are not there (NEWS)."""
_OLD_MEMORY = ("anonymous", "file", "memfd")
"""Kinds of memory that libvirt has had since 4.10, and QEMU since 2.12."""
_BY_NBDKIT = ("ftp", "ftps", "http", "https", "ssh")
"""What nbdkit can be for a disk, if it is installed, since libvirt 9.8."""
_EVERY_BOARD_TAKES = 240
"""The fewest processors that a board of x86 takes: Red Hat's i440fx."""
_X86_FEATURES = ("acpi", "apic", "pae", "pmu", "smm", "vmport")
_ADDRESS_OF = {
    **dict.fromkeys(("ccw", "virtio-s390"), ("s390x",)),
    "spapr-vio": ("ppc64", "ppc64le"),
    "virtio-mmio": ("aarch64", "armv7l", "riscv64"),
}
"""The architectures that have devices at addresses of this type."""
_X86_TIMERS = ("pit", "rtc", "hpet", "kvmclock", "hypervclock")


def judge_setting(need: Need) -> Told:
    """Return the verdict on a setting, and why; "not checked" where no rule knows it."""
    found = _JUDGES.get(need.setting.kind)
    if found is None:
        return unknown("novadev has no rule for it")
    return found(need)


def _vcpus(need: Need) -> Told:
    most = None if need.target.domain is None else need.target.domain.vcpu_max
    number, _, extended = need.value.partition(" ")
    is_x86 = need.target.architecture in X86
    if not number.isdecimal():
        return unknown("it does not name a number")
    if int(number) <= _EVERY_BOARD_TAKES and is_x86:
        return FINE
    if most is None:
        return unknown("the file does not say the host's largest number")
    if int(number) > most:
        return "cannot be defined", f"{need.target.machine_type} has at most {most} there"
    if int(number) > _WITHOUT_EIM and is_x86 and extended != "eim":
        return _without_eim(need, is_possible=extended != "none")
    return FINE


def _without_eim(need: Need, is_possible: bool) -> Told:
    """Judge many processors without an IOMMU that has the extended interrupt mode."""
    if not is_possible or need.libvirt < _ADDS_IOMMU:
        return "cannot be defined", f"more than {_WITHOUT_EIM} need an IOMMU with eim='on'"
    if need.guest.domain_type == "kvm":
        return FINE
    return "would not start", f"more than {_WITHOUT_EIM} need KVM and an IOMMU with eim='on'"


def _own_ioapic(need: Need) -> Told:
    """Judge an IOMMU that remaps interrupts, which QEMU's own I/O APIC alone can send it.

    libvirt 11.3 adds it to a guest that names none, and 9.0 refuses the guest. Source: libvirt,
    src/qemu/qemu_validate.c, qemuValidateDomainDeviceDefIOMMU.
    """
    if need.value or need.libvirt < (9, 1):
        return "cannot be defined", "interrupt remapping needs ioapic driver='qemu'"
    is_added = need.libvirt >= (11, 3) and need.guest.domain_type == "kvm"
    return (
        FINE if is_added else unknown("it is not known whether libvirt adds ioapic driver='qemu'")
    )


def _feature(need: Need) -> Told:
    name, is_x86 = need.value, need.target.architecture in X86
    if is_x86 and name in _X86_FEATURES:
        return FINE
    return _feature_of_libvirt(need)


def _feature_of_libvirt(need: Need) -> Told:
    known = (need.target.domain and need.target.domain.features) or ()
    return FINE if need.value in known else unknown(NOT_TOLD)


def _feature_off(need: Need) -> Told:
    known = need.value in _X86_FEATURES and need.target.architecture in X86
    return FINE if known else unknown("novadev has no rule for it")


def _hyperv(need: Need) -> Told:
    """Judge a feature of Hyper-V: under KVM libvirt lists each that the host's kernel has.

    A kernel that has none at all has no ``relaxed`` either, and QEMU may pass over the features.
    Source: libvirt, src/qemu/qemu_capabilities.c, virQEMUCapsFillDomainFeatureHypervCaps; QEMU,
    target/i386/kvm/kvm.c, hyperv_enabled and hyperv_expand_features.
    """
    known = (need.target.domain and need.target.domain.hyperv) or ()
    if need.value in known:
        return FINE
    is_of_kvm = need.guest.domain_type == "kvm" and "relaxed" in known
    if is_of_kvm and need.value in OLD_SWITCHES["hyperv"]:
        return "would not start", f"the host's KVM has no {need.value} of Hyper-V"
    return unknown(NOT_TOLD)


def _ioapic(need: Need) -> Told:
    """Judge which half of KVM and QEMU has the I/O APIC; a virtual IOMMU needs QEMU's.

    Source: libvirt, src/qemu/qemu_validate.c, qemuValidateDomainDefFeatures.
    """
    is_plain = need.guest.domain_type == "kvm" and need.target.architecture in X86
    if is_plain and need.value in ("kvm", "qemu"):
        return FINE
    return unknown("novadev knows it under KVM on x86 alone")


def _kvm(need: Need) -> Told:
    return FINE if need.value == "hidden" else unknown("novadev has no rule for it")


def _clock_offset(need: Need) -> Told:
    """Judge ``absolute``, the one offset that libvirt has not had from the beginning."""
    if need.value != "absolute":
        return unknown("novadev has no rule for it")
    if need.libvirt < _HAS_ABSOLUTE_CLOCK:
        return "cannot be defined", "an absolute clock needs libvirt 8.4"
    return FINE


def _timer(need: Need) -> Told:
    """Judge a timer; under KVM the one of Hyper-V is the kernel's, which libvirt does not list."""
    hyperv = (need.target.domain and need.target.domain.hyperv) or ()
    is_of_kvm = need.value == "hypervclock" and need.guest.domain_type == "kvm"
    if is_of_kvm and "relaxed" not in hyperv:
        return unknown("the file does not say whether the host's KVM has Hyper-V")
    known = need.value in _X86_TIMERS and need.target.architecture in X86
    return FINE if known else unknown("novadev has no rule for it")


def _huge_pages(need: Need) -> Told:
    """Judge the size alone: whether pages are set aside and mounted nothing tells."""
    size, _, unit = need.value.partition(" ")
    sizes, factor = need.host.page_sizes, {"KiB": 1, "MiB": 1024, "GiB": 1024**2}.get(unit)
    if sizes and factor and size.isdecimal() and int(size) * factor not in sizes:
        return "would not start", "the host's processor has no pages of this size"
    return unknown("it is not known whether the host has reserved any")


def _memory_backing(need: Need) -> Told:
    """Judge what memory is made of; a libvirt without the enumeration has all of the old kinds."""
    domain = need.target.domain
    is_old = need.value in _OLD_MEMORY and need.target.architecture in X86
    if domain is not None and domain.memory_source is None and is_old and need.libvirt >= (6, 0):
        return FINE if need.target.qemu >= (2, 12) else unknown("QEMU may not have it")
    return listed(need.target, "memory_source", f"memory backing {need.value}", need.value)


def _launch_security(need: Need) -> Told:
    """Judge launch security; before libvirt 10.5 only SEV is told, as a feature."""
    domain = need.target.domain
    if domain is not None and domain.launch_security is None and need.value == "sev":
        if "sev" in (domain.features or ()):
            return FINE
        if domain.features is not None:
            return "cannot be defined", "the host has no SEV"
    return listed(need.target, "launch_security", f"launch security {need.value}", need.value)


def _iothreads(need: Need) -> Told:
    return _feature_of_libvirt(
        Need(Setting("iothreads", "feature", "iothreads"), need.guest, need.host, need.target)
    )


def _emulator(need: Need) -> Told:
    if need.host.emulator == need.value:
        return FINE
    if need.host.emulator is None:
        return unknown("the file does not say which emulator the host has")
    return unknown(f"the host's emulator is {need.host.emulator}")


def _several_watchdogs(need: Need) -> Told:
    has_them = need.libvirt >= (9, 1)
    return FINE if has_them else ("cannot be defined", "several watchdogs need libvirt 9.1")


def _block_driver(need: Need) -> Told:
    """Judge what a disk is reached over; libvirt may start nbdkit for what QEMU lacks.

    Source: libvirt, src/qemu/qemu_nbdkit.c, qemuNbdkitInitStorageSource.
    """
    drivers = need.host.block_drivers
    if drivers is None:
        return unknown("the file does not say which block drivers the host's QEMU has")
    if need.value in drivers:
        return FINE
    if need.libvirt >= (9, 8) and need.value in _BY_NBDKIT:
        return unknown("the host's QEMU has no block driver for it, and libvirt may use nbdkit")
    return "would not start", f"the host's QEMU has no block driver for {need.value}"


def _tpm_version(need: Need) -> Told:
    version, _, model = need.value.partition(" ")
    if (version, model) == ("1.2", "tpm-crb"):
        return "cannot be defined", "tpm-crb needs TPM 2.0"
    return listed(need.target, "tpm_version", f"TPM {version}", version)


def _security_driver(need: Need) -> Told:
    """Judge a security driver: libvirt refuses a label of one that it has not, at the start.

    Source: libvirt, src/security/security_manager.c, virSecurityManagerCheckModel.
    """
    models = need.host.security_models
    if models is None:
        return unknown("the file does not say which security drivers the host has")
    if need.value in models:
        return FINE
    if need.setting.kind != "security driver" and need.libvirt >= _PASSES_OVER_NONE:
        return FINE
    return "would not start", f"the host's libvirt has no security driver {need.value}"


def _hyperv_mode(need: Need) -> Told:
    """Judge a mode of Hyper-V's features: before 8.0 libvirt reads none, whatever it is."""
    is_refused = (9, 0) <= need.libvirt < (11, 4)
    if need.value == "host-model" and is_refused:
        return "cannot be defined", "the host's libvirt does not know it"
    return unknown("novadev has no rule for it")


def _since_9_0(why: str) -> Callable[[Need], Told]:
    """Return a judge of what libvirt 7.0 took and 9.0 refuses; what is in between was not tried."""

    def judge(need: Need) -> Told:
        if need.libvirt >= (9, 0):
            return "cannot be defined", why
        if need.libvirt < (7, 1):
            return FINE
        return unknown("it is not known whether the host's libvirt takes it")

    return judge


def _cpu_shares(need: Need) -> Told:
    """Judge shares that are no weight of version 2 of cgroups; 9.0 has limits, but not for 0."""
    is_in_range = need.value == "0" or (need.value.isdecimal() and 2 <= int(need.value) <= 262_144)
    if (9, 0) <= need.libvirt < (9, 1) and not is_in_range:
        return "cannot be defined", "the host's libvirt takes 2 to 262144"
    return unknown("a host with version 2 of cgroups takes at most 10000")


def _address_type(need: Need) -> Told:
    """Judge the type of an address that some architectures alone have."""
    if need.target.architecture in _ADDRESS_OF.get(need.value, ()):
        return FINE
    return unknown(f"novadev does not know it on {need.target.architecture}")


def _free_page_reporting(need: Need) -> Told:
    """Judge what libvirt has since 6.9, and QEMU's virtio-balloon since 5.1."""
    if need.libvirt < (6, 9):
        return unknown("it is not known whether the host has it")
    return FINE if need.target.qemu >= (5, 1) else ("cannot be defined", "it needs QEMU 5.1")


def _isa_serial_port(need: Need) -> Told:
    """Judge a port beyond the first four; one without a named type is looked at only at the start.

    Seen with libvirt 9.0 and 11.3. With 7.0 such a port may start.
    """
    if need.libvirt < (9, 0):
        return unknown("it is not known whether the host's libvirt takes it")
    why = "its libvirt takes isa-serial on ports 0 to 3"
    return ("cannot be defined" if need.value else "would not start"), why


def _packed_ring(_need: Need) -> Told:
    return "cannot be defined", "libvirt takes packed rings for virtio cards only"


def _spice_tls(_need: Need) -> Told:
    return unknown("nothing says whether the host's libvirt has spice_tls")


_JUDGES: Mapping[str, Callable[[Need], Told]] = {
    **firmware_verdicts.JUDGES,
    **processor_verdicts.JUDGES,
    "address type": _address_type,
    "block driver": _block_driver,
    "clock offset": _clock_offset,
    "cpu quota": _since_9_0("its libvirt takes a quota of at most 17592186044415"),
    "cpu shares": _cpu_shares,
    "emulator": _emulator,
    "feature": _feature,
    "feature of libvirt": _feature_of_libvirt,
    "feature off": _feature_off,
    "huge pages": _huge_pages,
    "free page reporting": _free_page_reporting,
    "hyperv": _hyperv,
    "hyperv mode": _hyperv_mode,
    "ioapic": _ioapic,
    "iothreads": _iothreads,
    "isa serial port": _isa_serial_port,
    "kvm": _kvm,
    "launch security": _launch_security,
    "memory backing": _memory_backing,
    "own ioapic": _own_ioapic,
    "missing audio": _since_9_0("the guest has no audio device of this number"),
    **dict.fromkeys(("security driver", "security driver unless none"), _security_driver),
    "several watchdogs": _several_watchdogs,
    "packed ring": _packed_ring,
    "spice tls": _spice_tls,
    "timer": _timer,
    "tpm version": _tpm_version,
    "vcpus": _vcpus,
    "video heads": _since_9_0("a display adapter of this model has one head"),
    "vnc password": _since_9_0("its libvirt takes VNC passwords of at most 8 characters"),
}
