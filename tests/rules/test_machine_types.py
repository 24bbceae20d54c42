"""Families and versions of machine types by their names."""

import pytest
from lxml import etree

from novadev.rules.machine_types import family_of, is_alias, may_be, version_of
from tests.hypervisor import Hypervisor

FAMILIES = [
    ("pc", "i440fx"),
    ("pc-i440fx-7.2", "i440fx"),
    ("pc-i440fx-rhel7.6.0", "i440fx"),
    ("pc-i440fx-noble-v2", "i440fx"),
    ("pc-1.3", "i440fx"),
    ("rhel6.6.0", "i440fx"),
    ("ubuntu", "i440fx"),
    ("q35", "q35"),
    ("pc-q35-jammy-hpb", "q35"),
    ("ubuntu-q35", "q35"),
    ("pc-q35-rhel9.4.0", "q35"),
    ("virt", "virt"),
    ("virt-rhel9.4.0", "virt"),
    ("pseries-7.2-sxxm", "pseries"),
    ("s390-ccw-virtio-7.2", "s390-ccw-virtio"),
    ("virtual", ""),
    ("pcx", ""),
    ("microvm", "microvm"),
    ("isapc", "isapc"),
    ("none", "none"),
    ("PC", ""),
    ("", ""),
]


@pytest.mark.parametrize(("name", "family"), FAMILIES)
def test_family(name: str, family: str) -> None:
    assert family_of(name) == family


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("pc-q35-7.2", (7, 2)),
        ("pc-i440fx-2.12", (2, 12)),
        ("pc-q35-rhel9.4.0", (9, 4, 0)),
        ("q35", ()),
        ("pc-q35-jammy", ()),
    ],
)
def test_version(name: str, version: tuple[int, ...]) -> None:
    assert version_of(name) == version


def test_versions_are_numbers() -> None:
    assert version_of("pc-i440fx-2.9") < version_of("pc-i440fx-2.12")


ALIASES = ("pc", "q35", "ubuntu", "ubuntu-q35", "virt", "pseries", "s390-ccw-virtio", "xenfv")
NO_ALIASES = ("isapc", "none", "microvm", "rhel6.6.0", "PC", "", "pc-q35-noble", "virt-7.2")


@pytest.mark.parametrize("name", [*ALIASES, *NO_ALIASES])
def test_which_names_are_aliases(name: str) -> None:
    assert is_alias(name) == (name in ALIASES)


def test_the_hosts_own_list_comes_before_the_table() -> None:
    known = {"pc": "pc", "odd": "pc-i440fx-9.9"}
    assert not is_alias("pc", known=known)
    assert is_alias("odd", known=known)
    assert is_alias("q35", known=known)


def test_virt_has_no_versions_on_riscv() -> None:
    assert is_alias("virt", "aarch64")
    assert not is_alias("virt", "riscv64")


@pytest.mark.parametrize(
    ("asked", "found", "expected"),
    [
        ("ubuntu-q35", "pc-q35-noble", True),
        ("ubuntu-q35", "pc-i440fx-noble", False),
        ("s390-ccw-virtio", "s390-ccw-virtio-7.2", True),
        ("rhel6.6.0", "pc-i440fx-7.2", False),
        ("microvm", "microvm", True),
        ("PC", "pc-i440fx-7.2", False),
    ],
)
def test_what_a_guest_that_asks_for_a_name_may_have(asked: str, found: str, expected: bool) -> None:
    assert may_be(asked, found) == expected


@pytest.mark.slow
def test_the_table_is_what_qemu_says(any_generation: Hypervisor) -> None:
    """Of every machine type of each generation."""
    root = etree.fromstring(any_generation.connection.getCapabilities())
    found = {
        machine.text or "": machine.get("canonical") or machine.text or ""
        for machine in root.iterfind("guest/arch[@name='x86_64']/machine")
    }
    assert len(found) > 20
    assert {name for name in found if is_alias(name)} == {
        name for name, canonical in found.items() if canonical != name
    }
