"""`device report`: the page of one guest says what the commands say of it."""

import re
from datetime import datetime, timezone
from pathlib import Path

import pytest
from lxml import etree, html

from novadev.device.forecast.records import ForecastRecord
from novadev.device.topology import PlacedDevice
from novadev.pages.guest import GuestPage, Side, _recorded_side, _side, after, page_of
from novadev.pages.rows import Row, drift_rows, forecast_rows
from novadev.records.device import VmDevice
from novadev.records.drift import Drift
from novadev.records.history import PastChange
from tests import domains
from tests.audit.browser import Browser
from tests.cloud import Cloud
from tests.device.rig import Rig, mac, port_id, volume_id
from tests.hypervisor import Hypervisor


def change(label: str, field: str, now: str | None, then: str | None) -> ForecastRecord:
    return ForecastRecord("it", label, field, now, then)


def test_a_forecast_is_put_on_what_is_there_now() -> None:
    now = [
        PlacedDevice("disk vda", "disk", "virtio", None, "0000:00:04.0", owner="local"),
        PlacedDevice("disk vdc", "disk", "virtio", None, "0000:00:06.0"),
        PlacedDevice("video cirrus", "video", None, "cirrus", "0000:00:02.0"),
    ]
    changes = [
        change("disk vda", "address", "0000:00:04.0", "0000:00:05.0"),
        change("disk vdc", "device", "disk vdc", None),
        change("video cirrus", "model", "cirrus", "virtio"),
        change("volume V", "device", None, "volume V"),
        change("volume V", "address", None, "0000:00:07.0"),
        change("machine", "machine", "pc", "q35"),
    ]
    assert [*after(now, changes)] == [
        PlacedDevice("disk vda", "disk", "virtio", None, "0000:00:05.0", owner="local"),
        PlacedDevice("video cirrus", "video", None, "virtio", "0000:00:02.0"),
        PlacedDevice("volume V", "volume", None, None, "0000:00:07.0"),
    ]


def test_a_device_that_the_next_power_on_builds_is_missing_no_more() -> None:
    now = [
        PlacedDevice("pci: no device", owner="pci U", has_fault=True, ghost="PCI device A"),
        PlacedDevice("port: no device", owner="port P", has_fault=True, ghost="port P"),
        PlacedDevice("volume: no device", owner="volume V", has_fault=True, ghost="volume V"),
        PlacedDevice("disk vda", "disk", "virtio", None, "0000:00:04.0", has_fault=True),
    ]
    changes = [
        change("port P", "device", None, "port P"),
        change("port P", "model", None, "virtio"),
        change("port P", "address", None, "0000:00:03.0"),
        change("PCI device A", "device", None, "PCI device A"),
        change("PCI device A", "address", None, "0000:00:06.0"),
    ]
    assert [*after(now, changes)] == [
        PlacedDevice("volume: no device", owner="volume V", has_fault=True, ghost="volume V"),
        PlacedDevice("disk vda", "disk", "virtio", None, "0000:00:04.0"),
        PlacedDevice("new port", "port", None, "virtio", "0000:00:03.0", owner="port P"),
        PlacedDevice("new pci", "PCI", None, None, "0000:00:06.0", owner="pci U"),
    ]


def test_a_device_that_comes_or_goes_is_one_row() -> None:
    changes = [
        change("disk vda", "address", "0000:00:04.0", "0000:00:05.0"),
        change("disk vdc", "device", "disk vdc", None),
        change("controller pci 13", "device", None, "controller pci 13"),
        change("controller pci 13", "address", None, "0000:00:03.4"),
        change("controller pci 13", "model", None, "pcie-root-port"),
    ]
    comes = "appears, address 0000:00:03.4, model pcie-root-port"
    assert [*forecast_rows(changes)] == [
        ("disk vda", "address", "0000:00:04.0", "0000:00:05.0"),
        ("disk vdc", "device", "disk vdc", "vanishes"),
        ("controller pci 13", "device", None, comes),
    ]
    assert [*drift_rows([Drift("it", "disk vdd", "device", None, "disk vdd")])] == [
        ("disk vdd", "device", None, "appeared")
    ]


def port(index: int) -> PlacedDevice:
    label, address = f"controller pci {index}", f"0000:00:02.{index - 1}"
    return PlacedDevice(label, "controller", None, "pcie-root-port", address)


@pytest.mark.parametrize("number", [1, 6])
def test_a_new_port_is_marked_though_it_is_free(number: int, tmp_path: Path) -> None:
    root = PlacedDevice("controller pci 0", "controller", None, "pcie-root")
    now = [root, *map(port, range(1, number + 1))]
    same = _side("After", now, now)
    more = _side("After", [*now, port(number + 1)], now)
    assert (same.changed, more.changed) == (
        frozenset(),
        {f"pcie-root-port, PCI bus {number + 1:02x}"},
    )
    marked = texts(rendered(tmp_path / "page.html", more), ".//span[@class='free changed']")
    assert len(marked) == 1
    assert f"PCI bus {number + 1:02x}" in marked[0]


def rendered(file: Path, *sides: Side, past: tuple[PastChange, ...] = ()) -> etree._Element:
    """The page of a guest that has nothing but these SIDES and PAST changes, written into FILE."""
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    history = (past,) if past else ()
    page = GuestPage("web-1", "U", "cmp1", True, now, sides, (), (), (), (), history)
    file.write_text(page_of(page))
    return html.fromstring(file.read_bytes())


def test_a_past_change_is_told_in_words(tmp_path: Path) -> None:
    past = [
        PastChange("2026-01-01T00:00:00Z", "cmp1", "disk vda", field, before, after, 7)
        for field, before, after in (
            ("address", "0000:00:04.0", "0000:00:05.0"),
            ("alias", None, "ua-1"),
            ("boot_order", "1", None),
        )
    ]
    page = rendered(tmp_path / "page.html", past=tuple(past))
    assert texts(page, ".//section[@aria-labelledby='history']//ul/li") == [
        "disk vda: address changed from 0000:00:04.0 to 0000:00:05.0",
        "disk vda: alias changed from none to ua-1",
        "disk vda: boot order changed from 1 to none",
    ]


def test_recorded_devices_have_the_owners_and_the_order_of_now() -> None:
    now = [
        PlacedDevice("input tablet usb", "input", "usb", None, "0:1"),
        PlacedDevice("disk vda", "disk", "virtio", None, "0000:00:04.0", owner="local"),
        PlacedDevice("port: no device", owner="port P"),
        PlacedDevice("disk vdb", "disk", "virtio", None, "0000:00:05.0", owner="volume V"),
    ]
    recorded = [
        VmDevice("P", "it", "interface", "bridge", label="interface tap1"),
        VmDevice("V", "it", "disk", "disk", label="disk vdb"),
        VmDevice("x", "it", "disk", "disk", label="disk vda"),
    ]
    side = _recorded_side(recorded, now)
    assert [(node.name.split(" (")[0], node.owner) for node in side.roots] == [
        ("disk vda", "local"),
        ("disk vdb", "volume V"),
        (recorded[0].label, "port P"),
    ]


@pytest.mark.slow
def test_three_pictures_are_side_by_side(tmp_path: Path) -> None:
    long = PlacedDevice("interface tap13deef86-ab", owner=f"port {port_id(0)}", alias="ua-x" * 9)
    sides = [_side(title, [long], [long]) for title in ("Now", "Recorded", "After")]
    file = tmp_path / "page.html"
    rendered(file, *sides)
    tops = "[...document.querySelectorAll('.side')].map(x => x.getBoundingClientRect().top)"
    with Browser(tmp_path / "profile") as browser, browser.page(file.as_uri()) as page:
        found = page.run(tops)
        width = page.run("document.documentElement.scrollWidth")
    assert (len(found), len(set(found)), width) == (3, 1, 1280)


@pytest.mark.slow
def test_the_tables_fit_a_phone(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    drift = tuple(
        Row(f"interface tap{port_id(number)[:11]}", "address", "0000:00:03.0", "0000:00:10.0")
        for number in range(3)
    )
    page = GuestPage("web-1", "U", "cmp1", True, now, (), (), drift, drift, (), ())
    file = tmp_path / "page.html"
    file.write_text(page_of(page))
    beyond = "[...document.querySelectorAll('.scroll')].map(x => x.scrollWidth - x.clientWidth)"
    with Browser(tmp_path / "profile") as browser, browser.page(file.as_uri(), width=360) as shown:
        assert shown.run(beyond) == [0, 0]
        assert shown.run("document.documentElement.scrollWidth") == 360


def test_what_is_never_recorded_is_drawn_alike() -> None:
    """No record has what is no hardware of the guest."""
    now = [
        PlacedDevice("disk vda", "disk", "virtio", None, "0000:00:04.0"),
        PlacedDevice("audio none", "audio"),
        PlacedDevice("watchdog itco", "watchdog", None, "itco"),
        PlacedDevice("console pty", "console"),
        PlacedDevice("interface tap1", "interface", None, "virtio", "0000:00:03.0"),
    ]
    recorded = VmDevice("x", "it", "disk", "disk", label="disk vda")
    side = _recorded_side([recorded], now)
    drawn = {node.name.split(" (")[0] for node in side.roots}
    assert drawn == {"disk vda", "audio none", "watchdog itco", "console pty"}
    assert _recorded_side([], now).roots == ()
    assert not side.changed & {"audio none", "watchdog itco", "console pty"}


def texts(page: etree._Element, path: str) -> list[str]:
    return [" ".join("".join(item.itertext()).split()) for item in page.iterfind(path)]


@pytest.mark.slow
def test_the_page_of_a_guest(sqlite_cloud: Cloud, hypervisor: Hypervisor, tmp_path: Path) -> None:
    rig = Rig(sqlite_cloud, [hypervisor])
    evil = "<script>alert(1)</script>\x1b[2J"
    uuid = sqlite_cloud.add_instance(name=evil)
    sqlite_cloud.add_disk(uuid)
    sqlite_cloud.add_volume(uuid, volume_id(0), "/dev/vdb")
    sqlite_cloud.add_port(uuid, port_id(0), mac(0))
    disks = [domains.disk("vda"), domains.disk("vdb", serial=volume_id(0))]
    ports = [domains.interface(mac(0), port=port_id(0))]
    domain = rig.define(uuid, [*disks, domains.disk("vdc")], ports)
    assert rig.novadev("device", "record", uuid).code == 0
    domain.undefine()
    rig.define(uuid, disks, ports)
    for action in ("pin", "unpin"):
        assert rig.novadev("device", action, uuid, "vdb").code == 0
    file = tmp_path / "web.html"
    shown = rig.novadev("device", "report", uuid, "-o", str(file))
    assert (shown.code, shown.out) == (0, ""), shown.err
    assert file.stat().st_mode & 0o777 == 0o600

    page = html.fromstring(file.read_bytes())
    sides = [side.get("aria-label") for side in page.iterfind(".//*[@role='group']")]
    assert sides == ["Now", "Recorded", "After the next power-on"]
    now, recorded, _ = (texts(side, ".//li/span") for side in page.iterfind(".//*[@role='group']"))
    assert any("disk vdb" in text for text in now)
    assert not any("disk vdc" in text for text in now)
    marked = texts(page, ".//span[@class='changed']")
    assert [text for text in marked if "vdc" in text]
    assert any("disk vdc" in text for text in recorded)
    drift = rig.novadev("device", "drift", uuid, "-f", "json").json
    tables = page.findall(".//table")
    assert len(texts(tables[0], ".//tbody/tr")) == len({item["label"] for item in drift}) > 0
    assert "disk vdc device disk vdc vanished" in [
        " ".join(texts(row, "./td")) for row in tables[0].iterfind(".//tbody/tr")
    ]
    forecast = rig.novadev("device", "forecast", uuid, "-f", "json").json
    told = {item["label"] for item in forecast}
    rows = [row for table in tables[1:] for row in table.iterfind(".//tbody/tr")]
    assert {texts(row, "./td")[0] for row in rows} == told

    history = texts(page, ".//section[@aria-labelledby='history']//ul/li")
    assert re.fullmatch(r"recorded for the first time, with \d+ devices", history[-1])
    assert [text for text in history if text.startswith("disk vdb: pinned at 0000:")]
    assert [text for text in history if text.startswith("disk vdb: unpinned from 0000:")]

    text = file.read_text()
    assert page.findall(".//script") == []
    assert "\x1b" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert rig.novadev("device", "report", uuid, "-o", str(tmp_path / "no" / "x")).code == 4
    assert rig.novadev("device", "report", "nobody", "-o", str(file)).code == 2
    assert file.read_text() == text
