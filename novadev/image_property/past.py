"""The runs and the starts of instances, read in one go for many plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from novadev.deployment import Deployment
from novadev.errors import NovadevError
from novadev.image_property.unstarted import Unstarted, unstarted
from novadev.nova.starts import Starts, list_starts
from novadev.rules.guest import Guest
from novadev.runs.journal_rows import Written
from novadev.selection import Chunk


class Past:
    """What novadev's journal and Nova's actions in DEPLOYMENT say of instances.

    A journal that cannot be read knows of no run, and actions that cannot be read of no start.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._written: Mapping[str, Sequence[Written]] = {}
        self._starts: Mapping[str, Starts] = {}

    def read(self, chunk: Chunk) -> None:
        """Read what there is of the instances of CHUNK, and forget those of others."""
        uuids = [instance.uuid for instance in chunk.instances]
        self._written = self._read_journal(uuids)
        self._starts = self._read_starts(chunk) if self._written else {}

    def _read_journal(self, uuids: Sequence[str]) -> Mapping[str, Sequence[Written]]:
        try:
            return self._deployment.journal.list_written(uuids)
        except NovadevError:
            return {}

    def _read_starts(self, chunk: Chunk) -> Mapping[str, Starts]:
        try:
            with self._deployment.cell_database(chunk.cell).reading() as connection:
                return list_starts(connection, list(self._written))
        except NovadevError:
            return {}

    def unstarted(self, uuid: str, guest: Guest) -> Unstarted | None:
        """Return what is known of GUEST before runs that it was perhaps not started with."""
        return unstarted(self._written.get(uuid, ()), guest, self._starts.get(uuid, Starts()))
