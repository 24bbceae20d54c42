"""``novadev device record``, ``list``, ``drift``, ``history``."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from novadev.cli import completion, help, options
from novadev.cli.as_of import as_of
from novadev.cli.options import Output
from novadev.cli.output import columns_of, labelled_row, presence, print_records
from novadev.cli.progress import counted
from novadev.cli.session import Session, pass_session
from novadev.cli.skips import Skips
from novadev.cli.table import Row, fits, print_table
from novadev.cli.talk import say
from novadev.text import many, printable

if TYPE_CHECKING:
    from novadev.records.device import AsOf
    from novadev.records.drift import Drift
    from novadev.records.list import ListedGuest
    from novadev.records.record import RecordedGuest

HASH_SHOWN = 12
"""Characters of a hash that a table shows."""
LONG = ("label", "address", "logical_name", "managed", "pinned", "alias")
"""What a table says of a device."""
SPARE_LONG = (("alias",),)
"""What a narrow terminal can do without of that."""
_OF_RECORD = ("seen", "host", "user")
"""What of the past is in the heading of a narrow table, behind the number of the record."""
_UNSHOWN = ("pinned", "unfit", "device_id")
"""What a table of drift leaves out unless it is asked for."""
_NO_CHANGE = "No change of its devices was ever recorded."
R = TypeVar("R", "ListedGuest", "RecordedGuest")
T = TypeVar("T")


@help.command(short_help="Record the devices of guests with their addresses.")
@options.selection
@options.guest
@options.no_database
@options.fail_on_skip
@options.output
@pass_session
@options.host_workers
def record(
    session: Session,
    selection: Any,
    asks_guest: bool,
    no_database: bool,
    fail_on_skip: bool,
    output: Output,
) -> int:
    """Record every device of INSTANCEs with its present address.

    novadev computes a hash of the devices that each guest sees, and writes nothing while the hash
    stays the same. A record of all guests every night is therefore cheap, and "device history"
    shows when something changed. The output lists the guests that have changed and
    those recorded for the first time.

    Example: novadev device record --all --guest
    """
    session.deployment.hosts.warm()
    from novadev.records.record import RecordedGuest, record_devices

    skips, tally, notes = Skips(session, fail_on_skip), _Tally(), _Notes()
    found = record_devices(session.deployment, selection, asks_guest, no_database)
    records = notes.told_after(tally.recorded(skips.sift(counted(session, found)), notes))
    if output.format == "table":
        records = (item for item in records if item.changed)
    shown = _for_people(output, records)
    new = _new("previous_hash")
    unshown, spare = ("notes", "record"), (("hash", "previous_hash"),)
    print_records(session, output, RecordedGuest, shown, (), new, None, unshown, spare)
    skips.tell_groups()
    session.say(f"{tally.text}, {skips.told}.")
    if tally.record is not None:
        session.say(f"This is record {tally.record}.")
    return skips.exit_code


@help.command("list", short_help="List guests with the hash of their devices.")
@options.selection
@click.option("--long", "long_", is_flag=True, help="Print a line for each device.")
@click.option("--ids", is_flag=True, help="Print only the UUIDs of the guests, one per line.")
@click.option("--changed", is_flag=True, help="List only guests that differ from their record.")
@options.guest
@options.no_database
@options.fail_on_skip
@options.output
@pass_session
@options.host_workers
def list_(
    session: Session,
    selection: Any,
    long_: bool,
    ids: bool,
    changed: bool,
    asks_guest: bool,
    no_database: bool,
    fail_on_skip: bool,
    output: Output,
) -> int:
    """List INSTANCEs with the hash of their present devices and the recorded hash.

    A guest without a record is shown as new; --changed lists it too.

    Example: novadev device list --all --changed --ids
    """
    session.deployment.hosts.warm()
    from novadev.records.list import ListedDevice, ListedGuest, list_devices, list_guests

    if long_ and ids:
        raise click.UsageError("--long or --ids, not both")
    skips, notes = Skips(session, fail_on_skip), _Notes()
    ask = list_devices if long_ else list_guests
    found: Any = ask(session.deployment, selection, changed, asks_guest, no_database, notes.add)
    records = notes.told_after(skips.sift(counted(session, found)))
    if ids:
        for guest in records:
            click.echo(guest.instance)
    elif long_:
        _print_devices(session, output, ListedDevice, records)
    else:
        nothing = "No guest differs from its record." if changed else ""
        empty = skips.unless_all(nothing, lambda: notes.guests)
        shown = _for_people(output, records)
        spare, new = (("hash", "recorded_hash"),), _new("recorded_hash")
        print_records(session, output, ListedGuest, shown, for_people=new, empty=empty, spare=spare)
    skips.tell_groups()
    return skips.exit_code


@help.command(short_help="Find devices that differ from their record.")
@options.selection
@as_of
@options.guest
@options.no_database
@options.fail_on_skip
@options.output
@pass_session
@options.host_workers
def drift(
    session: Session,
    selection: Any,
    asks_guest: bool,
    no_database: bool,
    fail_on_skip: bool,
    output: Output,
    as_of: AsOf | None,
) -> int:
    """Find devices of INSTANCEs that differ from their record; exit with 3 if there are any.

    The difference can be another address, another bus or model, another name in the guest, a device
    that has vanished, or a new device.

    Example: novadev device drift --host cmp1
    """
    session.deployment.hosts.warm()
    from novadev.errors import NotAsNeeded, worst
    from novadev.records.drift import Drift, find_drift

    skips, tally, notes = Skips(session, fail_on_skip), _Tally(), _Notes()
    found = find_drift(session.deployment, selection, asks_guest, as_of, no_database, notes.add)
    records = tally.counted(notes.told_after(skips.sift(counted(session, found))))
    shown = presence("recorded", "found", ("appeared", "vanished"))
    nothing = "No device of these guests differs from its record."
    empty = skips.unless_all(nothing, lambda: notes.guests)
    print_records(session, output, Drift, records, ("instance",), shown, empty, _UNSHOWN)
    skips.tell_groups()
    if tally.unfit:
        session.say(
            f"{many(tally.unfit, 'difference')} of devices that can no longer be at their pinned "
            "address. Remove the pin (novadev device unpin), then run novadev device record."
        )
    if tally.pinned:
        session.say(
            f"{many(tally.pinned, 'difference')} of pinned devices. novadev device restore puts a "
            "device that the guest has back to its pinned address; novadev device unpin removes "
            "the pin."
        )
    return worst({skips.exit_code, NotAsNeeded.exit_code if tally.changed else 0})


@help.command(short_help="Show when the devices of a guest changed.")
@click.argument("instance", shell_complete=completion.servers)
@options.output
@pass_session
def history(session: Session, instance: str, output: Output) -> None:
    """Show the changes that each "device record" found in INSTANCE, oldest first.

    SEEN is the time of the record that found the change. The change itself happened after the
    record before it. At the first record nothing had changed: its devices are shown as recorded.
    RECORD is the number of the record, which "device restore", "device drift" and
    "device export" accept for --as-of; a narrow terminal shows it as a heading. Rows with the FIELD
    "pin" show which address was pinned or unpinned, and USER shows who did it; a narrow terminal
    shows that in the heading, too.

    Example: novadev device history web-1
    """
    from novadev.records.history import PastChange, list_changes

    changes = list(list_changes(session.deployment, instance))
    shown = _past(presence("before", "after", ("appeared", "vanished")))
    unshown = ["first", *(["user"] * (not any(item.user for item in changes)))]
    columns = [name for name in columns_of(PastChange) if name not in unshown]
    rows = [shown(dataclasses.asdict(item)) for item in changes]
    is_narrow = bool(rows) and not fits(columns, rows)
    print_records(
        *(session, output, PastChange, changes),
        group_by=("record",) * is_narrow,
        for_people=_under_record(shown) if is_narrow and not output.columns else shown,
        empty=lambda: _NO_CHANGE,
        unshown=(*unshown, *_OF_RECORD * is_narrow),
    )


def _past(for_people: Callable[[Row], Row]) -> Callable[[Row], Row]:
    """Return FOR_PEOPLE for changes of the past: at its first record a device did not appear."""
    return lambda row: row | {"after": "recorded"} if row["first"] else for_people(row)


def _under_record(for_people: Callable[[Row], Row]) -> Callable[[Row], Row]:
    """Return FOR_PEOPLE for changes of the past where the heading has what is of the record."""

    def row(item: Row) -> Row:
        number = f"record {item['record']}" if item["record"] else ""
        user = f"by {item['user']}" if item["user"] else ""
        parts = (number, item["seen"], item["host"], user)
        return for_people(item) | {"record": ", ".join(filter(None, parts))}

    return row


def _new(recorded: str) -> Callable[[Row], Row]:
    """Return what shows a guest without a hash RECORDED as new, because nothing has changed."""
    return lambda row: row | {"changed": "new"} if row[recorded] is None else row


def _print_devices(
    session: Session, output: Output, kind: type[Any], records: Iterator[Any]
) -> None:
    """Print the devices of guests; as a table only what people look for."""
    if output.format != "table" or output.columns:
        print_records(session, output, kind, records)
        return
    group = ("instance", "host")
    found = (
        {name: getattr(item, name) for name in (*group, *LONG)}
        | ({} if item.present else {"pinned": "yes, gone"})
        for item in records
    )
    rows = (labelled_row(session, row) for row in found)
    print_table(session, (*group, *LONG), rows, group, SPARE_LONG)


class _Notes:
    """What was noted of guests, and of how many."""

    def __init__(self) -> None:
        self._notes: Counter[str] = Counter()
        self.guests = 0

    def add(self, notes: Iterable[str]) -> None:
        """Count the NOTES of a guest, and the guest."""
        self._notes.update(notes)
        self.guests += 1

    def told_after(self, records: Iterable[T]) -> Iterator[T]:
        """Yield RECORDS, and print the collected notes at the end."""
        yield from records
        for note, number in self._notes.items():
            say(f"note: {many(number, 'guest')}: {printable(note)}")


class _Tally:
    """Counts what went by."""

    def __init__(self) -> None:
        self.changed, self.same, self.new, self.pinned, self.unfit = 0, 0, 0, 0, 0
        self.record: int | None = None

    @property
    def text(self) -> str:
        """How many guests were recorded, and why."""
        new = f"{self.new} recorded for the first time, " if self.new else ""
        return f"{new}{self.changed} changed, {self.same} unchanged"

    def recorded(self, records: Iterable[RecordedGuest], notes: _Notes) -> Iterator[RecordedGuest]:
        """Yield RECORDS; their notes go to NOTES."""
        for item in records:
            self.new += item.previous_hash is None
            self.changed += item.changed and item.previous_hash is not None
            self.same += not item.changed
            self.record = item.record or self.record
            notes.add(item.notes)
            yield item

    def counted(self, records: Iterable[Drift]) -> Iterator[Drift]:
        """Yield RECORDS."""
        for item in records:
            self.changed += 1
            self.pinned += item.pinned and not item.unfit
            self.unfit += item.unfit
            yield item


def _for_people(output: Output, records: Iterable[R]) -> Iterator[R]:
    """Yield RECORDS, their hashes cut for a table: there the first characters tell enough."""
    for item in records:
        yield _cut(item) if output.format == "table" else item


def _cut(item: Any) -> Any:
    names = [field.name for field in dataclasses.fields(item) if field.name.endswith("hash")]
    values = {name: getattr(item, name) for name in names}
    short = {name: value[:HASH_SHOWN] for name, value in values.items() if value}
    return dataclasses.replace(item, **short)
