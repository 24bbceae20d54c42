"""Many instances at once."""

import time

import pytest

from tests.cloud import Cloud


@pytest.mark.slow
def test_ten_thousand_instances_in_seconds(cloud: Cloud) -> None:
    started = time.monotonic()
    uuids = cloud.add_instances(
        10_000, each=lambda n: {"cell": f"cell{1 + n % 2}", "name": f"web-{n}"}, hw_disk_bus="ide"
    )
    assert time.monotonic() - started < 60
    assert len(set(uuids)) == 10_000
    assert len(cloud.rows("instances", "cell1")) == 5_000
    assert cloud.instance(uuids[1])["display_name"] == "web-1"
    assert cloud.cell_of(uuids[1]) == "cell2"


def test_traits_unmapped_and_raw_specs(sqlite_cloud: Cloud) -> None:
    uuid = sqlite_cloud.add_instance(image_properties={"trait:HW_CPU_X86_AVX": "required"})
    assert sqlite_cloud.spec_properties(uuid) == {"traits_required": ["HW_CPU_X86_AVX"]}
    lost = sqlite_cloud.add_instance(mapped=False, request_spec=False, cell="cell0")
    assert sqlite_cloud.instance(lost)["uuid"] == lost
    broken = sqlite_cloud.add_instance(request_spec="{")
    assert sqlite_cloud.rows("request_specs", "api", instance_uuid=broken)[0]["spec"] == "{"
