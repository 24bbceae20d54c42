"""Exactly the server that was meant: case, accents and blanks count, on every database alike."""

import pytest
import sqlalchemy as sa

from novadev.database import Database
from novadev.errors import StalePlan
from novadev.nova import instances, writes
from novadev.nova.instances import InstanceFilter
from tests.cloud import Cloud
from tests.command import Result, novadev


def listed(cloud: Cloud, *arguments: str) -> Result:
    return novadev(cloud, "image-property", "list", "-f", "json", *arguments)


def chosen(cloud: Cloud, *arguments: str) -> set[str]:
    result = listed(cloud, *arguments)
    assert result.code == 0, result.err
    return {record["instance"] for record in result.json}


@pytest.mark.parametrize(
    ("there", "asked"), [("vm-4", "VM-4"), ("Büro", "Buro"), ("vm-4", "vm-4 "), ("vm-4 ", "vm-4")]
)
def test_a_name(cloud: Cloud, there: str, asked: str) -> None:
    uuid = cloud.add_instance(name=there)
    assert listed(cloud, asked).code == 2
    assert chosen(cloud, there) == {uuid}
    other = cloud.add_instance(name=asked)
    assert (chosen(cloud, there), chosen(cloud, asked)) == ({uuid}, {other})


def test_keys_and_values_of_properties(cloud: Cloud) -> None:
    """Nova ignores a row whose key is in another case."""
    plain = cloud.add_instance(hw_vif_model="e1000")
    shouted = cloud.add_instance(hw_vif_model="E1000")
    odd = cloud.add_instance(HW_VIF_MODEL="e1000")
    none = cloud.add_instance()
    assert chosen(cloud, "--where", "hw_vif_model=e1000") == {plain}
    assert chosen(cloud, "--where", "hw_vif_model=E1000") == {shouted}
    assert chosen(cloud, "--all", "--without", "hw_vif_model") == {odd, none}


def test_hosts_and_projects(cloud: Cloud) -> None:
    small = cloud.add_instance(host="cmp1", columns={"project_id": "blue"})
    large = cloud.add_instance(host="CMP1", columns={"project_id": "BLUE"})
    for option, one, other in (("--host", "cmp1", "CMP1"), ("--project", "blue", "BLUE")):
        assert chosen(cloud, option, one) == {small}
        assert chosen(cloud, option, other) == {large}


def test_a_key_in_another_case_is_not_written_over(cloud: Cloud) -> None:
    uuid = cloud.add_instance(HW_VIF_MODEL="rtl8139")
    command = ("image-property", "set", "--property", "hw_vif_model=e1000", "--yes", uuid)
    assert novadev(cloud, *command).code == 0
    stored = cloud.system_metadata(uuid)
    assert stored["image_HW_VIF_MODEL"] == "rtl8139"
    assert stored["image_hw_vif_model"] == "e1000"


@pytest.mark.parametrize(("believed", "there"), [("scsi", "SCSI"), ("scsi", "scsi ")])
def test_a_write_believes_nothing_but_the_bytes(cloud: Cloud, believed: str, there: str) -> None:
    uuid = cloud.add_instance(hw_disk_bus=there)
    row = cloud.rows("instance_system_metadata", "cell1", instance_uuid=uuid, key=KEY)[0]["id"]
    change = writes.SystemMetadataWrite(uuid, KEY, row, believed, "virtio")
    with pytest.raises(StalePlan), Database("cell cell1", cloud.url("cell1")).writing() as to:
        writes.write_system_metadata(to, [change])
    assert cloud.system_metadata(uuid)[KEY] == there


KEY = "image_hw_disk_bus"


def test_an_index_is_used_all_the_same(mariadb_cloud: Cloud) -> None:
    mariadb_cloud.add_instances(300, each=lambda n: {"host": f"cmp{n}"})
    database = Database("cell cell1", mariadb_cloud.url("cell1"))
    query = instances._narrowed(InstanceFilter(hosts=("cmp7",)))
    with database.reading() as connection:
        connection.execute(sa.text("ANALYZE TABLE instances")).all()
        text = query.compile(connection, compile_kwargs={"literal_binds": True})
        plan = connection.execute(sa.text(f"EXPLAIN {text}")).mappings().one()
    assert plan["type"] in ("ref", "range")
    assert plan["key"].startswith("instances_host")
    database.close()
