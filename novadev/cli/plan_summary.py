"""A short summary of a plan, which is equal for all servers with equal changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from novadev.cli.grouping import server_label
from novadev.runs.change import Change, Effect
from novadev.runs.place import Kind
from novadev.runs.plan import Plan
from novadev.text import many, printable
from novadev.value import ABSENT, Value

Line = tuple[str, str]
"""What changes, and how."""
_DISKS = {"disk": "disk", "cdrom": "cdrom", "floppy": "floppy", "lun": "LUN"}
_COUNTED = {
    Kind.ADDRESS: ("device", "devices", "another address"),
    Kind.CUSTOM_PROPERTIES: ("device", "devices", "other custom properties"),
    Kind.DETACH: ("device", "devices", "detached"),
    Kind.HIDDEN: ("row that Nova never reads", "rows that Nova never reads", "removed"),
    Kind.IMAGE: ("request spec", "request specs", "gets its image"),
}
"""What is counted, one and many, and what becomes of it."""
_FEW = 4
"""So many image properties are named in a question."""


def arrow(before: Value, after: Value) -> str:
    """Return ``BEFORE -> AFTER``."""
    return f"{value_text(before)} -> {value_text(after)}"


def value_text(value: Value) -> str:
    """Return VALUE for people: the three states look different."""
    if value is ABSENT:
        return "(absent)"
    return "(null)" if value is None else printable(str(value))


def summary(plan: Plan) -> tuple[Line, ...]:
    """Return what PLAN does, without the names, rows and addresses that are its server's alone."""
    disks = tuple(_disk_lines(plan.effects)) or tuple(_row_lines(plan.changes))
    return (
        *_property_lines(plan.changes),
        *_other_effects(plan.effects),
        *disks,
        *_alias_lines(plan.changes),
        *_counted_lines(plan.changes),
    )


def _property_lines(changes: Sequence[Change]) -> Iterator[Line]:
    """Yield the image properties; one line for a change that both databases get."""
    cell = {item.place.name: item for item in changes if item.place.kind is Kind.PROPERTY}
    spec = {item.place.name: item for item in changes if item.place.kind is Kind.SPEC}
    for name in dict.fromkeys((*cell, *spec)):
        one, other = cell.get(name), spec.get(name)
        if one and other and (one.before, one.after) == (other.before, other.after):
            yield name, arrow(one.before, one.after)
            continue
        if one:
            alone = "" if other else " (the cell alone)"
            yield name, arrow(one.before, one.after) + alone
        if other:
            yield f"request_spec {name}", arrow(other.before, other.after)


def _is_disk(effect: Effect) -> bool:
    return effect.what.rpartition(" ")[2] in _DISKS or effect.what.startswith("volume ")


def _other_effects(effects: Iterable[Effect]) -> Iterator[Line]:
    for item in effects:
        if not _is_disk(item) and item.before != item.after:
            yield item.what, arrow(item.before, item.after)


def _disk_lines(effects: Iterable[Effect]) -> Iterator[Line]:
    """Yield how many disks go from which bus to which, by what the guest will see."""
    counted = Counter(
        (_DISKS.get(item.what.rpartition(" ")[2], "disk"), _bus(item.before), _bus(item.after))
        for item in effects
        if _is_disk(item) and item.before != item.after
    )
    for (kind, before, after), number in counted.items():
        how = "another name" if before == after else f"move {before or 'none'} -> {after or 'none'}"
        yield many(number, kind), how


def _bus(value: Value) -> str | None:
    """Return the bus in ``BUS NAME``."""
    return value.partition(" ")[0] if isinstance(value, str) else None


def _row_lines(changes: Sequence[Change]) -> Iterator[Line]:
    """Yield how many rows of disks change, where no effect tells what the guest will see."""
    rows = {item.place.row for item in changes if item.place.kind is Kind.DISK}
    moves = [
        item for item in changes if item.place.kind is Kind.DISK and item.place.name == "disk_bus"
    ]
    counted = Counter((item.before, item.after) for item in moves)
    for (before, after), number in counted.items():
        yield many(number, "disk"), f"move {arrow(before, after)}"
    renamed = len(rows - {item.place.row for item in moves})
    if renamed:
        yield many(renamed, "disk"), "another name"


def _alias_lines(changes: Sequence[Change]) -> Iterator[Line]:
    aliases = [item for item in changes if item.place.kind is Kind.ALIAS]
    counted = Counter(_alias_change(item) for item in aliases)
    for how, number in counted.items():
        yield many(number, "device"), how


def _alias_change(item: Change) -> str:
    if item.after in (None, ABSENT):
        return "no alias"
    return "a new alias" if item.before in (None, ABSENT) else "another alias"


def _counted_lines(changes: Sequence[Change]) -> Iterator[Line]:
    for kind, (one, several, how) in _COUNTED.items():
        number = sum(1 for item in changes if item.place.kind is kind)
        if number:
            yield f"{number} {one if number == 1 else several}", how


@dataclass
class Totals:
    """What all the plans of a run do together: for the question."""

    plans: int = 0
    first: Plan | None = None
    hosts: set[str] = field(default_factory=set)
    hosted: int = 0
    disks: int = 0
    specs: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    values: dict[str, set[Value]] = field(default_factory=dict)

    def add(self, plan: Plan) -> None:
        """Count what PLAN does."""
        self.plans += 1
        self.first = self.first or plan
        self.hosts |= {plan.host} if plan.host else set()
        self.hosted += bool(plan.host)
        cell = {item.place.name for item in plan.changes if item.place.kind is Kind.PROPERTY}
        for item in plan.changes:
            self.kinds[item.place.kind] += 1
            if item.place.kind is Kind.PROPERTY:
                self.values.setdefault(item.place.name, set()).add(item.after)
            elif item.place.kind is Kind.SPEC and item.place.name not in cell:
                self.specs += 1
        self.disks += len({item.place.row for item in plan.changes if item.place.kind is Kind.DISK})

    @property
    def sentence(self) -> str:
        """What will happen, as the beginning of a question."""
        *parts, last = list(self._deeds()) or ["carry out the plans"]
        deeds = f"{', '.join(parts)} and {last}" if parts else last
        return f"{deeds} on {self._subject()}"

    def _subject(self) -> str:
        if self.plans == 1 and self.first is not None:
            return server_label(self.first.instance, self.first.name)
        servers = many(self.plans, "server")
        if len(self.hosts) < 2:
            return servers
        hosts = many(len(self.hosts), "host")
        if self.hosted < self.plans:
            return f"{servers}, {self.hosted} of them on {hosts}"
        return f"{servers} of {hosts}"

    def _deeds(self) -> Iterator[str]:
        yield from self._property_deeds()
        if self.specs:
            yield f"write {_properties(self.specs)} into request specs"
        if self.disks:
            yield f"move {many(self.disks, 'disk')}"
        words = (
            (Kind.IMAGE, "write the image into {} {}", "request spec"),
            (Kind.HIDDEN, "remove {} {} that Nova never reads", "row"),
            (Kind.ALIAS, "change the alias of {} {}", "device"),
            (Kind.ADDRESS, "change the address of {} {}", "device"),
            (Kind.CUSTOM_PROPERTIES, "change the custom properties of {} {}", "device"),
            (Kind.DETACH, "detach {} {}", "device"),
        )
        for kind, text, noun in words:
            if self.kinds[kind]:
                yield text.format(*many(self.kinds[kind], noun).split(" ", 1))

    def _property_deeds(self) -> Iterator[str]:
        if len(self.values) > _FEW:
            yield f"change {_properties(len(self.values))}"
            return
        for name, values in self.values.items():
            if values <= {ABSENT}:
                yield f"remove {printable(name)}"
            elif len(values) == 1:
                yield f"set {printable(name)}={value_text(next(iter(values)))}"
            else:
                yield f"change {printable(name)}"


def _properties(number: int) -> str:
    return "1 image property" if number == 1 else f"{number} image properties"
