"""What the histories on a running Nova take for a layout that a guest has got back."""

import pytest

from novadev.keep.definition import Record
from novadev.records.device import VmDevice
from tools.keep_view import View


def view(**places: str) -> View:
    rows = (VmDevice(name, "vm", "disk", "disk", address=place) for name, place in places.items())
    return View(Record(tuple(rows)), {}, {}, frozenset(), False)


@pytest.mark.parametrize(
    ("before", "after", "is_back"),
    [
        ({"vda": "1", "vdb": "2"}, {"vda": "1", "vdb": "3"}, True),
        ({"vda": "1", "vdb": "2"}, {"vda": "2", "vdb": "3"}, False),  # another is lost
        ({"vda": "1", "vdb": "2"}, {"vda": "1", "vdb": "4"}, False),
        ({"vda": "1", "vdb": "2", "vdc": "3"}, {"vda": "1", "vdb": "3", "vdc": "4"}, True),
        ({"vda": "1", "vdb": "2", "vdc": "4"}, {"vda": "1", "vdb": "3", "vdc": "5"}, False),
        ({"vda": "2", "vdc": "3"}, {"vda": "1", "vdc": "3"}, True),  # the old one is detached
        ({"vda": "2", "vdc": "3"}, {"vda": "1", "vdc": "4"}, False),
    ],
)
def test_a_layout_is_back_where_only_what_is_in_its_way_moves(
    before: dict[str, str], after: dict[str, str], is_back: bool
) -> None:
    assert view(vda="1", vdb="3").is_back(view(**before), view(**after)) is is_back
