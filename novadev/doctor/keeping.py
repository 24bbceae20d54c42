"""Whether the nova-compute of each host keeps addresses and aliases, and how often it did not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from novadev.config import Config
from novadev.doctor.result import Result
from novadev.errors import NovadevError
from novadev.state.keeping import KEPT, PASSED, SHOWN, UNRECORDED, HostKeeping, list_keeping

_CHECK = "addresses"


def examine(config: Config, hosts: Sequence[str]) -> Iterator[Result]:
    """Yield a result for each of HOSTS; one for all where no nova-compute has said anything.

    Nothing where the state database cannot be read: that is another check's failure.
    """
    try:
        found = list_keeping(config.state_connection)
    except NovadevError:
        return
    if not found:
        text = "no nova-compute has told this state database that it keeps recorded addresses"
        yield Result(_CHECK, "compute hosts", "skipped", text)
        return
    is_own = config.state_connection.startswith("sqlite")
    for host in hosts:
        known = found.get(host)
        yield _unknown(host, is_own) if known is None else _told(known)


def _unknown(host: str, is_own: bool) -> Result:
    text = "not known: its nova-compute has told this state database nothing"
    if is_own:
        text += ", which is a file of this machine"
    return Result(_CHECK, host, "skipped", text)


def _told(found: HostKeeping) -> Result:
    mode = f"keep_addresses = {found.mode}"
    if found.mode != "off" and found.aliases is not None:
        mode += f", keep_aliases = {str(found.aliases).lower()}"
    if found.is_silent:
        text = f"not known: its nova-compute last said {mode} on {_time(found.seen)}"
        return Result(_CHECK, found.host, "warning", text)
    text = f"{mode} since {_time(found.since)}: {counts_text(found)}"
    return Result(_CHECK, found.host, "ok", text)


def counts_text(found: HostKeeping) -> str:
    """Return how many definitions were kept, shown and passed through in all, and why.

    And of how many guests it could not be recorded what they had, if any.
    """
    kept, shown = found.counts.get(KEPT, 0), found.counts.get(SHOWN, 0)
    text = f"{kept} kept, " + (f"{shown} shown, " if shown else "")
    text += f"{_number(found, PASSED)} passed through{_reasons(found, PASSED)}"
    unrecorded = _number(found, UNRECORDED)
    text += f", {unrecorded} not recorded{_reasons(found, UNRECORDED)}" if unrecorded else ""
    return text


def _number(found: HostKeeping, outcome: str) -> int:
    return sum(number for (name, _), number in found.counts.items() if name == outcome)


def _reasons(found: HostKeeping, outcome: str) -> str:
    reasons = (
        f"{why} {number}" for (name, why), number in sorted(found.counts.items()) if name == outcome
    )
    told = ", ".join(reasons)
    return f" ({told})" if told else ""


def _time(moment: object) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
