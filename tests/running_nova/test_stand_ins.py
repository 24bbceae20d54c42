"""The stand-ins of the cloud do as the services that they stand for."""

import pytest

from cloud import neutron
from cloud.rest import Request
from tests.running_nova.nova import Nova

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


def test_a_port_is_of_the_project_of_who_makes_it(nova: Nova) -> None:
    """Nova attaches no other one."""
    network = nova.api.network
    port = network.create_port(network_id=network.find_network("stand-in").id)
    assert port.project_id == nova.api.current_project_id
    network.delete_port(port)


def _request(port: dict[str, object]) -> Request:
    return Request({"port": port}, {})
