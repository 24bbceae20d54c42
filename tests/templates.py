"""Nova's databases as the real nova-manage makes them, made once and kept under `.cache`."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests import mariadb
from tests.cached import CACHE, ROOT

LAYOUT = "1"  # raise it when the templates are made in another way
DATABASES = ("api", "cell0", "cell1", "cell2")
RELEASES = ("34", "28")
CELL0_UUID = "00000000-0000-0000-0000-000000000000"


def nova_program(release: str, name: str) -> Path:
    """The path of a program in the environment of a Nova release, e.g. `python`."""
    path = ROOT / ".nova" / release / "bin" / name
    if not path.exists():
        raise FileNotFoundError(f"no Nova {release} environment; run tools/setup test")
    return path


def nova_environment() -> dict[str, str]:
    """The environment variables real Nova processes are run with."""
    return {**os.environ, "OS_NOVA_DISABLE_EVENTLET_PATCHING": "1", "PYTHONWARNINGS": "ignore"}


def sqlite_template(release: str) -> Path:
    """The folder holding api.sqlite, cell0.sqlite, cell1.sqlite and cell2.sqlite of `release`."""
    key = _checksum(_lock_text(release))
    return cached(f"sqlite-{release}-{key}", lambda folder: _make_sqlite(release, folder))


def mariadb_template() -> Path:
    """A MariaDB data directory with the databases of every release, named nova34_cell1 etc."""
    key = _checksum(mariadb.version(), *map(_lock_text, RELEASES))
    return cached(f"mariadb-{key}", _make_mariadb)


def mariadb_name(release: str, name: str) -> str:
    """What the database `name` (api, cell0, ...) of `release` is called on the MariaDB server."""
    return f"nova{release}_{name}"


def write_config(path: Path, urls: Mapping[str, str], state: str, database: str = "cell1") -> Path:
    """Write a nova.conf; `state` is the URL of novadev's own records."""
    path.write_text(
        "[DEFAULT]\ntransport_url = fake:///\n"
        f"log_dir = {path.parent}\n"
        f"\n[api_database]\nconnection = {urls['api']}\n"
        f"\n[database]\nconnection = {urls[database]}\n"
        f"\n[oslo_concurrency]\nlock_path = {path.parent}\n"
        f"\n[novadev]\nstate_connection = {state}\nstart_check_delay = 0\n"
    )
    return path


def nova_manage(
    release: str, config_file: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run the real nova-manage; its exit code is not checked."""
    program = str(nova_program(release, "nova-manage"))
    command = [program, "--config-file", str(config_file), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=nova_environment(), check=False
    )


def _make_sqlite(release: str, folder: Path) -> None:
    urls = {name: f"sqlite:///{folder}/{name}.sqlite" for name in DATABASES}
    _create_schemas(release, urls)


def _make_mariadb(folder: Path) -> None:
    mariadb.install(folder)
    with mariadb.serve(folder) as server, ThreadPoolExecutor() as pool:
        _create_databases(server)
        list(
            pool.map(
                lambda release: _create_schemas(release, mariadb_urls(server, release)), RELEASES
            )
        )


def mariadb_urls(server: mariadb.MariaDB, release: str) -> dict[str, str]:
    """The URLs of a release's databases on `server`."""
    return {name: server.url(mariadb_name(release, name)) for name in DATABASES}


def _create_databases(server: mariadb.MariaDB) -> None:
    engine = sa.create_engine(server.url("mysql"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        for release in RELEASES:
            for name in DATABASES:
                connection.execute(sa.text(f"CREATE DATABASE {mariadb_name(release, name)}"))


def _create_schemas(release: str, urls: Mapping[str, str]) -> None:
    """What an operator types to deploy Nova with two cells."""
    with tempfile.TemporaryDirectory() as folder:
        cell1 = write_config(Path(folder, "nova.conf"), urls, "sqlite://")
        cell2 = write_config(Path(folder, "cell2.conf"), urls, "sqlite://", database="cell2")
        _manage(release, cell1, "api_db", "sync")
        _manage(release, cell1, "cell_v2", "map_cell0", "--database_connection", urls["cell0"])
        for name in ("cell1", "cell2"):
            _manage(
                release,
                cell1,
                "cell_v2",
                "create_cell",
                "--name",
                name,
                "--transport-url",
                f"fake:///{name}",
                "--database_connection",
                urls[name],
            )
        _manage(release, cell1, "db", "sync")
        _manage(release, cell2, "db", "sync", "--local_cell")


def _manage(release: str, config_file: Path, *arguments: str) -> None:
    result = nova_manage(release, config_file, *arguments)
    if result.returncode:
        raise RuntimeError(f"nova-manage {' '.join(arguments)}: {result.stdout}{result.stderr}")


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` in the cache, made aside and renamed, so that it is whole or absent."""
    final = CACHE / name
    with _only_one_process():
        if not final.exists():
            aside = CACHE / f"{name}.unfinished"
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            make(aside)
            aside.rename(final)
    return final


@contextmanager
def _only_one_process() -> Iterator[None]:
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _lock_text(release: str) -> str:
    return (ROOT / "tests" / "nova" / f"{release}.txt").read_text()


def _checksum(*texts: str) -> str:
    return hashlib.sha256("\0".join([LAYOUT, *texts]).encode()).hexdigest()[:12]


if __name__ == "__main__":
    mariadb_template()
    for each in RELEASES:
        sqlite_template(each)
