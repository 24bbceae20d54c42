"""JSON read strictly into plain values: a wrong type or a key too many is an error that names it.

msgspec checks; its messages are put into our words.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import fields
from types import GenericAlias
from typing import Any, TypeVar, get_type_hints

import msgspec

from novadev.errors import BadInput

T = TypeVar("T")
_KINDS = {
    **{"str": "text", "bool": "true or false", "int": "a number", "float": "a number"},
    **{"array": "an array", "object": "an object", "null": "null"},
}
_EXPECTED = re.compile("Expected `([a-z |]+)`, got `[a-z]+`")
_MISSING = re.compile("Object missing required field `(.*)`", re.DOTALL)
_UNKNOWN = re.compile("Object contains unknown field `(.*)`", re.DOTALL)


class Form(msgspec.Struct, forbid_unknown_fields=True):
    """An object of JSON with these keys, all of them that have no default, and no others."""


def form_of(kind: type[Any], **others: Any) -> type[msgspec.Struct]:
    """Return the form that has every field of the dataclass KIND, none of them with a default.

    OTHERS are the fields with another type in JSON, None for one that JSON has not.
    """
    types = {**get_type_hints(kind), **others}
    members = [(item.name, types[item.name]) for item in fields(kind) if types[item.name]]
    return msgspec.defstruct(kind.__name__, members, bases=(Form,))


def form(title: str, /, **types: Any) -> type[msgspec.Struct]:
    """Return a form called TITLE that has these keys, each with the type of its value."""
    return msgspec.defstruct(title, [*types.items()], bases=(Form,))


def array_of(kind: Any) -> Any:
    """Return the type of an array of KIND, also for a form that was made."""
    return GenericAlias(list, (kind,))


def object_of(kind: Any) -> Any:
    """Return the type of an object with any names, whose values are of KIND."""
    return GenericAlias(dict, (str, kind))


def schema_of_type(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of KIND (a dataclass, a typed dictionary, a form), by annotations."""
    return msgspec.json.schema(kind)


def values_of(found: msgspec.Struct) -> dict[str, Any]:
    """Return the values of a form by their names."""
    return msgspec.structs.asdict(found)


def parse(text: str) -> Any:
    """Return what the JSON TEXT says.

    Raises ValueError for what is no JSON, a key that an object has twice, a number that is none,
    and an array in an array a thousand deep.
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def begins_with(text: str, key: str) -> bool:
    """Whether TEXT, which may be cut short, begins as a JSON object whose first key is KEY."""
    return re.match(rf'\s*\{{\s*"{re.escape(key)}"', text) is not None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        ((name, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"a key twice: {name!r:.60}")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a value")


def read(kind: type[T], data: Any, what: str) -> T:
    """Return DATA, the values of a JSON text, as a KIND: a form, a dataclass or any other type.

    Nothing is converted: a bool is no int, and an int no text. What a dataclass has no field for is
    left alone. Raises BadInput, which says where in WHAT something is wrong.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise BadInput(_told(str(error), what)) from None


def _told(message: str, what: str) -> str:
    text, _, path = message.partition(" - at `$")
    path = path.removesuffix("`").removeprefix(".")
    what = f"{what}: {path}" if path else what
    if found := _EXPECTED.fullmatch(text):
        kinds = list(dict.fromkeys(_KINDS.get(kind, kind) for kind in found[1].split(" | ")))
        others = f"{', '.join(kinds[:-1])} or " if kinds[:-1] else ""
        return f"{what} is not {others}{kinds[-1]}"
    if found := _MISSING.fullmatch(text):
        return f"{what} has no {found[1]}"
    if found := _UNKNOWN.fullmatch(text):
        return f"{what} has a key that does not belong there: {found[1]!r:.60}"
    return f"{what}: {text}"
