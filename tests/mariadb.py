"""A private MariaDB server on a socket of its own, for one test session."""

import getpass
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from mirakuru.unixsocket import UnixSocketExecutor

SETTINGS = (
    "--skip-networking",
    "--skip-log-bin",
    "--character-set-server=utf8mb3",
    "--collation-server=utf8mb3_general_ci",
    "--innodb-file-per-table=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=32M",
    "--innodb-lock-wait-timeout=5",
    "--lock-wait-timeout=30",
    # Only what survives a power cut is given up; transactions, locks and isolation stay real.
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-use-native-aio=0",
    "--innodb-flush-method=nosync",
    "--performance-schema=OFF",
    "--max-connections=200",
    "--table-open-cache=800",
    "--open-files-limit=2000",
    "--transaction-isolation=REPEATABLE-READ",
)


class MariaDB:
    """A running server: `url(database)` is the SQLAlchemy URL of one of its databases."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def url(self, database: str) -> str:
        return (
            f"mysql+pymysql://root@localhost/{database}?charset=utf8&unix_socket="
            f"{quote(str(self.socket))}"
        )


def version() -> str:
    """The server's version line, e.g. "mariadbd  Ver 10.11.6-MariaDB ..."."""
    program = _program("mariadbd")
    result = subprocess.run([program, "--version"], check=True, capture_output=True, text=True)
    return result.stdout.strip()


def install(data: Path) -> None:
    """Create an empty data directory with a root account that needs no password."""
    command = [_program("mariadb-install-db"), "--no-defaults", f"--datadir={data}"]
    command += ["--auth-root-authentication-method=normal", "--skip-test-db"]
    command += [f"--user={getpass.getuser()}", *_storage_settings()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def serve(data: Path, *more: str) -> Iterator[MariaDB]:
    """A server on the data directory `data`, with `more` settings, stopped at the end.

    pifpaf always makes its own data directory and takes no server options, testing.mysqld has had
    no release for years: mirakuru starts and stops the process, the rest is these few lines.
    `setpriv` makes the kernel stop the server even when pytest itself is killed.
    """
    with tempfile.TemporaryDirectory(prefix="novadev-db-", ignore_cleanup_errors=True) as folder:
        socket = Path(folder, "socket")
        command = ["setpriv", "--pdeathsig", "TERM", _program("mariadbd"), "--no-defaults"]
        command += [f"--datadir={data}", f"--socket={socket}", f"--tmpdir={folder}"]
        command += [f"--pid-file={folder}/pid", f"--log-error={folder}/log"]
        command += [f"--user={getpass.getuser()}", *SETTINGS, *more]
        with UnixSocketExecutor(
            command, socket_name=str(socket), timeout=60, sleep=0.05, expected_returncode=0
        ):
            yield MariaDB(socket)


@contextmanager
def serve_copy(template: Path, *more: str) -> Iterator[MariaDB]:
    """A server on a temporary copy of the data directory `template`."""
    with tempfile.TemporaryDirectory(prefix="novadev-data-", ignore_cleanup_errors=True) as folder:
        data = shutil.copytree(template, Path(folder, "data"))
        with serve(data, *more) as server:
            yield server


def _storage_settings() -> list[str]:
    return [setting for setting in SETTINGS if setting.startswith("--innodb-log-file-size")]


def _program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if path is None:
        raise FileNotFoundError(f"{name} is not installed; run tools/setup test")
    return path
