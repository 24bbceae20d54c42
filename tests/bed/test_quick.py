"""What keeps the tests quick holds for every process of a session, whatever it opens."""

import subprocess
import sys

import sqlalchemy as sa

from novadev.database import Database
from novadev.rules.osinfo import OsInfo
from tests.cloud import Cloud


def test_no_database_waits_for_the_disk(sqlite_cloud: Cloud) -> None:
    ours = Database("cell cell1", sqlite_cloud.url("cell1"))
    for engine in (sqlite_cloud.engine("cell1"), ours.engine):
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 0
    ours.close()


def test_engines_share_what_they_compile(sqlite_cloud: Cloud) -> None:
    statement = sa.select(sqlite_cloud.table("instances", "cell1"))
    compiled = []
    for name in ("cell1", "cell2"):
        with sqlite_cloud.engine(name).connect() as connection:
            compiled.append(connection.execute(statement).context.compiled)
    assert compiled[0] is compiled[1]


def test_libosinfo_is_read_once() -> None:
    assert OsInfo()._systems is OsInfo()._systems


def test_processes_keep_what_they_compile() -> None:
    code = "import sys; print(sys.dont_write_bytecode)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (sys.dont_write_bytecode, told.stdout) == (False, "False\n")
