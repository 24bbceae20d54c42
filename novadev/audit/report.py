"""The report of an audit: one self-contained HTML page.

Its style and its script are in it, and its Content-Security-Policy lets a browser run no other
and fetch nothing. Bars are SVG, because such a policy forbids ``style`` attributes too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from novadev import private_file
from novadev.audit.commands import lines_of
from novadev.audit.finding import Comparison
from novadev.audit.finding_store import Collected, Group, Kind, Tally
from novadev.audit.rehearsal import RehearsedShape
from novadev.audit.scope import About
from novadev.errors import BadInput
from novadev.pages.environment import environment, policy
from novadev.private_file import replacing

MAX_ROWS = 5_000
"""Of the table: as many a browser sorts and filters without a pause."""
MAX_COMMANDS = 2_000
"""Of one kind in the runbook."""
MAX_APART = 500
"""Of what is mended, of what was not checked this time, and of what somebody lives with."""
MAX_SHAPES = 1_000
MAX_BARS = 12
MAX_UNREACHABLE = 100
_TEMPLATES = Path(__file__).parent / "templates"
_BUFFERED = 200
_GROUPS: tuple[tuple[Group, str, str], ...] = (
    ("check", "Check", ""),
    ("host", "Host", "no host"),
    ("project", "Project", "not known"),
    ("machine_type", "Machine type", "not known"),
)


class Report:
    """A report on its way into its file."""

    def __init__(self, name: str, file: TextIO) -> None:
        self._name = name
        self._file = file

    def write(self, about: About, collected: Collected) -> None:
        """Write the page; raises BadInput where the disk does not take it."""
        pieces = (
            environment(_TEMPLATES).get_template("report.html").stream(_content(about, collected))
        )
        pieces.enable_buffering(_BUFFERED)
        with _told(self._name):
            self._file.writelines(pieces)


@contextmanager
def opened(name: str) -> Iterator[Report]:
    """Give the report that becomes the file NAME (0600) in the end, once it is written.

    Raises BadInput at once where there can be no such file, and in the end where it cannot be
    completed. What was there stays until then, and on errors.
    """
    private_file.check(name, "report")
    with ExitStack() as stack:
        with _told(name):
            file = stack.enter_context(replacing(name))
        yield Report(name, file)
        with _told(name):
            stack.close()


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BadInput(f"report {name} cannot be written: {error.strerror}") from None


def _content(about: About, collected: Collected) -> dict[str, Any]:
    """Return all that the template names; rows and commands are read while it is filled."""
    total = collected.total()
    failed, warned = collected.guests_at_risk()
    finds = {check.name: check.finds for check in about.checks}
    charts = [chart for group in _GROUPS if (chart := _chart(collected, *group)).bars]
    found = {bar.value for chart in charts[:1] for bar in chart.bars}
    style, script = (_inline(name) for name in ("report.css", "report.js"))
    return {
        "about": about,
        "total": total,
        "guests": Tally("", failed, warned, max(about.guests, failed + warned)),
        "elsewhere": collected.failures_elsewhere(),
        "charts": charts,
        "finds": finds,
        "quiet": [name for name in finds if name not in found],
        "rows": collected.worst(MAX_ROWS),
        "rows_shown": min(total.findings, MAX_ROWS),
        "shapes": _shapes(about),
        "severities": _SEVERITIES,
        "kinds": collected.kinds(),
        "commands": lambda kind: _runbook(collected, kind),
        "max_commands": MAX_COMMANDS,
        "max_unreachable": MAX_UNREACHABLE,
        "apart": [part for words in _APART for part in _apart(collected, *words)],
        "compared": collected.count_compared(),
        "without_remedy": collected.without_remedy(),
        "style": style,
        "script": script,
        "policy": policy(style, script),
    }


_APART: tuple[tuple[Comparison | None, str], ...] = (
    ("mended", "Mended"),
    ("not checked", "Not checked this time"),
    (None, "Acknowledged"),
)


def _apart(
    collected: Collected, comparison: Comparison | None, title: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what this audit has not found, or somebody lives with, under its TITLE."""
    if counts := collected.count_apart(comparison):
        yield title, {"counts": counts, "rows": collected.apart(comparison, MAX_APART)}


def _runbook(collected: Collected, kind: Kind) -> Iterator[str]:
    """Yield the commands of KIND, line by line, for at most MAX_COMMANDS servers."""
    left = MAX_COMMANDS
    for command in kind.commands:
        if left > 0:
            yield from lines_of(command, collected.servers(command, left), max_words=1)
        left -= command.servers


_SEVERITIES = {
    "cannot be defined": "failure",
    "would not start": "failure",
    "not rehearsed": "warning",
    "started": "fine",
}
"""How an outcome of a rehearsal is shown."""


def _shapes(about: About) -> Sequence[RehearsedShape]:
    """Return at most `MAX_SHAPES` shapes: those that failed, then those of most guests."""
    found = () if about.rehearsals is None else about.rehearsals.shapes
    order = list(_SEVERITIES)
    return sorted(found, key=lambda one: (order.index(one.outcome), -one.guests))[:MAX_SHAPES]


def _inline(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Chart:
    """The bars of one kind, what the rest comes to, and what an empty value is called."""

    group: Group
    title: str
    unnamed: str
    bars: Sequence[Tally]
    others: Tally | None

    @property
    def longest(self) -> int:
        """The findings of the longest bar."""
        return max(bar.findings for bar in self.bars)


def _chart(collected: Collected, group: Group, title: str, unnamed: str) -> Chart:
    """Return a bar for each check, or for the worst values of any other GROUP."""
    bars = collected.by(group)
    if group == "check" or len(bars) <= MAX_BARS + 1:
        return Chart(group, title, unnamed, bars, None)
    rest = bars[MAX_BARS:]
    others = Tally(
        f"{len(rest):,} others",
        sum(bar.failures for bar in rest),
        sum(bar.warnings for bar in rest),
        sum(bar.guests for bar in rest),
    )
    return Chart(group, title, unnamed, bars[:MAX_BARS], others)
