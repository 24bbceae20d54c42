"""Keeps plans that wait for confirmation in a private temporary file, not in the journal.

So that a command that was only looked at leaves nothing behind, and no run exists of which nobody
knows whether it will begin.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import IO, Any

from novadev.errors import NovadevError
from novadev.runs.encoding import dumps
from novadev.runs.plan import Draft

_BATCH = 500


class Spool:
    """Drafts on disk, in order; to be used in a ``with``."""

    def __init__(self) -> None:
        try:
            self._file: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise NovadevError(_no_room(error)) from None
        self.count = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):  # what did not fit was told when it was flushed
            self._file.close()

    def add(self, draft: Draft) -> None:
        """Keep DRAFT; raises NovadevError where there is no room for it."""
        line = f"{draft.plan.instance}\t{draft.undoes or ''}\t{dumps(draft.plan)}\n"
        try:
            self._file.write(line)
        except OSError as error:
            raise NovadevError(_no_room(error)) from None
        self.count += 1

    def flush(self) -> None:
        """Write what is still in memory; raises NovadevError where there is no room for it."""
        try:
            self._file.flush()
        except OSError as error:
            raise NovadevError(_no_room(error)) from None

    def batches(self) -> Iterator[list[dict[str, Any]]]:
        """Yield rows for :meth:`novadev.runs.journal.Journal.add`, some hundred at a time."""
        self._file.seek(0)
        batch: list[dict[str, Any]] = []
        for line in self._file:
            instance, undoes, body = line.rstrip("\n").split("\t", 2)
            undone = int(undoes) if undoes else None
            batch.append({"instance": instance, "undoes": undone, "body": body})
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def _no_room(error: OSError) -> str:
    reason = error.strerror or str(error)
    return (
        f"the plans cannot be written to a temporary file (see TMPDIR): {reason} (nothing was done)"
    )
