"""`image-property list` and `show`."""

import csv
import io

import pytest
import yaml

from novadev.image_property.listing import LISTED
from tests.cloud import Cloud
from tests.command import novadev

TEN = (
    "hw_cdrom_bus hw_disk_bus hw_floppy_bus hw_input_bus hw_pointer_model hw_rescue_bus "
    "hw_rng_model hw_scsi_model hw_video_model hw_vif_model"
)


def listed(cloud: Cloud, *arguments: str) -> dict[str, dict[str, object]]:
    """The records of one instance by property."""
    result = novadev(cloud, "image-property", "list", "-f", "json", *arguments)
    assert result.code == 0, result.err
    return {record["property"]: record for record in result.json}


def test_the_ten_and_the_machine_type(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance(hw_machine_type="q35", hw_qemu_guest_agent="yes")
    assert list(listed(any_cloud, uuid)) == [*TEN.split(), "hw_machine_type"]


def test_absent_null_and_value(cloud: Cloud) -> None:
    uuid = cloud.add_instance(hw_disk_bus="scsi", hw_video_model=None)
    records = listed(cloud, uuid)
    states = {name: (records[name]["stored"], records[name]["value"]) for name in records}
    assert states["hw_disk_bus"] == ("value", "scsi")
    assert states["hw_video_model"] == ("null", None)
    assert states["hw_vif_model"] == ("absent", None)


def test_every_stored_value(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(hw_qemu_guest_agent="yes", os_distro="debian12")
    records = listed(sqlite_cloud, "--all-properties", uuid)
    assert records["hw_qemu_guest_agent"]["value"] == "yes"
    assert {"os_distro", "min_ram", "disk_format"} <= set(records)
    assert "hw_disk_bus" not in records


@pytest.mark.parametrize(
    ("stored", "in_spec", "agrees"),
    [
        ("scsi", {"hw_disk_bus": "scsi"}, True),
        ("scsi", {"hw_disk_bus": "virtio"}, False),
        ("scsi", {}, False),
        (None, {}, True),
    ],
)
def test_a_request_spec_that_disagrees_is_seen(
    sqlite_cloud: Cloud, stored: str | None, in_spec: dict[str, str], agrees: bool
) -> None:
    uuid = sqlite_cloud.add_instance(hw_disk_bus=stored, spec_properties=in_spec)
    assert listed(sqlite_cloud, uuid)["hw_disk_bus"]["agrees"] is agrees


def test_another_spelling_is_no_disagreement(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(
        hw_vif_model="VirtualE1000", spec_properties={"hw_vif_model": "e1000"}
    )
    assert listed(sqlite_cloud, uuid)["hw_vif_model"]["agrees"] is True


def test_a_missing_request_spec_is_seen(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(hw_disk_bus="scsi", request_spec=False)
    record = listed(sqlite_cloud, uuid)["hw_disk_bus"]
    assert (record["request_spec"], record["agrees"]) == ("missing", None)


def test_the_table_without_a_terminal_is_plain(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(
        name="web-1", hw_disk_bus="scsi", spec_properties={"hw_disk_bus": "virtio"}
    )
    table = novadev(sqlite_cloud, "image-property", "list", uuid).out
    assert "\x1b" not in table
    assert table.splitlines()[0] == f"web-1 ({uuid})"
    [row] = [line.split() for line in table.splitlines() if line.startswith("hw_disk_bus")]
    assert row == ["hw_disk_bus", "value", "scsi", "value", "virtio", "NO"]


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+1+cmd|x", "'+1+cmd|x"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1+1", "\\t=1+1"),
        ("-5", "-5"),
        ("+49.5", "+49.5"),
        ("web-1", "web-1"),
        ("a=b", "a=b"),
    ],
)
def test_no_cell_of_csv_is_a_formula(sqlite_cloud: Cloud, name: str, cell: str) -> None:
    """A user chooses the name of a server; JSON and plain values have it as it is."""
    uuid = sqlite_cloud.add_instance(name=name, hw_vif_model="e1000")
    asked = ("image-property", "list", uuid, "--stored", "-c", "name", "-c", "value", "-f")
    found = list(csv.reader(io.StringIO(novadev(sqlite_cloud, *asked, "csv").out)))
    assert found == [["name", "value"], [cell, "e1000"]]
    assert novadev(sqlite_cloud, *asked, "json").json[0]["name"] == name


def test_csv_yaml_value_and_columns(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(hw_disk_bus="scsi")
    chosen = ("image-property", "list", uuid, "-c", "property", "-c", "value", "-f")
    rows = list(csv.reader(io.StringIO(novadev(sqlite_cloud, *chosen, "csv").out)))
    assert rows[0] == ["property", "value"]
    assert ["hw_disk_bus", "scsi"] in rows
    records = yaml.safe_load(novadev(sqlite_cloud, *chosen, "yaml").out)
    assert {"property": "hw_disk_bus", "value": "scsi"} in records
    assert "hw_disk_bus scsi" in novadev(sqlite_cloud, *chosen, "value").out.splitlines()


def test_an_unknown_column(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance()
    result = novadev(sqlite_cloud, "image-property", "list", uuid, "-c", "colour")
    assert result.code == 4
    assert "no column 'colour'" in result.err


def test_control_characters_never_reach_the_terminal(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(name="\x1b[2Jboo", os_distro="a\nb\u202ec")
    for format_ in ("table", "value", "csv", "json", "yaml"):
        out = novadev(
            sqlite_cloud, "image-property", "list", uuid, "--all-properties", "-f", format_
        ).out
        assert "\x1b" not in out, format_
        assert "\u202e" not in out, format_


def test_show_one_value(cloud: Cloud) -> None:
    uuid = cloud.add_instance(hw_disk_bus="scsi")
    result = novadev(
        cloud, "image-property", "show", uuid, "hw_disk_bus", "-f", "value", "-c", "value"
    )
    assert (result.code, result.out) == (0, "scsi\n")


@pytest.mark.parametrize(
    ("stored", "message"),
    [({}, "is not stored"), ({"hw_disk_bus": None}, "is null")],
)
def test_show_tells_absent_from_null(
    sqlite_cloud: Cloud, stored: dict[str, None], message: str
) -> None:
    uuid = sqlite_cloud.add_instance(image_properties=stored)
    result = novadev(sqlite_cloud, "image-property", "show", uuid, "hw_disk_bus")
    assert (result.code, result.out) == (3, "")
    assert message in result.err


def test_show_of_an_instance_that_is_not_there(sqlite_cloud: Cloud) -> None:
    result = novadev(sqlite_cloud, "image-property", "show", "nobody", "hw_disk_bus")
    assert result.code == 2


def test_one_line_for_each_server(sqlite_cloud: Cloud) -> None:
    """A table has the columns that somebody needs; JSON has all, and what the spec says instead."""
    web = sqlite_cloud.add_instance(name="web-1", hw_disk_bus="scsi")
    db = sqlite_cloud.add_instance(
        name="db-1", hw_vif_model="e1000", spec_properties={"hw_vif_model": "virtio"}
    )
    command = ("image-property", "list", "--wide")
    lines = novadev(sqlite_cloud, *command, web, db).out.splitlines()
    assert lines[0].split() == ["server", "disk", "bus", "vif", "model", "differing"]
    assert lines[1].split() == ["web-1", f"({web})", "scsi", "-", "-"]
    assert lines[2].split() == ["db-1", f"({db})", "-", "e1000", "hw_vif_model=virtio"]
    found = novadev(sqlite_cloud, *command, web, db, "-f", "json").json
    assert [server["hw_disk_bus"] for server in found] == ["scsi", None]
    assert set(LISTED) < set(found[0])
    differing = novadev(sqlite_cloud, *command, "--all", "--differing", "-f", "json").json
    assert [(server["instance"], server["differing"]) for server in differing] == [
        (db, ["hw_vif_model=virtio"])
    ]


def test_only_what_is_stored_or_differs(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(
        hw_disk_bus="scsi", hw_vif_model="e1000", spec_properties={"hw_vif_model": "virtio"}
    )
    command = ("image-property", "list", uuid, "-f", "value", "-c", "property")
    stored = novadev(sqlite_cloud, *command, "--stored").out.split()
    assert set(stored) == {"hw_disk_bus", "hw_vif_model"}
    assert novadev(sqlite_cloud, *command, "--differing").out.split() != []
    sqlite_cloud.add_instance(name="bare")
    empty = novadev(sqlite_cloud, "image-property", "list", "bare", "--stored")
    assert (empty.code, empty.out) == (0, "")
    assert empty.err == "No property matches.\n"
    both = novadev(sqlite_cloud, "image-property", "list", uuid, "--wide", "--all-properties")
    assert both.code == 4


def test_show_says_which_property_may_have_been_meant(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(name="web-1", hw_disk_bus="sata")
    asked = ("image-property", "show", "web-1")
    near = novadev(sqlite_cloud, *asked, "hw_diskbus")
    assert (near.code, "Did you mean hw_disk_bus?" in near.err) == (3, True)
    assert "Did you mean" not in novadev(sqlite_cloud, *asked, "hw_vif_model").err
    assert "Did you mean" not in novadev(sqlite_cloud, *asked, "nonsense").err
