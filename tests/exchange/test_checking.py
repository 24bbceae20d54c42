"""A plan that does not come from an import is refused when a file has it."""

from dataclasses import replace
from typing import Any

import pytest

from novadev.errors import BadInput
from novadev.runs.change import Change
from novadev.runs.file_checks import check
from novadev.runs.place import Place
from novadev.runs.plan import Draft, Plan
from novadev.value import ABSENT
from tests.exchange.recorded import OTHER_VM, VM, pci

GOOD = Plan(
    action="device import",
    instance=VM,
    cell="",
    changes=(
        Change(Place.parse("disk vda address"), pci(5), pci(6)),
        Change(Place.parse("disk vdb address"), ABSENT, pci(7)),
        Change(Place.parse("disk vdb custom properties"), ABSENT, "a=1;"),
    ),
    guard={"devices": [VM, OTHER_VM, OTHER_VM]},
)


def test_a_plan_of_an_import_and_its_inverse() -> None:
    check(Draft(GOOD))
    check(Draft(GOOD.inverse))


def one(change: Change) -> dict[str, Any]:
    return {"changes": (change,), "guard": {"devices": [VM]}}


@pytest.mark.parametrize(
    "values",
    [
        {"instance": "web-1"},
        {"changes": (), "guard": {"devices": []}},
        {"guard": {}},
        {"guard": {"devices": VM}},
        {"guard": {"devices": [VM]}},
        {"guard": {"devices": [VM, OTHER_VM, 7]}},
        {"guard": {"devices": [VM, OTHER_VM, "vda"]}},
        {"changes": (GOOD.changes[0],) * 2, "guard": {"devices": [VM, VM]}},
        one(Change(Place.parse("disk vda alias"), "a", "b")),
        one(Change(Place.parse("disk vda address"), None, pci(5))),
        one(Change(Place.parse("disk vda address"), "", pci(5))),
        one(Change(Place.parse("disk vda address"), pci(5), "nonsense")),
        one(Change(Place.parse("disk vda address"), pci(5), "{bus=0x00, type=pci, slot=0x05}")),
        one(Change(Place.parse("disk vda custom properties"), ABSENT, "\x00")),
    ],
)
def test_any_other_plan(values: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="plan file"):
        check(Draft(replace(GOOD, **values)))
