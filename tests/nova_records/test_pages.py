"""Going through the instances of a cell, a page at a time: by id, and host by host."""

from itertools import groupby

import pytest

from novadev.config import load
from novadev.deployment import Deployment
from novadev.nova.instances import InstanceFilter
from novadev.selection import Chunk, Selection, iter_by_host, iter_selected
from novadev.selection import filtered as selecting
from tests.cloud import Cloud


@pytest.fixture(params=["sqlite", "mariadb"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    """Twelve instances on three hosts and on none, in an order of their own."""
    made: Cloud = request.getfixturevalue(f"{request.param}_cloud")
    hosts = [
        "cmp2",
        None,
        "cmp1",
        "cmp1",
        "cmp10",
        None,
        "cmp2",
        "cmp1",
        "cmp10",
        None,
        "cmp2",
        "a",
    ]
    for number, host in enumerate(hosts):
        state = "stopped" if host else "shelved_offloaded"
        made.add_instance(name=f"web-{number}", host=host, vm_state=state)
    return made


def chosen(cloud: Cloud, walk: object, narrow: InstanceFilter | None = None) -> list[list[str]]:
    """The hosts and names of each chunk."""
    wanted = Selection(everything=True, narrow=narrow or InstanceFilter())
    with Deployment(load([str(cloud.config_file)])) as deployment:
        chunks = list(walk(deployment, wanted))  # type: ignore[operator]
    assert all(isinstance(chunk, Chunk) for chunk in chunks)
    return [[f"{item.host} {item.name}" for item in chunk.instances] for chunk in chunks]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 12, 100])
def test_every_instance_once_and_the_hosts_together(
    cloud: Cloud, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selecting, "CHUNK", size)
    by_id = [item for chunk in chosen(cloud, iter_selected) for item in chunk]
    assert [item.split()[1] for item in by_id] == [f"web-{number}" for number in range(12)]
    chunks = chosen(cloud, iter_by_host)
    by_host = [item for chunk in chunks for item in chunk]
    assert sorted(by_host) == sorted(by_id)
    assert all(len(chunk) <= size for chunk in chunks)
    met = [list(dict.fromkeys(item.split()[0] for item in chunk)) for chunk in chunks]
    order = [host for hosts in met for host in sorted(hosts)]
    assert [host for host, _ in groupby(order)] == ["None", "a", "cmp1", "cmp10", "cmp2"]


def test_filters_count(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "CHUNK", 2)
    found = chosen(cloud, iter_by_host, InstanceFilter(hosts=("cmp1",)))
    assert found == [["cmp1 web-2", "cmp1 web-3"], ["cmp1 web-7"]]
