"""MySQL and MariaDB reached as Nova reaches them, or named with what is wrong."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from novadev import config
from novadev.config import DatabaseOptions
from novadev.database import Database
from novadev.deployment import Deployment
from novadev.errors import Unreachable
from tests import mariadb
from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.deployments import MariaDBHost
from tests.nova_process import NovaProcess
from tests.templates import mariadb_template

VARIABLES = ("sql_mode", "wsrep_sync_wait", "sort_buffer_size")


NovaCall = Callable[[Cloud], NovaProcess]


class Secured:
    """A MariaDB server with TLS by a CA of its own; `folder` holds files of certificates."""

    def __init__(self, server: mariadb.MariaDB, folder: Path, host: MariaDBHost) -> None:
        self.server, self.folder, self.host = server, folder, host


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "foreign.pem"))
    write_pair(authority.issue_cert("localhost"), folder, "server")
    settings = [f"--ssl-{kind}={folder}/server.{kind}" for kind in ("cert", "key")]
    settings.append(f"--ssl-ca={folder}/ca.pem")
    with mariadb.serve_copy(mariadb_template(), *settings) as server:
        host = MariaDBHost(server)
        yield Secured(server, folder, host)
        host.close()


def write_pair(pair: trustme.LeafCert, folder: Path, name: str) -> None:
    pair.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    pair.cert_chain_pems[0].write_to_path(str(folder / f"{name}.cert"))


def database(server: mariadb.MariaDB, parameters: str = "", **options: Any) -> Database:
    """The server's own database, by a URL that does not say where its socket is."""
    parameters = "&".join(filter(None, [f"unix_socket={server.socket}", parameters]))
    options = {"connection_parameters": parameters, **options}
    return Database("cell cell1", "mysql://root@localhost/mysql", DatabaseOptions(**options))


def is_encrypted(database: Database) -> bool:
    with database.reading() as connection:
        return bool(connection.exec_driver_sql("SHOW STATUS LIKE 'Ssl_cipher'").one()[1])


def set_options(cloud: Cloud, **groups: str) -> None:
    """Give each group lines of its own, and take the socket out of its URL, as in a mapping."""
    text = cloud.config_file.read_text()
    for group, lines in groups.items():
        url = cloud.url("api" if group == "api_database" else "cell1")
        given = f"[{group}]\nconnection = {url}\n"
        assert given in text
        text = text.replace(given, f"[{group}]\nconnection = {bare(url)}\n{lines}\n")
    cloud.config_file.write_text(text)
    for name in ("cell0", "cell1", "cell2"):
        url = bare(cloud.url(name))
        cloud.update("cell_mappings", "api", {"name": name}, database_connection=url)


def bare(url: str) -> str:
    return url.partition("?")[0]


@pytest.mark.slow
def test_sessions_are_those_of_nova(secured: Secured, tmp_path: Path, nova: NovaCall) -> None:
    """With options that only the configuration has, and others for the API database."""
    cloud = secured.host.cloud("34", tmp_path)
    place = f"unix_socket={secured.server.socket}"
    of_api = f"connection_parameters = {place}&init_command=SET SESSION sort_buffer_size=65536"
    of_cells = f"connection_parameters = {place}&ssl_ca={secured.folder}/ca.pem&charset=utf8"
    set_options(
        cloud,
        api_database=f"{of_api}\nmysql_sql_mode = ANSI\n",
        database=f"{of_cells}\nmysql_wsrep_sync_wait = 1\n",
    )
    with Deployment(config.load([str(cloud.config_file)])) as deployment:
        cell = deployment.find_cell("cell1")
        ours = {"api": session(deployment.api), "cell1": session(deployment.cell_database(cell))}
    assert ours == nova(cloud).call("sessions")
    assert ours["cell1"]["is_encrypted"]
    assert ours["cell1"]["wsrep_sync_wait"] == 1
    assert ours["api"]["sort_buffer_size"] == 65536


def session(database: Database) -> dict[str, Any]:
    names = ", ".join(f"@@{name}" for name in VARIABLES)
    with database.reading() as connection:
        row = connection.exec_driver_sql(f"SELECT {names}").one()
    return {**dict(zip(VARIABLES, row, strict=True)), "is_encrypted": is_encrypted(database)}


@pytest.mark.slow
def test_the_init_command_of_the_operator_stands_beside_ours(secured: Secured) -> None:
    command = "init_command=SET SESSION sort_buffer_size=65536, innodb_lock_wait_timeout=77"
    with database(secured.server, command).reading() as connection:
        asked = "SELECT @@sort_buffer_size, @@innodb_lock_wait_timeout"
        assert connection.exec_driver_sql(asked).one() == (65536, 10)


@pytest.mark.parametrize(
    "options",
    [
        "ssl_ca={0}/ca.pem",
        "ssl_ca={0}/ca.pem&ssl_cert={0}/server.cert&ssl_key={0}/server.key",
        "ssl_ca={0}/ca.pem&ssl_verify_cert=true",
        "ssl_ca={0}/ca.pem&ssl_verify_identity=true&ssl_disabled=false",
        "ssl_ca={0}/foreign.pem&ssl_verify_cert=false",
        "ssl_check_hostname=false",
        "read_default_file={0}/my.cnf",
        "read_default_file={0}/my.cnf&read_default_group=underscores",
        "read_default_file={0}/my.cnf&read_default_group=mode",
    ],
)
def test_tls_is_had_or_the_database_is_unreachable(
    secured: Secured, mariadb_host: MariaDBHost, mariadb_cloud: Cloud, options: str
) -> None:
    """The other server has no TLS: PyMySQL before 1.2 would have logged in in the clear."""
    write_option_file(secured.folder)
    options = options.format(secured.folder)
    assert is_encrypted(database(secured.server, options))
    plain = mariadb.MariaDB(Path(mariadb_cloud.engine("api").url.query["unix_socket"]))
    assert not is_encrypted(database(plain))
    with pytest.raises(Unreachable, match=r"^cell cell1 could not be reached: 2026 SSL is req"):
        is_encrypted(database(plain, options))


def write_option_file(folder: Path) -> None:
    groups = {"client": "ssl-ca", "underscores": "ssl_ca"}
    text = "".join(f"[{name}]\n{key} = {folder}/ca.pem\n" for name, key in groups.items())
    (folder / "my.cnf").write_text(f"{text}[mode]\nssl-mode = REQUIRED\n[bare]\nssl\n")


@pytest.mark.slow
def test_a_certificate_of_another_ca_or_name_is_refused(secured: Secured) -> None:
    for options in (
        f"ssl_ca={secured.folder}/foreign.pem",
        "ssl_verify_cert=true",
        f"ssl_ca={secured.folder}/ca.pem&host=127.0.0.1",
    ):
        with pytest.raises(Unreachable, match=r"certificate verify failed") as caught:
            is_encrypted(database(secured.server, options))
        assert str(caught.value).startswith("cell cell1 could not be reached: ")


@pytest.mark.slow
def test_where_no_tls_is_asked_for_the_ca_store_is_not_read(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the store of the machine was read")

    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", refuse)
    monkeypatch.setattr(ssl.SSLContext, "set_default_verify_paths", refuse)
    assert is_encrypted(database(secured.server))
    assert not is_encrypted(database(secured.server, "ssl_disabled=true"))


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        ("plugin=sqlcommenter", 4, "plugin"),
        ("charset=utf-8", 4, "charset"),
        ("ssl=true", 4, "ssl"),
        ("ssl_verify_cert=maybe", 4, "ssl_verify_cert"),
        ("ssl_disabled=true&ssl_check_hostname=true", 4, "ssl_disabled"),
        ("ssl_key=/dev/null", 4, "ssl_key"),
        ("connect_timeout=soon", 4, "connect_timeout"),
        ("connect_timeout=0", 4, "connect_timeout"),
        ("read_default_file=/etc/passwd", 4, "read_default_file"),
        ("collation=english", 4, "collation"),
        ("init_command=SET nonsense = 1", 4, "init_command"),
        ("sql_mode=NONSENSE", 4, "sql_mode"),
        ("user=root&user=nova", 4, "user"),
        ("ssl_ca=/nowhere/ca.pem", 8, "ssl_ca"),
        ("ssl_ca=/etc/passwd", 8, "ssl_ca"),
        ("ssl_cipher=NONSENSE", 8, "ssl_cipher"),
        ("read_default_file=/nowhere/my.cnf", 8, "read_default_file"),
        ("unix_socket=/nowhere/socket", 8, "unix_socket"),
    ],
)
def test_what_is_wrong_costs_its_cell_only(
    mariadb_cloud: Cloud, options: str, code: int, named: str
) -> None:
    here, there = mariadb_cloud.add_instance(), mariadb_cloud.add_instance(cell="cell2")
    url = str(mariadb_cloud.url("cell2")).replace("charset=utf8&", "")
    if "unix_socket" in options:
        url = bare(url) + "?"
    url = f"{url}&{options}".replace("?&", "?")
    mariadb_cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=url)
    for arguments in (["--all"], [here, there]):
        result = listed(mariadb_cloud, *arguments)
        assert (result.code, instances(result)) == (code, {here})
        told = [line for line in result.err.splitlines() if line.startswith("Error: ")]
        assert len(told) == 1
        assert "cell cell2" in told[0]
        assert named in told[0]


def listed(cloud: Cloud, *arguments: str) -> Result:
    return novadev(cloud, "image-property", "list", "-f", "json", *arguments)


def instances(result: Result) -> set[str]:
    return {record["instance"] for record in result.json}


@pytest.mark.parametrize(
    ("parameters", "code", "told"),
    [
        ("ssl_ca", 4, "connection_parameters"),
        ("ssl_ca=/nowhere", 8, "ssl_ca"),
        ("nonsense=1", 4, "nonsense"),
    ],
)
def test_what_is_wrong_with_the_api_database_ends_the_command(
    mariadb_cloud: Cloud, parameters: str, code: int, told: str
) -> None:
    cloud = mariadb_cloud
    text = cloud.config_file.read_text()
    given = f"connection_parameters = {parameters}"
    cloud.config_file.write_text(text.replace("[api_database]", f"[api_database]\n{given}"))
    result = listed(cloud, "--all")
    assert (result.code, told in result.err) == (code, True)
    assert result.err.startswith("Error: API database: ")
    assert result.err.count("\n") == 1


def test_a_template_without_anything_to_fill_it_in(sqlite_cloud: Cloud) -> None:
    here, there = sqlite_cloud.add_instance(), sqlite_cloud.add_instance(cell="cell2")
    text = sqlite_cloud.config_file.read_text()
    url = sqlite_cloud.url("cell1")
    sqlite_cloud.config_file.write_text(text.replace(f"[database]\nconnection = {url}", ""))
    template = "{scheme}://{username}:{password}@{hostname}:{port}/nova_cell2?{query}"
    sqlite_cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=template)
    for arguments in (["--all"], [here, there]):
        result = listed(sqlite_cloud, *arguments)
        assert (result.code, instances(result)) == (4, {here})
        assert "cell cell2: its mapping is a template" in result.err
        assert "no [database] connection" in result.err


@pytest.mark.parametrize("code", [1047, 9001, 1969, 3024, 3159])
def test_a_server_that_cannot_answer_is_unreachable(mariadb_cloud: Cloud, code: int) -> None:
    """Galera, ProxySQL and time limits: a real server's error of that number."""
    here, there = mariadb_cloud.add_instance(), mariadb_cloud.add_instance(cell="cell2")
    signal = f"SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO={code}, MESSAGE_TEXT='not now'"
    url = f"{mariadb_cloud.url('cell2')}&init_command={signal}"
    mariadb_cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=url)
    for arguments in (["--all"], [here, there]):
        result = listed(mariadb_cloud, *arguments)
        assert (result.code, instances(result)) == (8, {here})
        assert "cell cell2" in result.err
        assert f"{code} not now" in result.err


def test_an_error_amid_the_work_is_one_of_reach_too(mariadb_cloud: Cloud) -> None:
    database = Database("API database", mariadb_cloud.url("api"))
    told = r"^API database does not answer: 1969 Query exec"
    with pytest.raises(Unreachable, match=told), database.reading() as connection:
        connection.exec_driver_sql(
            "SET STATEMENT max_statement_time=0.01 FOR "
            "SELECT COUNT(*) FROM information_schema.columns a, information_schema.columns b"
        )
