"""How a server gets what is stored, by its state."""

import pytest

from novadev.image_property.states import AT_REST
from novadev.rules.server_states import way_to_stopped, way_to_stored_hardware

REBOOT = "openstack server reboot --hard"


@pytest.mark.parametrize(
    ("states", "way"),
    [
        (("active", "paused", "suspended", "error"), REBOOT),
        (("stopped",), "openstack server start"),
        (("shelved", "shelved_offloaded"), "openstack server unshelve"),
        (("soft-delete",), "openstack server restore"),
        (("rescued",), f"openstack server unrescue; then {REBOOT}"),
        (("resized",), f"openstack server resize confirm or resize revert; then {REBOOT}"),
        (("building",), "wait until Nova has built it"),
    ],
)
def test_way_to_stored_hardware(states: tuple[str, ...], way: str) -> None:
    assert {way_to_stored_hardware(state) for state in states} == {way}
    assert set(states) <= AT_REST | {"building"}


def test_a_server_in_error_that_is_on_no_host() -> None:
    """Nova refuses its stop and its unshelve; a hard reboot is an error and leaves a task."""
    ways = {way("error", is_on_host=False) for way in (way_to_stopped, way_to_stored_hardware)}
    (told,) = ways
    assert "on no host" in told
    assert "openstack" not in told
    assert way_to_stopped("error") == "openstack server stop"
