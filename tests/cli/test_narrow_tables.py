"""A table in a narrow terminal: words are folded between blanks, identities stay in one piece."""

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest

from novadev.cli.session import Session
from novadev.cli.table import Row, print_table
from novadev.cli.talk import say
from tests.cloud import Cloud
from tests.device.rig import Terminal

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
