"""Figures as a table: medians, with the least and the most behind them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One line of the table: what was compared, and whether it is as wished."""

    what: str
    ratio: str
    aim: str
    details: str


def compared(
    what: str, ours: Sequence[float], theirs: Sequence[float], unit: str, at_most: float
) -> Figure:
    """Return the figure for novadev's time as a multiple of another's, round by round."""
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    details = f"{spread(ours)} against {spread(theirs)} {unit}"
    return Figure(
        what, f"{spread(ratios)}x", _verdict(median(ratios) <= at_most, "≤", at_most), details
    )


def faster(
    what: str, ours: Sequence[float], theirs: Sequence[float], unit: str, at_least: float | None
) -> Figure:
    """Return the figure for how many times faster novadev is, round by round."""
    ratios = [other / one for one, other in zip(ours, theirs, strict=True)]
    details = f"{spread(ours)} against {spread(theirs)} {unit}"
    aim = "" if at_least is None else _verdict(median(ratios) >= at_least, "≥", at_least)
    return Figure(what, f"{spread(ratios)}x faster", aim, details)


def _verdict(met: bool, sign: str, limit: float) -> str:
    return f"{sign} {limit:g}x: {'met' if met else 'MISSED'}"


def spread(values: Sequence[float]) -> str:
    """Return the median of VALUES with their least and most, e.g. ``1.2 (1.1-1.4)``."""
    middle = _number(median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({_number(min(values))}-{_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def print_table(figures: Iterable[Figure]) -> None:
    """Print FIGURES in columns."""
    rows = [(figure.what, figure.ratio, figure.aim, figure.details) for figure in figures]
    rows.insert(0, ("what", "ratio", "aim", "median (least-most)"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False))
        print("  ".join((*cells, row[3])).rstrip())
