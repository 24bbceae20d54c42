"""kill -9 of novadev when the cell is written and the request spec is not, and what Nova starts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.settings import NOVA_CONF
from tests.image_property.killed import Killer
from tests.running_nova.findings import findings
from tests.running_nova.forecast import compare, foretold
from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]

SET = ("image-property", "set", "--property", "hw_disk_bus=sata")
SET += ("--property", "hw_vif_model=e1000", "--yes")
NEW = ({"sata"}, ["e1000"])
"""The hardware of a guest with SET."""


@pytest.fixture
def killer(tmp_path: Path) -> Iterator[Killer]:
    made = Killer(tmp_path)
    yield made
    made.close()


def test_nova_starts_the_half_that_is_written_and_resume_writes_the_other(
    server: Server, killer: Killer
) -> None:
    server.stop()
    run = kill_between_the_databases(server, killer)
    expected = foretold(server)
    server.start()
    compare(server, expected)
    assert server.guest.hardware() == NEW
    (plan,) = server.nova.write("resume", run, code=7)["plans"]
    assert plan["state"] == "applied"
    assert "or has started it since" in plan["error"], "it cannot know which of the two"
    assert not {"definition", "request-spec"} & set(findings(server))
    server.cold_migrate()  # by the request spec
    assert server.guest.hardware() == NEW
    assert server.failures() == []


def test_undo_takes_back_the_half_that_is_written(server: Server, killer: Killer) -> None:
    before = server.guest.hardware()
    server.stop()
    run = kill_between_the_databases(server, killer)
    (plan,) = server.nova.write("undo", run)["plans"]
    assert plan["state"] == "applied"
    assert "request-spec" not in findings(server)
    expected = foretold(server)
    server.start()
    compare(server, expected)
    assert server.guest.hardware() == before
    assert server.failures() == []


def kill_between_the_databases(server: Server, killer: Killer) -> str:
    """Kill SET after the commit to the cell's database; the run's number comes back."""
    end = killer.run("UPDATE request_specs", NOVA_CONF, *SET, server.uuid)
    assert end.was_killed, end.out
    assert "hw_vif_model" in findings(server)["request-spec"]["details"]
    runs = server.nova.novadev("history", "--instance", server.uuid, "-f", "json").json
    return str(runs[0]["run"])
