"""One device by any of its names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from novadev.device.inventory import Entry
from novadev.device.owners import keys_of
from novadev.errors import BadInput, NotFound
from novadev.virt.address import Address
from novadev.virt.alias import PREFIX
from novadev.virt.device import Device
from novadev.virt.devices import Hostdev, Interface

FIRST_DOMAIN = "0000:"
"""A PCI domain that goes without saying where space is short."""


def find_named(entries: Sequence[Entry], text: str, guest: str) -> Entry:
    """Return the entry whose name is TEXT.

    An alias, with or without ``ua-``, that names an attachment of the instance; an owner's UUID,
    a serial, a MAC, a target (a ghost's, as Nova says it), a tap name, a PCI address (the host's,
    then the guest's) or a label; any other alias; looked for in that order.

    Raises NotFound, naming GUEST, and BadInput where TEXT fits several.
    """
    for names in _KINDS:
        found = [entry for entry in entries if text.lower() in map(str.lower, names(entry))]
        if len(found) == 1:
            return found[0]
        if found:
            fitting = "; ".join(_described(entry) for entry in found)
            raise BadInput(f"{text!r:.60} matches {len(found)} devices of {guest}: {fitting}")
    raise NotFound(f"{guest} has no device {text!r:.60}: novadev device show lists them")


def _described(entry: Entry) -> str:
    place = next((str(one.address) for one in _sides(entry) if one.address), "no address")
    return f"{entry.label} ({place})"


def _sides(entry: Entry) -> Iterator[Device]:
    yield from (device for device in (entry.persistent, entry.live) if device is not None)


def _aliases(entry: Entry) -> Iterator[str]:
    """Yield the aliases that count: live migration leaves some behind that name nobody's."""
    names = entry.owner.values.get("alias", ()) if entry.owner else ()
    for alias in _any_aliases(entry):
        if alias in names or f"{PREFIX}{alias}" in names:
            yield alias


def _any_aliases(entry: Entry) -> Iterator[str]:
    for device in _sides(entry):
        if device.alias:
            yield device.alias.name
            yield device.alias.name.removeprefix(PREFIX)


def _ghost_target(entry: Entry) -> Iterator[str]:
    if entry.device is None and entry.owner:
        yield from entry.owner.values.get("target", ())


def _owner(entry: Entry) -> Iterator[str]:
    if entry.owner and entry.owner.id:
        yield entry.owner.id
        yield from entry.owner.values.get("serial", ())


def _key(*keys: str) -> Callable[[Entry], Iterator[str]]:
    def names(entry: Entry) -> Iterator[str]:
        for device in _sides(entry):
            found = keys_of(device)
            yield from (found[key] for key in keys if key in found)

    return names


def _host_addresses(entry: Entry) -> Iterator[str]:
    for device in _sides(entry):
        if isinstance(device, Interface | Hostdev) and device.host_address:
            yield from _spellings(device.host_address)


def _guest_addresses(entry: Entry) -> Iterator[str]:
    for device in _sides(entry):
        if device.address:
            yield from _spellings(device.address)


def _spellings(address: Address) -> Iterator[str]:
    """Yield ADDRESS in full, and without the PCI domain, as the table of devices has it."""
    yield str(address)
    yield str(address).removeprefix(FIRST_DOMAIN)


def _labels(entry: Entry) -> Iterator[str]:
    yield entry.label
    yield from (device.label for device in _sides(entry))


_KINDS = (
    *(_aliases, _owner, _key("serial"), _key("mac"), _key("target"), _key("tap"), _key("mdev")),
    *(_host_addresses, _guest_addresses, _labels, _any_aliases, _ghost_target),
)
