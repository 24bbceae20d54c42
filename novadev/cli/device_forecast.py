"""``novadev device forecast``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from novadev.cli import completion, help, options
from novadev.cli.grouping import labelled
from novadev.cli.one_of import OneOf
from novadev.cli.options import Output
from novadev.cli.output import presence, print_records
from novadev.cli.session import Session, pass_session
from novadev.cli.skips import Skips
from novadev.cli.talk import say
from novadev.text import printable

if TYPE_CHECKING:
    from novadev.device.forecast.forecasting import After
    from novadev.device.forecast.records import ForecastRecord, Note


@help.command("forecast", short_help="Report what the next start changes in the hardware.")
@options.selection
@click.option(
    "--after",
    type=OneOf(["power-on", "soft-reboot"]),
    default="power-on",
    show_default=True,
    help="Forecast a power-on, which stands for everything that makes Nova write a new "
    "definition (start, hard reboot), or a soft reboot, which restarts a running guest from "
    "its present definition.",
)
@click.option(
    "--assume-config",
    shell_complete=completion.files,
    metavar="FILE",
    help="Use the rules in this nova.conf or capability file for every compute host.",
)
@options.fail_on_skip
@options.output
@pass_session
@options.host_workers
def forecast(
    session: Session,
    selection: Any,
    after: After,
    assume_config: str | None,
    fail_on_skip: bool,
    output: Output,
) -> int:
    """Report what the next power-on of INSTANCEs will change in their hardware.

    It compares addresses, buses, models and the machine type, and lists devices that will vanish or
    appear (FIELD is then "device"). At each power-on Nova writes a new definition with few
    addresses, and libvirt chooses the others again. No guest is touched. novadev gets the addresses
    from a private libvirt on this machine; without QEMU here it uses its own rules. Notes on stderr
    name guests whose operating system may have trouble with a change.

    Example: novadev device forecast --host cmp1 -f json
    """
    from novadev.device.forecast.forecasting import forecast as forecast_
    from novadev.device.forecast.records import ForecastRecord

    skips = Skips(session, fail_on_skip)
    found: Iterator[ForecastRecord | Note] = skips.sift(
        forecast_(session.deployment, selection, after, assume_config)
    )
    shown = presence("now", "after", ("appears", "vanishes"))
    records = _without_notes(session, found)
    empty = skips.unless_all("The forecast finds no change.", int)
    print_records(session, output, ForecastRecord, records, ("instance",), shown, empty)
    skips.tell_groups()
    return skips.exit_code


def _without_notes(
    session: Session, found: Iterator[ForecastRecord | Note]
) -> Iterator[ForecastRecord]:
    """Yield the records, telling the notes."""
    from novadev.device.forecast.records import Note

    for item in found:
        if isinstance(item, Note):
            subject = f"instance {item.instance}: " if item.instance else ""
            name = session.names.get(item.instance or "")
            say(f"note: {printable(labelled(subject + item.text, item.instance, name))}")
        else:
            yield item
