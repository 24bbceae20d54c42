"""Which instances a command works on, and what is said of the others."""

import pytest

from tests.cloud import CELLS, Cloud
from tests.command import Result, novadev


def chosen(cloud: Cloud, *arguments: str, stdin: str = "") -> set[str]:
    """The UUIDs that the arguments select."""
    return uuids(listing(cloud, *arguments, stdin=stdin))


def listing(cloud: Cloud, *arguments: str, stdin: str = "") -> Result:
    return novadev(cloud, "image-property", "list", "-f", "json", *arguments, stdin=stdin)


def uuids(result: Result) -> set[str]:
    return {record["instance"] for record in result.json}


def test_by_uuid_in_any_spelling(cloud: Cloud) -> None:
    uuid = cloud.add_instance(cell="cell2")
    assert chosen(cloud, uuid.upper()) == {uuid}
    assert chosen(cloud, uuid.replace("-", "")) == {uuid}


def test_by_display_name_and_by_domain_name(cloud: Cloud) -> None:
    uuid = cloud.add_instance(name="web-1")
    cloud.add_instance(name="web-2", cell="cell2")
    domain = f"instance-{cloud.instance(uuid)['id']:08x}"
    assert chosen(cloud, "web-1") == {uuid}
    # Ids count in each cell by itself: the same domain name may be in two of them.
    assert chosen(cloud, domain, "--cell", "cell1") <= {uuid}


def test_one_domain_name_in_two_cells_is_ambiguous(sqlite_cloud: Cloud) -> None:
    first = sqlite_cloud.add_instance(columns={"id": 42})
    second = sqlite_cloud.add_instance(cell="cell2", columns={"id": 42})
    result = listing(sqlite_cloud, "instance-0000002a")
    assert result.code == 4
    assert first in result.err
    assert second in result.err


def test_several_ways_at_once_give_each_instance_once(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(name="web-1")
    other = sqlite_cloud.add_instance(name="web-2")
    lines = f"web-1\n\n# a comment\n{other}\n"
    result = listing(sqlite_cloud, uuid, "--from-file", "-", stdin=lines)
    assert uuids(result) == {uuid, other}
    assert len(result.json) == 22


def test_nothing_selected_is_an_error_not_everything(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance()
    assert listing(sqlite_cloud).code == 4
    assert listing(sqlite_cloud, "--all", "web-1").code == 4


def test_filters(cloud: Cloud) -> None:
    web = cloud.add_instance(host="cmp1", hw_disk_bus="scsi")
    mail = cloud.add_instance(host="cmp2", cell="cell2", vm_state="active", hw_disk_bus=None)
    assert chosen(cloud, "--all") == {web, mail}
    assert chosen(cloud, "--host", "cmp1") == {web}
    assert chosen(cloud, "--cell", "cell2") == {mail}
    assert chosen(cloud, "--cell", CELLS["cell2"]["uuid"]) == {mail}  # type: ignore[arg-type]
    assert chosen(cloud, "--vm-state", "ACTIVE") == {mail}
    assert chosen(cloud, "--where", "hw_disk_bus=scsi") == {web}
    assert chosen(cloud, "--all", "--without", "hw_disk_bus") == set()
    assert chosen(cloud, "--all", "--without", "hw_rng_model") == {web, mail}
    alone = novadev(cloud, "image-property", "list", "--without", "hw_rng_model")
    assert (alone.code, "add --all if that is meant" in alone.err) == (4, True)
    assert chosen(cloud, "--where", "hw_disk_bus=scsi", "--where", "hw_rng_model=virtio") == set()
    assert len(chosen(cloud, "--all", "--limit", "1")) == 1


def test_filters_narrow_named_instances(sqlite_cloud: Cloud) -> None:
    web = sqlite_cloud.add_instance(host="cmp1")
    mail = sqlite_cloud.add_instance(host="cmp2")
    assert chosen(sqlite_cloud, web, mail, "--host", "cmp2") == {mail}


def test_project_filter(sqlite_cloud: Cloud) -> None:
    web = sqlite_cloud.add_instance(columns={"project_id": "blue"})
    sqlite_cloud.add_instance(columns={"project_id": "red"})
    assert chosen(sqlite_cloud, "--project", "blue") == {web}


def test_an_unknown_cell(sqlite_cloud: Cloud) -> None:
    result = listing(sqlite_cloud, "--cell", "cell9")
    assert result.code == 2
    assert "cell0, cell1, cell2" in result.err


def test_more_than_a_page(cloud: Cloud) -> None:
    wanted = set(cloud.add_instances(1203))
    assert chosen(cloud, "--all") == wanted


def test_an_unknown_uuid(sqlite_cloud: Cloud) -> None:
    there = sqlite_cloud.add_instance()
    result = listing(sqlite_cloud, there, "00000000-0000-0000-0000-00000000dead")
    assert result.code == 2
    assert uuids(result) == {there}


def test_not_yet_scheduled(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    any_cloud.soft_delete(uuid)  # so no cell has it
    waiting = {"cell_id": None, "queued_for_delete": False}
    any_cloud.update("instance_mappings", "api", {"instance_uuid": uuid}, **waiting)
    result = listing(any_cloud, uuid)
    assert result.code == 3
    assert "not yet scheduled" in result.err


def test_soft_deleted(any_cloud: Cloud) -> None:
    gone, there = any_cloud.add_instances(2)
    any_cloud.soft_delete(gone)
    result = listing(any_cloud, gone)
    assert result.code == 2
    assert "deleted" in result.err
    assert chosen(any_cloud, "--all") == {there}


def test_the_copy_of_a_cross_cell_resize_is_not_the_instance(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(name="web-1")
    sqlite_cloud.add_instance(
        uuid=uuid,
        name="web-1",
        cell="cell2",
        mapped=False,
        request_spec=False,
        columns={"hidden": True},
    )
    assert chosen(sqlite_cloud, "web-1") == {uuid}
    assert len(listing(sqlite_cloud, "--all").json) == 11


def test_cell0_and_a_disabled_cell_are_cells(sqlite_cloud: Cloud) -> None:
    buried = sqlite_cloud.add_instance(cell="cell0", vm_state="error")
    there = sqlite_cloud.add_instance(cell="cell2")
    sqlite_cloud.update("cell_mappings", "api", {"name": "cell2"}, disabled=True)
    assert chosen(sqlite_cloud, "--all") == {buried, there}


def test_a_cell_that_does_not_answer_costs_only_itself(cloud: Cloud) -> None:
    here = cloud.add_instance()
    there = cloud.add_instance(cell="cell2")
    down = "mysql+pymysql://nova:s3cret@127.0.0.1:1/nova_cell2"
    cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=down)
    result = listing(cloud, "--all")
    assert (result.code, uuids(result)) == (8, {here})
    assert "cell cell2 could not be reached" in result.err
    assert "s3cret" not in result.err + result.out
    named = listing(cloud, here, there)
    assert (named.code, uuids(named)) == (8, {here})


@pytest.mark.parametrize(
    "url", ["", "nonsense", "mysql://nova:s3cr/et@w:rd@/x", "postgresql://nova:s3cret@h/nova"]
)
def test_a_cell_with_an_odd_url_is_named_and_its_password_is_not(
    sqlite_cloud: Cloud, url: str
) -> None:
    sqlite_cloud.add_instance(cell="cell2")
    sqlite_cloud.update("cell_mappings", "api", {"name": "cell2"}, database_connection=url)
    result = listing(sqlite_cloud, "--all")
    assert result.code == 8
    assert "cell cell2" in result.err
    assert "s3cr" not in result.err


def test_templated_cells(cloud: Cloud) -> None:
    """[database] connection is that of cell1 in these deployments."""
    uuid = cloud.add_instance(cell="cell1")
    template = cloud.url("cell1").replace("sqlite:////", "{scheme}:////")
    if cloud.backend == "mariadb":
        template = "{scheme}://{username}@{hostname}/{path}?{query}"
    cloud.update("cell_mappings", "api", {"name": "cell1"}, database_connection=template)
    assert chosen(cloud, uuid) == {uuid}


def test_the_api_database_is_down(sqlite_cloud: Cloud) -> None:
    text = sqlite_cloud.config_file.read_text()
    broken = text.replace(sqlite_cloud.url("api"), "sqlite:////nowhere/api.sqlite")
    sqlite_cloud.config_file.write_text(broken)
    result = listing(sqlite_cloud, "--all")
    assert result.code == 8
    assert "API database" in result.err


def test_a_schema_novadev_does_not_know(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance()
    with sqlite_cloud.engine("cell1").begin() as connection:
        connection.exec_driver_sql("ALTER TABLE instances RENAME COLUMN vm_state TO vmstate")
    result = listing(sqlite_cloud, uuid)
    assert result.code == 3
    assert "cell cell1" in result.err
    assert "vm_state" in result.err


def test_fail_on_skip(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(vm_state="active", name="busy")
    command = ("image-property", "set", "--property", "hw_vif_model=e1000", "--all", "--dry-run")
    assert novadev(sqlite_cloud, *command).code == 0
    assert novadev(sqlite_cloud, *command, "--fail-on-skip").code == 3
