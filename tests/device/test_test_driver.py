"""The commands on libvirt's own test driver, which changes no device alone."""

from pathlib import Path

import pytest
from lxml import etree

from tests import domains
from tests.command import novadev
from tests.device.bed import ConfigFile

VOLUME = "0f8fad5b-d9cb-469f-a165-70867728950e"
PORT = "a3bb189e-8bf9-4c8c-9b3e-6e1f0f2f5d10"
UUID = "6e1f0f2f-5d10-4c8c-9b3e-a3bb189e8bf9"


@pytest.fixture
def host(tmp_path: Path) -> ConfigFile:
    """A compute host whose libvirt has one guest, shut off."""
    guest = domains.domain(
        UUID,
        name="instance-0000002a",
        disks=[domains.disk("vda"), domains.disk("vdb", serial=VOLUME)],
        interfaces=[domains.interface("fa:16:3e:00:00:01", port=PORT)],
        devices=[domains.mdev(VOLUME)],
    ).replace('<domain type="qemu"', '<domain type="test"')
    node = tmp_path / "node.xml"
    node.write_text(f"<node>{guest}</node>")
    config = tmp_path / "nova.conf"
    config.write_text(
        f"[DEFAULT]\nhost = cmp1\n[libvirt]\nconnection_uri = test://{node}\n"
        f"[novadev]\nstate_connection = sqlite:///{tmp_path}/state.sqlite\n"
    )
    return ConfigFile(config)


def test_shows_and_plans(host: ConfigFile) -> None:
    shown = novadev(host, "device", "show", UUID, "-f", "json").json
    owners = {record["label"]: record["owner_id"] for record in shown if record["owner_id"]}
    assert owners == {
        "disk vdb": VOLUME,
        f"interface tap{PORT[:11]}": PORT,
        f"hostdev {VOLUME}": VOLUME,
    }
    planned = novadev(host, "device", "alias-migrate", "--all", "--dry-run", "-f", "json")
    (plan,) = planned.json["plans"]
    assert {change["after"] for change in plan["changes"]} == {f"ua-{VOLUME}", f"ua-{PORT}"}


def test_a_picture_goes_to_standard_output(host: ConfigFile) -> None:
    shown = novadev(host, "device", "show", UUID, "--svg", "-")
    assert (shown.code, "The picture" in shown.err) == (0, False)
    assert etree.fromstring(shown.out).get("viewBox")
    assert novadev(host, "device", "show", UUID, "--svg", "-", "--tree").code == 4


def test_what_the_driver_cannot_do_is_told(host: ConfigFile) -> None:
    result = novadev(host, "device", "alias-migrate", UUID, "--yes", "-f", "json")
    assert (result.code, result.json["result"]) == (3, "failed")
    assert "not supported by the connection driver" in result.json["plans"][0]["error"]
