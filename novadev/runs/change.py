"""A change that is written, and an effect that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from novadev.runs.place import Place
from novadev.value import Value


@dataclass(frozen=True)
class Change:
    """One value that a plan writes."""

    place: Place
    before: Value
    after: Value

    @property
    def what(self) -> str:
        """The text form of its place, stable for scripts."""
        return str(self.place)

    @property
    def inverse(self) -> Change:
        """The change that takes this one back."""
        return Change(self.place, self.after, self.before)


@dataclass(frozen=True)
class Effect:
    """What the guest will see at its next power-on, changed or not; ``what`` is for people."""

    what: str
    before: Value
    after: Value

    @property
    def inverse(self) -> Effect:
        """The effect of taking the change back."""
        return Effect(self.what, self.after, self.before)
