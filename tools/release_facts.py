"""Write what novadev needs to know of a release of Nova, read off that release itself.

Run as ``.venv/bin/python -m tools.release_facts 33.0.2 [REQUIREMENT...]``, or with ``--again`` for
every release that is known; docs/releases.rst says when. It installs Nova into ``.cache/nova``,
lets its own nova-manage make the schemas on a private MariaDB, and writes tests/releases/33.json.
A REQUIREMENT holds back a library that is too new for that Nova, as ``"SQLAlchemy<2"`` does.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests import mariadb
from tests.release_facts import DATABASES, FOLDER, known_releases, read_columns, read_facts
from tests.templates import CACHE, nova_environment, write_config

UV = Path(sys.executable).with_name("uv")
ASK_NOVA = """
import json, sys
from nova.objects import service
from nova.objects.image_meta import ImageMetaProps
from oslo_versionedobjects import fields

properties = {}
for name, field in ImageMetaProps.fields.items():
    if isinstance(field, fields.BaseEnumField):
        properties[name] = sorted(field.valid_values)
    elif isinstance(field, fields.IntegerField):
        properties[name] = "integer"
json.dump({"service_version": service.SERVICE_VERSION, "image_properties": properties}, sys.stdout)
"""


def make_facts(version: str, requirements: Sequence[str]) -> None:
    """Install Nova VERSION with the REQUIREMENTS and write its facts."""
    programs = install(version, requirements)
    head = {"nova": version, "requirements": list(requirements)}
    path = FOLDER / f"{version.partition('.')[0]}.json"
    path.write_text(as_text({**head, **ask_nova(programs), **read_schemas(programs)}))


def install(version: str, requirements: Sequence[str]) -> Path:
    """Return the folder of the programs of a new environment with Nova VERSION."""
    folder = CACHE / "nova" / version.partition(".")[0]
    run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder)
    wanted = (f"nova=={version}", "PyMySQL", *requirements)
    run(UV, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *wanted)
    return folder / "bin"


def ask_nova(programs: Path) -> dict[str, Any]:
    """Return the version of its services, and the image properties that have a list of values."""
    found: dict[str, Any] = json.loads(run(programs / "python", "-W", "ignore", "-c", ASK_NOVA))
    return found


def read_schemas(programs: Path) -> dict[str, Any]:
    """Return the columns of the tables that novadev uses, as nova-manage makes them."""
    with tempfile.TemporaryDirectory(prefix="novadev-release-") as name:
        folder = Path(name)
        mariadb.install(folder / "data")
        with mariadb.serve(folder / "data") as server:
            return make_schemas(programs, server, folder)


def make_schemas(programs: Path, server: mariadb.MariaDB, folder: Path) -> dict[str, Any]:
    """Let nova-manage make both schemas on the server, and return their columns."""
    engine = sa.create_engine(server.url("information_schema"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        for name in DATABASES:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
    urls = {name: server.url(name) for name in DATABASES}
    config = write_config(folder / "nova.conf", urls, "sqlite://", database="cell")
    manage = (programs / "nova-manage", "--config-file", config)
    run(*manage, "api_db", "sync")
    run(*manage, "db", "sync", "--local_cell")
    with engine.connect() as connection:
        return {name: read_columns(connection, name, name) for name in DATABASES}


def as_text(facts: dict[str, Any]) -> str:
    """Return the facts as JSON with a table or a property a line, so that diff compares two."""
    return "{\n" + ",\n".join(f"{json.dumps(k)}: {_lines(v)}" for k, v in facts.items()) + "\n}\n"


def _lines(value: Any) -> str:
    if not isinstance(value, dict):
        return json.dumps(value)
    inner = (f"  {json.dumps(name)}: {json.dumps(item)}" for name, item in value.items())
    return "{\n" + ",\n".join(inner) + "\n}"


def run(*command: str | Path) -> str:
    """Run a command and return its output; raises RuntimeError with its errors."""
    environment = nova_environment()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Write the facts of one release, or of all again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", nargs="?", help="a version of Nova on PyPI")
    parser.add_argument("requirements", nargs="*", metavar="REQUIREMENT")
    parser.add_argument("--again", action="store_true", help="every release that is known")
    asked = parser.parse_args()
    if asked.again == bool(asked.version):
        parser.error("give a version, or --again")
    wanted = [(asked.version, asked.requirements)]
    if asked.again:
        known = [read_facts(release) for release in known_releases()]
        wanted = [(facts["nova"], facts["requirements"]) for facts in known]
    for version, requirements in wanted:
        print(f"Nova {version}", flush=True)
        try:
            make_facts(version, requirements)
        except RuntimeError as error:
            sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
