"""A start that nova-api has begun before novadev commits, and that nova-compute gets after it."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from cloud.settings import NOVA_CONF
from tests.command import novadev
from tests.running_nova.forecast import compare, foretold
from tests.running_nova.nova import Server, until

pytestmark = [pytest.mark.slow, pytest.mark.cloud]

SET = ("image-property", "set", "--property", "hw_disk_bus=scsi")
SET += ("--property", "hw_scsi_model=virtio-scsi", "--property", "hw_vif_model=e1000")
WAITING = sa.text(
    "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
)


@pytest.mark.alone
def test_a_start_in_flight_is_told_and_a_hard_reboot_mends_it(server: Server) -> None:
    server.stop()
    with _held(server.uuid) as held, ThreadPoolExecutor() as pool:
        started = pool.submit(_start_behind, server, held)
        words = (*SET, server.uuid, "--yes", "-f", "json")
        result = novadev(server.nova, *words)  # type: ignore[arg-type]
        started.result()
    assert result.code == 7, result.out + result.err
    (plan,) = result.json["plans"]
    assert plan["state"] == "applied"
    assert "Nova was starting it during novadev's write" in plan["error"]
    assert f"openstack server reboot --hard {server.uuid}" in plan["error"]
    assert set(server.guest.disks().values()) == {"scsi"}
    assert server.guest.models("interface") == ["virtio"], "half of it is new"
    expected = foretold(server)
    server.reboot()
    compare(server, expected)
    assert server.guest.models("interface") == ["e1000"]
    assert server.failures() == []


def _start_behind(server: Server, held: sa.Connection) -> None:
    """Start the server, HELD by another, as soon as novadev waits; then let both go on."""
    with ThreadPoolExecutor() as pool, held.engine.connect() as other:
        until(lambda: _waiting(other) == 1, "novadev waits for the row")
        started = pool.submit(server.begin_to_start)
        until(lambda: _waiting(other) == 2, "nova-api waits for it, behind novadev")
        held.rollback()
        started.result()


@contextmanager
def _held(uuid: str) -> Iterator[sa.Connection]:
    """Lock a server's row until the connection that comes back is rolled back."""
    (url,) = re.findall(r"^connection = (\S+/nova_cell1\S*)$", NOVA_CONF.read_text(), re.MULTILINE)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    lock = sa.text("SELECT id FROM instances WHERE uuid = :uuid FOR UPDATE")
    with engine.connect() as connection:
        assert connection.execute(lock, {"uuid": uuid}).one()
        yield connection


def _waiting(connection: sa.Connection) -> int:
    """How many transactions wait for a lock."""
    number = int(connection.execute(WAITING).scalar_one())
    connection.rollback()
    return number
