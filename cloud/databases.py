"""The databases of the services, made once by their own programs and copied for each cloud."""

import hashlib
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from cloud.places import ENVIRONMENT, RUN, Site
from cloud.release import LOCKS, NOVA
from tests import mariadb
from tests.cached import CACHE
from tests.templates import cached

NAMES = ("keystone", "placement", "glance", "nova_api", "nova_cell0", "nova_cell1")
LAYOUT = "2"
"""Raise it when the databases are made in another way."""


def template() -> Path:
    """Return a folder with `data`, `fernet-keys` and `password`, made once, in a minute."""
    return cached(_name(), _make)


def are_made() -> bool:
    """Whether that folder is there already."""
    return (CACHE / _name()).exists()


def _name() -> str:
    texts = (LAYOUT, *(lock.read_text() for lock in LOCKS), mariadb.version())
    key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
    return f"cloud-{key}"


@contextmanager
def serve() -> Iterator[tuple[dict[str, str], str]]:
    """Give the URLs of a new cloud's databases, and its password, until the end of the ``with``."""
    folder = shutil.copytree(template(), RUN / "mariadb")
    with mariadb.serve(folder / "data") as server:
        yield _urls(server), (folder / "password").read_text()


def fill_in(site: Site) -> None:
    """Write down where the services of this cloud are, for each other and for Nova's cells."""
    with _engine(site.urls["keystone"]).begin() as connection:
        for kind, url in site.endpoints.items():
            row = {"service": secrets.token_hex(16), "kind": kind, "url": url}
            connection.execute(sa.text(_SERVICE), row)
            for interface in ("public", "internal"):
                row |= {"id": secrets.token_hex(16), "interface": interface}
                connection.execute(sa.text(_ENDPOINT), row)
    with _engine(site.urls["nova_api"]).begin() as connection:
        for name in ("cell0", "cell1"):
            row = {"name": name, "url": site.urls[f"nova_{name}"]}
            row["transport_url"] = "fake:///" if name == "cell0" else site.transport_url
            connection.execute(sa.text(_CELL), row)


_SERVICE = "INSERT INTO service (id, type, enabled, extra) VALUES (:service, :kind, 1, '{}')"
_ENDPOINT = (
    "INSERT INTO endpoint (id, interface, region_id, service_id, url, extra, enabled) "
    "VALUES (:id, :interface, 'RegionOne', :service, :url, '{}', 1)"
)
_CELL = (
    "UPDATE cell_mappings SET transport_url = :transport_url, database_connection = :url "
    "WHERE name = :name"
)


def _make(folder: Path) -> None:
    (folder / "password").write_text(secrets.token_urlsafe(16))
    mariadb.install(folder / "data")
    with mariadb.serve(folder / "data") as server:
        with _engine(server.url("mysql")).begin() as connection:
            for name in NAMES:
                connection.execute(sa.text(f"CREATE DATABASE {name}"))
        _fill(folder, _urls(server))


def _fill(folder: Path, urls: dict[str, str]) -> None:
    """Run what an operator types to deploy these services."""
    config = folder / "config"
    config.write_text(
        f"[api_database]\nconnection = {urls['nova_api']}\n"
        f"[placement_database]\nconnection = {urls['placement']}\n"
        f"[DEFAULT]\ntransport_url = fake:///\nlog_dir = {folder}\n"
        f"[fernet_tokens]\nkey_repository = {folder}/fernet-keys\n"
        "[identity]\npassword_hash_rounds = 4\n"
        f"[credential]\nkey_repository = {folder}/credential-keys\n"
    )
    (folder / "fernet-keys").mkdir(mode=0o700)
    password = (folder / "password").read_text()
    keys = "fernet_setup --keystone-user root --keystone-group root"
    services = {
        "keystone": ["db_sync", keys, f"bootstrap --bootstrap-password {password}"],
        "glance": ["db sync"],
        "placement": ["db sync"],
        "nova": [
            "api_db sync",
            f"cell_v2 map_cell0 --database_connection {urls['nova_cell0']}",
            "db sync",
            "cell_v2 create_cell --name cell1",
        ],
    }
    databases = urls | {"nova": urls["nova_cell1"]}
    with ThreadPoolExecutor() as pool:
        made = [
            pool.submit(_run, config, service, commands, databases[service])
            for service, commands in services.items()
        ]
    for one in made:
        one.result()
    with _engine(urls["keystone"]).begin() as connection:
        connection.execute(sa.text("INSERT INTO region (id, description) VALUES ('RegionOne', '')"))


def _run(config: Path, service: str, commands: list[str], url: str) -> None:
    """Run commands of a service's manager, whose database is at URL."""
    database = config.with_name(f"{service}.conf")
    database.write_text(f"[database]\nconnection = {url}\n")
    environment = NOVA.environment if service == "nova" else ENVIRONMENT
    program = str(environment / "bin" / f"{service}-manage")
    files = ["--config-file", str(config), "--config-file", str(database)]
    for command in commands:
        result = subprocess.run(
            [program, *files, *command.split(" ")], capture_output=True, text=True
        )
        if result.returncode:
            said = f"{result.stdout}{result.stderr}"
            raise RuntimeError(f"{service}-manage {command.partition(' ')[0]}: {said}")


def _urls(server: mariadb.MariaDB) -> dict[str, str]:
    return {name: server.url(name) for name in NAMES}


def _engine(url: str) -> sa.Engine:
    return sa.create_engine(url, poolclass=sa.NullPool)
