"""Decides what to do with a plan from the values that are there when it is to be written."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from novadev.runs.change import Change
from novadev.value import Value


class Found(Enum):
    """What is at the place of a change: its before, its after, or somebody else's value."""

    BEFORE = "before"
    AFTER = "after"
    OTHER = "other"


class Verdict(Enum):
    """What to do with a plan."""

    WRITE = "write what is not there yet"
    STALE = "leave it: nothing of it is there"
    HALF = "leave it: part of it is there"


def compare(change: Change, value: Value) -> Found:
    """Return which of the two values of CHANGE its place holds."""
    if value == change.before:
        return Found.BEFORE
    return Found.AFTER if value == change.after else Found.OTHER


def judge(found: Iterable[Found], resumed: bool) -> Verdict:
    """Return what to do with a plan that found this at its places.

    RESUMED: an earlier run may have written any of them.
    """
    kinds = set(found)
    if kinds <= {Found.BEFORE}:
        return Verdict.WRITE
    if not resumed:
        return Verdict.STALE
    if Found.OTHER not in kinds:
        return Verdict.WRITE
    return Verdict.HALF if Found.AFTER in kinds else Verdict.STALE
