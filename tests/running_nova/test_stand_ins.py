"""The stand-ins of the cloud do as the services that they stand for."""

import pytest

from cloud import neutron
from cloud.rest import Request

pytestmark = [pytest.mark.slow, pytest.mark.cloud]


def test_a_port_that_is_given_to_another_host_leaves_no_binding_behind() -> None:
    """Nova would be refused one for a live migration there, after it reverted a resize."""
    key = neutron.create_port(_request({"binding:host_id": "cmp1"}))["port"]["id"]
    neutron.update_port(_request({"binding:host_id": "cmp2"}), key)
    assert list(neutron.bindings[key]) == ["cmp2"]
    neutron.create_binding(Request({"binding": {"host": "cmp1"}}, {}), key)
    neutron.update_port(_request({"binding:profile": {}}), key)
    assert list(neutron.bindings[key]) == ["cmp2", "cmp1"]
    neutron.delete_port(_request({}), key)


def _request(port: dict[str, object]) -> Request:
    return Request({"port": port}, {})
