"""Editing the properties inside a request spec."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novadev.nova.request_specs import RequestSpec
from novadev.value import ABSENT, Value

NAMES = ("hw_disk_bus", "hw_vif_model", "hw_scsi_model")


def spec(properties: dict[str, Any] | None) -> str:
    holder = {"nova_object.name": "ImageMetaProps", "nova_object.version": "1.34"}
    image = {"nova_object.data": {"name": "debian", "properties": holder}}
    if properties is not None:
        holder |= {"nova_object.data": properties, "nova_object.changes": sorted(properties)}  # type: ignore[dict-item]
    return json.dumps({"nova_object.data": {"image": image, "limits": None, "id": 3}})


def properties_of(text: str) -> dict[str, Any] | None:
    return RequestSpec(1, "uuid", text).image_properties


def edited(text: str, values: dict[str, Value]) -> str:
    read = RequestSpec(1, "uuid", text)
    before = read.image_properties
    changed = read.edited(values)
    assert (read.image_properties, read.text) == (before, text)
    assert RequestSpec(1, "uuid", text).image_properties == before
    return changed


def test_a_value_is_set_and_its_name_is_among_the_changes() -> None:
    text = edited(spec({"hw_disk_bus": "ide"}), {"hw_disk_bus": "scsi", "hw_vif_model": "e1000"})
    assert properties_of(text) == {"hw_disk_bus": "scsi", "hw_vif_model": "e1000"}
    holder = json.loads(text)["nova_object.data"]["image"]["nova_object.data"]["properties"]
    assert holder["nova_object.changes"] == ["hw_disk_bus", "hw_vif_model"]
    assert holder["nova_object.version"] == "1.34"


def test_absent_takes_a_value_out() -> None:
    assert properties_of(edited(spec({"hw_disk_bus": "ide"}), {"hw_disk_bus": ABSENT})) == {}


def test_properties_that_never_had_any() -> None:
    assert properties_of(edited(spec(None), {"hw_disk_bus": "ide"})) == {"hw_disk_bus": "ide"}


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"nova_object.data": {"image": null}}'])
def test_a_spec_without_an_image(text: str) -> None:
    assert properties_of(text) is None
    with pytest.raises(ValueError, match="no image"):
        edited(text, {"hw_disk_bus": "ide"})


values = st.dictionaries(st.sampled_from(NAMES), st.sampled_from((ABSENT, None, "scsi", "ide")))


@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from((None, "virtio"))), values)
def test_only_the_named_properties_change_and_the_way_back_is_exact(
    before: dict[str, Any], changes: dict[str, Value]
) -> None:
    text = spec(before)
    back: dict[str, Value] = {name: before.get(name, ABSENT) for name in changes}
    there = edited(text, changes)
    expected = {**before, **changes}
    assert properties_of(there) == {k: v for k, v in expected.items() if v is not ABSENT}
    assert properties_of(edited(there, back)) == before
    assert _without_properties(there) == _without_properties(text)


def _without_properties(text: str) -> Any:
    data = json.loads(text)
    holder = data["nova_object.data"]["image"]["nova_object.data"]["properties"]
    holder.pop("nova_object.data", None)
    holder.pop("nova_object.changes", None)
    return data
