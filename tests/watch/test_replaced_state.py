"""A watch whose state database is gone does not go on in the one that another command makes."""

from pathlib import Path

import pytest

from novadev import config
from novadev.errors import Unreachable
from novadev.records.store import VmDevices
from novadev.records.watch_jobs import Recorded, Recorder
from novadev.state.store import open_state
from tests import domains
from tests.command import novadev
from tests.device.bed import ConfigFile

UUID = "6e1f0f2f-5d10-4c8c-9b3e-a3bb189e8bf9"


def test_it_says_so_and_records_nothing(tmp_path: Path) -> None:
    guest = domains.domain(UUID, disks=[domains.disk("vda")]).replace(
        '<domain type="qemu"', '<domain type="test"'
    )
    (tmp_path / "node.xml").write_text(f"<node>{guest}</node>")
    file, state = tmp_path / "nova.conf", tmp_path / "state.sqlite"
    file.write_text(
        f"[DEFAULT]\nhost = cmp1\n[libvirt]\nconnection_uri = test://{tmp_path}/node.xml\n"
        f"[novadev]\nstate_connection = sqlite:///{state}\n"
    )
    deployment = ConfigFile(file)
    assert novadev(deployment, "device", "record", UUID).code == 0
    watch = Recorder(config.load([str(file)]), no_database=False)
    watch.list_hosts()
    assert isinstance(watch.record("cmp1", [UUID])[0], Recorded)
    former = state.read_bytes()
    state.unlink()
    assert novadev(deployment, "device", "list", "--all").code == 0
    assert state.exists()
    for _ in range(2):
        with pytest.raises(Unreachable, match="another one than when the watch began"):
            watch.record("cmp1", [UUID])
    assert VmDevices(open_state(f"sqlite:///{state}")).list_devices([UUID]) == {}
    state.write_bytes(former)
    assert isinstance(watch.record("cmp1", [UUID])[0], Recorded)
