"""The rehearsal of an audit: the shapes of its guests, and the result of each on another host.

The shapes are gathered while the guests are looked at, and rehearsed at the end, those of most
guests first: what a budget leaves out is then of the fewest.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from novadev import private_file
from novadev.audit.finding import ONCE, Finding
from novadev.errors import BadInput, NovadevError
from novadev.private_file import replacing
from novadev.rehearsal.rehearsing import Rehearsal, Rehearsed
from novadev.rehearsal.shape import Shape
from novadev.text import many

CHECK = "rehearsal"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z ")
"""QEMU's clock, before its words: shapes that fail alike would differ in it."""


@dataclass(frozen=True)
class RehearsedShape:
    """A shape, its guests, and what became of it on the host.

    ``shape`` is a name of twelve digits, ``hardware`` its machine type and devices in words;
    ``first`` is the UUID of the first of its ``guests``. ``outcome`` is "started", "would not
    start", "cannot be defined" or "not rehearsed", ``message`` the words of libvirt and QEMU, or
    why it was not rehearsed. ``not_rehearsed`` is what was left out or replaced.
    """

    shape: str
    guests: int
    first: str
    hardware: str
    outcome: str
    message: str
    not_rehearsed: tuple[str, ...]


class Gathered:
    """The shapes of guests, on disk in a temporary file that has no name."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE shape (digest PRIMARY KEY, definition, parts)")
        self._database.execute("CREATE TABLE guest (digest, finding)")

    def close(self) -> None:
        """Forget them."""
        self._database.close()

    def add(self, shape: Shape, finding: Finding) -> None:
        """Keep SHAPE, and the FINDING that its guest gets if it fails, without details."""
        row = (shape.digest, shape.definition, json.dumps(shape.not_rehearsed))
        self._database.execute("INSERT OR IGNORE INTO shape VALUES (?, ?, ?)", row)
        guest = (shape.digest, json.dumps(asdict(finding)))
        self._database.execute("INSERT INTO guest VALUES (?, ?)", guest)

    def shapes(self) -> Mapping[Shape, int]:
        """Return every shape with the number of its guests, those of most guests first."""
        rows = self._database.execute(
            """SELECT definition, parts, count(*) AS guests FROM shape JOIN guest USING (digest)
               GROUP BY digest ORDER BY guests DESC, min(guest.rowid)"""
        )
        return {Shape(text, tuple(json.loads(parts))): number for text, parts, number in rows}

    def findings(self, shape: Shape, limit: int = -1) -> Iterator[Finding]:
        """Yield the findings of at most LIMIT guests of SHAPE, in their order."""
        rows = self._database.execute(
            "SELECT finding FROM guest WHERE digest = ? ORDER BY rowid LIMIT ?",
            (shape.digest, limit),
        )
        return (Finding(**json.loads(row[0])) for row in rows)

    def guests(self, shape: Shape) -> list[str]:
        """Return the UUIDs of the guests of SHAPE."""
        return [finding.instance for finding in self.findings(shape) if finding.instance]


class Rehearsals:
    """The rehearsal of one audit: gathers shapes, tries them, and makes findings of them.

    ``shapes`` is complete when the findings were taken. ``failure`` is the error that ended the
    rehearsal before its end, if one did.
    """

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self.shapes: list[RehearsedShape] = []
        self.failure: NovadevError | None = None
        self.total = self.guests = self.without = 0
        self._gathered = Gathered()
        self._told: set[tuple[str, ...]] = set()
        self._missed: list[str] = []
        self._running: Generator[Rehearsed, None, None] | None = None

    @property
    def host(self) -> str:
        """Where the shapes are rehearsed."""
        return self.rehearsal.host

    def check(self) -> None:
        """Raise what `Rehearsal.check` raises: before anything else is looked at."""
        self.rehearsal.check()

    def add(self, shape: Shape | None, finding: Finding) -> None:
        """Gather the SHAPE of a guest; None of one that has no definition."""
        self.guests += 1
        if shape is None:
            self.without += 1
        else:
            self._gathered.add(shape, finding)

    @property
    def missed(self) -> Sequence[str]:
        """The UUIDs of the guests whose shape was not rehearsed, when the findings were taken."""
        return self._missed

    def findings(self) -> Iterator[Finding]:
        """Yield the guests whose shape failed, then what was not rehearsed, once for each kind."""
        guests = self._gathered.shapes()
        chosen = list(guests)[: self.rehearsal.budget.max_shapes]
        self.total = len(chosen)
        left = dict.fromkeys(chosen)
        self._running = self.rehearsal.run(chosen) if chosen else None
        try:
            for one in self._running or ():
                del left[one.shape]
                yield from self._of_shape(one, guests[one.shape])
        except NovadevError as error:
            self.failure = error
        reason = f"--max-shapes is {self.rehearsal.budget.max_shapes}"
        reasons = dict.fromkeys(left, str(self.failure or ""))
        reasons |= dict.fromkeys(list(guests)[len(chosen) :], reason)
        for shape, why in reasons.items():
            self._keep(Rehearsed(shape, "not rehearsed", why), guests[shape])
        for finding in self._not_rehearsed():
            yield replace(finding, target=self.host)
        self._gathered.close()

    def close(self) -> None:
        """End the rehearsal if it is going on, and remove what is on its host."""
        if self._running is not None:
            self._running.close()

    def _of_shape(self, one: Rehearsed, guests: int) -> Iterator[Finding]:
        one = replace(one, message=_words(one.message))
        first = self._keep(one, guests)
        if one.fate in ("cannot be defined", "would not start"):
            details = f"on {self.host} it {one.fate}: {one.message}"
            for finding in self._gathered.findings(one.shape):
                yield replace(finding, details=details)
            return
        parts = one.shape.not_rehearsed
        if one.fate == "started" and parts and parts not in self._told:
            self._told.add(parts)
            details = (
                f"on {self.host} it starts; parts that were not rehearsed: {', '.join(parts)} "
                f"({ONCE} with the same parts)"
            )
            yield replace(first, severity="warning", details=details, once=True)

    def _keep(self, one: Rehearsed, guests: int) -> Finding:
        """Keep what became of a shape; return the finding of its first guest."""
        first = next(self._gathered.findings(one.shape, 1))
        if one.fate == "not rehearsed":
            self._missed += self._gathered.guests(one.shape)
        self.shapes.append(
            RehearsedShape(
                shape=one.shape.digest,
                guests=guests,
                first=first.instance or "",
                hardware=one.shape.summary,
                outcome=one.fate,
                message=one.message,
                not_rehearsed=one.shape.not_rehearsed,
            )
        )
        return first

    def _not_rehearsed(self) -> Iterator[Finding]:
        """Yield for each reason how many shapes and guests were not rehearsed for it."""
        shapes, guests = Counter[str](), Counter[str]()
        for one in self.shapes:
            if one.outcome == "not rehearsed":
                shapes[one.message] += 1
                guests[one.message] += one.guests
        texts = [
            f"{many(number, 'shape')} of {many(guests[reason], 'guest')}: {reason}"
            for reason, number in shapes.items()
        ]
        if self.without:
            texts.append(f"{many(self.without, 'guest')} without a definition that could be read")
        for text in texts:
            yield Finding(CHECK, "warning", None, self.host, f"not rehearsed: {text}", None)
        for name, why in self.rehearsal.stuck.items():
            details = (
                f"libvirt cannot end {name}, a guest of a rehearsal ({_words(why)}). Stop libvirtd "
                f"there, remove /run/libvirt/qemu/{name}.xml and {name}.pid, and start it again."
            )
            yield Finding(CHECK, "warning", None, self.host, details, None)

    def summary(self) -> str:
        """Return in one sentence how many shapes were rehearsed, and what became of them."""
        counts = Counter(one.outcome for one in self.shapes)
        told = ", ".join(f"{counts[name]} {name}" for name in _OUTCOMES if counts[name])
        shapes, guests = len(self.shapes), self.guests - self.without
        told = told or "there is nothing to rehearse"
        return f"{many(shapes, 'shape')} of {many(guests, 'guest')} on {self.host}: {told}."

    def progress(self) -> str:
        """Return how far it is, in a few words; empty before it has begun."""
        done = f"{len(self.shapes)} of {self.total} shapes were rehearsed on {self.host}"
        return done if self.total else ""


_OUTCOMES = ("started", "would not start", "cannot be defined", "not rehearsed")


def check_file(name: str) -> None:
    """Raise BadInput where `write_shapes` could not write the file NAME."""
    private_file.check(name, "--shapes")


def write_shapes(name: str, shapes: Sequence[RehearsedShape]) -> None:
    """Write SHAPES as JSON (0600): a list of objects, one a line, with the names of their fields.

    Raises BadInput where the disk does not take it; what was there stays then.
    """
    lines = ",\n".join(json.dumps(asdict(one)) for one in shapes)
    try:
        with replacing(name) as file:
            file.write(f"[\n{lines}\n]\n" if lines else "[]\n")
    except OSError as error:
        raise BadInput(f"--shapes {name} cannot be written: {error.strerror}") from None


def _words(text: str) -> str:
    """Return the words of libvirt and QEMU in one line, without the time of day."""
    return " ".join(_TIME.sub("", text).split())
