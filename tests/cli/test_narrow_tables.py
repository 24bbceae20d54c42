"""A table in a narrow terminal: words are folded between blanks, identities stay in one piece."""

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields

import pytest

from novadev.cli.device_record import LONG as LONG_COLUMNS
from novadev.cli.device_record import SPARE_LONG
from novadev.cli.device_table import print_devices
from novadev.cli.options import Output
from novadev.cli.session import Session
from novadev.cli.table import NAMES, Row, print_table
from novadev.cli.talk import say
from novadev.device.show_on_host import GuestDevices, ShownDevice
from novadev.runs.lease import user
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.rig import Terminal, mac, port_id, volume_id
from tests.exchange.recorded import guest, record, two_guests

UUID = "7f150524-34b9-45df-9e77-69b10f4205b4"
ROWS: tuple[Row, ...] = (
    {
        "seen": "2026-11-21T03:00:12Z",
        "instance": f"db-1 ({UUID})",
        "label": "interface fa:16:3e:00:00:01",
        "address": "0000:00:06.0",
        "note": "it was moved by a power-on that nobody has expected, and is to be put back",
    },
    {
        "seen": "2026-11-22T03:00:12Z",
        "instance": UUID,
        "label": "disk vdb",
        "address": None,
        "note": "",
    },
)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [48, 60, 80, 100, 132, 300])
@pytest.mark.parametrize("columns", [2, 3, 5])
def test_no_identity_is_broken(monkeypatch: pytest.MonkeyPatch, columns: int, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    session, names = Session(), list(ROWS[0])[:columns]
    session.color = "never"
    with redirect_stdout(Screen()) as screen:
        print_table(session, names, iter(ROWS))
    shown = screen.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    values = [str(row[name] or "-") for row in ROWS for name in names]
    assert {word for value in values for word in value.split()} <= set(shown.split()), shown


@pytest.mark.slow
@pytest.mark.parametrize(("value", "is_colored"), [(None, True), ("", True), ("1", False)])
def test_no_color_of_the_environment(
    sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch, value: str | None, is_colored: bool
) -> None:
    """As no-color.org has it: an empty one is as none."""
    sqlite_cloud.add_instance(name="web-1", hw_vif_model="e1000")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if value is not None:
        monkeypatch.setenv("NO_COLOR", value)
    shown = Terminal(sqlite_cloud, "image-property", "list", "--all", "--stored").text
    assert "web-1" in shown
    assert ("\x1b[1m" in shown) == is_colored


VALUES = {
    "hw_disk_bus": "virtio",
    "hw_cdrom_bus": "sata",
    "hw_rescue_bus": "virtio",
    "hw_vif_model": "virtio",
    "hw_video_model": "virtio",
    "hw_pointer_model": "usbtablet",
    "hw_input_bus": "usb",
    "hw_scsi_model": "virtio-scsi",
}


@pytest.mark.slow
def test_a_wide_list_has_a_line_for_each_server(sqlite_cloud: Cloud) -> None:
    """At 80 columns too: what is equal for all is said once."""
    models = ("virtio", "e1000")
    for n in range(4):
        values = VALUES | {"hw_vif_model": models[n % 2]}
        sqlite_cloud.add_instance(name=f"web-{n}", **values)
    command = ("image-property", "list", "--all", "--wide")
    text = Terminal(sqlite_cloud, *command, columns=80).text
    rows = [line.split() for line in text.splitlines() if line.startswith("web-")]
    assert [row[0] for row in rows] == [f"web-{n}" for n in range(4)]
    assert [row[-1] for row in rows] == ["virtio", "e1000"] * 2
    assert "Equal for 4 servers: cdrom_bus sata, disk_bus virtio," in text


LONG = "a" * 250 + "-last"


@pytest.mark.parametrize("column", sorted(NAMES))
@pytest.mark.parametrize("width", [60, 80, 132])
def test_one_long_name_costs_the_others_no_line(
    monkeypatch: pytest.MonkeyPatch, width: int, column: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    session = Session()
    session.color = "never"
    names = [*(f"web-{n}" for n in range(9)), LONG]
    rows: list[Row] = [{column: f"{name} ({UUID})" if width > 60 else name} for name in names]
    with redirect_stdout(Screen()) as screen:
        print_table(session, (column,), iter(rows))
    lines = screen.getvalue().splitlines()
    assert len(lines) == 1 + len(names)
    assert max(map(len, lines)) <= width
    shown = lines[-1].split()
    assert shown[0].startswith("aaa")
    assert shown[0].endswith("-last")
    assert "…" in shown[0]
    assert shown[1:] == [f"({UUID})"] * (width > 60)


@pytest.mark.slow
def test_a_long_name_pads_no_other_line(sqlite_cloud: Cloud) -> None:
    """In a pipe it is whole, on a terminal each server keeps its line."""
    for name in ("web-1", "web-2", LONG):
        sqlite_cloud.add_instance(name=name, hw_vif_model="e1000" if name == "web-1" else "virtio")
    command = ("image-property", "list", "--all", "--wide")
    lines = novadev(sqlite_cloud, *command).out.splitlines()
    assert [len(line) < 80 for line in lines] == [LONG not in line for line in lines]
    assert sum(LONG in line for line in lines) == 1
    text = Terminal(sqlite_cloud, *command, columns=80).text
    assert ["…" in line for line in text.splitlines()[-3:]] == [False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize("message", ["CHG-4711", "all servers of the shop " * 10])
def test_a_run_of_the_history_is_one_line(sqlite_cloud: Cloud, message: str) -> None:
    sqlite_cloud.add_instance(name="web-1", vm_state="stopped", hw_vif_model="e1000")
    wanted = ("--property", "hw_vif_model=virtio", "--all", "--yes", "-m", message)
    assert novadev(sqlite_cloud, "image-property", "set", *wanted).code == 0
    header, *lines = Terminal(sqlite_cloud, "--color", "never", "history", columns=80).lines
    assert len(lines) == 1
    assert header.split()[0] == "run"
    assert message[:8] in lines[0]
    assert "image-property set  applied" in lines[0]


def shown(label: str, **values: object) -> ShownDevice:
    nothing = {item.name: None for item in fields(ShownDevice)}
    known = {"instance": UUID, "label": label, "managed": True, "plugged": True}
    plain = {"definition": "both", "disagreements": ("the bus is virtio, Nova says scsi",)}
    return ShownDevice(**nothing | known | plain | values)  # type: ignore[arg-type]


DEVICES = (
    shown(
        "disk vdb",
        **{"type": "disk", "bus": "virtio", "address": "0000:00:06.0", "matched_by": "serial"},
        **{"owner_type": "volume", "owner_id": volume_id(1), "alias": f"ua-{volume_id(1)}"},
    ),
    shown(
        f"interface {mac(1)}",
        **{"type": "interface", "model": "virtio", "address": "0000:00:03.0", "matched_by": "mac"},
        **{"owner_type": "port", "owner_id": port_id(1), "alias": f"ua-{port_id(1)}"},
    ),
    shown(
        "disk sda",
        **{"type": "disk", "bus": "scsi", "address": "drive 0/0/0/0", "matched_by": "serial"},
        **{"owner_type": "volume", "owner_id": volume_id(2), "alias": "ua-root"},
    ),
)


DEVICE = {
    "seen": "2026-11-21T03:00:12Z",
    "host": "cmp1",
    "label": f"interface {mac(1)}",
    "field": "address",
    "before": "0000:00:03.0",
    "after": "0000:00:05.0",
    "record": 12,
    "address": "0000:00:05.0",
    "logical_name": None,
    "managed": True,
    "pinned": False,
    "alias": f"ua-{port_id(1)}",
}


def test_lists_of_devices_keep_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    session = Session()
    session.color = "never"
    with redirect_stdout(Screen()) as screen:
        print_table(session, LONG_COLUMNS, iter([DEVICE] * 3), spare=SPARE_LONG)
    header, *lines = screen.getvalue().splitlines()
    assert header.split()[0] == LONG_COLUMNS[0]
    assert len(lines) <= 2 * 3


@pytest.mark.parametrize("width", [60, 80, 132])
@pytest.mark.parametrize(
    ("group", "row"),
    [
        (("instance", "name"), {"instance": UUID, "name": LONG}),
        (("instance", "host"), {"instance": f"{LONG} ({UUID})", "host": "cmp1"}),
        (("guest",), {"guest": f"{LONG} ({UUID})"}),
        (("instance",), {"instance": UUID}),
    ],
)
def test_a_heading_is_one_line(
    monkeypatch: pytest.MonkeyPatch, width: int, group: tuple[str, ...], row: Row
) -> None:
    """It has the identity in full, and as much of the name as there is room for."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    session = Session()
    session.color = "never"
    with redirect_stdout(Screen()) as screen:
        print_table(session, (*group, "label"), iter([row | {"label": "disk vda"}]), group)
    heading = screen.getvalue().splitlines()[0]
    assert UUID in heading
    is_named = LONG in "".join(row.values())
    assert (
        len(heading) == max(width, 24 + len(f" ({UUID})") + 8 * ("host" in group)) or not is_named
    )
    assert ("…" in heading, "-last" in heading) == (is_named, is_named)
    with redirect_stdout(io.StringIO()) as pipe:
        print_table(session, (*group, "label"), iter([row | {"label": "disk vda"}]), group)
    assert (LONG in pipe.getvalue()) is is_named


@pytest.mark.slow
@pytest.mark.parametrize("is_pinned", [True, False])
def test_a_history_has_the_number_of_each_record_at_any_width(
    sqlite_cloud: Cloud, is_pinned: bool
) -> None:
    """It is what ``--as-of`` takes; a pin has none."""
    two_guests(sqlite_cloud)
    if is_pinned:
        assert novadev(sqlite_cloud, "device", "pin", "web-1", "vdb").code == 0
    record(sqlite_cloud, guest(shift=9))
    command = ("--color", "never", "device", "history", "web-1")
    wide, narrow = (Terminal(sqlite_cloud, *command, columns=n).lines for n in (200, 80))
    assert "record" in wide[0].split()
    assert max(map(len, narrow)) <= 80
    headings = [line.split(", ") for line in narrow if ", cmp1" in line]
    numbers = [item[0] for item in headings if item[0].startswith("record ")]
    assert numbers == ["record 1", "record 3"]
    pins = [item for item in headings if item[0] not in numbers]
    assert [(item[0][:2], *item[1:]) for item in pins] == [
        ("20", "cmp1", f"by {user()}")
    ] * is_pinned
    rows = [line for line in narrow if "address" in line]
    assert len(rows) == 6, narrow
    assert ("user" in wide[0].split()) is is_pinned
    table = novadev(sqlite_cloud, "device", "history", "web-1").out.splitlines()
    assert table[0].split()[:2] == ["seen", "host"]


@pytest.mark.parametrize("notes", [None, ()])
def test_a_device_has_at_most_two_lines(
    sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch, notes: tuple[str, ...] | None
) -> None:
    text = devices_on(sqlite_cloud, monkeypatch, 80, DEVICES, notes)
    assert len(text.split("\n!")[0].splitlines()) <= 2 + 2 * len(DEVICES)
    assert {volume_id(1), port_id(1), mac(1)} <= set(text.split())


def test_the_fields_of_a_device_stay_two_columns(
    sqlite_cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = devices_on(sqlite_cloud, monkeypatch, 40, DEVICES[:1])
    lines = text.splitlines()
    names = [item.name for item in fields(ShownDevice)]
    assert [line.split()[0] for line in lines if line.split()[:1][0] in names] == names
    assert not any(line.startswith(("field", "value")) for line in lines)
    assert max(map(len, lines[1:])) <= 40
    assert len(lines) < 2 * len(names)


def devices_on(
    cloud: Cloud,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    records: tuple[ShownDevice, ...],
    notes: tuple[str, ...] | None = None,
) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    session = Session()
    session.color, session.config_files = "never", (str(cloud.config_file),)
    found = GuestDevices(UUID, "busy-1", "cmp1", True, True, records, notes)
    with redirect_stdout(Screen()) as screen:
        print_devices(session, Output("table"), found, len(records) == 1)
    session.close()
    return screen.getvalue()


NOTE = "2 cells could not be reached, so what is in them was not checked. Details: "


@pytest.mark.parametrize("width", [40, 60, 80])
def test_what_is_said_breaks_between_words(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    command = "novadev history 12 --details --instance a-server-with-quite-a-long-name --user alice"
    with redirect_stderr(Screen()) as screen:
        say(NOTE * 2)
        say(f"Not finished. {NOTE}{command}")
        say(f"  indented: {'x ' * 60}")
    prose, command_line, indented = screen.getvalue().rpartition(f"  {command}\n")
    assert command_line
    assert max(map(len, prose.splitlines())) <= width
    assert set(prose.split()) == {*NOTE.split(), "Not", "finished."}
    assert indented.count("\n") == 1


def test_what_is_said_stays_on_its_line_in_a_pipe() -> None:
    with redirect_stderr(io.StringIO()) as pipe:
        say(NOTE * 3)
    assert pipe.getvalue() == f"{NOTE * 3}\n"
