"""Fixtures: deployments of Nova, and Nova itself."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import deployments, ending
from tests.cloud import Cloud
from tests.compiled import keep_compiled_statements
from tests.deployments import MariaDBHost
from tests.hypervisor import GENERATIONS, Hypervisor, Hypervisors, pool, unsupported
from tests.nova_process import NovaProcess
from tests.shared_osinfo import read_osinfo_once
from tests.sqlite import wait_for_no_disk

pytest_plugins = ["tests.hypervisor.required"]
hypothesis.settings.register_profile(
    "novadev", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("novadev")
wait_for_no_disk()
read_osinfo_once()
keep_compiled_statements()
MakeCloud = Callable[[str, str], Cloud]
SERVERS = {"mariadb_host", "mariadb_cloud", "nova_processes"}
"""The fixtures that start a server, or a process of Nova."""


def pytest_sessionstart(session: pytest.Session) -> None:
    """Tear down before the end, whatever ends the session."""
    ending.heed(session)


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what needs a server out of the quick part, whether a fixture or a parameter says so."""
    for item in items:
        fixtures = SERVERS & set(getattr(item, "fixturenames", ()))
        given = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if fixtures or any(isinstance(value, str) and value == "mariadb" for value in given):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def mariadb_host() -> Iterator[MariaDBHost]:
    """The session's MariaDB server, started when a test first needs it."""
    with deployments.mariadb_host() as host:
        yield host


@pytest.fixture
def make_cloud(request: pytest.FixtureRequest, tmp_path: Path) -> MakeCloud:
    """`make_cloud(backend, release)`: an empty deployment, once of each kind in a test."""

    def make(backend: str, release: str) -> Cloud:
        folder = tmp_path / f"{backend}-{release}"
        folder.mkdir()
        if backend == "sqlite":
            return deployments.sqlite_cloud(release, folder)
        host: MariaDBHost = request.getfixturevalue("mariadb_host")
        return host.cloud(release, folder)

    return make


@pytest.fixture
def sqlite_cloud(make_cloud: MakeCloud) -> Cloud:
    """An empty deployment of Nova 34 on SQLite."""
    return make_cloud("sqlite", "34")


@pytest.fixture
def mariadb_cloud(make_cloud: MakeCloud) -> Cloud:
    """An empty deployment of Nova 34 on MariaDB."""
    return make_cloud("mariadb", "34")


def _each(*names: str) -> list[Any]:
    """NAMES as parameters; the quick part has those of the newest Nova on SQLite."""
    slow = pytest.mark.slow
    quick = ("sqlite", "sqlite-34")
    return [pytest.param(name, marks=() if name in quick else slow) for name in names]


@pytest.fixture(params=_each("sqlite", "mariadb"))
def cloud(request: pytest.FixtureRequest, make_cloud: MakeCloud) -> Cloud:
    """An empty deployment of Nova 34, on either database."""
    return make_cloud(request.param, "34")


@pytest.fixture(params=_each("sqlite-34", "sqlite-28", "mariadb-34", "mariadb-28"))
def any_cloud(request: pytest.FixtureRequest, make_cloud: MakeCloud) -> Cloud:
    """An empty deployment of the newest or an old Nova, on either database."""
    return make_cloud(*request.param.split("-"))


@pytest.fixture(scope="session")
def nova_processes() -> Iterator[dict[str, NovaProcess]]:
    """The session's Nova processes by release, each started when first needed."""
    started: dict[str, NovaProcess] = {}
    yield started
    for process in started.values():
        process.close()


@pytest.fixture
def nova(nova_processes: dict[str, NovaProcess]) -> Callable[[Cloud], NovaProcess]:
    """`nova(cloud)`: the real Nova of the cloud's release, working on this cloud until asked again.

    One process serves all tests of a release; they share it by turns.
    """

    def of(cloud: Cloud) -> NovaProcess:
        if cloud.release not in nova_processes:
            nova_processes[cloud.release] = NovaProcess(cloud.release)
        nova_processes[cloud.release].use(cloud.config_file)
        return nova_processes[cloud.release]

    return of


@pytest.fixture(scope="session")
def hypervisors() -> Iterator[Hypervisors]:
    """The session's simulated compute hosts, each started when first needed."""
    if reason := unsupported():
        pytest.skip(f"no namespaces for simulated hosts: {reason}")
    with pool() as hosts:
        yield hosts


@pytest.fixture(scope="session")
def generations() -> Iterator[dict[str, Hypervisor]]:
    """A host of each generation of libvirt and QEMU, by the name of the Debian release.

    A test empties the hosts that it has used.
    """
    if reason := unsupported():
        pytest.skip(f"no namespaces for simulated hosts: {reason}")
    with ExitStack() as stack:
        pools = {name: stack.enter_context(pool(name)) for name in GENERATIONS}
        yield {name: hosts.take()[0] for name, hosts in pools.items()}


@pytest.fixture(params=GENERATIONS)
def any_generation(
    request: pytest.FixtureRequest, generations: dict[str, Hypervisor]
) -> Iterator[Hypervisor]:
    """A host of each generation in turn, without domains."""
    host = generations[request.param]
    yield host
    host.empty()


@pytest.fixture
def hypervisors3(hypervisors: Hypervisors) -> Iterator[list[Hypervisor]]:
    """The hosts cmp1, cmp2 and cmp3, without domains."""
    yield hypervisors.take(3)
    hypervisors.empty()


@pytest.fixture
def hypervisor(hypervisors: Hypervisors) -> Iterator[Hypervisor]:
    """The host cmp1, without domains."""
    yield hypervisors.take()[0]
    hypervisors.empty()
