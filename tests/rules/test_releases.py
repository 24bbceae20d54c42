"""What is said of releases, held against what was read off each release of Nova itself."""

import ast
from typing import Any

import pytest

from novadev.cli.capabilities import save
from novadev.nova.block_devices import BlockDevice
from novadev.rules.defaults import balloon_model
from novadev.rules.disks import guest_disks
from novadev.rules.guest import ComputeRules, DriverRules, known_value
from novadev.rules.image_meta import VALUES, UnreadableProperty, check_readable, values
from novadev.rules.moves import moved
from novadev.rules.releases import (
    NEWEST_RELEASE,
    OLDEST_RELEASE,
    PROPERTIES_CAME_WITH,
    SERVICE_VERSIONS,
    release_of,
)
from tests.cached import ROOT
from tests.release_facts import known_releases, read_facts
from tests.rules.guests import guest, image, volume

INTEGER = "integer"


@pytest.mark.parametrize("release", known_releases())
def test_the_values_of_every_enumerated_property(release: int) -> None:
    """Those that novadev compares are Nova's, and there is none that it does not know."""
    of_nova = {
        name: found
        for name, found in read_facts(release)["image_properties"].items()
        if found != INTEGER
    }
    assert {name: sorted(values(name, release)) for name in of_nova} == of_nova
    assert {name for name in VALUES if values(name, release)} == set(of_nova)


@pytest.mark.parametrize("release", known_releases())
def test_a_number_has_to_be_one(release: int) -> None:
    for name, found in read_facts(release)["image_properties"].items():
        if found == INTEGER:
            check_readable(guest(**{name: "7"}), release)
            with pytest.raises(UnreadableProperty):
                check_readable(guest(**{name: "many"}), release)


@pytest.mark.parametrize("name", PROPERTIES_CAME_WITH)
def test_a_release_that_does_not_know_a_property_does_not_read_it(name: str) -> None:
    has_it = [r for r in known_releases() if name in read_facts(r)["image_properties"]]
    made = guest(**{name: "no such value"})
    assert [r for r in known_releases() if known_value(made, name, r)] == has_it
    for release in set(known_releases()) - set(has_it):
        check_readable(made, release)


def test_service_versions_are_nova_s() -> None:
    found = {release: read_facts(release)["service_version"] for release in known_releases()}
    assert found == SERVICE_VERSIONS


@pytest.mark.parametrize(
    ("version", "release"),
    [(63, None), (64, 26), (65, 26), (66, 28), (67, 30), (74, 34), (75, None)],
)
def test_release_of_a_service_version(version: int, release: int | None) -> None:
    assert release_of(version) == release


def test_releases_with_one_service_version_read_the_same_properties() -> None:
    """So that it does no harm to take the one for the other."""
    for release, version in SERVICE_VERSIONS.items():
        assert properties_of(release_of(version)) == properties_of(release)


def properties_of(release: int | None) -> Any:
    assert release is not None
    return read_facts(release)["image_properties"]


def test_no_module_compares_a_release_with_a_number() -> None:
    texts = {path: path.read_text() for path in sorted((ROOT / "novadev").rglob("*.py"))}
    for path in (path for path, text in texts.items() if "release" in text):
        for node in ast.walk(ast.parse(texts[path])):
            if not isinstance(node, ast.Compare):
                continue
            sides = [ast.unparse(side) for side in (node.left, *node.comparators)]
            about = any(side.rpartition(".")[2] == "release" for side in sides)
            assert not (about and any(side.isdecimal() for side in sides)), (path, sides)


def test_the_command_line_takes_no_older_release() -> None:
    (option,) = (item for item in save.params if item.name == "release")
    assert option.to_info_dict()["type"]["min"] == OLDEST_RELEASE


def test_the_pages_name_the_oldest_and_the_newest() -> None:
    claim = f"{OLDEST_RELEASE} to {NEWEST_RELEASE}"
    assert f"Nova {claim}" in (ROOT / "README.md").read_text()
    for page in ("configuration", "releases"):
        text = (ROOT / "docs" / f"{page}.rst").read_text().replace("(Zed) ", "")
        assert f"Nova {claim}" in text, page


def test_the_page_of_releases_has_a_row_for_each() -> None:
    text = (ROOT / "docs" / "releases.rst").read_text()
    rows = [line.split()[2] for line in text.splitlines() if line.startswith("   * - ")]
    versions = [read_facts(release)["nova"] for release in known_releases()]
    assert [row for row in rows if row[0].isdigit()] == versions


@pytest.mark.parametrize(("release", "model"), [(28, "virtio"), (29, "none")])
def test_a_host_without_memory_statistics(release: int, model: str) -> None:
    assert balloon_model(DriverRules(mem_stats_period_seconds=0, release=release)) == model
    assert balloon_model(DriverRules(release=release)) == "virtio"


@pytest.mark.parametrize(("release", "root"), [(27, "virtio disk"), (28, "sata cdrom")])
@pytest.mark.parametrize("row", [image(1), volume(1, device_name="/dev/vda", boot_index=0)])
def test_a_root_disk_with_an_iso_image(release: int, root: str, row: BlockDevice) -> None:
    made = guest(row, disk_format="iso")
    rules = ComputeRules(hw_machine_type=("x86_64=q35",), release=release)
    first = guest_disks(made, rules)[0]
    assert f"{first.bus} {first.type}" == root
    moves = moved(made, rules, "disk", "virtio", "scsi", "matching")
    assert [move.block_device for move in moves] == ([1] if release == 27 else [])
