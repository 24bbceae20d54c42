"""What an audit did not check is not mended: every way in which it can leave something out."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from novadev.audit.comparison import Comparison
from novadev.audit.coverage import NO_TARGET, NOT_AGAIN, OTHER_TARGET, Coverage, Unjudged
from novadev.audit.finding import ONCE, UNREAD, Earlier, Finding
from tests import domains
from tests.audit.auditing import STASHED, healthy
from tests.audit.collecting import FINDING
from tests.capabilities.samples import saved
from tests.cloud import Cloud
from tests.command import Result, novadev
from tests.device.bed import reach
from tests.device.rig import mac
from tests.device.site import Site
from tests.hypervisor import Hypervisor

NAMES = tuple(Earlier.__dataclass_fields__)
NEW = "/srv/new.json"
IGB = replace(
    FINDING,
    check="target",
    instance="a",
    details="on cmp9 it would not start: hw_vif_model=igb: the host's QEMU has no device igb",
    target="cmp9",
    target_file=NEW,
    move="power-on",
)
SHAPE = replace(IGB, check="rehearsal", target="cmp2", target_file=None, move=None)
ONE_OF_MANY = replace(
    IGB, details=f"not checked for cmp9: cpu mode x ({ONCE} with the same)", once=True
)
CHECKS = ("target", "rehearsal", "unknown-domain", "not-keeping", "not-stashed", "unreachable")
KNOWN = Coverage(
    guests={"a", "b"},
    placed={"cmp1"},
    hosts={"cmp1"},
    checks=CHECKS,
    is_whole=True,
    asks_hosts=True,
    targets={("cmp9", NEW), ("cmp2", None)},
)


def earlier(finding: Finding) -> Earlier:
    return Earlier(**{name: asdict(finding)[name] for name in NAMES})


def held(
    before: list[Finding], now: list[Finding], known: Coverage = KNOWN
) -> list[tuple[str | None, str | None]]:
    """The word for each finding, with its server."""
    compared = Comparison(map(earlier, before)).compared(now, known)
    return [(item.comparison, item.instance) for item in compared if isinstance(item, Finding)]


@pytest.mark.parametrize(
    ("found", "change", "why"),
    [
        (IGB, {}, None),
        (IGB, {"targets": {("cmp8", NEW)}}, OTHER_TARGET),
        (IGB, {"targets": {("cmp9", "/srv/old.json")}}, OTHER_TARGET),
        (IGB, {"targets": {("cmp9", None)}}, OTHER_TARGET),
        (IGB, {"move": "live-migration", "carried": {"a"}}, OTHER_TARGET),
        (IGB, {"move": "live-migration"}, None),
        (replace(IGB, move="live-migration"), {}, OTHER_TARGET),
        (replace(IGB, move="live-migration"), {"move": "live-migration"}, None),
        (replace(IGB, target=None), {}, NO_TARGET),
        (IGB, {"unmade": {("unreachable", "a")}}, NOT_AGAIN),
        (SHAPE, {}, None),
        (SHAPE, {"targets": {("cmp3", None)}}, OTHER_TARGET),
        (SHAPE, {"unmade": {("rehearsal", "a")}}, NOT_AGAIN),
        (SHAPE, {"bare": {"a"}}, NOT_AGAIN),
        (replace(SHAPE, target=None), {}, NO_TARGET),
    ],
)
def test_of_another_host_only_the_same_question_counts(
    found: Finding, change: dict[str, Any], why: str | None
) -> None:
    known = replace(KNOWN, **change)
    assert known.why_not(earlier(found)) == why
    assert held([found], [], known) == [("not checked" if why else "mended", "a")]


@pytest.mark.parametrize(
    ("unjudged", "word"),
    [
        (Unjudged(frozenset({"hw_vif_model=igb"})), "not checked"),
        (Unjudged(frozenset({"hw_vif_model=ig"})), "mended"),
        (Unjudged(is_all=True), "not checked"),
    ],
)
def test_what_nothing_tells_any_more_of_a_guest(unjudged: Unjudged, word: str) -> None:
    known = replace(KNOWN, unjudged={("a", "cmp9", NEW): unjudged})
    assert held([IGB], [], known) == [(word, "a")]
    types = replace(IGB, details="on cmp9 it cannot be defined: machine type pc-9: it has none")
    every = replace(KNOWN, unjudged={("a", "cmp9", NEW): Unjudged(is_all=True)})
    assert held([types], [], every) == [("mended", "a")]


def test_two_files_of_one_host_are_told_apart() -> None:
    old = replace(IGB, target_file="/srv/old.json")
    assert held([IGB, old], [old]) == [("still there", "a"), ("mended", "a")]
    assert held([old, IGB], [IGB]) == [("still there", "a"), ("not checked", "a")]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "mended"),
        ({"is_whole": False}, "not checked"),
        ({"unseen": {"b"}}, "not checked"),
        ({"unmade": {("target", "b")}}, "not checked"),
        ({"unjudged": {("b", "cmp9", NEW): Unjudged(frozenset({"cpu mode x"}))}}, "not checked"),
        ({"unjudged": {("b", "cmp9", NEW): Unjudged(is_all=True)}}, "not checked"),
        ({"unjudged": {("b", "cmp8", NEW): Unjudged(is_all=True)}}, "mended"),
    ],
)
def test_what_is_told_once_may_be_told_of_another_server(change: dict[str, Any], word: str) -> None:
    moved = replace(ONE_OF_MANY, instance="b", host="cmp2")
    assert held([ONE_OF_MANY], [moved]) == [("still there", "b")]
    assert held([ONE_OF_MANY], [], replace(KNOWN, **change)) == [(word, "a")]


def test_what_a_rehearsal_left_out_is_one_finding_whatever_its_number() -> None:
    text = "not rehearsed: {}: --max-shapes is {}"
    before, now = (
        replace(SHAPE, instance=None, host="cmp2", details=text.format(*words))
        for words in (("2 shapes of 9 guests", 5), ("1 shape of 1 guest", 6))
    )
    assert held([before], [now]) == [("still there", None)]
    assert held([before], []) == [("mended", None)]
    assert held([before], [], replace(KNOWN, is_whole=False)) == [("not checked", None)]


@pytest.mark.parametrize(
    ("check", "host", "change", "word"),
    [
        ("unknown-domain", "cmp1", {}, "mended"),
        ("unknown-domain", "cmp3", {}, "not checked"),
        ("not-keeping", "cmp1", {"hosts": set()}, "mended"),
        ("not-keeping", "cmp3", {}, "not checked"),
        ("not-keeping", "cmp1", {"checks": ("target",)}, "not checked"),
        ("unreachable", "cmp1", {}, "mended"),
        ("unreachable", "cmp1", {"hosts": set(), "asks_hosts": False}, "not checked"),
        ("unreachable", "cmp1", {"unmade": {("unreachable", "cmp1")}}, "not checked"),
        ("unreachable", "cmp3", {}, "mended"),
        ("unreachable", None, {}, "not checked"),
        ("unreachable", None, {"checks": (*CHECKS, "drift")}, "mended"),
    ],
)
def test_of_a_host_or_a_database(
    check: str, host: str | None, change: dict[str, Any], word: str
) -> None:
    found = replace(FINDING, check=check, instance=None, host=host, cell="", details="x")
    assert held([found], [], replace(KNOWN, **change)) == [(word, None)]


@pytest.mark.parametrize(
    ("details", "unseen", "word"),
    [
        ("hw_input_bus is not stored: a new default", {"a"}, "not checked"),
        ("hw_input_bus is not stored: a new default", set(), "mended"),
        (f"hw_vif_model is not stored; {UNREAD}", {"a"}, "mended"),
    ],
)
def test_what_the_guest_showed_takes_its_host_to_be_mended(
    details: str, unseen: set[str], word: str
) -> None:
    found = replace(FINDING, check="not-stashed", instance="a", details=details)
    assert held([found], [], replace(KNOWN, unseen=unseen)) == [(word, "a")]


def test_other_words_for_a_shape_that_still_fails() -> None:
    """libvirt notices in one of two ways that QEMU has ended, as it happens."""
    ways = ("QEMU unexpectedly closed the monitor", "process exited while connecting to monitor")
    before, now = (replace(SHAPE, details=f"on cmp2 it would not start: {way}") for way in ways)
    assert held([before], [now]) == [("still there", "a")]


def told(cloud: Cloud, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = novadev(cloud, "audit", "-f", "json", *words).json
    return found


def kept(tmp_path: Path, found: list[dict[str, Any]]) -> tuple[str, str]:
    path = tmp_path / "last.json"
    path.write_text(json.dumps(found))
    return "--compare-with", str(path)


def words_of(found: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(item["name"], item["comparison"]) for item in found}


def offloaded(cloud: Cloud, name: str, **stored: Any) -> str:
    where = {"vm_state": "shelved_offloaded", "host": None, "name": name}
    return cloud.add_instance(**where, **{**STASHED, **stored})


def against(path: Path) -> tuple[str, ...]:
    return ("--all", "--check", "target", "--capabilities", str(path))


def test_another_capability_file(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """Also where it goes through JSON, what was not checked is there for the audit after it."""
    offloaded(sqlite_cloud, "first", hw_vif_model="igb")
    new, other = saved(tmp_path, "new.json"), saved(tmp_path, "other.json", devices=None)
    before = told(sqlite_cloud, *against(new))
    failing = [item for item in before if "igb" in item["details"]]
    assert [(item["target"], item["target_file"], item["move"]) for item in failing] == [
        ("cmp1", str(new), "power-on")
    ]
    then = told(sqlite_cloud, *against(other), *kept(tmp_path, failing))
    assert words_of(then) == {("first", "new"), ("first", "not checked")}
    result = novadev(sqlite_cloud, "audit", *against(other), *kept(tmp_path, failing))
    assert "; 0 mended; 1 not checked." in result.err
    assert f"Of these, 1 is {OTHER_TARGET}." in result.err
    assert "Mended" not in result.out
    last = told(sqlite_cloud, *against(new), *kept(tmp_path, then))
    assert {item["comparison"] for item in last if item["details"] == failing[0]["details"]} == {
        "still there"
    }


def test_a_file_that_says_less_than_before(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """What it no longer tells is not checked, though it is told once for all guests."""
    for name in ("first", "second"):
        offloaded(sqlite_cloud, name, hw_vif_model="igb")
    before = told(sqlite_cloud, *against(saved(tmp_path, "new.json")))
    failing = [item for item in before if "igb" in item["details"]]
    assert {item["name"] for item in failing} == {"first", "second"}
    less = saved(tmp_path, "new.json", devices=None)
    then = told(sqlite_cloud, *against(less), *kept(tmp_path, failing))
    assert {item["comparison"] for item in then} == {"new", "not checked"}
    more = {"devices": {"igb": "PCI", "virtio-net-pci": "PCI"}}
    mended = told(
        sqlite_cloud, *against(saved(tmp_path, "new.json", **more)), *kept(tmp_path, then)
    )
    assert ("first", "mended") in words_of(mended)
    assert ("second", "mended") in words_of(mended)


def test_a_file_of_an_older_novadev(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """It does not say which host it was about: what is gone may be of another one."""
    uuid = offloaded(sqlite_cloud, "first", hw_vif_model="igb")
    new = saved(tmp_path, "new.json")
    keys = ("target", "target_file", "move")
    found = told(sqlite_cloud, *against(new))
    before = [{k: v for k, v in item.items() if k not in keys} for item in found]
    assert {
        item["comparison"] for item in told(sqlite_cloud, *against(new), *kept(tmp_path, before))
    } == {"still there"}
    wanted = ("--property", "hw_vif_model=e1000", "--no-request-spec", uuid)
    assert novadev(sqlite_cloud, "image-property", "set", "--yes", *wanted).code == 0
    result = novadev(sqlite_cloud, "audit", *against(new), *kept(tmp_path, before))
    assert "0 mended; 1 not checked." in result.err
    assert NO_TARGET in result.err


def test_nothing_changed_but_the_server_that_it_is_told_of(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        offloaded(sqlite_cloud, name, hw_numa_nodes="2")
    new = against(saved(tmp_path, "new.json"))
    before = told(sqlite_cloud, *new)
    (one,) = (item for item in before if "hw_numa_nodes" in item["details"])
    unset = ("image-property", "unset", "--yes", "--property", "hw_numa_nodes", one["instance"])
    key = {"key": "image_hw_numa_nodes", "instance_uuid": one["instance"]}
    assert sqlite_cloud.delete("instance_system_metadata", "cell1", **key) == 1, unset
    then = told(sqlite_cloud, *new, *kept(tmp_path, before))
    (other,) = (item for item in then if item["details"] == one["details"])
    assert other["instance"] != one["instance"]
    assert other["comparison"] == "still there"
    assert "mended" not in {item["comparison"] for item in then}


def test_servers_that_differ_in_what_is_not_checked_are_each_reported(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    """The words for UEFI are the same, whether with secure boot or without it."""
    for name, boot in (("first", "required"), ("second", "disabled"), ("third", "required")):
        offloaded(sqlite_cloud, name, hw_firmware_type="uefi", os_secure_boot=boot)
    found = told(sqlite_cloud, *against(saved(tmp_path, "new.json", firmware=None)))
    reported = [item for item in found if "hw_firmware_type=uefi" in item["details"]]
    assert len(reported) == 2
    assert all(item["once"] for item in reported)


def no_cell(cloud: Cloud) -> None:
    (cloud.folder / "cell2.sqlite").unlink()


def two_cells_with_one_database(cloud: Cloud) -> None:
    """cell2's servers are not found, and no cell is silent."""
    url = cloud.rows("cell_mappings", "api", name="cell1")[0]["database_connection"]
    cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=url)


def bad_file_of_its_host(cloud: Cloud) -> None:
    folder = cloud.folder / "hosts"
    folder.mkdir()
    (folder / "cmp2.json").write_text("{}")
    with cloud.config_file.open("a") as file:
        file.write(f"\n[novadev]\ncompute_config_dir = {folder}\n")


HALVES: dict[str, tuple[tuple[str, ...], Callable[[Cloud], None] | None]] = {
    "by its host": (("--host", "cmp1"), None),
    "by its cell": (("--cell", "cell1"), None),
    "by its name": (("here",), None),
    "by a pattern": (("--name", "here*"), None),
    "at most one": (("--all", "--limit", "1"), None),
    "a cell is silent": (("--all",), no_cell),
    "a cell is hidden": (("--all",), two_cells_with_one_database),
    "its host's rules are unknown": (("--all",), bad_file_of_its_host),
}


@pytest.mark.parametrize("half", HALVES)
def test_half_a_fleet_says_nothing_of_the_other_half(
    sqlite_cloud: Cloud, tmp_path: Path, half: str
) -> None:
    chosen, spoil = HALVES[half]
    stored = ("--check", "no-effect")
    here = healthy(sqlite_cloud, hw_rng_model="virtio", name="here")
    there = healthy(sqlite_cloud, hw_rng_model="virtio", name="there", cell="cell2", host="cmp2")
    before = told(sqlite_cloud, "--all", *stored)
    assert {item["instance"] for item in before} == {here, there}
    unset = ("image-property", "unset", "--yes", "--property", "hw_rng_model")
    assert novadev(sqlite_cloud, *unset, here, there).code == 0
    if spoil:
        spoil(sqlite_cloud)
    then = told(sqlite_cloud, *chosen, *stored, *kept(tmp_path, before))
    assert words_of([item for item in then if item["name"]]) == {
        ("here", "mended"),
        ("there", "not checked"),
    }


def test_a_server_that_is_in_two_cells_by_now(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """No row of it is audited, and it is not gone."""
    uuid = healthy(sqlite_cloud, hw_rng_model="virtio", name="twice")
    before = told(sqlite_cloud, "--all", "--check", "no-effect")
    copy = {"mapped": False, "request_spec": False, "hw_rng_model": "virtio"}
    sqlite_cloud.add_instance(uuid=uuid, name="twice", cell="cell2", **copy)
    result = novadev(
        sqlite_cloud,
        *("audit", "-f", "json", "--all", "--check", "no-effect", *kept(tmp_path, before)),
    )
    assert words_of(result.json) == {("twice", "not checked")}


@pytest.mark.slow
def test_what_a_budget_leaves_out_and_another_host_is_not_mended(
    sqlite_cloud: Cloud, hypervisors3: list[Hypervisor], tmp_path: Path
) -> None:
    reach(sqlite_cloud, hypervisors3, 10)
    site = Site(sqlite_cloud, hypervisors3[0])

    def add(number: int, model: str) -> str:
        card = domains.interface(mac(number), kind="user", model=model)
        text = domains.domain(disks=[domains.disk("vda")], interfaces=[card])
        return site.add(text, name=model, **STASHED)

    for number, model in enumerate(("virtio", "virtio", "lan9118")):
        add(number, model)

    def rehearse(*words: str) -> Result:
        return site.run("audit", "--all", "--check", "rehearsal", "-f", "json", *words)

    before = rehearse("--rehearse", "cmp2").json
    (failing,) = (item for item in before if item["severity"] == "failure")
    assert (failing["target"], failing["target_file"], failing["move"]) == ("cmp2", None, None)
    last = kept(tmp_path, [failing])
    few = rehearse("--rehearse", "cmp2", "--max-shapes", "1", *last).json
    assert ("lan9118", "not checked") in words_of(few)
    assert "mended" not in {item["comparison"] for item in few}
    again = rehearse("--rehearse", "cmp2", *kept(tmp_path, few)).json
    assert ("lan9118", "still there") in words_of(again)
    last = kept(tmp_path, [failing])
    other = rehearse("--rehearse", "cmp3", *last)
    assert ("lan9118", "not checked") in words_of(other.json)
    assert OTHER_TARGET in other.err
    without = told(sqlite_cloud, "--all", "--check", "lun", *last)
    assert words_of(without) == {("lan9118", "not checked")}


@pytest.mark.slow
def test_a_stranger_on_a_host_and_servers_that_are_named(
    sqlite_cloud: Cloud, hypervisor: Hypervisor, tmp_path: Path
) -> None:
    """Named servers have nobody look for domains without one; and a host may be silent."""
    site = Site.of(sqlite_cloud, hypervisor, timeout=2)
    uuid = site.add(domains.domain(disks=[domains.disk("vda")]), **STASHED)
    site.host.define(domains.domain(name="stranger"))
    before = told(sqlite_cloud, "--all", "--check", "unknown-domain")
    assert [item["host"] for item in before] == [hypervisor.name]
    last = kept(tmp_path, before)
    named = told(sqlite_cloud, uuid, "--check", "unknown-domain", "--check", "alias", *last)
    assert [item["comparison"] for item in named] == ["not checked"]
    hypervisor.empty()
    hypervisor.kill()
    silent = told(sqlite_cloud, "--all", "--check", "unknown-domain", *last)
    words = {item["check"]: item["comparison"] for item in silent}
    assert words == {"unreachable": "new", "unknown-domain": "not checked"}


OLD = f"not checked for cmp9, because its file does not say: cpu mode x ({ONCE} with the same)"
OLD_PARTS = f"on cmp9 it starts; parts that were not rehearsed: cpu x ({ONCE} with the same parts)"
SPOOFED = f"on cmp9 it would not start: hw_video_model=zz {ONCE} with the same): unknown"


@pytest.mark.parametrize(
    ("details", "is_once"),
    [
        (OLD, True),
        (OLD_PARTS, True),
        (SPOOFED, False),
        (f"{SPOOFED} ({ONCE} with the same)", False),
    ],
)
def test_a_file_of_an_older_novadev_says_it_in_its_own_words_only(
    details: str, is_once: bool
) -> None:
    assert replace(earlier(IGB), details=details, once=None).is_once is is_once


def test_a_stored_value_makes_no_finding_one_of_many() -> None:
    """Its words are those of novadev, and the finding of another server is not the same."""
    one = replace(IGB, details=SPOOFED)
    assert held([one], [replace(one, instance="b")]) == [("new", "b"), ("mended", "a")]


def test_everything_not_checked_is_named_with_its_reason(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    unknown = {f"hw_{name}": "1" for name in ("numa_nodes", "cpu_realtime_mask")}
    sqlite_cloud.add_instance(
        **{**STASHED, "vm_state": "shelved_offloaded", "host": None, **unknown},
        hw_viommu_model="auto",
        hw_locked_memory="true",
        hw_mem_page_size="large",
    )
    target = str(saved(tmp_path, "new.json", devices=None, domain_types=None))
    words = ("audit", "--all", "--check", "target", "--capabilities", target, "-f", "json")
    found = [item for item in novadev(sqlite_cloud, *words).json if item["once"]]
    details = " ".join(item["details"] for item in found)
    for name in (*unknown, "hw_viommu_model", "hw_locked_memory", "hw_mem_page_size"):
        assert name in details
    assert " more" not in details
    assert "the file does not say the host's domain types" in details
    assert "novadev has no rule for it" in details
