"""Checks novadev's own database: where it is, whether it can be written, who else writes there."""

from __future__ import annotations

from collections.abc import Iterator

from novadev.deployment import Deployment
from novadev.doctor.result import Result, failure
from novadev.errors import NovadevError, Unreachable
from novadev.grants import (
    EVERY_TABLE,
    denied_schema,
    grant,
    is_text_of_denial,
    missing_schema,
    quoted,
)
from novadev.runs.history import list_controllers
from novadev.state.rights import EVERY_RIGHT, Lack, find_lack
from novadev.state.store import (
    SCHEMAS,
    StateFacts,
    examine_state,
    state_database,
    why_not_writable,
)
from novadev.text import many

CHECK = "state database"


def examine(deployment: Deployment) -> Iterator[Result]:
    """Yield a result for the state database; it is neither made nor upgraded."""
    url = deployment.config.state_connection
    try:
        facts = examine_state(url)
    except NovadevError as error:
        yield failure(CHECK, CHECK, error, *_remedies(error, url))
        return
    is_made = facts.revision == SCHEMAS[-1]
    lack = None if facts.is_file else find_lack(facts.database, is_made)
    if lack:
        text = f"it cannot be written: {lack.account} lacks {', '.join(lack.rights)}"
        yield Result(CHECK, facts.place, "failure", text, (_grant(lack),), Unreachable.exit_code)
    elif is_made and (refused := why_not_writable(facts)):
        yield failure(CHECK, facts.place, refused)
    elif facts.revision is None:
        text = "it does not exist yet: the first command that needs it makes it"
        yield Result(CHECK, facts.place, "ok", text)
    else:
        yield Result(CHECK, facts.place, "ok", _state_text(facts))
    if is_made:
        yield from _controllers(facts)


def _state_text(facts: StateFacts) -> str:
    size = f"{facts.bytes / 1_048_576:.1f} MiB"
    version = f"schema {facts.revision}"
    if facts.revision != SCHEMAS[-1]:
        version += f"; the next command that needs it upgrades it to {SCHEMAS[-1]}"
    return f"{version}, {size}"


def _controllers(facts: StateFacts) -> Iterator[Result]:
    """Yield who else runs commands that write there, and which run is at work."""
    with facts.database.reading() as connection:
        for found in list_controllers(connection):
            works = f", run {found.running} is being carried out" if found.running else ""
            text = f"{many(found.runs, 'run')}, the last on {found.last}{works}"
            yield Result(CHECK, f"used by {found.host}", "ok", text)


def _remedies(error: NovadevError, url: str) -> list[str]:
    """Return the statements after which the database at URL, which gave ERROR, can be used."""
    if found := denied_schema(error):
        return [_grant(Lack(EVERY_RIGHT, *found))]
    if missing := missing_schema(error):
        return [f"CREATE DATABASE {quoted(missing)};"]
    if is_text_of_denial(error):
        lack = find_lack(state_database(url), is_made=False)
        return [_grant(lack)] if lack else []
    return []


def _grant(lack: Lack) -> str:
    return grant(lack.rights, lack.schema, EVERY_TABLE, lack.account)
