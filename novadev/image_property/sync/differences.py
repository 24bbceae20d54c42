"""Where a request spec says something else than its cell, as Nova reads both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any

from novadev.errors import InvalidValue, NotAsNeeded, NovadevError
from novadev.nova.request_specs import RequestSpec, image_text
from novadev.rules.guest import Guest
from novadev.rules.image_meta import (
    ADAPTER,
    FIELDS,
    OLDER_NAMES,
    UnreadableProperty,
    as_read,
    check_readable,
    fields_of,
)
from novadev.rules.releases import NEWEST_RELEASE
from novadev.runs.change import Change
from novadev.runs.place import Kind, Place, in_spec
from novadev.value import ABSENT, Value, shown

_CUT_FROM = 252
"""Bytes from which on a value may have been cut off (nova/utils.py, safe_truncate to 255)."""
_TEXTS, _NUMBERS = ("container_format", "disk_format"), ("min_disk", "min_ram")
_TRAIT = "trait:"
_LONGEST_TOLD = 60
"""Characters of a value in words."""


class _Cut(Enum):
    """A value of which the cell may have stored the beginning alone."""

    CUT = "cut"


CUT = _Cut.CUT
Readable = Mapping[str, str | int | _Cut]
Stored = Mapping[str, str | None]
"""Image properties as the cell stores them, without their prefix; None is a null."""


def differences(stored: Stored, spec: RequestSpec, image_ref: str | None) -> tuple[Change, ...]:
    """Return the changes after which SPEC says what the cell has STORED of an instance.

    Compared is what Nova makes of both: another spelling of one value is no difference. A spec
    that holds no image gets one, as Nova makes it (nova/objects/image_meta.py, from_instance).
    Raises InvalidValue where Nova cannot read what is stored, BadInput where it cannot read the
    spec, NotAsNeeded for an image that novadev does not write.
    """
    readable = _readable(stored)
    held = spec.image_properties
    if held is not None:
        return tuple(_changes(readable, spec, held))
    if not spec.has_null_image:
        raise spec.fault
    return (Change(Place(Kind.IMAGE), spec.image, _image_of(readable, stored, image_ref)),)


def check_stored(stored: Stored, release: int = NEWEST_RELEASE) -> None:
    """Raise InvalidValue where this release of Nova cannot read what is STORED in the cell."""
    guest = Guest(stored, (), None, False, 0, 0, None)
    try:
        check_readable(guest, release)
    except UnreadableProperty as error:
        text = f"the cell stores a value that Nova cannot read: {error}. Correct the cell first"
        raise InvalidValue(text) from None


def _readable(stored: Stored) -> Readable:
    """Return what Nova makes of STORED, field by field: a fleet stores much the same."""
    return _readable_items(frozenset(stored.items()))


@lru_cache(1_000)
def _readable_items(items: frozenset[tuple[str, str | None]]) -> Readable:
    stored = dict(items)
    check_stored(stored)
    return {
        name: CUT if isinstance(value, str) and _may_be_cut(value) else value
        for name, value in fields_of(stored).items()
    }


def _may_be_cut(value: str) -> bool:
    return len(value) > _CUT_FROM // 4 and len(value.encode()) >= _CUT_FROM


def _changes(readable: Readable, spec: RequestSpec, held: Iterable[str]) -> Iterator[Change]:
    """Yield what is to be changed, by name; what the cell may have cut off is left."""
    for name in sorted(FIELDS & {*readable, *held}):
        before, after = spec.value(name), readable.get(name, ABSENT)
        if not isinstance(after, _Cut) and as_read(name, before) != after:
            yield Change(in_spec(name), before, after)


def _image_of(readable: Readable, stored: Stored, image_ref: str | None) -> str:
    """Return the image that Nova makes of what is STORED of an instance, as one text.

    Raises NotAsNeeded for what novadev does not write: the CPUs and the memory of NUMA nodes.
    """
    if any(name.startswith(("hw_numa_cpus.", "hw_numa_mem.")) for name in stored):
        raise NotAsNeeded(
            "its request spec has no image, and novadev adds none to a request spec with NUMA "
            "nodes. Use nova-manage image_property set, which needs a stopped server"
        )
    traits = [name.removeprefix(_TRAIT) for name, value in stored.items() if _is_trait(name, value)]
    properties: dict[str, Any] = {
        name: value for name, value in readable.items() if not isinstance(value, _Cut)
    }
    properties |= {"traits_required": traits} if traits else {}
    data: dict[str, Any] = {"properties": properties}
    data |= {"id": image_ref} if image_ref else {}
    data |= {name: value for name in _TEXTS if (value := stored.get(name)) is not None}
    data |= {name: int(value) for name in _NUMBERS if (value := stored.get(name)) is not None}
    return image_text(data)


def _is_trait(name: str, value: str | None) -> bool:
    return name.startswith(_TRAIT) and value == "required"


def sources(changes: Iterable[Change]) -> frozenset[str] | None:
    """Return the stored properties that decide what CHANGES put into a spec; None for all."""
    names = {item.place.name for item in changes if item.place.kind is Kind.SPEC}
    if any(item.place.kind is Kind.IMAGE for item in changes):
        return None
    older = {old for old, name in OLDER_NAMES.items() if name in names}
    return frozenset({*names, *older, ADAPTER} if names else ())


def are_stored(changes: Sequence[Change], stored: Stored) -> bool:
    """Return whether what CHANGES put into a spec is what the cell has STORED by now.

    STORED holds their `sources` at least.
    """
    try:
        readable = _readable(stored)
        return all(_is_stored(item, readable, stored) for item in changes)
    except NovadevError:
        return False


def _is_stored(item: Change, readable: Readable, stored: Stored) -> bool:
    if item.place.kind is Kind.IMAGE:
        image_ref = json.loads(str(item.after)).get("id")
        return item.after == _image_of(readable, stored, image_ref)
    return item.after == readable.get(item.place.name, ABSENT)


def lacked(found: Iterable[Change]) -> frozenset[str]:
    """Return the names of the properties that the spec lacks, of those FOUND to differ."""
    return frozenset(item.place.name for item in found if item.before is ABSENT)


def in_words(found: Sequence[Change]) -> str:
    """Return in words what the spec says otherwise than the cell; there is a difference."""
    if found[0].place.kind is Kind.IMAGE:
        return "the request spec has no image, so a resize builds the guest with Nova's defaults"
    lacking = [item for item in found if item.before is ABSENT]
    parts = [f"{item.place.name}={_brief(item.after)}" for item in lacking]
    texts = [f"the request spec lacks {', '.join(parts)}"] if parts else []
    texts += [
        (
            f"{item.place.name} is {_brief(item.after)} in the cell, but {_brief(item.before)} in "
            "the request spec"
        )
        for item in found
        if item not in lacking
    ]
    return "; ".join(texts)


def _brief(value: Value) -> str:
    text = "not stored" if value is ABSENT else shown(value)
    return text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}…"
