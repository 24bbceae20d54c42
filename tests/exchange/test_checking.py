"""A plan that does not come from an import is refused when a file has it."""

from dataclasses import replace
from typing import Any

import pytest

from novadev.change import ABSENT, Change
from novadev.device.exchange.checking import check
from novadev.errors import BadInput
from novadev.plan import Plan
from novadev.state.journal import Draft
from tests.exchange.recorded import OTHER_VM, VM, pci

GOOD = Plan(
    action="device import",
    instance=VM,
    cell="",
    changes=(
        Change("disk vda address", pci(5), pci(6)),
        Change("disk vdb address", ABSENT, pci(7)),
        Change("disk vdb custom properties", ABSENT, "a=1;"),
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
        one(Change("disk vda alias", "a", "b")),
        one(Change("disk vda address", None, pci(5))),
        one(Change("disk vda address", "", pci(5))),
        one(Change("disk vda address", pci(5), "nonsense")),
        one(Change("disk vda address", pci(5), "{bus=0x00, type=pci, slot=0x05}")),
        one(Change("disk vda custom properties", ABSENT, "\x00")),
    ],
)
def test_any_other_plan(values: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="plan file"):
        check(Draft(replace(GOOD, **values)))
