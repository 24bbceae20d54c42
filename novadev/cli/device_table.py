"""The devices of one guest for people: what Nova attaches first, the rest below."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from novadev.cli.grouping import server_label
from novadev.cli.options import Output
from novadev.cli.output import print_records
from novadev.cli.output_file import put
from novadev.cli.session import Session
from novadev.cli.table import print_fields, print_table
from novadev.device.named import FIRST_DOMAIN
from novadev.device.show_on_host import ShownDevice
from novadev.text import printable

if TYPE_CHECKING:
    from novadev.device.show_on_host import GuestDevices

_PORT = "pcie-root-port"
_FEW = 4
"""So many ports, of which a q35 guest has a dozen, are not shown one by one."""
_SPARE = {"by": (("by",),), "guest": (("alias",),)}
"""What a narrow terminal can do without, beside the names in the guest or without them."""
_OWNER_OF = {"disk": "volume", "interface": "port", "hostdev": "pci", "filesystem": "share"}
"""The kind of owner that goes without saying for a type of device."""


def print_devices(session: Session, output: Output, found: GuestDevices, is_one: bool) -> None:
    """Print FOUND: every field of its device if it IS_ONE, else tables, else as OUTPUT says."""
    session.deployment.remember_names({found.instance: found.name})
    if output.format != "table" or output.columns:
        print_records(session, output, ShownDevice, found.records)
    elif is_one:
        _print_one(session, found)
    else:
        _print_all(session, found)
    _say_notes(session, found)


def print_picture(session: Session, found: GuestDevices, tree: bool, svg: str | None) -> None:
    """Print FOUND as a TREE of its buses, or write that into the file SVG, or both."""
    from novadev.cli.device_tree import print_tree
    from novadev.device.topology import placed, topology
    from novadev.pages.picture import picture

    roots = topology([placed(record, found.is_running) for record in found.records])
    if tree:
        print_tree(session, _title(found), roots)
    if svg is not None:
        put(session, svg, picture(_title(found), roots), "picture", "The picture")
    _say_notes(session, found)


_SAVED = (
    "The guest has a managed save image, for example because the server is suspended. These are "
    "the devices of its definition; it starts with those in the image."
)


def _say_notes(session: Session, found: GuestDevices) -> None:
    if found.is_rescued:
        session.say("The server is in rescue: these are the devices of the rescue guest.")
    if found.is_saved:
        session.say(_SAVED)
    for note in found.guest_notes or ():
        session.say(f"Names in the guest: {printable(note)}.")
    if not found.from_databases:
        session.say(
            "From libvirt only: the owners are those that Nova has written into the definition."
        )


def _print_one(session: Session, found: GuestDevices) -> None:
    click.echo(_title(found))
    (record,) = found.records
    values = dataclasses.asdict(record)
    print_fields(session, {name: _word(value) for name, value in values.items()})


def _word(value: Any) -> Any:
    return ("no", "yes")[value] if isinstance(value, bool) else value


def _print_all(session: Session, found: GuestDevices) -> None:
    click.echo(_title(found))
    attached = [record for record in found.records if record.is_detachable]
    others = [record for record in found.records if not record.is_detachable]
    if attached:
        last = "by" if found.guest_notes is None else "guest"
        columns = ("device", "bus", "address", "owner", last, "alias")
        rows = (_attached_row(record, found.is_running) for record in attached)
        print_table(session, columns, rows, spare=_SPARE[last])
    if others:
        click.echo()
        print_table(session, ("device", "bus", "address"), _other_rows(others))
    lines = [
        f"! {printable(record.label)}: {printable(text)}"
        for record in found.records
        for text in record.disagreements
    ]
    if lines:
        click.echo("\n" + "\n".join(lines))


def _title(found: GuestDevices) -> str:
    state = "running" if found.is_running else "shut off"
    return f"{server_label(found.instance, found.name)} on {printable(found.host)}, {state}"


def _attached_row(record: ShownDevice, is_running: bool) -> dict[str, Any]:
    return {
        **_other_row(record),
        "owner": _owner(record),
        "by": record.matched_by,
        "guest": record.logical_name,
        "alias": _alias(record, is_running),
    }


def _owner(record: ShownDevice) -> str | None:
    """Return whose it is, in as few words as the width of a terminal asks for."""
    is_plain = record.type is None or _OWNER_OF.get(record.type) == record.owner_type
    if record.owner_id is None or record.owner_type == "mdev":
        return record.owner_type
    return record.owner_id if is_plain else f"{record.owner_type} {record.owner_id}"


def _other_rows(records: Sequence[ShownDevice]) -> Iterator[dict[str, Any]]:
    """Yield a row for each, but one for all of a machine's PCI Express ports."""
    ports = [record for record in records if record.model == _PORT]
    for record in records:
        if record.model != _PORT or len(ports) < _FEW:
            yield _other_row(record)
        elif record is ports[0]:
            yield {"device": f"{len(ports)} controllers pci", "bus": _PORT, "address": None}


def _other_row(record: ShownDevice) -> dict[str, Any]:
    address = record.live_address or record.address
    is_ghost = record.definition == "none"
    return {
        "device": f"{record.owner_type}: no device" if is_ghost else record.label,
        "bus": record.bus or record.model,
        "address": address.removeprefix(FIRST_DOMAIN) if address else None,
    }


def _alias(record: ShownDevice, is_running: bool) -> str | None:
    """Return in one word whether the device has the alias it should have."""
    expected = record.expected_alias
    if record.definition == "none" or (expected is None and record.alias is None):
        return None
    if expected is None or expected not in (record.alias, record.live_alias):
        return "no" if record.alias is None else "odd"
    if record.alias == expected:
        is_there = record.live_alias == expected or not is_running
        return "yes" if is_there else "next"
    return "live"
