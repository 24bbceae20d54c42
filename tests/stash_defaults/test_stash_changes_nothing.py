"""What is recorded changes nothing for the guest: the real Nova builds the same one with it.

Random guests on random hosts are stashed by the rules, and Nova's own driver is asked for the
definition, the disks and every default it computes, with what was stored before and what is now.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from platform import machine
from random import Random
from typing import Any

import pytest

from novadev.config import DriverOptions
from novadev.rules.defaults import REGISTERED
from novadev.rules.guest import Guest
from novadev.rules.osinfo import OsInfo
from tests.capabilities.samples import SAMPLE, saved
from tests.cloud import Cloud
from tests.domains import IMAGES
from tests.nova_process import NovaProcess
from tests.rules.test_defaults import Case, as_driver_case, random_guest, random_rules
from tests.stash_defaults.stashing import Stash

pytestmark = pytest.mark.slow

GUESTS = 10
VIF = {"port": "90270001-1111-4a01-8b01-0a0b0c0d0e01", "mac": "fa:16:3e:00:00:01"}
BUILDABLE = ("x86_64", "x86_64", "x86_64", "aarch64", "ppc64le", "s390x", "i686")
Properties = dict[str, str | None]


@pytest.fixture(scope="module")
def osinfo() -> OsInfo:
    return OsInfo()


@pytest.mark.parametrize(("release", "hosts"), [("34", 30), ("28", 15)])
def test_nova_builds_the_same_guest(
    make_cloud: Callable[[str, str], Cloud],
    nova: Callable[[Cloud], NovaProcess],
    osinfo: OsInfo,
    release: str,
    hosts: int,
) -> None:
    """Of release 28 the disks and the defaults alone: the worker's definitions are later ones."""
    cloud = make_cloud("sqlite", release)
    stash, cases = Stash(cloud), _place(cloud, osinfo, int(release), hosts)
    before = {uuid: _properties(cloud, uuid) for uuid in cases}
    stash.run("--all", "--source", "driver")
    after = {uuid: _properties(cloud, uuid) for uuid in cases}
    process = nova(cloud)
    for look in (_definitions, _disks, _defaults) if release == "34" else (_disks, _defaults):
        was, now = (look(process, cases, properties) for properties in (before, after))
        assert {uuid: (was[uuid], now[uuid]) for uuid in was if was[uuid] != now[uuid]} == {}
        assert sum("error" not in found for found in was.values()) > len(was) / 2
    for uuid in cases:
        assert {**after[uuid], **before[uuid]} == after[uuid]
    recorded = Counter(name for uuid in cases for name in after[uuid].keys() - before[uuid].keys())
    assert set(recorded) == set(REGISTERED)
    assert min(recorded.values()) > 10, recorded


def test_the_judge_sees_what_would_change(
    make_cloud: Callable[[str, str], Cloud],
    nova: Callable[[Cloud], NovaProcess],
    osinfo: OsInfo,
) -> None:
    """What hw_input_bus adds, and what another default would."""
    cloud = make_cloud("sqlite", "34")
    cases = _place(cloud, osinfo, 34, 10)
    before = {uuid: _properties(cloud, uuid) for uuid in cases}
    process = nova(cloud)
    was = _definitions(process, cases, before)
    for name, value in (("hw_input_bus", "usb"), ("hw_disk_bus", "sata"), ("hw_vif_model", "igb")):
        other = {uuid: {name: value, **stored} for uuid, stored in before.items()}
        now = _definitions(process, cases, other)
        assert sum(now[uuid] != was[uuid] for uuid in cases) > 5, name


def _place(cloud: Cloud, osinfo: OsInfo, release: int, hosts: int) -> dict[str, Case]:
    """Write hosts with rules of their own, and guests on them; each guest's case by its UUID."""
    random, known = Random(release), osinfo.every_recommendation(release)
    folder, cases = cloud.folder / "hosts", {}
    folder.mkdir(exist_ok=True)
    for number in range(hosts):
        rules = replace(random_rules(random, release), host_arch=random.choice(BUILDABLE))
        if random.random() < 0.8:
            rules = replace(rules, virt_type=random.choice(("kvm", "qemu")))
        options = {item.name: getattr(rules, item.name) for item in fields(DriverOptions)}
        saved(
            folder,
            f"cmp{number}.json",
            **{"host": f"cmp{number}", "saved_on": f"cmp{number}", "machine_types": {}},
            **{"driver": DriverOptions(**options), "architecture": rules.host_arch},
            **{"recommendations": known, "versions": replace(SAMPLE.versions, nova=release)},
        )
        for _ in range(GUESTS):
            case = Case(random_guest(random, tuple(known)), rules, None, None, {})
            cases[_write(cloud, case.guest, f"cmp{number}")] = case
    return cases


def _write(cloud: Cloud, guest: Guest, host: str) -> str:
    """Write the instance of a guest; a volume that is not connected has no connection yet."""
    uuid = cloud.add_instance(
        host=host,
        root_device_name=guest.root_device_name,
        image_properties={**guest.image_properties, "disk_format": guest.disk_format},
        spec_properties={k: v for k, v in guest.image_properties.items() if v is not None},
        flavor={"ephemeral_gb": guest.ephemeral_gb, "swap": guest.swap_mb},
        columns={"config_drive": "True" if guest.config_drive else ""},
    )
    for row in guest.block_devices:
        values = {k: v for k, v in asdict(row).items() if k not in ("id", "uuid", "connected")}
        connection = '{"serial": "x"}' if row.connected else None
        cloud.add_disk(uuid, **{**values, "connection_info": connection})
    return uuid


def _properties(cloud: Cloud, uuid: str) -> Properties:
    """The image properties that are stored."""
    metadata = cloud.system_metadata(uuid)
    left = ("base_image_ref", "min_ram", "min_disk", "container_format")
    plain = {name.removeprefix("image_"): value for name, value in metadata.items()}
    return {name: value for name, value in plain.items() if name not in left}


Stored = Mapping[str, Properties]
Answers = dict[str, Any]


def _definitions(nova: NovaProcess, cases: Mapping[str, Case], stored: Stored) -> Answers:
    """What Nova's driver would define each guest as."""
    asked = []
    for uuid, case in cases.items():
        made = as_driver_case(case)
        del made["os_type"]
        made["instance"]["uuid"] = uuid
        made["config"]["DEFAULT"]["instances_path"] = IMAGES
        asked.append({**made, "image_properties": stored[uuid], "vifs": [VIF]})
    return _answers(nova, "guest_xml_many", asked, cases)


def _disks(nova: NovaProcess, cases: Mapping[str, Case], stored: Stored) -> Answers:
    """Where the disks are, volumes that are not connected left out; of guests on this machine's

    own architecture, which is all that the call knows.
    """
    cases = {uuid: case for uuid, case in cases.items() if case.rules.host_arch == machine()}
    asked = []
    for uuid, case in cases.items():
        made = as_driver_case(case)
        del made["host_arch"], made["os_type"]
        made |= {"virt_type": case.rules.virt_type, "image_properties": stored[uuid]}
        asked.append(made)
    return _answers(nova, "disk_info_many", asked, cases)


def _defaults(nova: NovaProcess, cases: Mapping[str, Case], stored: Stored) -> Answers:
    """What Nova's driver finds for each of the properties it registers."""
    asked = []
    for uuid, case in cases.items():
        made = {**as_driver_case(case), "image_properties": stored[uuid], "names": REGISTERED}
        del made["bdms"]
        asked.append(made)
    return _answers(nova, "defaults_many", asked, cases)


def _answers(
    nova: NovaProcess, call: str, asked: list[dict[str, Any]], cases: Mapping[str, Case]
) -> Answers:
    return dict(zip(cases, nova.call(call, cases=asked), strict=True))
