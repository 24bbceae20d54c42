"""Whether a host has the firmware of a guest: the image that is named, or the one that is chosen.

libvirt and Nova each take the first description that fits, and neither looks whether its files are
there: a guest for which an image was chosen that is gone does not start, even where a later
description would do. Seen with libvirt 7.0, 9.0 and 11.3. Source: libvirt,
src/qemu/qemu_firmware.c, qemuFirmwareFillDomain and qemuFirmwareMatchDomain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile

from novadev.capabilities.need import NOT_TOLD, Need
from novadev.capabilities.settings import ASKED_OF_FIRMWARE, FORMAT, SMM
from novadev.capabilities.target import FINE, Outcome, Told, listed, unknown
from novadev.capabilities.unlisted import OTHER
from novadev.capabilities.versions import Version
from novadev.rules.machine_types import X86
from novadev.virt.firmware import Firmware, HostFirmware

_SELECTS_AT_DEFINE = (9, 2)
"""Since this libvirt firmware is looked for when a guest is defined, and not when it starts."""
_HAS_QCOW2 = (9, 2)
"""Since this libvirt an image can be of the format ``qcow2``. An older one refuses to start a guest
if the description that it has chosen is of one, and takes a named image for a raw one."""
_LEAVES_CHOICE = 34
"""A Nova that lets libvirt choose the image; an older one, 28 as seen, names no format for it."""
_READS_FEATURES = (7, 2)
"""Since this libvirt a definition can ask for features of the firmware; before it reads none."""
_SKIPS_STATELESS = (8, 6)
"""Since this libvirt images without variables are known. An older one, 7.0 as seen, fails at the
first description of such an image, whatever the guest asks for."""
_BUILT_IN = {
    "/usr/share/OVMF/OVMF_CODE.fd": "/usr/share/OVMF/OVMF_VARS.fd",
    "/usr/share/OVMF/OVMF_CODE.secboot.fd": "/usr/share/OVMF/OVMF_VARS.fd",
    "/usr/share/AAVMF/AAVMF_CODE.fd": "/usr/share/AAVMF/AAVMF_VARS.fd",
}
"""Images whose variables libvirt knows of itself (src/qemu/qemu_conf.c, DEFAULT_LOADER_NVRAM)."""
_REFUSES_SMM_IMAGES = (11, 3)
"""A libvirt that finds no variables of an image with SMM for a guest with ``secure='no'``: seen
with 11.3, and not with 9.0."""
_NOT_TRIED = "it is not known whether the host's libvirt takes it"
_NOT_DESCRIBED = "the file does not describe the host's firmware"


def _chosen_by_libvirt(need: Need) -> Told:
    """Judge firmware that libvirt chooses: the first description that has all that is asked for."""
    kind, *features = need.value.split() or [""]
    told = listed(need.target, "firmware", f"firmware {kind}", kind)
    missing: Outcome = (
        "cannot be defined" if need.libvirt >= _SELECTS_AT_DEFINE else "would not start"
    )
    if told[0] == "cannot be defined":
        return missing, told[1]
    if need.host.firmware is None:
        return unknown(_NOT_DESCRIBED)
    fitting = _fitting(need, {"efi": "uefi"}.get(kind, kind), _heeded(features, need.libvirt))
    if not fitting:
        return missing, f"the host has no such firmware for {need.target.machine_type}"
    if need.libvirt < _SKIPS_STATELESS and any(map(_is_stateless, need.host.firmware.described)):
        return unknown("an old libvirt may not read all of the host's descriptions of firmware")
    fitting = _as_before(need, fitting)
    if not fitting or _is_narrowed(need):
        return unknown("which image is chosen depends on more than novadev looks at")
    return _presence(need, _until_certain(fitting))


def _heeded(features: Sequence[str], libvirt: Version) -> list[str]:
    """Return those of FEATURES by which a libvirt of this version chooses."""
    ignored = ASKED_OF_FIRMWARE if libvirt < _READS_FEATURES else ()
    kept = [one for one in features if one.removeprefix("-") not in ignored]
    kept = [one for one in kept if not one.startswith(FORMAT) or libvirt >= _HAS_QCOW2]
    return [one for one in kept if one != f"-{SMM}" or libvirt >= _SELECTS_AT_DEFINE]


def _as_before(need: Need, fitting: list[Firmware]) -> list[Firmware]:
    """Return those of FITTING with the files that were chosen before, where libvirt heeds these."""
    files = {one.value for one in need.guest.settings if one.kind == "chosen file"}
    if files and need.libvirt < _SELECTS_AT_DEFINE:
        return []
    return [item for item in fitting if files <= set(item.files)]


def _fitting(need: Need, interface: str, features: Sequence[str]) -> list[Firmware]:
    """Return the descriptions for the guest's machine that have FEATURES and the format in them.

    ``-x`` is without x.

    Where an image needs SMM, libvirt switches it on by itself.
    """
    wanted = {name for name in features if not name.startswith("-")}
    unwanted = {name[1:] for name in features if name.startswith("-")}
    firmware = need.host.firmware
    return [
        item
        for item in (firmware.described if firmware else ())
        if interface in item.interfaces
        and item.is_for(need.target.architecture, need.target.machine_type)
        and wanted <= {*item.features, f"{FORMAT}{item.image_format}"}
        and not unwanted & set(item.features)
    ]


def _is_narrowed(need: Need) -> bool:
    """Whether more in the guest than its firmware decides which description fits."""
    return any(
        one.kind == "launch security"
        or (one.kind, one.value) == ("feature off", "smm")
        or (one.kind == OTHER and one.subject.startswith(("loader", "nvram")))
        for one in need.guest.settings
    )


def _is_stateless(item: Firmware) -> bool:
    """Whether an image of UEFI has no variables of its own: libvirt skips most of these."""
    return item.template is None and "uefi" in item.interfaces


def _until_certain(fitting: Sequence[Firmware]) -> list[Firmware]:
    """Return the first of FITTING, and further ones where libvirt may skip those before."""
    skipped = list(takewhile(_is_stateless, fitting))
    return [*skipped, *fitting[len(skipped) :][:1]]


def _presence(need: Need, choices: Sequence[Firmware]) -> Told:
    """Return whether the files are there of the one of CHOICES that will be taken."""
    firmware = need.host.firmware or HostFirmware((), ())
    if need.libvirt < _HAS_QCOW2 and any(item.is_qcow2 for item in choices):
        if all(item.is_qcow2 for item in choices):
            return (
                "would not start",
                "the image that is chosen there is qcow2, which needs libvirt 9.2",
            )
        return unknown("one of the images is qcow2, which needs libvirt 9.2")
    gone = [[path for path in item.files if firmware.has(path) is False] for item in choices]
    if all(gone):
        return "would not start", f"the firmware that is chosen there has no file {gone[0][0]}"
    if any(gone) or any(firmware.has(path) is None for item in choices for path in item.files):
        return unknown("it is not known which of the host's images is chosen")
    if any(map(_is_stateless, choices)):
        return unknown("it is not known whether an image without variables is chosen")
    return FINE


def _chosen_by_nova(need: Need) -> Told:
    """Judge UEFI that Nova chooses: the first description with secure boot, or without.

    Where a newer Nova leaves the choice to libvirt, it asks for the same. Source:
    nova/virt/libvirt/host.py, get_loader, which raises UEFINotSupported.
    """
    firmware = need.host.firmware
    if firmware is None:
        return unknown(_NOT_DESCRIBED)
    kinds = {"required": ("secure-boot",), "disabled": ("-secure-boot",)}
    wanted = (kinds[need.value],) if need.value in kinds else tuple(kinds.values())
    found = [_fitting(need, "uefi", features) for features in wanted]
    choices = [items[0] for items in found if items]
    if not choices:
        machine = need.target.machine_type
        return "cannot be defined", f"the host describes no such UEFI for {machine}"
    release = need.host.versions.nova
    leaves_choice = release is not None and release >= _LEAVES_CHOICE
    told = _presence(need, choices)
    if told == FINE and not leaves_choice and any(item.is_qcow2 for item in choices):
        return unknown("its Nova may not tell libvirt that the image is qcow2")
    return told


def _image_format(need: Need) -> Told:
    """Judge the format of a named image, which an older libvirt takes for a raw one.

    It starts a guest that may find no firmware. Where it chooses the image, it does not read the
    format. Seen with 7.0 and 9.0.
    """
    form, _, chosen = need.value.partition(" ")
    if chosen and need.libvirt < _HAS_QCOW2:
        return FINE
    if form != "qcow2":
        return unknown("novadev has no rule for it")
    if need.libvirt < _HAS_QCOW2:
        return unknown("a libvirt before 9.2 takes it for a raw image, and may find no firmware")
    return FINE


def _sent_format(need: Need) -> Told:
    """Judge the format of the image of a guest that runs: its memory is sent in the same size.

    QEMU refuses another size, and for an older libvirt that is the size of the file.
    """
    if need.libvirt < _HAS_QCOW2:
        return "would not start", "an image of this format needs libvirt 9.2"
    return FINE


def _chosen_file(need: Need) -> Told:
    """Judge a file that was chosen before: a new libvirt writes it beside ``os/@firmware``.

    libvirt 7.0 takes or replaces it, 9.0 refuses it, and 11.3 wants it described.
    """
    firmware = need.host.firmware
    if firmware is None:
        return unknown(_NOT_DESCRIBED)
    is_described = any(need.value in item.files for item in firmware.described)
    if is_described and need.libvirt >= _SELECTS_AT_DEFINE:
        return FINE
    return unknown("it depends on whether Nova or libvirt chooses it anew there")


def _chosen_without_smm(need: Need) -> Told:
    if need.libvirt >= _SELECTS_AT_DEFINE:
        return FINE
    if need.libvirt >= (9, 0):
        return "cannot be defined", "it needs libvirt 9.2"
    return unknown("an old libvirt may choose firmware that needs SMM all the same")


def _chosen_loader(need: Need) -> Told:
    """Judge what is said of an image that libvirt chooses: 7.0 ignores it, and 9.0 refuses it."""
    if need.libvirt >= _SELECTS_AT_DEFINE:
        if "readonly=no" in need.value.split():
            return unknown("few hosts have firmware that a guest can write to")
        return FINE
    if need.libvirt >= (9, 0):
        return "cannot be defined", "it needs libvirt 9.2"
    return FINE if need.libvirt < (7, 1) else unknown(_NOT_TRIED)


def _without_path(_need: Need) -> Told:
    return "cannot be defined", "it names no image, and libvirt is to choose none"


def _only_nvram(need: Need) -> Told:
    """Judge variables of no firmware: libvirt 7.0 ignores them; 9.0 and 11.3 refuse the guest."""
    if need.libvirt >= (9, 0):
        return _without_path(need)
    return FINE if need.libvirt < (7, 1) else unknown(_NOT_TRIED)


def _loader(need: Need) -> Told:
    """Judge a named image; one that names no format is raw for libvirt, whatever it is."""
    described = need.host.firmware.described if need.host.firmware else ()
    is_named = any(one.kind == "firmware format" for one in need.guest.settings)
    if not is_named and any(one.is_qcow2 for one in described if one.executable == need.value):
        return unknown("the host describes an image of format qcow2, which the guest does not name")
    if need.value in ((need.target.domain and need.target.domain.loader) or ()):
        return FINE
    return _file(need)


def _file(need: Need) -> Told:
    """Judge a firmware file by its path."""
    has_it = None if need.host.firmware is None else need.host.firmware.has(need.value)
    if has_it is None:
        return unknown(NOT_TOLD)
    return FINE if has_it else ("would not start", "the host has no such file")


def _template_of(need: Need) -> Told:
    """Judge what libvirt finds by itself for a raw image: by a description, or built in.

    From 9.2 on it takes none of an image that is described with another format than the guest's.
    """
    firmware = need.host.firmware
    if firmware is None:
        return unknown("the file does not say whether the host has one")
    fitting = [item for item in firmware.described if item.executable == need.value]
    found = [item.template for item in fitting if not item.is_qcow2]
    template = next((item for item in found if item), _BUILT_IN.get(need.value))
    is_raw = all(one.kind != "firmware format" for one in need.guest.settings)
    if is_raw and template in firmware.files:
        return FINE
    return unknown("novadev does not know what the host's libvirt accepts")


def _template_without_smm(need: Need) -> Told:
    """Judge variables that libvirt finds by a description, which it skips if that needs SMM."""
    if need.libvirt < _SELECTS_AT_DEFINE:
        return FINE
    firmware = need.host.firmware
    if firmware is None:
        return unknown(_NOT_DESCRIBED)
    found = [item for item in firmware.described if item.executable == need.value]
    if not found or any(SMM not in item.features for item in found):
        return FINE
    if need.libvirt < _REFUSES_SMM_IMAGES:
        return unknown(_NOT_TRIED)
    return "would not start", "the host describes the image only as one that needs SMM"


def _secure_boot(need: Need) -> Told:
    if need.target.architecture in X86 and not need.target.is_q35:
        return "cannot be defined", "secure boot needs q35"
    if need.target.architecture in X86 and not need.has_smm:
        return unknown("it needs SMM, which the guest does not ask for")
    return FINE


JUDGES: Mapping[str, Callable[[Need], Told]] = {
    "chosen file": _chosen_file,
    "chosen loader": _chosen_loader,
    "chosen without SMM": _chosen_without_smm,
    "firmware format": _image_format,
    "sent firmware format": _sent_format,
    "firmware": _chosen_by_libvirt,
    "firmware of nova": _chosen_by_nova,
    "loader": _loader,
    "loader without path": _without_path,
    "nvram template": _file,
    "nvram template without SMM": _template_without_smm,
    "nvram without loader": _only_nvram,
    "nvram template of": _template_of,
    "secure boot": _secure_boot,
}
