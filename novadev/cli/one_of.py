"""The type of a value that is one of a few words."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from novadev.text import meant


class OneOf(click.Choice[str]):
    """One of a few words; it is offered, and named in an error, as the help spells it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word; an error names the nearest one, or all if none is near."""
        for word in self.choices:
            if value == word or (not self.case_sensitive and str(value).lower() == word.lower()):
                return word
        text = f"{str(value)!r:.60} is not one of the values"
        self.fail(f"{text}; {meant(str(value), self.choices)}", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the words that INCOMPLETE may become, in lower case if that is, too."""
        if self.case_sensitive or not incomplete:
            words = [word for word in self.choices if word.startswith(incomplete)]
        else:
            found = [word for word in self.choices if word.lower().startswith(incomplete.lower())]
            words = [w.lower() if incomplete.islower() else w.upper() for w in found]
        return [CompletionItem(word) for word in words]
