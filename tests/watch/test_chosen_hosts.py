"""Which hosts a watch is about: names, patterns, or all."""

import pytest

from novadev.config import load
from novadev.errors import NotFound
from novadev.records.watch_jobs import Recorder
from tests.cloud import Cloud


def test_hosts_by_name_and_by_pattern(sqlite_cloud: Cloud) -> None:
    for host in ("cmp1", "cmp2", "other"):
        sqlite_cloud.add_instance(host=host)
    with sqlite_cloud.config_file.open("a") as file:
        file.write("libvirt_uri = qemu+ssh://root@{host}/system\n")
    recorder = Recorder(load([str(sqlite_cloud.config_file)]), False)
    assert recorder.list_hosts(()) == ("cmp1", "cmp2", "other")
    assert recorder.list_hosts(("cmp?",)) == ("cmp1", "cmp2")
    assert recorder.list_hosts(("other", "*2")) == ("cmp2", "other")
    with pytest.raises(NotFound, match="nowhere"):
        recorder.list_hosts(("nowhere*",))
