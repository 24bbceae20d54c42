"""Kill -9 while stash-defaults writes: each database is as before or as planned, resume ends it."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.cloud import Cloud
from tests.command import novadev
from tests.image_property.guests import Stored, stored, with_properties
from tests.image_property.killed import End, Killer
from tests.stash_defaults.stashing import BY_RULES, KVM, Stash

pytestmark = pytest.mark.slow

STRIDE = 9
"""Every event in turn is what the kills of image-property set are for: the writer is the same."""
Snapshot = dict[str, Stored]


@pytest.fixture
def killer(tmp_path: Path) -> Iterator[Killer]:
    made = Killer(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("statement", "in_cell"),
    [("INSERT INTO instance_system_metadata", False), ("UPDATE request_specs", True)],
)
@pytest.mark.parametrize("ending", ["resume", "undo"])
def test_killed_in_the_middle(
    cloud: Cloud, killer: Killer, statement: str, in_cell: bool, ending: str
) -> None:
    stash = Stash(cloud, cmp1=KVM)
    before, planned = _guests(stash)
    assert _kill(stash, killer, statement, before).was_killed
    done = {uuid for uuid in before if stored(cloud, uuid).cell == planned[uuid].cell}
    assert bool(done) == in_cell
    assert all(stored(cloud, uuid).spec == before[uuid].spec for uuid in before)
    given = ("resume", "--yes") if ending == "resume" else ("undo", "1", "--yes")
    assert novadev(cloud, *given).code == 0
    assert _now(cloud, before) == (planned if ending == "resume" else before)
    assert [cloud.actions(uuid) for uuid in before] == [[]] * len(before)


def test_killed_at_any_moment(sqlite_cloud: Cloud, killer: Killer) -> None:
    stash = Stash(sqlite_cloud, cmp1=KVM)
    novadev(sqlite_cloud, "history")  # the journal is there
    for at in count(1, STRIDE):
        before, planned = _guests(stash)
        end = _kill(stash, killer, at, before)
        for uuid in before:
            now = stored(sqlite_cloud, uuid)
            assert now.cell in (before[uuid].cell, planned[uuid].cell), at
            assert now.spec == before[uuid].spec or now == planned[uuid], at
        assert novadev(sqlite_cloud, "resume", "--yes").code == 0, at
        assert _now(sqlite_cloud, before) in (before, planned), at
        if not end.was_killed:
            assert _now(sqlite_cloud, before) == planned
            break
        result = stash.run("--all", "--source", "driver").json["result"]
        assert result in ("applied", "nothing"), at
        assert _now(sqlite_cloud, before) == planned, at
    assert at > 4 * STRIDE


def _guests(stash: Stash) -> tuple[Snapshot, Snapshot]:
    """Guests in two cells: what is stored of them, and what must be."""
    uuids = [stash.add(cell=cell) for cell in ("cell1", "cell1", "cell2")]
    before = {uuid: stored(stash.cloud, uuid) for uuid in uuids}
    return before, {uuid: with_properties(before[uuid], **BY_RULES) for uuid in uuids}


def _kill(stash: Stash, killer: Killer, at: int | str, uuids: Snapshot) -> End:
    given = ("stash-defaults", *uuids, "--source", "driver", "--yes")
    return killer.run(at, stash.cloud.config_file, *given)


def _now(cloud: Cloud, uuids: Snapshot) -> Snapshot:
    return {uuid: stored(cloud, uuid) for uuid in uuids}
