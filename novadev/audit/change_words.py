"""What becomes of a device, in words, as a finding has it."""

from __future__ import annotations

from typing import NamedTuple

_NAMES = {"logical_name": "name in the guest", "machine": "type", "target": "name"}


class Tense(NamedTuple):
    """The verbs of a time."""

    comes: str
    goes: str
    gets: str
    loses: str
    changes: str


PAST = Tense("is new", "has vanished", "got", "lost", "changed")
FUTURE = Tense("appears", "vanishes", "gets", "loses", "changes")


def change_in_words(
    label: str, field: str, before: str | None, after: str | None, tense: Tense
) -> str:
    """Return what becomes of the FIELD of the device LABEL; the field "device" is all of it."""
    name = _NAMES.get(field, field)
    if field == "device":
        return f"{label} {tense.comes if before is None else tense.goes}"
    if before is None:
        return f"{label} {tense.gets} the {name} {after}"
    if after is None:
        return f"{label} {tense.loses} the {name} {before}"
    return f"the {name} of {label} {tense.changes} from {before} to {after}"
