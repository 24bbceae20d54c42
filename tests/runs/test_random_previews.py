"""Whatever happened before: what undo and resume preview is what they then do.

Each history is one of random commands on three servers, some of them killed, of changes that
somebody else makes, and of undos and resumed runs. Each of these is previewed and then carried
out; both documents must say the same of each server. NOVADEV_HISTORIES=200 plays as many, other
ones each time, and a failure prints the history.
"""

import os
import random
import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.previewing import kept
from tests.runs.controllers import Controller

pytestmark = pytest.mark.slow
HISTORIES = int(os.environ.get("NOVADEV_HISTORIES", "0"))
SEEDS = range(6) if not HISTORIES else random.sample(range(10**9), HISTORIES)
STEPS = 12
NAMES = ("hw_disk_bus", "hw_vif_model", "hw_video_model", "hw_machine_type")
VOLUME = "{:08d}-7777-4777-8777-777777777777"
SET = ("image-property", "set", "--property")
COMMANDS = (
    *((*SET, f"hw_disk_bus={bus}") for bus in ("ide", "sata", "scsi", "virtio")),
    (*SET, "hw_vif_model=e1000", "--property", "hw_video_model=vga"),
    *(("image-property", "unset", "--property", name) for name in NAMES[:3]),
    *(("machine-type", "set", name) for name in ("pc", "q35", "pc-q35-7.2")),
    ("image-property", "sync"),
    ("stash-defaults", "--source", "driver"),
)
Change = Callable[[Cloud, str, random.Random], None]


def another_value(cloud: Cloud, uuid: str, chance: random.Random) -> None:
    where = {"instance_uuid": uuid, "key": f"image_{chance.choice(NAMES)}"}
    cloud.update("instance_system_metadata", "cell1", where, value=chance.choice(("other", "pc")))


def no_request_spec(cloud: Cloud, uuid: str, _: random.Random) -> None:
    cloud.update("request_specs", "api", {"instance_uuid": uuid}, spec="{}")


def attached(cloud: Cloud, uuid: str, chance: random.Random) -> None:
    number = chance.randrange(10**8)
    cloud.add_volume(uuid, VOLUME.format(number), f"/dev/vd{chance.choice('cdefgh')}")


def detached(cloud: Cloud, uuid: str, _: random.Random) -> None:
    for row in cloud.disks(uuid):
        if row["volume_id"] and not row["deleted"]:
            where = {"instance_uuid": uuid, "volume_id": row["volume_id"]}
            cloud.update("block_device_mapping", "cell1", where, deleted=row["id"])


def started(cloud: Cloud, uuid: str, _: random.Random) -> None:
    cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="active")


def stopped(cloud: Cloud, uuid: str, _: random.Random) -> None:
    cloud.update("instances", "cell1", {"uuid": uuid}, vm_state="stopped")


def rebuilt(cloud: Cloud, uuid: str, _: random.Random) -> None:
    for name in NAMES[:3]:
        where = {"instance_uuid": uuid, "key": f"image_{name}"}
        cloud.delete("instance_system_metadata", "cell1", **where)


def deleted(cloud: Cloud, uuid: str, _: random.Random) -> None:
    cloud.soft_delete(uuid)


def in_another_cell(cloud: Cloud, uuid: str, _: random.Random) -> None:
    if cloud.cell_of(uuid) == "cell1":
        cloud.update("instances", "cell1", {"uuid": uuid}, hidden=True)
        cloud.add_instance(uuid=uuid, cell="cell2", mapped=False, request_spec=False)


CHANGES: tuple[Change, ...] = (
    *(another_value, another_value, no_request_spec, attached, detached, started, stopped),
    *(stopped, rebuilt, deleted, in_another_cell),
)


class History:
    """A cloud, what was typed there, and what comes of the next command."""

    def __init__(self, cloud: Cloud, controller: Controller, seed: int) -> None:
        self.cloud, self.controller = cloud, controller
        self.chance = random.Random(seed)
        self.told: list[str] = []
        given = {"hw_machine_type": "pc", "hw_disk_bus": "virtio", "hw_vif_model": "virtio"}
        spec = {"hw_vif_model": "e1000"}
        self.servers = [cloud.add_instance(**given, spec_properties=spec) for _ in range(3)]
        for number, uuid in enumerate(self.servers[:-1]):
            cloud.add_disk(uuid)
            cloud.add_volume(uuid, VOLUME.format(number), "/dev/vdb", disk_bus="virtio")

    def step(self) -> None:
        """Do one thing: a command, somebody else's change, or an undo or a resumed run."""
        runs = [run["run"] for run in novadev(self.cloud, "history", "-f", "json").json]
        kind = self.chance.random()
        if kind < 0.3 or not runs:
            self._run(*self.chance.choice(COMMANDS), *self.servers)
        elif kind < 0.6:
            uuid, change = self.chance.choice(self.servers), self.chance.choice(CHANGES)
            self.told.append(f"{uuid}: {change.__name__}")
            change(self.cloud, uuid, self.chance)
        else:
            undo = ("undo", str(self.chance.choice(runs[:4])))
            words = undo if self.chance.random() < 0.75 else ("resume",)
            if self.chance.random() < 0.25:
                self._run(*words)
            else:
                self._keeps_its_promise(*words)

    def _run(self, *words: str) -> None:
        """Carry a command out; it may be killed on its way."""
        fault = {"fault": "kill", "at": self.chance.randint(1, 60)}
        end = self.controller.run(*words, "--yes", **(fault if self.chance.random() < 0.5 else {}))
        assert end is not None
        self.told.append(f"{' '.join(words)}: {'killed' if end.was_killed else end.code}")
        assert end.code != 1, end.said

    def _keeps_its_promise(self, *words: str) -> None:
        run = partial(novadev, self.cloud)
        if not run(*words, "--dry-run", "-f", "json").out:  # refused as a whole
            refused = [run(*words, choice, "-f", "json") for choice in ("--dry-run", "--yes")]
            assert _ends(refused[0]) == _ends(refused[1])
            return
        result = kept(run, *words)
        self.told.append(f"{' '.join(words)}: {result.code}")
        assert result.code != 1, result.err


def _ends(result: Result) -> tuple[int, str, str]:
    return result.code, result.out, result.err


@pytest.fixture
def controller(sqlite_cloud: Cloud) -> Iterator[Controller]:
    hosts = sqlite_cloud.folder / "hosts"
    hosts.mkdir()
    (hosts / "cmp1.conf").write_text("[libvirt]\nvirt_type = kvm\n")
    with sqlite_cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\ncompute_config_dir = {hosts}\nstart_check_delay = 0\n")
    made = Controller(socket.gethostname(), sqlite_cloud.config_file)
    yield made
    made.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_preview_keeps_its_promise(
    sqlite_cloud: Cloud, controller: Controller, seed: int
) -> None:
    history = History(sqlite_cloud, controller, seed)
    try:
        for _ in range(STEPS):
            history.step()
    finally:
        print("\n".join(history.told))
