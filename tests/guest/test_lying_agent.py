"""`device show --guest` of a guest whose agent lies: neither a hang nor a wrong name."""

import copy
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from novadev.virt.devices import Disk
from novadev.virt.host import Host
from tests.cloud import Cloud
from tests.device.rig import Rig, volume_id
from tests.device.site import record
from tests.guest import liar
from tests.guest.micro import MicroGuest

pytestmark = pytest.mark.slow

Json = dict[str, Any]
FIRST, SECOND = "disk vdb", "disk vdc"
SERIALS = {"disk vda": None, FIRST: volume_id(5)[:20], SECOND: volume_id(6)[:20]}
MEGABYTES = 1 << 20
HOST_TIMEOUT = 20


@pytest.fixture
def rig(sqlite_cloud: Cloud, relay: MicroGuest) -> Rig:
    record(sqlite_cloud, relay.text, vm_state="active")
    return Rig(sqlite_cloud, [relay.host], HOST_TIMEOUT)


@pytest.fixture
def say(relay: MicroGuest) -> Callable[..., Json]:
    """`say(name, label)`: what an agent says of the disk it calls NAME, which is LABEL's."""
    with Host("cmp1", relay.host.uri) as host:
        live = host.live(relay.uuid)
    assert live
    places = {disk.label: disk.address for disk in live.of_class(Disk)}

    def entry(name: str, label: str, serial: str | None = None) -> Json:
        place = places[label]
        assert place
        controller = {key: int(place.values[key], 16) for key in _PCI}
        address = {"bus-type": "virtio", "bus": 0, "unit": 0, "target": 0}
        address |= {"pci-controller": controller, "dev": name}
        seen = serial or SERIALS[label]
        return {
            **{"name": name, "partition": False, "dependencies": []},
            "address": address | ({"serial": seen} if seen else {}),
        }

    return entry


_PCI = ("domain", "bus", "slot", "function")


def shown(rig: Rig, relay: MicroGuest, **replies: liar.Reply) -> tuple[dict[str, str | None], str]:
    """What each disk is called and what is noted, both in every way that it is told."""
    known = {f"guest-{name}": reply for name, reply in replies.items()}
    with liar.answering(relay.relay, known):
        relay.wait_for(lambda: relay.has_agent)
        begun = time.monotonic()
        result = rig.novadev("device", "show", relay.uuid, "--guest", "-f", "json")
        assert time.monotonic() - begun < HOST_TIMEOUT
        table = rig.novadev("device", "show", relay.uuid, "--guest")
    assert (result.code, table.code) == (0, 0), result.err + table.err
    assert not set("\x1b\x07\u202e\ufffd") & set(result.out + result.err + table.out + table.err)
    assert len(result.out + result.err + table.out) < 100_000
    assert relay.host.connection.getLibVersion()
    names = {item["label"]: item["logical_name"] for item in result.json if item["type"] == "disk"}
    return names, result.err + table.out


def test_an_honest_answer(rig: Rig, relay: MicroGuest, say: Callable[..., Json]) -> None:
    disks = [say("/dev/vda", "disk vda"), say("/dev/vdx", FIRST), say("/dev/nvme0n1", SECOND)]
    names, text = shown(rig, relay, **{"get-disks": liar.returning(disks)})
    assert names == {"disk vda": "/dev/vda", FIRST: "/dev/vdx", SECOND: "/dev/nvme0n1"}
    assert "Names in the guest" not in text


Say = Callable[..., Json]
LIES: dict[str, tuple[Callable[[Say], Any], set[str], str]] = {
    "a name twice": (
        lambda say: [say("/dev/vdb", FIRST), say("/dev/vdb", SECOND)],
        set(),
        "calls several disks /dev/vdb",
    ),
    "a disk twice": (
        lambda say: [say("/dev/vdb", FIRST), say("/dev/vdz", FIRST), say("/dev/vdc", SECOND)],
        {SECOND},
        "! disk vdb: the guest calls it /dev/vdb and /dev/vdz",
    ),
    "another's serial": (
        lambda say: [say("/dev/vdb", FIRST, SERIALS[SECOND])],
        set(),
        "! disk vdc: the guest's /dev/vdb may be disk vdb as well",
    ),
    "a name that is none": (
        lambda say: [say("vdb", FIRST), say("/dev/../etc/passwd", SECOND)],
        set(),
        "2 of the guest's disks have no usable name",
    ),
    "control characters": (
        lambda say: [say("/dev/\x1b[2Jvdb\x07", FIRST), say("/dev/v\u202edc", SECOND)],
        set(),
        "2 of the guest's disks have no usable name",
    ),
    "control characters in a serial": (
        lambda say: [say("/dev/vdb", FIRST, "\x1b]0;x\x07"), say("/dev/vdc", SECOND)],
        {FIRST, SECOND},
        "",
    ),
    "an endless name": (
        lambda say: [say("/dev/" + "a" * MEGABYTES, FIRST), say("/dev/vdc", SECOND)],
        {SECOND},
        "1 of the guest's disks have no usable name",
    ),
    "thousands of disks": (
        lambda say: [say("/dev/vdb", FIRST), *({"name": f"/dev/x{n}"} for n in range(9000))],
        {FIRST},
        "only the first 1024 of",
    ),
    "things of other kinds": (
        lambda say: [1, None, {"name": 5}, {"address": []}, {"name": "/dev/vdb", "address": "x"}],
        set(),
        "4 of the guest's disks have no usable name",
    ),
    "no list": (lambda say: {"disks": 3}, set(), "lists no disk"),
    "no disk": (lambda say: [], set(), "lists no disk"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie(rig: Rig, relay: MicroGuest, say: Say, lie: str) -> None:
    make, named, note = LIES[lie]
    names, text = shown(rig, relay, **{"get-disks": liar.returning(make(say))})
    assert {label for label, name in names.items() if name} == named
    assert note in text


BYTES: dict[str, tuple[liar.Reply, str]] = {
    "an error of its own words": (
        liar.refusing("GenericError", "\x1b[31mno\u202e" * 1000),
        'gave no answer: "internal error: unable to execute',
    ),
    "no text": (liar.sending(b'{"return": [{"name": "/dev/\xff\xfe"}]}\n'), "is not text"),
    "no JSON": (liar.sending(b"{{{{ \n"), "gave no answer"),
    "deep": (liar.sending(b'{"return": ' + b"[" * 900 + b"]" * 900 + b"}\n"), ""),
    "silence": (liar.silent, "does not answer"),
    "a beginning without end": (liar.sending(b'{"return": ['), "does not answer"),
    "more than libvirt takes": (
        liar.sending(b'{"return": "' + b"a" * (10 << 20) + b'"}\n'),
        "Names in the guest: the guest's agent",
    ),
}


@pytest.mark.parametrize("kind", BYTES)
def test_an_answer_that_is_none(rig: Rig, relay: MicroGuest, kind: str) -> None:
    reply, note = BYTES[kind]
    names, text = shown(rig, relay, **{"get-disks": reply})
    assert set(names.values()) == {None}
    assert note in text
    assert "Names in the guest: " in text


def test_an_old_agent_knows_file_systems(rig: Rig, relay: MicroGuest, say: Say) -> None:
    parts = [say(name, label)["address"] for name, label in _MOUNTED.items()]
    system = {"name": "x", "mountpoint": "/\x1b[2J", "type": "ext4"}
    replies = {
        "get-fsinfo": liar.returning([{**system, "disk": [part]} for part in parts]),
    }
    names, text = shown(rig, relay, **replies)
    assert names == {"disk vda": "/dev/vda", FIRST: "/dev/vdb", SECOND: "/dev/nvme0n1"}
    assert "Names in the guest" not in text


_MOUNTED = {
    **{"/dev/vda1": "disk vda", "/dev/vda15": "disk vda", "/dev/vdb": FIRST},
    "/dev/nvme0n1p2": SECOND,
}


def test_what_is_left_open_is_said(rig: Rig, relay: MicroGuest, say: Say) -> None:
    """A disk where no device is, while a device has no name."""
    lost = say("/dev/vdq", "disk vda")
    lost["address"]["pci-controller"]["slot"] = 0x1D
    names, text = shown(rig, relay, **{"get-disks": liar.returning([lost, say("/dev/vdb", FIRST)])})
    assert names == {"disk vda": None, FIRST: "/dev/vdb", SECOND: None}
    assert (
        "/dev/vdq, where the definition has no device; disks without a name: disk vda, disk vdc"
        in text
    )


def test_an_agent_that_fails_takes_no_name_away(rig: Rig, relay: MicroGuest, say: Say) -> None:
    """Nor does it move one: it only adds names, unless it positively says otherwise."""
    full = [say("/dev/vda", "disk vda"), say("/dev/vdb", FIRST), say("/dev/vdc", SECOND)]
    lost = copy.deepcopy(full)
    for item in lost:
        item["address"] |= {"serial": "", "pci-controller": dict.fromkeys(_PCI, -1)}
    system = {"name": "x", "mountpoint": "/", "type": "ext4"}
    failed = liar.refusing("GenericError", "no such device")
    mounted = liar.returning([{**system, "disk": [say("/dev/vdc", FIRST)["address"]]}])
    answers: list[tuple[str, dict[str, liar.Reply]]] = [
        ("", {"get-disks": liar.returning(full)}),
        ("disk vdb /dev/vdc, but /dev/vdb", {"get-disks": failed, "get-fsinfo": mounted}),
        ("does not identify disk vda, disk vdb, disk vdc", {"get-disks": liar.returning(lost)}),
        ("no usable name", {"get-disks": liar.returning([1, 2])}),
        ("does not identify disk vdb, disk vdc", {"get-disks": liar.returning(full[:1])}),
    ]
    known = {"disk vda": "/dev/vda", FIRST: "/dev/vdb", SECOND: "/dev/vdc"}
    for note, replies in answers:
        assert names_recorded(rig, relay, note, replies) == known
    swapped = [say("/dev/vdc", FIRST)]
    known |= {FIRST: "/dev/vdc", SECOND: None}
    replies = {"get-disks": liar.returning(swapped)}
    assert names_recorded(rig, relay, "disk vda, disk vdc", replies) == known


def names_recorded(
    rig: Rig, relay: MicroGuest, note: str, replies: dict[str, liar.Reply]
) -> dict[str, str | None]:
    """What disks are called after a record that has NOTE, which the agent answers with REPLIES."""
    with liar.answering(relay.relay, {f"guest-{name}": item for name, item in replies.items()}):
        relay.wait_for(lambda: relay.has_agent)
        result = rig.novadev("device", "record", "--guest", relay.uuid, "-f", "json")
    relay.wait_for(lambda: not relay.has_agent)
    assert result.code == 0
    assert note in " ".join(result.json[0]["notes"])
    listed = rig.novadev("device", "list", "--long", relay.uuid, "-f", "json").json
    return {row["label"]: row["logical_name"] for row in listed if row["type"] == "disk"}


def test_a_refusal_of_everything(rig: Rig, relay: MicroGuest) -> None:
    names, text = shown(rig, relay)
    assert set(names.values()) == {None}
    assert "The command guest-get-disks has not been found" in text


def test_json_stays_a_list(rig: Rig, relay: MicroGuest, say: Say) -> None:
    twice = [say("/dev/vdb", FIRST), say("/dev/vdz", FIRST)]
    with liar.answering(relay.relay, {"guest-get-disks": liar.returning(twice)}):
        relay.wait_for(lambda: relay.has_agent)
        result = rig.novadev("device", "show", relay.uuid, "vdb", "--guest", "-f", "json")
    (one,) = json.loads(result.out)
    assert one["logical_name"] is None
    assert one["disagreements"] == ["the guest calls it /dev/vdb and /dev/vdz"]
