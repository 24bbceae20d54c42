"""Editing the properties inside a request spec."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novadev.nova import request_specs
from novadev.nova.json_text import parsed
from novadev.nova.request_specs import RequestSpec
from novadev.nova.spec_properties import properties_in
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


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["nova_object.data", "nova_object.changes", "image", "properties"]),
            inner,
        )
    ),
    max_leaves=6,
)
PLACES = (
    ("nova_object.data",),
    ("nova_object.data", "image"),
    ("nova_object.data", "limits"),
    ("nova_object.data", "image", "nova_object.data"),
    ("nova_object.data", "image", "nova_object.data", "properties"),
    ("nova_object.data", "image", "nova_object.data", "properties", "nova_object.data"),
    ("nova_object.data", "image", "nova_object.data", "properties", "nova_object.changes"),
)


@given(st.sampled_from(PLACES), anything, st.booleans())
def test_the_quick_reader_reads_what_the_exact_one_does(
    place: tuple[str, ...], value: object, is_there: bool
) -> None:
    """Whatever stands in the place of a part of a spec, or if that is missing."""
    whole = json.loads(spec({"hw_disk_bus": "ide", "odd": [1, {"a": None}]}))
    holder = whole
    for name in place[:-1]:
        holder = holder[name]
    if is_there:
        holder[place[-1]] = value
    else:
        del holder[place[-1]]
    text = json.dumps(whole)
    holder = request_specs._properties_holder(parsed(text))
    exact = None if holder is None else holder.get("nova_object.data") or {}
    assert repr(properties_of(text)) == repr(exact)


def test_the_quick_reader_reads_what_nova_writes() -> None:
    """Or it would be of no use: the exact one would read each spec a second time."""
    assert properties_in(spec({"hw_disk_bus": "ide"})) == {"hw_disk_bus": "ide"}
    assert properties_in(spec(None)) == {}


@pytest.mark.parametrize(
    "text", [r'"\ud800"', "Infinity", "1e999", "[" * 5000 + "]" * 5000, "{", "\x00"]
)
def test_what_the_quick_reader_passes_over_is_no_other_for_the_exact_one(text: str) -> None:
    whole = spec({"hw_disk_bus": "ide"}).replace('"limits": null', f'"limits": {text}')
    holder = request_specs._properties_holder(parsed(whole))
    exact = None if holder is None else holder["nova_object.data"]
    assert properties_of(whole) == exact


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
