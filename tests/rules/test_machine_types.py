"""Families and versions of machine types by their names."""

import pytest

from novadev.rules.machine_types import family_of, version_of

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
    ("microvm", ""),
    ("isapc", ""),
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
