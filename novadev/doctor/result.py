"""The result of one check of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from novadev.errors import NovadevError

Status = Literal["ok", "skipped", "warning", "failure"]


@dataclass(frozen=True)
class Result:
    """One thing that was examined.

    ``check`` is the kind of thing, ``subject`` which one. ``skipped``: it does not apply here.
    ``remedies`` are lines to paste. ``exit_code`` is what a failure ends the command with, else 0.
    """

    check: str
    subject: str
    status: Status
    details: str
    remedies: tuple[str, ...] = ()
    exit_code: int = 0


def failure(check: str, subject: str, error: NovadevError, *remedies: str) -> Result:
    """Return the result that ERROR stands for; it does not send the reader to the doctor."""
    text = str(error).replace(" (see novadev doctor)", "")
    return Result(check, subject, "failure", text, remedies, error.exit_code)
