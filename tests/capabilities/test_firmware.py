"""Firmware: what is read of a host's disk, and whether a guest's own is there."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from novadev.capabilities.content import Capabilities
from novadev.capabilities.facts import GuestFacts, facts_of_domain
from novadev.capabilities.target import Outcome
from novadev.capabilities.unlisted import Setting
from novadev.capabilities.verdicts import check, worst
from novadev.errors import NotAsNeeded
from novadev.virt.domain import Domain
from novadev.virt.firmware import Firmware, HostFirmware, read_firmware
from tests.cached import CACHE
from tests.capabilities.kinds import capabilities_of, is_wrong, kinds, tried, with_parts
from tests.capabilities.samples import SAMPLE
from tests.capabilities.test_settings import WHOLE
from tests.hypervisor import PRIVILEGED, Hypervisor

IMAGE, TEMPLATE = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
SECURE = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
PLAIN = next(kind.xml for kind in kinds() if kind.name == "q35 plain")
GONE = "/usr/share/OVMF/GONE.fd"
SMM = ("requires-smm", "secure-boot")


def description(**changes: object) -> str:
    data = {
        "interface-types": ["uefi"],
        "mapping": {
            "device": "flash",
            "executable": {"filename": "/usr/share/OVMF/CODE.fd", "format": "raw"},
            "nvram-template": {"filename": "/usr/share/OVMF/VARS.fd", "format": "raw"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
        "features": ["secure-boot"],
    }
    return json.dumps({**data, **changes})


def test_firmware_is_read_by_name_and_the_administrator_comes_first(tmp_path: Path) -> None:
    package, own = tmp_path / "usr/share/qemu/firmware", tmp_path / "etc/qemu/firmware"
    for folder in (package, own, tmp_path / "usr/share/OVMF"):
        folder.mkdir(parents=True)
    (package / "40-a.json").write_text(description())
    (package / "30-b.json").write_text(description(features=["first"]))
    (package / "50-c.json").write_text(description(features=["taken out"]))
    (package / "60-d.json").write_text("{}")
    (own / "40-a.json").write_text(description(features=["own"]))
    (own / "50-c.json").touch()
    (tmp_path / "usr/share/OVMF/CODE.fd").touch()
    found = read_firmware((), tmp_path)
    assert [item.features for item in found.described] == [("first",), ("own",)]
    assert found.files == ("/usr/share/OVMF/CODE.fd",)
    assert found.described[0].is_for("x86_64", "pc-q35-9.2")
    assert not found.described[0].is_for("x86_64", "pc-i440fx-9.2")


def loader(path: str, tmp_path: Path) -> str:
    (tmp_path / "usr/share/OVMF").mkdir(parents=True)
    (tmp_path / "usr/share/OVMF/CODE_4M.fd").touch()
    firmware = read_firmware(["/usr/share/OVMF/CODE_4M.fd"], tmp_path)
    root = etree.fromstring(WHOLE)
    image = f"<os><loader type='rom'>{path}</loader></os>"
    root.append(etree.fromstring(image))
    verdicts = check(facts_of_domain(Domain(root)), replace(SAMPLE, firmware=firmware))
    return next(one.outcome for one in verdicts if one.subject.startswith("loader"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/share/OVMF/CODE_4M.fd", "fine"),
        ("/usr/share/OVMF/CODE.fd", "would not start"),
        ("/srv/OVMF/CODE.fd", "not checked"),
    ],
)
def test_a_firmware_image_by_its_path(path: str, expected: str, tmp_path: Path) -> None:
    assert loader(path, tmp_path) == expected


# Firmware that is chosen


def image(
    path: str = IMAGE, template: str | None = TEMPLATE, features: tuple[str, ...] = ()
) -> str:
    """The description of an image, without variables of its own if it has no template."""
    mapping: dict[str, Any] = {"device": "flash", "executable": _file(path)}
    mapping |= {"nvram-template": _file(template)} if template else {"mode": "stateless"}
    return description(mapping=mapping, features=features, description="", tags=[])


def _file(path: str) -> dict[str, str]:
    return {"filename": path, "format": "qcow2" if path.endswith(".qcow2") else "raw"}


HOSTS = {
    "all there": (image(),),
    "an image is gone": (image(GONE), image()),
    "a template is gone": (image(template=GONE), image()),
    "the only image is gone": (image(GONE),),
    "a later image is gone": (image(), image(GONE)),
    "the secure image is gone": (image(GONE, features=SMM), image()),
    "only the secure image is there": (image(SECURE, features=SMM), image(GONE)),
    "an image without variables is first": (image(IMAGE, None), image()),
    "an image without variables is gone": (image(GONE, None), image()),
    "there are only images without variables": (image(IMAGE, None),),
}
"""The descriptions of a host's images, in their order."""
_OF_EVERY_GUEST = ("all there", "the only image is gone")
_OF_EVERY_HOST = ("any", "secure")
_ON = "<features><acpi/><smm state='on'/></features>"
_OFF = "<features><acpi/><smm state='off'/></features>"
_SECURE_BOOT = "<firmware><feature enabled='yes' name='secure-boot'/></firmware>"
_LOADER = f"<loader readonly='yes' type='pflash'>{IMAGE}</loader>"
GUESTS = {
    "any": "<os firmware='efi'/>",
    "with SMM": f"<os firmware='efi'/>{_ON}",
    "without SMM": f"<os firmware='efi'/>{_OFF}",
    "secure boot": f"<os firmware='efi'>{_SECURE_BOOT}</os>{_ON}",
    "secure": f"<os firmware='efi'><loader secure='yes'/></os>{_ON}",
    "not secure": "<os firmware='efi'><loader secure='no'/></os>",
    "without variables": "<os firmware='efi'><loader stateless='yes'/></os>",
    "chosen before": f"<os firmware='efi'>{_LOADER}<nvram template='{TEMPLATE}'/></os>",
    "to sleep": "<os firmware='efi'/><pm><suspend-to-disk enabled='yes'/></pm>",
}


@contextmanager
def described(host: Hypervisor, folder: Path, texts: tuple[str, ...]) -> Iterator[None]:
    """A host of another generation on which QEMU's descriptions are TEXTS, in a new FOLDER."""
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number}0.json").write_text(text)
    place = CACHE / f"generation-{host.name.removesuffix('1')}" / "usr/share/qemu/firmware"
    inside = host.enter("--mount")
    subprocess.run([*inside, "mount", "--bind", str(folder), str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run([*inside, "umount", str(place)], check=True)
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(not PRIVILEGED, reason="mounts in a host")
def test_the_verdict_on_chosen_firmware_is_what_happens(
    any_generation: Hypervisor, tmp_path: Path
) -> None:
    """libvirt takes the first description that fits, whether its files are there or not."""
    before, plain = capabilities_of(any_generation), PLAIN
    wrong, checked = [], 0
    for state, texts in HOSTS.items():
        with described(any_generation, tmp_path / "firmware", texts):
            root = Path(f"/proc/{any_generation.pid}/root")
            host = replace(before, firmware=read_firmware((), root))
            for name in GUESTS if state in _OF_EVERY_GUEST else _OF_EVERY_HOST:
                xml = with_parts(plain, GUESTS[name])
                verdict = worst(check(facts_of_domain(Domain.from_xml(xml)), host))
                found = tried(any_generation, xml)
                checked += verdict != "not checked"
                if is_wrong(verdict, found.outcome):
                    wrong.append(f"{state}, {name}: {verdict}, but {found.outcome} {found.why}")
    assert not wrong, "\n".join(wrong)
    assert checked >= 20


FOLDER = "var/lib/firmware"
QCOW2, QCOW2_TEMPLATE = f"/{FOLDER}/CODE.qcow2", f"/{FOLDER}/VARS.qcow2"
MIXED_HOSTS = {
    "only qcow2": (image(QCOW2, QCOW2_TEMPLATE),),
    "qcow2 first": (image(QCOW2, QCOW2_TEMPLATE), image()),
    "qcow2 last": (image(), image(QCOW2, QCOW2_TEMPLATE)),
    "qcow2 gone": (image("/gone.qcow2", QCOW2_TEMPLATE), image()),
    "raw variables": (image(QCOW2),),
    "variables of qcow2": (image(IMAGE, QCOW2_TEMPLATE), image()),
}
MIXED_GUESTS = {
    "any": "<os firmware='efi'/>",
    "raw": "<os firmware='efi'><loader format='raw'/></os>",
    "qcow2": "<os firmware='efi'><loader format='qcow2'/></os>",
}


@pytest.mark.slow
@pytest.mark.skipif(not PRIVILEGED, reason="mounts in a host")
def test_images_of_the_format_qcow2(any_generation: Hypervisor, tmp_path: Path) -> None:
    """A libvirt before 9.2 fails at one that comes first, and reads no wish for a format."""
    tree = CACHE / f"generation-{any_generation.name.removesuffix('1')}"
    (any_generation.folder / FOLDER).mkdir()
    for raw, made in ((IMAGE, QCOW2), (TEMPLATE, QCOW2_TEMPLATE)):
        place = any_generation.folder / made[1:]
        command = ["qemu-img", "convert", "-O", "qcow2", str(tree / raw[1:]), str(place)]
        subprocess.run(command, check=True)
    before, wrong = capabilities_of(any_generation), []
    for state, texts in MIXED_HOSTS.items():
        with described(any_generation, tmp_path / "firmware", texts):
            root = Path(f"/proc/{any_generation.pid}/root")
            host = replace(before, firmware=read_firmware((), root))
            for name, part in MIXED_GUESTS.items():
                xml = with_parts(PLAIN, part)
                verdict = worst(check(facts_of_domain(Domain.from_xml(xml)), host))
                found = tried(any_generation, xml)
                if verdict != found.outcome:
                    wrong.append(f"{state}, {name}: {verdict}, but {found.outcome} {found.why}")
    shutil.rmtree(any_generation.folder / FOLDER)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("libvirt", "is_carried", "expected"),
    [
        ("9.1.0", False, {"not checked"}),
        ("9.1.0", True, {"not checked", "would not start"}),
        ("9.2.0", True, {"fine"}),
    ],
)
def test_a_named_image_of_the_format_qcow2(
    libvirt: str, is_carried: bool, expected: set[str]
) -> None:
    loader = f"<loader readonly='yes' type='pflash' format='qcow2'>{QCOW2}</loader>"
    variables = f"<nvram template='{QCOW2_TEMPLATE}' templateFormat='qcow2' format='qcow2'/>"
    domain = Domain.from_xml(with_parts(WHOLE, f"<os>{loader}{variables}</os>"))
    firmware = HostFirmware((), (QCOW2, QCOW2_TEMPLATE))
    host = replace(SAMPLE, versions=replace(SAMPLE.versions, libvirt=libvirt), firmware=firmware)
    found = check(facts_of_domain(domain, is_carried), host)
    firmware_words = ("loader", "flash", "nvram")
    assert {one.outcome for one in found if one.subject.startswith(firmware_words)} == (
        expected | {"fine"}
    )


@pytest.mark.parametrize("name", ["CODE.qcow2", "CODE.fd"])
def test_the_format_of_an_image_in_an_older_file_is_told_by_its_name(name: str) -> None:
    old = Firmware(("uefi",), ("x86_64 pc-q35-*",), (), f"/usr/share/edk2/{name}", None)
    assert old.is_qcow2 is name.endswith("qcow2")
    assert replace(old, format="qcow2").is_qcow2


def test_a_guest_that_names_no_format_of_a_qcow2_image_is_not_checked() -> None:
    """For libvirt it is raw then."""
    loader = f"<loader readonly='yes' type='pflash'>{QCOW2}</loader><nvram/>"
    described_one = Firmware(("uefi",), (), (), QCOW2, QCOW2_TEMPLATE, "qcow2", "qcow2")
    firmware = HostFirmware((described_one,), (QCOW2, QCOW2_TEMPLATE))
    domain = Domain.from_xml(with_parts(WHOLE, f"<os>{loader}</os>"))
    found = check(facts_of_domain(domain), replace(SAMPLE, firmware=firmware))
    told = {one.subject: one.outcome for one in found}
    assert told[f"loader {QCOW2}"] == "not checked"


NO_SMM = f"<loader readonly='yes' type='pflash' secure='no'>{SECURE}</loader>"
SEEN = ("7.0.0", "9.0.0", "11.3.0")


@pytest.mark.parametrize(
    ("os", "expected"),
    [
        ("<os firmware='efi'><loader readonly='yes' type='pflash'/></os>", "fdf"),
        ("<os firmware='efi'><loader type='pflash'/></os>", "fdf"),
        ("<os firmware='efi'><loader readonly='no'/></os>", "fdn"),
        ("<os firmware='efi'><loader/></os>", "fff"),
        ("<os firmware='efi'><nvram/></os>", "fff"),
        ("<os><loader readonly='yes' type='pflash'/></os>", "ddd"),
        ("<os><loader/></os>", "ddd"),
        ("<os><nvram/></os>", "fdd"),
        ("<os><nvram>/var/lib/libvirt/qemu/nvram/x.fd</nvram></os>", "fdd"),
        (f"<os>{NO_SMM}</os>", "ffs"),
        (f"<os>{NO_SMM}<nvram>/var/lib/libvirt/qemu/nvram/x.fd</nvram></os>", "ffs"),
        (f"<os>{NO_SMM}<nvram template='{TEMPLATE}'/></os>", "fff"),
        (f"<os>{NO_SMM.replace(SECURE, IMAGE)}</os>", "fff"),
    ],
)
def test_firmware_that_some_libvirts_refuse(os: str, expected: str) -> None:
    """As three generations were seen to take it: fine, cannot be defined, would not start."""
    words = {"f": "fine", "d": "cannot be defined", "n": "not checked", "s": "would not start"}
    kinds = (((), IMAGE), (SMM, SECURE))
    described = tuple(
        Firmware(("uefi",), ("x86_64 pc-q35-*",), features, path, TEMPLATE, "raw", "raw")
        for features, path in kinds
    )
    firmware = HostFirmware(described, (IMAGE, SECURE, TEMPLATE))
    domain_capabilities = {
        name: replace(one, firmware=("bios", "efi"), loader=(IMAGE, SECURE))
        for name, one in (SAMPLE.domain_capabilities or {}).items()
    }
    host = replace(SAMPLE, firmware=firmware, domain_capabilities=domain_capabilities)
    facts = facts_of_domain(Domain.from_xml(with_parts(WHOLE, os)))
    for libvirt, letter in zip(SEEN, expected, strict=True):
        found = check(facts, replace(host, versions=replace(SAMPLE.versions, libvirt=libvirt)))
        told = [one for one in found if one.subject.startswith(("loader", "nvram", "firmware"))]
        assert worst(told) == words[letter], (libvirt, told)


@pytest.mark.parametrize(
    ("libvirt", "nova", "expected"),
    [
        ("9.0.0", 34, "would not start"),
        ("11.3.0", 34, "fine"),
        ("11.3.0", 28, "not checked"),
    ],
)
def test_a_qcow2_image_that_nova_chooses(libvirt: str, nova: int, expected: Outcome) -> None:
    need = Setting("hw_firmware_type=uefi", "firmware of nova", "disabled")
    facts = GuestFacts("x86_64", "qemu", "pc-q35-7.2", (), (need,))
    chosen = Firmware(
        *(("uefi",), ("x86_64 pc-q35-*",), (), QCOW2, QCOW2_TEMPLATE, "qcow2", "qcow2")
    )
    firmware = HostFirmware((chosen,), (QCOW2, QCOW2_TEMPLATE))
    versions = replace(SAMPLE.versions, libvirt=libvirt, nova=nova)
    assert worst(check(facts, replace(SAMPLE, versions=versions, firmware=firmware))) == expected


def with_nova(value: str, texts: tuple[str, ...], folder: Path) -> Outcome:
    """The verdict on the UEFI that Nova chooses, by the descriptions TEXTS."""
    (folder / "usr/share/qemu/firmware").mkdir(parents=True)
    (folder / "usr/share/OVMF").mkdir(parents=True)
    for number, text in enumerate(texts):
        (folder / f"usr/share/qemu/firmware/{number}.json").write_text(text)
    for path in (IMAGE, TEMPLATE, SECURE):
        (folder / path[1:]).touch()
    need = Setting("hw_firmware_type=uefi", "firmware of nova", value)
    facts = GuestFacts("x86_64", "qemu", "pc-q35-7.2", (), (need,))
    return worst(check(facts, replace(SAMPLE, firmware=read_firmware((), folder))))


@pytest.mark.parametrize(
    ("state", "value", "expected"),
    [
        ("all there", "disabled", "fine"),
        ("all there", "required", "cannot be defined"),
        ("an image is gone", "disabled", "would not start"),
        ("a template is gone", "disabled", "would not start"),
        ("the secure image is gone", "required", "would not start"),
        ("the secure image is gone", "disabled", "fine"),
        ("the secure image is gone", "optional", "not checked"),
        ("only the secure image is there", "required", "fine"),
        ("an image without variables is first", "disabled", "not checked"),
    ],
)
def test_firmware_that_nova_chooses(
    state: str, value: str, expected: Outcome, tmp_path: Path
) -> None:
    assert with_nova(value, HOSTS[state], tmp_path) == expected


def test_a_folder_of_images_that_is_gone_has_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "usr/share/qemu/firmware").mkdir(parents=True)
    (tmp_path / "usr/share/qemu/firmware/0.json").write_text(image())
    found = read_firmware((), tmp_path)
    assert (found.files, found.has(IMAGE), found.has("/elsewhere/CODE.fd")) == ((), False, None)


def test_a_file_that_does_not_describe_firmware_makes_none_fine() -> None:
    """libvirt lists ``efi`` for a described image also where the image is gone."""
    domain = Domain.from_xml(with_parts(WHOLE, "<os firmware='efi'/>"))
    known = {
        name: replace(item, firmware=("efi",))
        for name, item in (SAMPLE.domain_capabilities or {}).items()
    }
    host: Capabilities = replace(SAMPLE, domain_capabilities=known)
    found = {one.subject: one.outcome for one in check(facts_of_domain(domain), host)}
    assert found["firmware efi"] == "not checked"


@pytest.mark.parametrize(
    ("described", "named", "expected"),
    [
        ("raw", None, "fine"),
        ("raw", "raw", "fine"),
        ("raw", "qcow2", "not checked"),
        ("qcow2", None, "not checked"),
        ("qcow2", "raw", "not checked"),
        ("qcow2", "qcow2", "not checked"),
    ],
)
def test_variables_of_an_image_that_is_described_with_another_format(
    described: str, named: str | None, expected: str
) -> None:
    form = f" format='{named}'" if named else ""
    loader = f"<loader readonly='yes' type='pflash'{form}>{IMAGE}</loader>"
    firmware = HostFirmware(
        (Firmware(("uefi",), (), (), IMAGE, TEMPLATE, described, described),), (IMAGE, TEMPLATE)
    )
    domain = Domain.from_xml(with_parts(WHOLE, f"<os>{loader}</os>"))
    found = check(facts_of_domain(domain), replace(SAMPLE, firmware=firmware))
    told = {one.subject: one.outcome for one in found}
    assert told[f"nvram template of {IMAGE}"] == expected


@pytest.mark.slow
@pytest.mark.skipif(not PRIVILEGED, reason="mounts in a host")
def test_a_description_that_libvirt_cannot_read(
    generations: dict[str, Hypervisor], tmp_path: Path
) -> None:
    """libvirt 7.0 then says nothing of any guest, in words that name the file alone."""
    host, texts = generations["bullseye"], HOSTS["an image without variables is first"]
    help_ = r"firmware/00\.json.* Correct or remove the file"
    with described(host, tmp_path / "firmware", texts), pytest.raises(NotAsNeeded, match=help_):
        capabilities_of(host)
