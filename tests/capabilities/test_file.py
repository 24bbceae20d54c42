"""A capability file comes back as it was saved, and what is none is refused."""

import json
import os
import stat
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novadev import private_file
from novadev.capabilities import file
from novadev.capabilities.content import Capabilities, Example, Versions, remarks
from novadev.config import DriverOptions
from novadev.config.options import DRIVER_OPTIONS
from novadev.errors import BadInput
from novadev.foreign_file import MAX_BYTES, read_text
from novadev.rules.osinfo import Recommendation
from novadev.virt.capabilities import MachineType
from novadev.virt.domain_capabilities import DomainCapabilities
from novadev.virt.firmware import Firmware, HostFirmware
from novadev.virt.host_model import HostModel
from tests.capabilities.samples import SAMPLE
from tests.command import novadev

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "capabilities"
TEXTS = st.text(max_size=20)
DRIVERS = st.builds(
    DriverOptions,
    virt_type=TEXTS,
    hw_machine_type=st.lists(TEXTS, max_size=3).map(tuple),
    disk_prefix=st.none() | TEXTS,
    config_drive_format=TEXTS,
    max_disk_devices=st.integers(),
    use_virtio_for_bridges=st.booleans(),
    pointer_model=st.none() | TEXTS,
    vnc_enabled=st.booleans(),
    spice_enabled=st.booleans(),
    spice_agent_enabled=st.booleans(),
    num_pcie_ports=st.integers(),
    mem_stats_period_seconds=st.integers(),
)
MACHINES = st.dictionaries(TEXTS, st.builds(MachineType, TEXTS, st.booleans()), max_size=3)
VALUES = st.none() | st.lists(TEXTS, max_size=3).map(tuple)
DOMAINS = st.builds(
    DomainCapabilities,
    **{item.name: VALUES for item in fields(DomainCapabilities) if item.name != "vcpu_max"},
    vcpu_max=st.none() | st.integers(),
)
SOME = st.lists(TEXTS, max_size=3).map(tuple)
FIRMWARE = st.builds(
    HostFirmware,
    st.lists(
        st.builds(
            Firmware,
            *(SOME, SOME, SOME, TEXTS, st.none() | TEXTS),
            format=st.none() | TEXTS,
            template_format=st.none() | TEXTS,
        ),
        max_size=3,
    ).map(tuple),
    SOME,
)
HOST_MODELS = st.builds(
    HostModel, TEXTS, SOME, st.dictionaries(TEXTS, SOME, max_size=3), *[st.none() | SOME] * 2
)
RECOMMENDED = st.builds(Recommendation, st.none() | TEXTS, st.none() | TEXTS)
EVERYTHING = st.builds(
    Capabilities,
    **dict.fromkeys(("host", "saved_on", "saved_at", "novadev", "architecture"), TEXTS),
    versions=st.builds(
        Versions,
        libosinfo=st.none() | TEXTS,
        libvirt=TEXTS,
        nova=st.none() | st.integers(),
        osinfo_db=st.none() | TEXTS,
        qemu=st.none() | TEXTS,
    ),
    driver=DRIVERS,
    machine_types=st.dictionaries(TEXTS, MACHINES, max_size=3),
    recommendations=st.none() | st.dictionaries(TEXTS, RECOMMENDED, max_size=3),
    domain_types=st.none() | st.dictionaries(TEXTS, st.lists(TEXTS).map(tuple), max_size=3),
    emulator=st.none() | TEXTS,
    domain_capabilities=st.none() | st.dictionaries(TEXTS, DOMAINS, max_size=3),
    devices=st.none() | st.dictionaries(TEXTS, st.none() | TEXTS, max_size=3),
    example=st.none() | st.builds(Example, TEXTS, st.booleans()),
    firmware=st.none() | FIRMWARE,
    processors=st.none() | SOME,
    block_drivers=st.none() | SOME,
    security_models=st.none() | SOME,
    host_model=st.none() | HOST_MODELS,
    page_sizes=st.none() | st.lists(st.integers(), max_size=3).map(tuple),
)


def resummed(data: dict[str, Any]) -> str:
    """The text of a file with a sum that fits."""
    return json.dumps({**data, "sha256": file._sum(data)})


def changed(*path: str, to: Any) -> str:
    """A file in which one value is another one, with a sum that fits."""
    data = json.loads(file.dumps(SAMPLE))
    inner = data
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = to
    return resummed(data)


@settings(max_examples=20)
@given(EVERYTHING)
def test_it_comes_back(found: Capabilities) -> None:
    assert file.loads(file.dumps(found), "x.json") == found


def fit() -> Any:
    """What checks a file against its schema, to which a key too many is an error here."""
    schema = novadev(None, "schema", "capabilities-file").json
    for item in schema["$defs"].values():
        item["additionalProperties"] = False
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


FIT = fit()


@settings(max_examples=40)
@given(EVERYTHING)
def test_every_file_fits_its_schema(found: Capabilities) -> None:
    FIT.validate(json.loads(file.dumps(found)))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_the_examples_fit_the_schema(path: Path) -> None:
    data = json.loads(path.read_text())
    FIT.validate(data)
    for broken in (
        {key: value for key, value in data.items() if key != "driver"},
        data | {"more": 1},
        data | {"page_sizes": "4"},
        data | {"driver": data["driver"] | {"libvirt": {}}},
        data | {"domain_capabilities": {"pc-q35-9.0": {"same": "pc"}}},
    ):
        assert not FIT.is_valid(broken)


def test_every_option_of_the_driver_is_in_it() -> None:
    assert {item.name for item in fields(DriverOptions)} == set(DRIVER_OPTIONS)
    driver = json.loads(file.dumps(SAMPLE))["driver"]
    written = {(group, name) for group in driver for name in driver[group]}
    assert written == set(DRIVER_OPTIONS.values())


def test_two_files_differ_in_lines() -> None:
    other = replace(
        SAMPLE,
        recommendations={"win10": Recommendation("virtio", "e1000")} | {"new": Recommendation()},
        machine_types={name: SAMPLE.machine_types[name] for name in ("x86_64", "aarch64")},
    )
    before, after = (set(file.dumps(found).splitlines()) for found in (SAMPLE, other))
    assert len(after - before) == 3
    assert '    "win10": {"disk_bus": "virtio", "vif_model": "e1000"}' in after - before
    assert '    "new": {"disk_bus": null, "vif_model": null},' in after - before


def test_the_sum_is_over_everything_but_the_time() -> None:
    later = replace(SAMPLE, saved_at="2027-01-01T00:00:00Z")
    before, after = (file.dumps(found).splitlines() for found in (SAMPLE, later))
    changed_lines = [line for line in after if line not in before]
    assert changed_lines == ['  "saved_at": "2027-01-01T00:00:00Z",']


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "cmp1.json"
    path.write_text("older")
    path.chmod(0o644)
    before = os.umask(0)
    try:
        private_file.write(str(path), file.dumps(SAMPLE), "capability file")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert file.loads(read_text(path), path) == SAMPLE
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_plain_file_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "link").symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", "", "missing/x", "target/x"):
        with pytest.raises(BadInput, match="capability file"):
            private_file.write(str(tmp_path / name), file.dumps(SAMPLE), "capability file")
    assert target.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"target", "link", "pipe"}


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{}", "7", "{", '{"novadev_capabilities": 1}', "[" * 100_000),
        '{"a":' * 100_000,
        '{"novadev_plan": 1}',
        changed("novadev_capabilities", to=True),
        changed("novadev_capabilities", to="1"),
        changed("novadev_capabilities", to=0),
        changed("host", to=None),
        changed("saved_at", to=5),
        changed("versions", to=[]),
        changed("versions", "nova", to="34"),
        changed("versions", "nova", to=True),
        changed("versions", "libvirt", to=None),
        changed("driver", to=None),
        changed("driver", "libvirt", to={}),
        changed("driver", "libvirt", "virt_type", to=None),
        changed("driver", "libvirt", "hw_machine_type", to="x86_64=q35"),
        changed("driver", "libvirt", "hw_machine_type", to=[1]),
        changed("driver", "vnc", "enabled", to=1),
        changed("driver", "compute", "max_disk_devices_to_attach", to=1.5),
        changed("driver", "compute", "max_disk_devices_to_attach", to=float("nan")),
        changed("machine_types", to=[]),
        changed("machine_types", "x86_64", to=None),
        changed("machine_types", "x86_64", "pc", to="pc-i440fx-7.2"),
        changed("machine_types", "x86_64", "pc", to={"canonical": None, "deprecated": False}),
        changed("domain_types", to=["kvm"]),
        changed("domain_types", "x86_64", to="kvm"),
        changed("emulator", to=7),
        changed("domain_capabilities", to=[]),
        changed("domain_capabilities", "pc-q35-7.2", to={"same_as": "pc-q35-7.2"}),
        changed("domain_capabilities", "pc-q35-7.2", to={"same_as": "pc-i440fx-7.2"}),
        changed("domain_capabilities", "pc-q35-7.2", to={"same_as": ["pc-i440fx-1.4"]}),
        changed("domain_capabilities", "pc-q35-7.2", "video", to="virtio"),
        changed("domain_capabilities", "pc-q35-7.2", "video", to=[["virtio"]]),
        changed("devices", to=["e1000"]),
        changed("devices", "e1000", to="PCI"),
        changed("devices", "e1000", to={"bus": 7}),
        changed("example", to="el9"),
        changed("example", to={"source": "a web page", "has_every_machine_type": 1}),
        changed("osinfo", to=[]),
        changed("osinfo", "win10", to=None),
        changed("osinfo", "win10", to={"disk_bus": 1, "vif_model": None}),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_capability_file(text: str) -> None:
    with pytest.raises(BadInput, match=r"^(capability file x\.json|x\.json is not a capab)"):
        file.loads(text, "x.json")


@pytest.mark.parametrize("removed", sorted(json.loads(file.dumps(SAMPLE)).keys() - {"saved_at"}))
def test_a_part_is_missing(removed: str) -> None:
    data = json.loads(file.dumps(SAMPLE))
    del data[removed]
    with pytest.raises(BadInput, match=r"x\.json"):
        file.loads(json.dumps(data), "x.json")


def test_format_1() -> None:
    """What a file had before: the rest is not known, and not taken for absent."""
    data = json.loads(file.dumps(SAMPLE))
    for name in ("domain_types", "emulator", "domain_capabilities", "devices", "example"):
        del data[name]
    del data["driver"]["libvirt"]["num_pcie_ports"]
    del data["driver"]["libvirt"]["mem_stats_period_seconds"]
    found = file.loads(resummed({**data, "novadev_capabilities": 1}), "x.json")
    poor = {"domain_types": None, "emulator": None, "domain_capabilities": None, "devices": None}
    assert found == replace(SAMPLE, **poor)


def test_guests_of_two_machine_types_can_have_the_same() -> None:
    machines = json.loads(file.dumps(SAMPLE))["domain_capabilities"]
    assert machines["pc-i440fx-7.2"] == {"same_as": "pc-i440fx-1.4"}
    assert machines["pc-i440fx-1.4"]["disk_bus"] == ["ide", "virtio"]
    assert machines["pc-q35-7.2"]["disk_bus"] == ["virtio"]


def test_an_edited_or_shortened_file() -> None:
    text = file.dumps(SAMPLE)
    with pytest.raises(BadInput, match=r"x\.json is incomplete or was edited"):
        file.loads(text.replace('"qemu"', '"kvm"', 1).replace("7.2.22", "8.2.2"), "x.json")
    with pytest.raises(BadInput, match=r"x\.json is incomplete or was edited"):
        file.loads(text[: len(text) // 2], "x.json")
    with pytest.raises(BadInput, match="not a capability file"):
        file.loads(text[1 : len(text) // 2], "x.json")


def test_a_newer_format() -> None:
    with pytest.raises(BadInput, match="format 4, but this novadev knows only 3"):
        file.loads(changed("novadev_capabilities", to=4), "x.json")


def test_what_a_later_novadev_adds_is_left_alone() -> None:
    assert file.loads(changed("cpus", to={"Skylake": {}}), "x.json") == SAMPLE


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", MAX_BYTES + 1)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, reason in {
        "pipe": "regular file",
        "": "cannot be read|regular file",
        "large": "larger than 16 MiB",
        "binary": "not text",
        "missing": "No such file",
        "x" * 300: "too long",
        "nul\0": "not a valid file name",
    }.items():
        with pytest.raises(BadInput, match=reason):
            read_text(tmp_path / name)


def test_remarks() -> None:
    assert list(remarks(SAMPLE)) == []
    poor = replace(
        SAMPLE,
        saved_on="ctl1",
        recommendations=None,
        versions=Versions(None, "9.0.0", None, None, None),
    )
    elsewhere, osinfo, release = remarks(poor)
    assert "those of ctl1, not of cmp1" in elsewhere
    assert "libosinfo is not installed" in osinfo
    assert "--nova-release" in release


def test_remarks_on_an_example_without_devices() -> None:
    found = replace(SAMPLE, host="el9", saved_on="el9", devices=None, example=Example("x", True))
    example, devices = remarks(found)
    assert "el9 is an example" in example
    assert "devices of QEMU 7.2.22 are not known" in devices
