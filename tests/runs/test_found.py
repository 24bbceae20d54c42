"""What is found at the places of a plan, and what follows: the whole table."""

from itertools import combinations_with_replacement

import pytest

from novadev.runs.change import Change
from novadev.runs.place import in_cell
from novadev.runs.precondition import Found, Verdict, compare, judge
from novadev.value import ABSENT, Value

B, A, O = Found.BEFORE, Found.AFTER, Found.OTHER  # noqa: E741


@pytest.mark.parametrize(
    ("value", "found"), [("a", B), ("b", A), ("c", O), (None, O), (ABSENT, O), ("A", O)]
)
def test_comparing(value: Value, found: Found) -> None:
    assert compare(Change(in_cell("hw_disk_bus"), "a", "b"), value) is found


@pytest.mark.parametrize(
    ("kinds", "resumed", "verdict"),
    [
        ((B,), False, Verdict.WRITE),
        ((A,), False, Verdict.STALE),
        ((O,), False, Verdict.STALE),
        ((B, A), False, Verdict.STALE),
        ((B, O), False, Verdict.STALE),
        ((A, O), False, Verdict.STALE),
        ((B, A, O), False, Verdict.STALE),
        ((B,), True, Verdict.WRITE),
        ((A,), True, Verdict.WRITE),
        ((O,), True, Verdict.STALE),
        ((B, A), True, Verdict.WRITE),
        ((B, O), True, Verdict.STALE),
        ((A, O), True, Verdict.HALF),
        ((B, A, O), True, Verdict.HALF),
    ],
)
def test_judging(kinds: tuple[Found, ...], resumed: bool, verdict: Verdict) -> None:
    assert judge(kinds, resumed) is verdict
    assert judge(reversed(kinds), resumed) is verdict


def test_nothing_of_ours_is_ever_called_stale() -> None:
    for kinds in combinations_with_replacement(Found, 4):
        if judge(kinds, resumed=True) is Verdict.STALE:
            assert Found.AFTER not in kinds
