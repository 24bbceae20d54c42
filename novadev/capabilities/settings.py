"""Parts of a definition that a host may lack, apart from devices and their models.

Nothing is left out by accident: each element, attribute and value either stands in a table of
:mod:`novadev.capabilities.neutral` as what every host has, or becomes a setting that
:mod:`novadev.capabilities.setting_verdicts` judges. A setting that no judge knows is "not
checked".

Source: libvirt, src/conf/domain_conf.c, and docs/formatdomain.rst.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from novadev.capabilities.device_settings import (
    extended_interrupts,
    of_address,
    of_device,
    serial_ports,
)
from novadev.capabilities.neutral import (
    OF_BOOT,
    OF_GUESTS,
    OF_LOADERS,
    OF_TIMERS,
    OF_VARIABLES,
    Table,
    table_of,
)
from novadev.capabilities.processor import processor
from novadev.capabilities.processor_time import processor_time
from novadev.capabilities.security_labels import labels
from novadev.capabilities.unlisted import OTHER, Setting, attributes, unlisted
from novadev.capabilities.unnamed_firmware import unnamed_firmware
from novadev.rules.machine_types import is_q35
from novadev.virt.domain import Domain
from novadev.virt.xml import children, local_name

if TYPE_CHECKING:
    from lxml import etree


ASKED_OF_FIRMWARE = ("secure-boot", "enrolled-keys")
"""What a definition can ask of firmware that libvirt chooses (``os/firmware/feature``)."""
SMM = "requires-smm"
"""The feature of firmware that needs System Management Mode, as secure boot does."""
FORMAT = "format="
"""What stands before the format of an image where a definition asks for one."""
_IMPLIED = {
    "loader[@secure='yes']": SMM,
    "../pm/suspend-to-mem[@enabled='yes']": "acpi-s3",
    "../pm/suspend-to-disk[@enabled='yes']": "acpi-s4",
}
"""What else of a definition, as seen from ``os``, such firmware must have.

Source: libvirt, src/qemu/qemu_firmware.c, qemuFirmwareMatchDomain.
"""
SENT_IF_NEEDED = ("audio", "watchdog")
"""Devices that libvirt adds by itself, and that the other host must know if a migration sends them.

libvirt 11.3 sends the itco watchdog of q35 for every action but ``reset``. A libvirt before 9.1
refuses the definition. It leaves out an audio backend if that is the only one. Source: libvirt,
src/qemu/qemu_domain.c, qemuDomainDefFormatBufInternal.
"""
_PLAIN_CLOCKS = (None, "utc", "localtime", "timezone", "variable")
_OLD_TIMERS = ("pit", "rtc", "hpet", "tsc", "kvmclock", "hypervclock")
OLD_SWITCHES = {
    "hyperv": (
        *("relaxed", "vapic", "spinlocks", "vpindex", "runtime", "synic", "stimer", "reset"),
        *("vendor_id", "frequencies", "reenlightenment", "tlbflush", "ipi", "evmcs"),
    ),
    "kvm": ("hidden", "hint-dedicated", "poll-control"),
}
"""What libvirt has known since 6.0, so that it can be switched off everywhere."""
_OLD_BACKING = ("access", "nosharepages", "locked", "discard")
_ARGUMENTS = ("state", "retries", "value", "mode")
"""Attributes of a feature of Hyper-V that came with it."""


def settings_of(domain: Domain, is_carried: bool = False) -> Iterator[Setting]:
    """Yield the settings of DOMAIN, each once; ``is_carried`` as for `facts_of_domain`."""
    found = [one for element in children(domain.root) for one in _top(element, is_carried)]
    found += labels(domain, is_carried)
    found += _sent_firmware(domain) if is_carried else ()
    for device in domain.devices:
        element = device.element
        kinds = (device.bus, device.model, element.get("type"), element.get("device"))
        found += _device(device.label, element, table_of(str(element.tag), *kinds))
        found += of_address(device)
    found += [*_emulator(domain), *_watchdogs(domain), *serial_ports(domain)]
    yield from dict.fromkeys(found)


def follows(element: etree._Element, domain: Domain) -> bool:
    """Return whether libvirt adds the device to each such guest by itself, so it is no need.

    A newer libvirt writes what the board of q35 has anyway, and the sound of the console. A
    migration takes the watchdog along unless its action is ``reset``: see `SENT_IF_NEEDED`.
    Source: libvirt, src/qemu/qemu_domain.c, qemuDomainDefAddDefaultDevices.
    """
    if element.tag == "watchdog":
        return element.get("model") == "itco" and is_q35(domain.os_type("machine"))
    if element.tag == "audio":
        has_spice = domain.root.find("devices/graphics[@type='spice']") is not None
        return element.get("type") in ("none", "spice") and (
            has_spice or element.get("type") == "none"
        )
    return False


def _top(element: etree._Element, is_carried: bool) -> Iterator[Setting]:
    tag = str(element.tag)
    if tag in OF_GUESTS:
        yield from unlisted(tag, element, OF_GUESTS[tag])
    elif tag == "cpu":
        yield from processor(element, is_carried)
    elif tag not in ("devices", "seclabel"):
        yield from _READERS.get(tag, _other)(element)


def _other(element: etree._Element) -> Iterator[Setting]:
    yield Setting(local_name(element), OTHER)


def _os(element: etree._Element) -> Iterator[Setting]:
    """Yield the firmware; what is booted instead of one is a file of the host."""
    if firmware := element.get("firmware"):
        features = element.findall("firmware/feature")
        wanted = [item.get("name", "") for item in features if item.get("enabled") == "yes"]
        unwanted = [f"-{item.get('name')}" for item in features if item.get("enabled") != "yes"]
        if element.find("loader[@secure='no']") is not None:
            unwanted.append(f"-{SMM}")
        wanted += [name for path, name in _IMPLIED.items() if element.find(path) is not None]
        wanted += [f"{FORMAT}{one.get('format')}" for one in element.iterfind("loader[@format]")]
        subject = " with ".join([f"firmware {firmware}", *([", ".join(wanted)] if wanted else [])])
        yield Setting(subject, "firmware", " ".join([firmware, *wanted, *unwanted]))
    yield from unnamed_firmware(element)
    for child in children(element):
        if child.tag == "smbios":
            if is_unusual_smbios(child):
                yield Setting(f"smbios {child.get('mode')}", OTHER)
        elif child.tag in OF_BOOT:
            yield from unlisted(f"os {child.tag}", child, OF_BOOT[str(child.tag)])
        elif child.tag != "firmware":
            yield from _boot_file(child, element)


def _boot_file(child: etree._Element, parent: etree._Element) -> Iterator[Setting]:
    path = (child.text or "").strip()
    if child.tag == "loader":
        yield from unlisted("loader", child, OF_LOADERS)
        if parent.get("firmware") and path:
            yield Setting(f"loader {path} of chosen firmware", "chosen file", path)
        if (form := child.get("format", "raw")) != "raw":
            chosen = " chosen" if parent.get("firmware") else ""
            yield Setting(f"loader of format {form}", "firmware format", form + chosen)
        if parent.get("firmware") and child.get("secure") == "no":
            yield Setting("loader secure=no of chosen firmware", "chosen without SMM")
        if path:
            yield Setting(f"loader {path}", "loader", path)
            yield from _variables(path, parent)
        if child.get("secure") == "yes":
            yield Setting("secure boot", "secure boot")
        if child.get("type") == "rom":
            yield Setting("firmware image of type rom", OTHER)
        if child.get("stateless") == "yes":
            yield Setting("loader that is stateless", OTHER)
    elif child.tag == "nvram":
        yield from unlisted("nvram", child, OF_VARIABLES)
        yield from _formats_of_variables(child, parent)
        if parent.get("firmware") and (template := child.get("template")):
            yield Setting(f"nvram template {template} of chosen firmware", "chosen file", template)
    else:
        yield Setting(f"{local_name(child)} {path}".strip(), OTHER)


def _sent_firmware(domain: Domain) -> Iterator[Setting]:
    """Yield the format of an image that is mapped into the guest's memory, unless it is raw."""
    for image in domain.root.iterfind("os/loader[@format]"):
        form = image.get("format", "")
        if form != "raw":
            yield Setting(f"flash memory of format {form}", "sent firmware format", form)


def _formats_of_variables(nvram: etree._Element, parent: etree._Element) -> Iterator[Setting]:
    """Yield the formats of variables, unless they are that of the image, which is judged."""
    image = parent.find("loader")
    usual = "raw" if image is None else image.get("format", "raw")
    found = {nvram.get("format", usual), nvram.get("templateFormat", usual)}
    if found != {usual}:
        yield Setting(f"nvram of formats {', '.join(sorted(found))}", OTHER)


def _variables(loader: str, parent: etree._Element) -> Iterator[Setting]:
    """Yield what the variables of a new guest are copied from, named or found by the loader."""
    nvram, image = parent.find("nvram"), parent.find("loader")
    if image is not None and image.get("type") == "rom":
        return
    template = None if nvram is None else nvram.get("template")
    if template is not None:
        yield Setting(f"nvram template {template}", "nvram template", template)
    elif nvram is not None or (image is not None and image.get("readonly") == "yes"):
        yield Setting(f"nvram template of {loader}", "nvram template of", loader)
        if image is not None and image.get("secure") == "no":
            subject = f"nvram template of {loader} with secure=no"
            yield Setting(subject, "nvram template without SMM", loader)


def _vcpu(element: etree._Element) -> Iterator[Setting]:
    number = (element.text or "").strip()
    yield Setting(f"{number} vcpus", "vcpus", f"{number} {extended_interrupts(element)}".strip())
    if element.get("cpuset"):
        yield Setting("vcpu cpuset", OTHER)
    if element.get("placement", "static") != "static":
        yield Setting(f"vcpu placement {element.get('placement')}", OTHER)


def _features(element: etree._Element) -> Iterator[Setting]:
    """Yield features of the machine; one that is off is as good as none, if QEMU knows it."""
    for child in children(element):
        name = str(child.tag)
        if name in ("hyperv", "kvm"):
            yield from _group(name, child)
        elif child.get("state") == "off":
            yield Setting(f"feature {name} off", "feature off", name)
        elif name == "ioapic":
            driver = child.get("driver", "")
            yield Setting(f"feature ioapic driver={driver}", "ioapic", driver)
        else:
            extra = [f"{key}={value}" for key, value in attributes(child) if key != "state"]
            extra += [str(item.tag) for item in children(child)]
            subject = " ".join([f"feature {name}", *extra])
            yield Setting(subject, OTHER if extra else "feature", name)


def _group(group: str, element: etree._Element) -> Iterator[Setting]:
    if (mode := element.get("mode", "custom")) != "custom":
        yield Setting(f"feature {group} {mode}", f"{group} mode", mode)
    for child in children(element):
        name = f"feature {group} {local_name(child)}"
        if child.get("state") != "off" or child.tag not in OLD_SWITCHES[group]:
            yield Setting(name, group, str(child.tag))
        more = [f"{key}={value}" for key, value in attributes(child) if key not in _ARGUMENTS]
        more += [local_name(item) for item in children(child)]
        if more:
            yield Setting(" ".join([name, *more]), OTHER)


def _memory_backing(element: etree._Element) -> Iterator[Setting]:
    for child in children(element):
        if child.tag == "hugepages":
            sizes = [f"{page.get('size')} {page.get('unit', 'KiB')}" for page in child]
            for size in sizes or [""]:
                yield Setting(f"huge pages {size}".strip(), "huge pages", size)
        elif child.tag == "source":
            kind = child.get("type", "")
            yield Setting(f"memory backing {kind}", "memory backing", kind)
        elif child.tag not in _OLD_BACKING and [*child.attrib] != ["mode"]:
            yield Setting(f"memory backing {local_name(child)}", OTHER)


def _launch_security(element: etree._Element) -> Iterator[Setting]:
    kind = element.get("type", "")
    yield Setting(f"launch security {kind}", "launch security", kind)
    inside = [*(name for name, _ in attributes(element)), *map(local_name, children(element))]
    for name in dict.fromkeys(inside):
        if name != "type" and not (name == "policy" and _is_plain_policy(kind, element)):
            yield Setting(f"launch security {kind} {name}", OTHER)


def _is_plain_policy(kind: str, element: etree._Element) -> bool:
    """Whether every host with SEV takes the policy: one without SEV-ES (bit 2)."""
    text = (element.findtext("policy") or "").strip()
    try:
        return kind == "sev" and not int(text, 0) & 4
    except ValueError:
        return False


def _iothreads(element: etree._Element) -> Iterator[Setting]:
    if (element.text or "").strip() not in ("", "0"):
        yield Setting("iothreads", "iothreads")


def _clock(element: etree._Element) -> Iterator[Setting]:
    offset = element.get("offset")
    if offset not in _PLAIN_CLOCKS:
        yield Setting(f"clock offset {offset}", "clock offset", offset or "")
    for child in children(element):
        if child.tag != "timer":
            yield Setting(f"clock {local_name(child)}", OTHER)
    for timer in element.iterfind("timer"):
        name = timer.get("name", "")
        yield from unlisted(f"timer {name}", timer, OF_TIMERS)
        if timer.get("present") != "no" or name not in _OLD_TIMERS:
            yield Setting(f"timer {name}", "timer", name)


def _sysinfo(element: etree._Element) -> Iterator[Setting]:
    """Yield what is no table of SMBIOS: blobs of fwcfg, which can be files of the host."""
    if is_unusual_sysinfo(element):
        yield Setting(f"sysinfo {element.get('type')}", OTHER)


def is_unusual_sysinfo(element: etree._Element) -> bool:
    """Return whether a ``sysinfo`` has anything else than the tables of SMBIOS."""
    return element.get("type", "smbios") != "smbios"


def is_unusual_smbios(element: etree._Element) -> bool:
    """Return whether the tables of SMBIOS come from the host, by an ``os/smbios`` element."""
    return element.get("mode") not in ("emulate", "sysinfo")


def _genid(_element: etree._Element) -> Iterator[Setting]:
    yield Setting("genid", "feature of libvirt", "genid")


_READERS: Mapping[str, Callable[[etree._Element], Iterator[Setting]]] = {
    "clock": _clock,
    "cputune": processor_time,
    "features": _features,
    "genid": _genid,
    "iothreads": _iothreads,
    "launchSecurity": _launch_security,
    "memoryBacking": _memory_backing,
    "os": _os,
    "sysinfo": _sysinfo,
    "vcpu": _vcpu,
}


def _emulator(domain: Domain) -> Iterator[Setting]:
    path = (domain.root.findtext("devices/emulator") or "").strip()
    if path:
        yield Setting(f"emulator {path}", "emulator", path)


def _watchdogs(domain: Domain) -> Iterator[Setting]:
    """Yield that there is more than one, beside what follows from the board."""
    dogs = domain.root.findall("devices/watchdog")
    if sum(not follows(dog, domain) for dog in dogs) > 1:
        yield Setting("several watchdogs", "several watchdogs")


def _device(label: str, element: etree._Element, table: Table) -> Iterator[Setting]:
    """Yield what of a device no table calls plain: ``disk vda driver io=io_uring``."""
    yield from of_device(element)
    if "*" not in table:
        yield from unlisted(label, element, table)
