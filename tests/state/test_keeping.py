"""What nova-computes say in the state database, also in one of an earlier release."""

from datetime import timedelta

import sqlalchemy as sa

from novadev.database import now_of
from novadev.state.keeping import KEPT, list_keeping, write_keeping
from novadev.state.store import SCHEMAS, examine_state, open_state
from novadev.state.tables import keeping_host
from tests.state.places import of_schema


def test_aliases_are_kept_only_where_a_host_says_so(url: str) -> None:
    database = open_state(url)
    for host, mode, aliases in (("a", "on", True), ("b", "on", False), ("c", "log", True)):
        write_keeping(database, host, mode, aliases, {KEPT: 1})
    found = list_keeping(url)
    assert [host for host, one in found.items() if one.keeps] == ["a", "b"]
    assert [host for host, one in found.items() if one.keeps_aliases] == ["a"]
    with database.writing() as connection:
        then = now_of(connection) - timedelta(hours=1)
        connection.execute(sa.update(keeping_host).values(since=then, seen=then))
    assert not any(one.keeps_aliases for one in list_keeping(url).values()), "silent for long"
    database.close()


def test_a_host_that_begins_to_keep_aliases_has_done_what_it_does_since_then(url: str) -> None:
    database = open_state(url)
    write_keeping(database, "a", "on", False, {})
    with database.writing() as connection:
        then = now_of(connection) - timedelta(minutes=5)
        connection.execute(sa.update(keeping_host).values(since=then))
    write_keeping(database, "a", "on", False, {})
    before = list_keeping(url)["a"].since
    write_keeping(database, "a", "on", True, {})
    assert list_keeping(url)["a"].since > before
    database.close()


def test_a_schema_without_aliases_is_read_as_it_is_and_brought_up_to_date(url: str) -> None:
    """Reading upgrades nothing, and an upgrade that was cut off is taken up again."""
    database = open_state(url)
    write_keeping(database, "a", "on", True, {KEPT: 2})
    database.close()
    of_schema(url, "0007", "ALTER TABLE keeping_host DROP COLUMN aliases")
    found = list_keeping(url)["a"]
    assert (found.aliases, found.keeps, found.keeps_aliases) == (None, True, False)
    assert found.counts == {KEPT: 2}
    assert examine_state(url).revision == "0007"

    of_schema(url, "0007", "ALTER TABLE keeping_host ADD COLUMN aliases BOOLEAN")
    assert list_keeping(url)["a"].aliases is None
    open_state(url).close()
    assert examine_state(url).revision == SCHEMAS[-1]
    assert list_keeping(url)["a"].aliases is None
    of_schema(url, "0006")
    assert list_keeping(url) == {}
