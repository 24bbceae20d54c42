"""What values may become by a plan from a file.

Each check is for the changes of some actions, and raises InvalidValue or BadInput for a value that
none of them, or no undo of them, would write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from novadev.errors import BadInput, InvalidValue
from novadev.nova.image_properties import MACHINE_TYPE, PROPERTIES
from novadev.rules.defaults import REGISTERED
from novadev.rules.image_meta import FIELDS, coerced
from novadev.rules.machine_types import NAME
from novadev.runs.change import Change
from novadev.runs.place import Kind
from novadev.runs.plan import Draft
from novadev.value import ABSENT, Value
from novadev.virt.address import Address
from novadev.virt.address_syntax import checked_address
from novadev.virt.alias import Alias

_DEVICE_NAME = re.compile(r"(/dev/)?[a-z]{3,8}")
_TAGS = ("disk", "interface", "hostdev", "filesystem")
_ADDRESS_TYPE, _ADDRESS_VALUE = re.compile(r"[a-z]+"), re.compile(r"[A-Za-z0-9.-]+")
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST = 255
_LONGEST_TEXT = 65535
_OF_IMAGES = {"id", "container_format", "disk_format", "min_disk", "min_ram"}


def stored(item: Change, draft: Draft) -> None:
    """Check what is stored in Nova's databases."""
    is_undo = draft.undoes is not None
    if item.place.kind is Kind.HIDDEN:
        if item.after is not ABSENT and not is_undo:
            raise _impossible(item, item.after)
        return
    if isinstance(item.after, str) and _is_right(item)(item.after):
        return
    is_property = item.place.kind in (Kind.PROPERTY, Kind.SPEC)
    if item.after is ABSENT and is_property and (is_undo or item.place.name != MACHINE_TYPE):
        return
    if not is_undo or not _is_storable(item):
        raise _impossible(item, item.after)


def _is_right(item: Change) -> Callable[[str], bool]:
    kind, name = item.place.kind, item.place.name
    if kind is Kind.ROOT or name == "device_name":
        return lambda value: _DEVICE_NAME.fullmatch(value) is not None
    if kind is Kind.DISK:
        return PROPERTIES["hw_disk_bus"].has
    if name == MACHINE_TYPE:
        return lambda value: NAME.fullmatch(value) is not None
    return PROPERTIES[name].has if name in PROPERTIES else lambda _value: False


def _is_storable(item: Change) -> bool:
    """Whether an undo may bring the value back: a null, or what the place takes.

    A row of system_metadata takes a short text, the JSON of a request spec any text or number.
    """
    value = item.after
    if item.place.kind is Kind.SPEC:
        return value is not ABSENT and len(str(value)) <= _LONGEST_TEXT
    return value is None or (isinstance(value, str) and len(value) <= _LONGEST)


def _impossible(item: Change, value: Value) -> InvalidValue:
    return InvalidValue(f"plan file: {item.what} cannot become {value!r:.60}")


def recorded_default(item: Change, draft: Draft) -> None:
    """Check what stash-defaults stores: a value where there is none, never over another."""
    change = item.inverse if draft.undoes is not None else item
    if change.before is not ABSENT and change.before is not None:
        raise InvalidValue(f"plan file: {item.what} is there, and is never overwritten")
    is_cell = change.place.kind is Kind.PROPERTY
    may_be_null = is_cell and change.place.name in REGISTERED and change.before is ABSENT
    value = change.after
    if isinstance(value, str) and (_is_right(change)(value) or _is_a_copy(change, value)):
        return
    if not (may_be_null and value is None):
        raise _impossible(item, value)


def _is_a_copy(item: Change, value: str) -> bool:
    """Whether VALUE can be what a cell stores already, which the request spec then says, too."""
    is_name = item.place.name == MACHINE_TYPE and not _UNPRINTABLE.search(value)
    return item.place.kind is Kind.SPEC and is_name and len(value) <= _LONGEST


def of_the_cell(item: Change, draft: Draft) -> None:
    """Check what sync writes into a request spec: what Nova reads, or what an undo brings back."""
    value, is_undo = item.after, draft.undoes is not None
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        raise _impossible(item, value)
    if item.place.kind is Kind.IMAGE:
        is_right = _is_image(value) or (is_undo and value in (None, ABSENT))
    else:
        is_right = value is ABSENT or is_undo or _is_read(item.place.name, value)
    if not is_right:
        raise _impossible(item, value)


def _is_read(name: str, value: Value) -> bool:
    """Whether VALUE is the form in which Nova has a value of the field NAME."""
    try:
        return coerced(name, str(value)) == value
    except ValueError:
        return False


def _is_image(value: Value) -> bool:
    """Whether VALUE is an image as sync writes one into a request spec that has none."""
    try:
        data = json.loads(str(value))
        properties = dict(data.pop("properties"))
        traits = properties.pop("traits_required", [])
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    return (
        set(data) <= _OF_IMAGES
        and all(isinstance(item, str | int) for item in (*data.values(), *traits))
        and set(properties) <= FIELDS
        and all(_is_read(name, item) for name, item in properties.items())
    )


def alias(item: Change, _draft: Draft) -> None:
    """Check an alias that alias-migrate gives a device."""
    if item.place.name.partition(" ")[0] not in _TAGS:
        raise BadInput(f"plan file: {item.what!r:.60} is not the alias of a device")
    for value in (item.before, item.after):
        if value is not ABSENT and not (isinstance(value, str) and Alias(value).is_user_defined):
            raise BadInput(f"plan file: {item.what:.60}: {value!r:.60} is no alias")


def defined_address(item: Change, _draft: Draft) -> None:
    """Check an address that restore writes into a definition."""
    for value in (item.before, item.after):
        address = Address.from_text(value) if isinstance(value, str) else None
        if address is None or not all(
            _ADDRESS_TYPE.fullmatch(name) and _ADDRESS_VALUE.fullmatch(part)
            for name, part in (("type", address.type), *address.attributes)
        ):
            raise BadInput(f"plan file: {item.what:.60}: {value!r:.60} is no address")


def recorded_text(item: Change, draft: Draft) -> None:
    """Check what an import records: an address, or the custom properties of a device."""
    what = f"plan file: instance {draft.plan.instance}: {item.what!r:.120}"
    for value in (item.before, item.after):
        if value is ABSENT:
            continue
        if not isinstance(value, str) or not value:
            raise BadInput(f"{what}: {value!r:.60} is no text")
        if _UNPRINTABLE.search(value) or len(value) > _LONGEST_TEXT:
            raise BadInput(f"{what}: {value!r:.60} is not a text that is recorded")
        address = checked_address(value, what) if item.place.kind is Kind.ADDRESS else None
        if address and address.ovirt_text != value:
            raise BadInput(f"{what}: {value!r:.80} is not as it would be recorded")
