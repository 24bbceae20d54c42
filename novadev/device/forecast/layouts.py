"""Where devices will be: asked of a scratch libvirt, else told by rules."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

from novadev.errors import NotFound, NovadevError, Unreachable
from novadev.rules import layout
from novadev.virt.outline import Board
from novadev.virt.scratch import Layout, Place, Scratch

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Told:
    """Why places are told by rules; ``of_all`` guests alike: there is no libvirt to be asked."""

    why: str
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

    def lay_out(self, board: Board) -> tuple[Layout, Told | None]:
        """Return the places of BOARD's devices, and why they are told by rules; None: they are not.

        What the rules do not tell has no place.
        """
        if self._lost is not None:
            return _by_rules(board), Told(self._lost, of_all=True)
        try:
            return self._scratch.lay_out(board), None
        except Unreachable as error:
            self._lost = str(error)
            return _by_rules(board), Told(self._lost, of_all=True)
        except NovadevError as error:
            return _by_rules(board), Told(str(error), of_all=isinstance(error, NotFound))


def _by_rules(board: Board) -> Layout:
    found = layout.lay_out(board) or (None,) * len(board.outlines)
    places = zip(board.outlines, found, strict=True)
    return Layout(tuple(Place(item.tag, "", place, layout.model(item)) for item, place in places))
