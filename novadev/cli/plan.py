"""``novadev plan show``: shows a saved plan before it is applied."""

from __future__ import annotations

import sys
from shlex import quote
from typing import TYPE_CHECKING

import click

from novadev.cli import completion, help, options
from novadev.cli.session import Session, pass_session
from novadev.text import many, printable

if TYPE_CHECKING:
    from novadev.cli.document import PlanFileFacts
    from novadev.runs.file import Saved


@help.group()
def plan() -> None:
    """Show saved plans.

    Example: novadev plan show virtio.plan
    """


@plan.command(short_help="Show a saved plan.")
@click.argument("plan_file", shell_complete=completion.files, metavar="PLAN-FILE")
@options.how_much
@options.plan_format
@pass_session
def show(session: Session, plan_file: str, format_: str, summary: bool, details: bool) -> None:
    """Show the plans in PLAN-FILE, who saved them, when, for which deployment, and the checksum.

    This command reads only the file. The databases may have changed since it was saved.

    Example: novadev plan show tonight.plan
    """
    from novadev.cli.document import Document, Paper
    from novadev.cli.plan_text import listing
    from novadev.cli.skips import Skips
    from novadev.runs import file

    saved = file.read(plan_file)
    paper = Paper(goes_on=False)
    if format_ != "table":
        document = Document(format_, paper)
        for draft in saved.iter_drafts():
            document.add(draft.plan, "planned", None)
        document.close(None, "planned", Skips(session), **_facts(saved))
        return
    for name, value in _facts(saved).items():
        if value:
            paper.echo(f"{name}: {printable(str(value))}")
    shown = listing(session, paper.echo, sys.stdout, summary, details)
    for draft in saved.iter_drafts():
        shown.add(draft.plan)
    shown.end()
    command = f"novadev apply {quote(plan_file)} --sha256 {saved.sha256}"
    session.say(f"{many(saved.plans, 'plan')}: {command}")


def _facts(saved: Saved) -> PlanFileFacts:
    """Return what the plan file SAVED says of itself."""
    head = saved.head
    return {
        "action": head.action,
        "made": head.made,
        "user": head.user,
        "host": head.host,
        "asked": head.asked,
        "message": head.message,
        "undoes": head.undoes,
        "deployment": ", ".join(f"{name} ({uuid})" for uuid, name in head.cells.items()),
        "sha256": saved.sha256,
    }
