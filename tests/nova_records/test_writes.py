"""The statements that write, one by one: what goes in comes out, and what is not there is stale."""

import pytest
import sqlalchemy as sa

from novadev.errors import StalePlan
from novadev.nova import writes
from novadev.nova.request_specs import RequestSpec, list_request_specs
from novadev.nova.writes import SystemMetadataWrite
from tests.cloud import Cloud

ODD = '{"a": "it\'s \\\\ \\" %s é 値", "b": "\\u0000"}'


def written(cloud: Cloud, uuid: str, old: str, new: str) -> RequestSpec:
    with cloud.engine("api").begin() as connection:
        row = list_request_specs(connection, [uuid])[uuid]
        writes.write_request_specs(connection, [(row.id, old, new)])
        return list_request_specs(connection, [uuid])[uuid]


def spec(cloud: Cloud, uuid: str) -> str:
    with cloud.engine("api").connect() as connection:
        return list_request_specs(connection, [uuid])[uuid].text


def test_the_text_of_a_request_spec_is_written_as_it_is(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    before = spec(any_cloud, uuid)
    assert written(any_cloud, uuid, before, ODD).text == ODD
    assert written(any_cloud, uuid, ODD, before).text == before


def test_a_request_spec_that_is_another_by_a_letter_s_case_or_a_blank(any_cloud: Cloud) -> None:
    uuid = any_cloud.add_instance()
    before = spec(any_cloud, uuid)
    for other in (before.upper(), f"{before} ", before[:-1], ODD):
        with pytest.raises(StalePlan):
            written(any_cloud, uuid, other, "{}")
    assert spec(any_cloud, uuid) == before


def test_new_rows_of_system_metadata(any_cloud: Cloud) -> None:
    uuids = [any_cloud.add_instance() for _ in range(2)]
    values = {"image_hw_disk_bus": "it's \\ %s", "image_hw_vif_model": None}
    due = [SystemMetadataWrite(u, key, None, None, values[key]) for u in uuids for key in values]
    with any_cloud.engine("cell1").begin() as connection:
        writes.write_system_metadata(connection, due)
        stamps = connection.execute(
            sa.text(
                "SELECT DISTINCT created_at IS NULL, deleted FROM instance_system_metadata "
                "WHERE instance_uuid IN (:one, :two)"
            ),
            {"one": uuids[0], "two": uuids[1]},
        ).all()
    assert [tuple(row) for row in stamps] == [(0, 0)]
    for uuid in uuids:
        assert values.items() <= any_cloud.system_metadata(uuid).items()
