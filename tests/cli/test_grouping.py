"""Many servers as groups: what a group holds, what a plan does in short, what a terminal shows."""

import re
from collections.abc import Iterable

import pytest

from novadev.audit.finding import Finding
from novadev.cli.finding_list import FindingGroups
from novadev.cli.grouping import MANY, Groups, common, labelled, server_label
from novadev.cli.output import presence
from novadev.cli.plan_summary import Totals, summary
from novadev.cli.plan_text import Listing
from novadev.runs.change import Change, Effect
from novadev.runs.place import Kind, Place, in_cell, in_spec
from novadev.runs.plan import Plan
from novadev.value import ABSENT, Value
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.rig import Terminal

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
CELL_BUS = Change(in_cell("hw_disk_bus"), "virtio", "scsi")
SPEC_BUS = Change(in_spec("hw_disk_bus"), "virtio", "scsi")


def plan(
    *changes: Change, effects: Iterable[Effect] = (), name: str = "web-1", **more: object
) -> Plan:
    given = {"action": "image-property set", "instance": UUID, "cell": "c", "host": "cmp1", **more}
    return Plan(changes=changes, effects=tuple(effects), name=name, **given)  # type: ignore[arg-type]


def change(kind: Kind, before: Value, after: Value, row: int | None = None) -> Change:
    names = {Kind.DISK: "disk_bus", Kind.ROOT: "", Kind.IMAGE: ""}
    return Change(Place(kind, names.get(kind, "disk vda"), row), before, after)


def shown(plans: Iterable[Plan], is_grouped: bool | None = None) -> list[str]:
    lines: list[str] = []
    listing = Listing(lines.append, is_grouped=is_grouped)
    for item in plans:
        listing.add(item)
    listing.end()
    return lines


def test_a_change_of_both_databases_is_one_line() -> None:
    assert summary(plan(CELL_BUS, SPEC_BUS)) == (("hw_disk_bus", "virtio -> scsi"),)


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ([CELL_BUS], [("hw_disk_bus", "virtio -> scsi (the cell alone)")]),
        ([SPEC_BUS], [("request_spec hw_disk_bus", "virtio -> scsi")]),
        (
            [CELL_BUS, Change(in_spec("hw_disk_bus"), ABSENT, "scsi")],
            [
                ("hw_disk_bus", "virtio -> scsi"),
                ("request_spec hw_disk_bus", "(absent) -> scsi"),
            ],
        ),
    ],
)
def test_what_differs_between_the_databases_is_kept_apart(
    changes: list[Change], lines: list[tuple[str, str]]
) -> None:
    assert summary(plan(*changes)) == tuple(lines)


def test_disks_are_counted_by_what_the_guest_will_see() -> None:
    effects = [
        Effect("root disk", "virtio vda", "scsi sda"),
        Effect("volume vdb", "virtio vdb", "scsi sdb"),
        Effect("disk.config cdrom", "ide hda", "ide hda"),
        Effect("machine type", "pc", "q35"),
    ]
    found = summary(plan(change(Kind.DISK, "virtio", "scsi", 1), effects=effects))
    assert found == (("machine type", "pc -> q35"), ("2 disks", "move virtio -> scsi"))
    without_effects = summary(plan(change(Kind.DISK, "virtio", "scsi", 1)))
    assert without_effects == (("1 disk", "move virtio -> scsi"),)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.ROOT])
def test_no_kind_of_change_is_left_out(kind: Kind) -> None:
    """The name of a root disk alone changes beside the disk."""
    one = change(kind, "a", "b", 1 if kind in (Kind.DISK, Kind.HIDDEN) else None)
    assert summary(plan(one)) != ()
    totals = Totals()
    totals.add(plan(one))
    assert not totals.sentence.startswith("carry out")


def test_what_is_one_server_s_alone_makes_no_group() -> None:
    first = plan(change(Kind.ALIAS, None, f"ua-{UUID}"), name="a")
    second = plan(Change(Place(Kind.ALIAS, "disk vdx"), None, "ua-other"), name="b")
    assert summary(first) == summary(second) == (("1 device", "a new alias"),)


def test_a_terminal_groups_from_twenty_servers_on() -> None:
    plans = [plan(CELL_BUS, SPEC_BUS, name=f"web-{n}") for n in range(MANY - 1)]
    assert len(shown(plans)) == MANY - 1
    grouped = shown([*plans, plan(CELL_BUS, SPEC_BUS, name="last")])
    assert grouped[:3] == [
        "20 servers on cmp1",
        "  web-0, web-1, web-2 and 17 more",
        "    hw_disk_bus  virtio -> scsi",
    ]


def test_exceptions_are_shown_in_full() -> None:
    plans = [plan(CELL_BUS, SPEC_BUS, name=f"web-{n}") for n in range(30)]
    other = plan(CELL_BUS, name="db-1", instance="db-uuid")
    lines = shown([*plans[:10], other, *plans[10:]])
    assert lines[0] == "30 servers on cmp1"
    assert "db-1 (db-uuid) on cmp1\n  hw_disk_bus  virtio -> scsi" in lines


def test_a_summary_has_no_server_in_full_and_details_have_all() -> None:
    plans = [plan(CELL_BUS), plan(SPEC_BUS, name="db-1")]
    assert [line for line in shown(plans, is_grouped=True) if UUID in line] == []
    assert sum(UUID in line for line in shown(plans * 20, is_grouped=False)) == 40


def test_notes_are_told_once_with_their_servers() -> None:
    plans = [
        plan(CELL_BUS, name=f"web-{n}", instance=f"id-{n}", notes=(f"run x id-{n}",))
        for n in range(25)
    ]
    told = [line for line in shown(plans) if line.startswith("note")]
    assert told == ["note for 25 servers (web-0, web-1, web-2 and 22 more): run x INSTANCE"]


LONG = "the guest keeps running, and " * 4 + "sees nothing of it"


def test_a_note_that_was_printed_says_where() -> None:
    plans = [plan(CELL_BUS, name=f"web-{n}", instance=f"id-{n}", notes=(LONG,)) for n in range(3)]
    first, second, third = shown(plans)
    assert f"  note: {LONG}" in first
    for text in (second, third):
        (note,) = (line for line in text.splitlines() if "note:" in line)
        assert note.startswith("  note: the guest keeps running, and the guest")
        assert note.endswith(" … (in full under web-0)")


def test_a_note_of_an_exception_stands_with_those_of_the_groups() -> None:
    plans = [plan(CELL_BUS, name=f"web-{n}", instance=f"id-{n}", notes=(LONG,)) for n in range(25)]
    other = plan(SPEC_BUS, name="db-1", instance="db-uuid", notes=(LONG, "its own"))
    lines = shown([other, *plans])
    assert [line for line in lines if "in full under" in line] == []
    assert [line for line in lines if "its own" in line] == ["note for 1 server (db-1): its own"]
    (note,) = (line for line in lines if LONG in line)
    assert note.startswith("note for 26 servers (db-1, web-0, web-1 and 23 more): ")


@pytest.mark.parametrize("is_grouped", [True, False])
def test_notes_are_wrapped_to_the_terminal(is_grouped: bool) -> None:
    lines: list[str] = []
    listing = Listing(lines.append, is_grouped=is_grouped, width=60)
    listing.add(plan(CELL_BUS, notes=(LONG,)))
    listing.end()
    note = "\n".join(lines).partition("note")[2].splitlines()
    assert len(note) > 2
    assert max(map(len, note)) <= 60
    assert {line[:2] for line in note[1:-1]} == {"  "}


def test_a_difference_is_never_left_out() -> None:
    plans = [plan(CELL_BUS, diff="-a\n+b", name=f"web-{n}") for n in range(25)]
    assert sum("+b" in text for text in shown(plans)) == 25


def test_groups_are_bounded() -> None:
    groups: Groups[int, int] = Groups(limit=3)
    for n in range(1000):
        groups.add(n % 10, f"server {n}", n)
    assert (groups.count, groups.others) == (1000, 700)
    assert max(len(group.members) for group in groups) <= 2


def test_the_question_says_what_will_happen() -> None:
    totals = Totals()
    for n in range(3):
        totals.add(plan(CELL_BUS, SPEC_BUS, change(Kind.DISK, "virtio", "scsi", n)))
    assert totals.sentence == "set hw_disk_bus=scsi and move 3 disks on 3 servers"
    one = Totals()
    one.add(plan(Change(in_cell("hw_vif_model"), "e1000", ABSENT)))
    assert one.sentence == f"remove hw_vif_model on web-1 ({UUID})"


def test_a_server_has_its_name_beside_its_uuid() -> None:
    assert labelled(f"instance {UUID} is active", UUID, "web-1") == (
        f"instance web-1 ({UUID}) is active"
    )
    assert labelled(f"instance web-1 ({UUID}): x", UUID, "web-1") == f"instance web-1 ({UUID}): x"
    assert server_label(UUID, "a\x1b[31m") == rf"a\x1b[31m ({UUID})"
    assert server_label(UUID, None) == UUID


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (f"instance {UUID}: no effect", "no effect"),
        (f"instance {UUID} is active", "each is active"),
        (f"run novadev device record {UUID}", "run novadev device record INSTANCE"),
    ],
)
def test_equal_reasons_are_equal_texts(text: str, same: str) -> None:
    assert common(text, UUID) == same


def test_a_device_that_comes_or_goes_is_said_in_a_word() -> None:
    shows = presence("recorded", "found", ("appeared", "vanished"))
    new = shows({"field": "device", "recorded": None, "found": "disk vdb"})
    gone = shows({"field": "device", "recorded": "disk vdb", "found": None})
    assert (new["recorded"], new["found"]) == (None, "appeared")
    assert (gone["recorded"], gone["found"]) == ("disk vdb", "vanished")
    moved = {"field": "address", "recorded": None, "found": "0000:00:05.0"}
    assert shows(moved) == moved


@pytest.mark.slow
def test_on_a_terminal(sqlite_cloud: Cloud) -> None:
    """The plan in groups, the skips in groups as counted, and one sentence; a pipe has it all."""
    sqlite_cloud.add_instances(24, lambda n: {"name": f"web-{n}"}, hw_vif_model="e1000")
    sqlite_cloud.add_instances(3, lambda n: {"name": f"busy-{n}"}, vm_state="active")
    command = ("image-property", "set", "--property", "hw_vif_model=virtio", "--all")
    screen = Terminal(sqlite_cloud, *command, keys="n\n", columns=80)
    assert screen.code == 9
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.text)
    assert "24 servers on cmp1\n  web-0, web-1, web-2 and 21 more\n" in text
    assert "skipped: 3 servers (busy-0, busy-1, busy-2): each is active: " in text
    assert "Set hw_vif_model=virtio on 24 servers (3 skipped)? [y/N]" in text
    assert max(len(line) for line in text.partition("[y/N]")[0].splitlines()) <= 80
    piped = novadev(sqlite_cloud, *command, "--dry-run")
    assert piped.out.count(") on cmp1\n") == 24
    short = novadev(sqlite_cloud, *command, "--dry-run", "--summary")
    assert short.out.startswith("24 servers on cmp1\n")


@pytest.mark.slow
def test_a_run_of_many_is_shown_in_groups(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instances(24, lambda n: {"name": f"web-{n}"}, hw_vif_model="e1000")
    change = ("image-property", "set", "--property", "hw_vif_model=virtio")
    assert novadev(sqlite_cloud, *change, "--all", "--yes").code == 0
    screen = Terminal(sqlite_cloud, "history", "1", "--color", "never", columns=80)
    assert screen.text.startswith("Run 1: image-property set, applied\n")
    assert screen.text.endswith(
        "24 servers on cmp1: applied\n"
        "  web-0, web-1, web-2 and 21 more\n"
        "    hw_vif_model  e1000 -> virtio\n"
        "Add --details to see each server.\n"
    )
    assert max(map(len, screen.lines[-4:])) <= 80
    assert novadev(sqlite_cloud, "history", "1", "--summary").out.startswith("24 servers on cmp1")
    for whole in (
        Terminal(sqlite_cloud, "history", "1", "--details", "--color", "never").text,
        novadev(sqlite_cloud, "history", "1").out,
    ):
        assert whole.count("applied  hw_vif_model ") == 24
        assert "24 servers" not in whole
    records = novadev(sqlite_cloud, "history", "1", "--summary", "-f", "json").json
    assert len(records) == 48
    unclear = novadev(sqlite_cloud, "history", "--summary")
    assert (unclear.code, "give its number as RUN" in unclear.err) == (4, True)


def test_a_run_in_groups_says_what_failed(sqlite_cloud: Cloud) -> None:
    uuids = sqlite_cloud.add_instances(4, lambda n: {"name": f"web-{n}"}, hw_vif_model="e1000")
    change = ("image-property", "set", "--property", "hw_vif_model=virtio", "--all")
    file = str(sqlite_cloud.folder / "plan")
    assert novadev(sqlite_cloud, *change, "--plan-out", file).code == 0
    sqlite_cloud.update("instances", "cell1", {"uuid": uuids[2]}, vm_state="active")
    assert novadev(sqlite_cloud, "apply", file, "--yes").code == 7
    shown = novadev(sqlite_cloud, "history", "1", "--summary").out
    assert "3 servers on cmp1: applied\n  web-0, web-1, web-3\n" in shown
    alone = shown.partition("1 server on cmp1: stale\n")[2].splitlines()
    assert alone[0] == "  web-2"
    assert "active" in alone[2]
    assert uuids[2] not in shown


@pytest.mark.slow
def test_ctrl_c_at_the_question_ends_its_line(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(name="web-1", hw_vif_model="e1000")
    command = ("image-property", "set", "--property", "hw_vif_model=virtio", "--all")
    screen = Terminal(sqlite_cloud, *command, keys="\x04")  # the end of the input, as Ctrl-C
    assert screen.code == 130
    assert screen.lines[-2].endswith("? [y/N]: ")
    assert screen.lines[-1] == "Interrupted."


def finding(n: int, details: str = "", **more: object) -> Finding:
    uuid = f"0f8fad5b-d9cb-469f-a165-{n:012d}"
    given = {"check": "ghost", "severity": "failure", "remedy": f"novadev x {uuid}", **more}
    given |= {"instance": uuid, "host": "cmp1", "name": f"web-{n}"}
    return Finding(details=details or f"volume {uuid} at 0000:00:0{n % 8}.0", **given)  # type: ignore[arg-type]


def test_findings_of_many_servers_are_groups() -> None:
    groups = FindingGroups()
    for n in range(30):
        groups.add(finding(n))
        groups.add(finding(n))
    groups.add(finding(99, "alone", severity="warning", remedy=None))
    assert list(groups.lines(None))[:-1] == [
        "failure  ghost  30 servers (web-0, web-1, web-2 and 27 more)",
        "  volume <UUID> at <PCI address>",
        "  fix: novadev x",
        "warning  ghost  web-99 (0f8fad5b-d9cb-469f-a165-000000000099) on cmp1",
        "  alone",
    ]


@pytest.mark.slow
def test_an_audit_of_many_is_a_few_lines_on_a_terminal(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instances(25, lambda n: {"name": f"web-{n}"}, hw_vif_model="e1000")
    command = ("audit", "--all", "--check", "not-stashed")
    screen = Terminal(sqlite_cloud, *command, columns=80)
    assert "not-stashed  25 servers (web-0, web-1, web-2 and 22 more)" in screen.text
    assert screen.text.count("warning  not-stashed") == 1
    assert "# not-stashed: 25 servers" in screen.text
    for shown in (
        Terminal(sqlite_cloud, *command, "--details").text,
        novadev(sqlite_cloud, *command).out,
    ):
        assert shown.count("warning   not-stashed") == 25
        assert shown.count("novadev stash-defaults --yes") == 1


def test_servers_on_no_host_are_not_counted_as_of_one() -> None:
    plans = [
        plan(CELL_BUS, instance=f"{number:08}{UUID[8:]}", host=host)
        for number, host in enumerate(["cmp1"] * 3 + ["cmp2"] * 3 + [None] * 2)
    ]
    totals = Totals()
    for item in plans:
        totals.add(item)
    assert totals.sentence == "set hw_disk_bus=scsi on 8 servers, 6 of them on 2 hosts"
    assert shown(plans, True)[0].startswith("8 servers, 6 of them on 2 hosts")
    assert shown(plans[:1] * 3 + plans[-2:], True)[0].startswith("5 servers, 3 of them on cmp1")
    assert shown(plans[:6], True)[0].startswith("6 servers on 2 hosts")


def test_a_name_with_a_line_break_is_told_once() -> None:
    name = "a\nb"
    text = f"instance {name!r} not found"
    assert labelled(text, name, None) == text
