"""A SQLite file that is replaced while it is open: nothing is read from it or written to it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from novadev.database import Database
from novadev.errors import Unreachable

REPLACED = "the SQLite file .*db.sqlite was replaced while novadev had it open"
GONE = "there is no SQLite file"


def made(path: Path) -> Path:
    path.touch()
    with Database("made", f"sqlite:///{path}").writing() as connection:
        connection.execute(sa.text("CREATE TABLE words (word TEXT)"))
    return path


def words(path: Path) -> list[str]:
    with Database("other", f"sqlite:///{path}").reading() as connection:
        return list(connection.scalars(sa.text("SELECT word FROM words")))


def write(database: Database, then: Path | None = None, over: Path | None = None) -> None:
    with database.writing() as connection:
        connection.execute(sa.text("INSERT INTO words VALUES ('late')"))
        if then is not None and over is not None:
            then.replace(over)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return made(tmp_path / "db.sqlite")


@pytest.fixture
def database(path: Path) -> Database:
    """Opened, and with a connection that waits to be used again."""
    found = Database("state database", f"sqlite:///{path}")
    write(found)
    return found


def test_another_file_is_neither_read_nor_written(database: Database, path: Path) -> None:
    made(path.with_name("backup")).replace(path)
    with pytest.raises(Unreachable, match=REPLACED):
        write(database)
    with pytest.raises(Unreachable, match=REPLACED), database.reading():
        pass
    assert words(path) == []


def test_the_same_file_is_used_again_when_it_is_back(database: Database, path: Path) -> None:
    away = path.rename(path.with_name("away"))
    made(path)
    with pytest.raises(Unreachable, match=REPLACED):
        write(database)
    away.replace(path)
    write(database)
    assert words(path) == ["late", "late"]


def test_a_write_to_a_file_that_goes_meanwhile_is_an_error(database: Database, path: Path) -> None:
    with pytest.raises(Unreachable, match=REPLACED):
        write(database, made(path.with_name("backup")), path)
    with pytest.raises(Unreachable, match=GONE):
        write(Database("state database", f"sqlite:///{path}"), path, path.with_name("away"))
    assert words(path.with_name("away")) == []


def test_its_own_journal_and_mode_are_no_other_file(database: Database, path: Path) -> None:
    path.chmod(0o600)
    with Database("other", f"sqlite:///{path}").writing() as connection:
        connection.execute(sa.text("DELETE FROM words"))
    write(database)
    assert words(path) == ["late"]
