"""What a change is about: one text form, one parser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novadev.runs.place import Kind, Place

TEXTS = {
    "hw_disk_bus": Place(Kind.PROPERTY, "hw_disk_bus"),
    "request_spec hw_disk_bus": Place(Kind.SPEC, "hw_disk_bus"),
    "request_spec image": Place(Kind.IMAGE),
    "block_device_mapping 17 disk_bus": Place(Kind.DISK, "disk_bus", 17),
    "block_device_mapping 17 device_name": Place(Kind.DISK, "device_name", 17),
    "root_device_name": Place(Kind.ROOT),
    "instance_system_metadata 17 image_os_type": Place(Kind.HIDDEN, "os_type", 17),
    "disk vda alias": Place(Kind.ALIAS, "disk vda"),
    "rng virtio #2 address": Place(Kind.ADDRESS, "rng virtio #2"),
    "disk vda custom properties": Place(Kind.CUSTOM_PROPERTIES, "disk vda"),
    "detach hostdev 0000:81:00.1": Place(Kind.DETACH, "hostdev 0000:81:00.1"),
    "detach disk vda address": Place(Kind.DETACH, "disk vda address"),
}


@pytest.mark.parametrize(("text", "place"), TEXTS.items())
def test_texts_that_scripts_rely_on(text: str, place: Place) -> None:
    assert Place.parse(text) == place
    assert str(place) == text


def test_only_what_the_cells_database_has_is_in_the_cell() -> None:
    inside = {place.kind for place in TEXTS.values() if place.is_in_cell}
    assert inside == {Kind.PROPERTY, Kind.DISK, Kind.ROOT, Kind.HIDDEN}


@given(st.text(min_size=1))
def test_any_text_is_kept(text: str) -> None:
    try:
        assert str(Place.parse(text)) == text
    except ValueError:
        assert text == "request_spec "


@given(st.sampled_from(["disk", "interface", "hostdev"]), st.text())
def test_labels_of_devices_are_kept(tag: str, rest: str) -> None:
    for kind in (Kind.ALIAS, Kind.ADDRESS, Kind.CUSTOM_PROPERTIES, Kind.DETACH):
        place = Place(kind, f"{tag} {rest}")
        assert Place.parse(str(place)) == place


def test_an_empty_text() -> None:
    with pytest.raises(ValueError, match="not a place"):
        Place.parse("")
