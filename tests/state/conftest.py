"""A state database on each kind of server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud import Cloud
from tests.state.places import journal_on_mariadb


@pytest.fixture(params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the state database is."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.sqlite"
        return
    cloud: Cloud = request.getfixturevalue("mariadb_cloud")
    with journal_on_mariadb(cloud) as url:
        yield url
