"""What tests of the rules compare them with."""

from collections.abc import Callable

import pytest

from novadev.rules.osinfo import OsInfo
from tests.nova_process import NovaProcess


@pytest.fixture
def nova_of(nova_processes: dict[str, NovaProcess]) -> Callable[[str], NovaProcess]:
    """`nova_of("34")`: the real Nova of a release, without a cloud."""

    def of(release: str) -> NovaProcess:
        if release not in nova_processes:
            nova_processes[release] = NovaProcess(release)
        return nova_processes[release]

    return of


@pytest.fixture(scope="session")
def osinfo() -> OsInfo:
    """libosinfo's database on this machine."""
    return OsInfo()
