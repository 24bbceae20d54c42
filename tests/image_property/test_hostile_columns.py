"""JSON columns with anything in them: such a server costs itself alone, and it counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.cloud import Cloud
from tests.command import novadev

DEEP = "[" * 100_000
SET = ("image-property set --property hw_vif_model=e1000", 4)
PLANNERS = (
    SET,
    ("image-property unset --property hw_disk_bus", 4),
    ("machine-type set q35", 4),
    ("stash-defaults --source driver", 4),
)
OF_SPECS = (
    *PLANNERS,
    ("image-property list", 4),
    ("image-property sync", 4),
    ("image-property unset --unreadable", 4),
    ("audit --check request-spec", 8),
    ("audit --check unreadable", 8),
)
OF_FLAVORS = (*PLANNERS, ("audit --check disk-bus", 8))


def flavor(data: object) -> str:
    return json.dumps({"cur": {"nova_object.data": data}})


def spec(cloud: Cloud, uuid: str, properties: Mapping[str, Any]) -> str:
    """Return its request spec, with these parts of the object that holds its properties."""
    found = cloud.request_spec(uuid)
    found["nova_object.data"]["image"]["nova_object.data"]["properties"] |= properties
    return json.dumps(found)


def of_property(value: object) -> dict[str, Any]:
    return {"nova_object.data": {"hw_disk_bus": value, "hw_vif_model": value}}


BAD_SPECS = {
    "deep": DEEP,
    "empty": "",
    "no object": "[1]",
    "long number": '{"a":' + "9" * 5000 + "}",
    "data": '{"nova_object.data": [1]}',
    "no properties": '{"nova_object.data": {"image": {"nova_object.data": {}}}}',
    "properties": {"nova_object.data": "x"},
    "number": {"nova_object.data": 5},
    "changes": {"nova_object.changes": 5},
    "nested changes": {"nova_object.changes": [[1]]},
}
BAD_FLAVORS = {
    "deep": DEEP,
    "no object": "[]",
    "text": flavor("x"),
    "infinite": flavor({"swap": float("inf")}),
    "no number": flavor({"swap": float("nan")}),
    "word": flavor({"swap": "much"}),
    "list": flavor({"swap": [1]}),
    "extra specs": flavor({"extra_specs": [1]}),
}


def check_alone(cloud: Cloud, bad: str, good: str, command: str, code: int) -> None:
    """Assert that BAD is named, with its CODE under --all too, and GOOD looked at."""
    dry = () if command.split()[-1] in ("list",) or "audit" in command else ("--dry-run",)
    result = novadev(cloud, *command.split(), "--all", *dry)
    assert result.code == code, (command, result.err)
    told = result.out + result.err
    assert bad in told, (command, told)
    assert "cannot be read" in told, (command, told)
    if dry and "unreadable" not in command:
        assert good in result.out, (command, told)


def pair(cloud: Cloud) -> tuple[str, str]:
    """Return a server to be spoilt, and another: for both, there is something to do."""
    stored = {"hw_disk_bus": "virtio", "hw_vif_model": "virtio", "spec_properties": {}}
    bad, good = cloud.add_instance(**stored), cloud.add_instance(**stored)
    for uuid in (bad, good):
        cloud.add_disk(uuid)
    return bad, good


@pytest.mark.parametrize("content", BAD_SPECS.values(), ids=BAD_SPECS)
def test_a_bad_request_spec_costs_its_server_alone(sqlite_cloud: Cloud, content: Any) -> None:
    bad, good = pair(sqlite_cloud)
    text = content if isinstance(content, str) else spec(sqlite_cloud, bad, content)
    sqlite_cloud.update("request_specs", "api", {"instance_uuid": bad}, spec=text)
    for command, code in OF_SPECS if content in (DEEP, "") else OF_SPECS[:1]:
        check_alone(sqlite_cloud, bad, good, command, code)


@pytest.mark.parametrize("value", [["x"], {"a": 1}, float("inf")], ids=["list", "object", "inf"])
def test_a_property_of_the_spec_that_is_no_value(sqlite_cloud: Cloud, value: object) -> None:
    bad, good = pair(sqlite_cloud)
    text = spec(sqlite_cloud, bad, of_property(value))
    sqlite_cloud.update("request_specs", "api", {"instance_uuid": bad}, spec=text)
    check_alone(sqlite_cloud, bad, good, *SET)
    check_alone(sqlite_cloud, bad, good, "image-property sync", 4)


@pytest.mark.parametrize("content", BAD_FLAVORS.values(), ids=BAD_FLAVORS)
def test_a_bad_flavor_costs_its_server_alone(sqlite_cloud: Cloud, content: str) -> None:
    bad, good = pair(sqlite_cloud)
    sqlite_cloud.update("instance_extra", "cell1", {"instance_uuid": bad}, flavor=content)
    for command, code in OF_FLAVORS if content == DEEP else OF_FLAVORS[:1]:
        check_alone(sqlite_cloud, bad, good, command, code)


def test_without_the_request_spec_the_cell_can_be_changed(sqlite_cloud: Cloud) -> None:
    bad, _ = pair(sqlite_cloud)
    sqlite_cloud.update("request_specs", "api", {"instance_uuid": bad}, spec="{")
    command = f"{SET[0]} --no-request-spec --yes {bad}"
    assert novadev(sqlite_cloud, *command.split()).code == 0
    assert sqlite_cloud.system_metadata(bad)["image_hw_vif_model"] == "e1000"
    assert sqlite_cloud.rows("request_specs", "api", instance_uuid=bad)[0]["spec"] == "{"


@pytest.mark.parametrize(
    "info", [DEEP, '{"data": 7}', '[1, null, {"id": 5}]', None], ids=["deep", "7", "5", "null"]
)
def test_odd_caches_and_connections_cost_nothing(sqlite_cloud: Cloud, info: str | None) -> None:
    bad, good = pair(sqlite_cloud)
    where = {"instance_uuid": bad}
    sqlite_cloud.update("instance_info_caches", "cell1", where, network_info=info)
    sqlite_cloud.update("block_device_mapping", "cell1", where, connection_info=info)
    result = novadev(sqlite_cloud, *SET[0].split(), "--all", "--dry-run", "-f", "json")
    assert result.code == 0
    assert bad in result.out
    assert good in result.out
