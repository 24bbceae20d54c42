"""Everything that can go wrong, with the exit code a script sees.

The table of exit codes in the documentation is made from these classes.
"""

from __future__ import annotations

from collections.abc import Iterable

WORST_FIRST = (8, 7, 1, 2, 6, 5, 4, 3)
"""Which code a run with several failures ends with: the first of these that occurred."""


class NovadevError(Exception):
    """An unexpected error: the traceback is in the log, one line is on stderr."""

    exit_code = 1

    def __init__(self, message: object = "", database: str | None = None) -> None:
        """DATABASE is the name of the database that cannot be read, where that is the error."""
        super().__init__(message)
        self.database = database


class NotFound(NovadevError):
    """An instance, its mapping, a cell, host, domain or run was not found."""

    exit_code = 2


class NotAsNeeded(NovadevError):
    """Something is there, but not as it must be.

    A server is in the wrong state or a task is in progress; a property is not stored; "device
    drift" found a difference; "audit" found a failure, or with --fail-on=warning any finding; with
    --fail-on-skip a server was skipped; a run cannot be resumed or undone; the state database is
    another program's or a newer novadev's; "doctor" found that a right is missing or that a unit of
    systemd has failed. Other failures of "doctor" have the code of their own error.
    """

    exit_code = 3


class SchemaUnknown(NotAsNeeded):
    """A database lacks a table or column that novadev needs."""


class BadInput(NovadevError):
    """Bad command line, bad configuration or bad input format."""

    exit_code = 4


class InvalidProperty(NovadevError):
    """Not an image property that novadev can change."""

    exit_code = 5


class InvalidValue(NovadevError):
    """Not a value of that property, or one that this guest cannot have."""

    exit_code = 6


class StalePlan(NovadevError):
    """What was planned is no longer what is there; or the write did not take."""

    exit_code = 7


class StartedMeanwhile(NovadevError):
    """The change is written, but Nova was starting the server meanwhile: reboot it hard."""

    exit_code = 7


class TakenOver(NovadevError):
    """The run was taken over by another novadev, which goes on with it."""

    exit_code = 7


class Unreachable(NovadevError):
    """A database or a hypervisor could not be reached."""

    exit_code = 8
    of_host: str | None = None
    """What can be said of the whole host, where the text names the guest that was asked about."""


class Busy(Unreachable):
    """A row lock was not given in time, or a deadlock ended the transaction; a guest hangs."""


class Declined(NovadevError):
    """The question was answered no: nothing was done."""

    exit_code = 9


class Interrupted(NovadevError):
    """Ended by Ctrl-C."""

    exit_code = 130


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of a run in which these codes occurred; 0 for none."""
    found = set(codes) - {0}
    return next((code for code in WORST_FIRST if code in found), max(found, default=0))
