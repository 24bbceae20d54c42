"""`device report`: the page of one guest says what the commands say of it."""

import re
from pathlib import Path

import pytest
from lxml import etree, html

from novadev.device.forecast.records import ForecastRecord
from novadev.device.topology import PlacedDevice
from novadev.pages.guest import after
from tests import domains
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
    assert len(texts(tables[0], ".//tbody/tr")) == len(drift) > 0
    forecast = rig.novadev("device", "forecast", uuid, "-f", "json").json
    assert sum(len(texts(table, ".//tbody/tr")) for table in tables[1:]) == len(forecast)

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
