"""The addresses of the forecast: from a private libvirt or, without one, from rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING

from novadev.errors import NotAsNeeded, NotFound, NovadevError, Unreachable
from novadev.rules import layout
from novadev.rules.machine_types import version_of
from novadev.virt.outline import Board, Outline
from novadev.virt.scratch import Layout, Place, Scratch

if TYPE_CHECKING:
    from typing_extensions import Self

StandIn = tuple[Outline, ...]
"""What is laid out in the place of a device: another one, or none for one that takes no slot."""
_BY_RULES = (
    "the addresses come from novadev's rules and not from libvirt; those of controllers "
    "are not forecast"
)


@dataclass(frozen=True)
class Told:
    """Says which addresses are not from libvirt, and why; ``of_all`` guests or one."""

    text: str
    of_all: bool


class Layouts:
    """The layouts of guests; to be used in a ``with``."""

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._lost: str | None = None

    def __enter__(self) -> Self:
        self._scratch.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._scratch.__exit__(kind, error, traceback)

    def lay_out(self, board: Board, libvirt: str | None) -> tuple[Layout, Told | None]:
        """Return the addresses of BOARD's devices, and which of them come from rules, if any.

        LIBVIRT is the version of the host's, if it is known. What the rules do not tell has no
        place. A scratch libvirt that is older than the host's may not know a device: then that
        one alone is told by rules.
        """
        if self._lost is None:
            try:
                return self._scratch.lay_out(board), None
            except Unreachable as error:
                self._lost = str(error)
            except NotAsNeeded as error:
                return self._without_refused(board, libvirt) or _refused(board, error)
            except NovadevError as error:
                return _by_rules(board), Told(f"{_BY_RULES} ({error})", isinstance(error, NotFound))
        return _by_rules(board), Told(f"{_BY_RULES} ({self._lost})", of_all=True)

    def _without_refused(self, board: Board, libvirt: str | None) -> tuple[Layout, Told] | None:
        """Return the places where the devices that are too new are told by rules.

        None where this libvirt is no older than LIBVIRT, or one of them has no stand-in.
        """
        here = self._scratch.libvirt
        if libvirt is None or version_of(here) >= version_of(libvirt):
            return None
        newer = self._newer(board)
        try:
            found = None if newer is None else self._beside(board, newer)
        except NotAsNeeded:
            return None
        if found is None or newer is None:
            return None
        names = ", ".join(dict.fromkeys(_name(board.outlines[number]) for number in sorted(newer)))
        text = (
            f"libvirt {here} on this machine is older than libvirt {libvirt} on the host and does "
            f"not know {names}: its address comes from novadev's rules, all others from libvirt"
        )
        return found, Told(text, of_all=False)

    def _newer(self, board: Board) -> dict[int, StandIn] | None:
        """Return what stands in for each outline that libvirt refuses even alone, by its number.

        None where there is no such outline, or nothing can stand in for one.
        """
        found: dict[int, StandIn] = {}
        for number, outline in enumerate(board.outlines):
            try:
                self._scratch.lay_out(replace(board, outlines=(outline,)))
            except NotAsNeeded:
                other = layout.stand_in(board, outline)
                if other is None:
                    return None
                found[number] = other
        return found or None

    def _beside(self, board: Board, newer: Mapping[int, StandIn]) -> Layout:
        """Return libvirt's layout of BOARD with those outlines replaced, or left out for ()."""
        parts = [newer.get(number, (item,)) for number, item in enumerate(board.outlines)]
        outlines = tuple(item for part in parts for item in part)
        asked = self._scratch.lay_out(replace(board, outlines=outlines))
        places = iter(asked.places)
        found = [next(places) if part else None for part in parts]
        return replace(
            asked,
            places=tuple(
                _as(board.outlines[number], place) if number in newer or place is None else place
                for number, place in enumerate(found)
            ),
            untold=frozenset(newer),
        )


def _as(outline: Outline, place: Place | None) -> Place:
    """Return PLACE, which is a stand-in's, as that of OUTLINE."""
    address = None if place is None else place.address
    return Place(outline.tag, "", address, layout.model(outline))


def _name(outline: Outline) -> str:
    return f"{outline.tag} {layout.model(outline) or ''}".strip()


def _refused(board: Board, error: NotAsNeeded) -> tuple[Layout, Told]:
    text = (
        "the addresses come from novadev's rules, because libvirt refuses the definition "
        f"that Nova would write: {error}"
    )
    return _by_rules(board), Told(text, of_all=False)


def _by_rules(board: Board) -> Layout:
    found = layout.lay_out(board) or (None,) * len(board.outlines)
    places = zip(board.outlines, found, strict=True)
    return Layout(tuple(Place(item.tag, "", place, layout.model(item)) for item, place in places))
