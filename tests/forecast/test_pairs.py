"""Guests of one generation of libvirt, laid out by a scratch libvirt of another.

`tools/forecast_matrix.py` tries more guests, and every pair.
"""

from collections.abc import Callable

import pytest

from tests.cloud import Cloud
from tests.forecast import drifting
from tests.forecast.fleet import Fleet
from tests.forecast.pairs import PROPERTIES, mistakes, scratch_of
from tests.hypervisor import Hypervisor
from tests.nova_process import NovaProcess

pytestmark = pytest.mark.slow

SIZE, SEED = (1, 16), 11
SCRATCHES = ("bookworm", "trixie")
OLDER = "on this machine is older than libvirt 11.3.0 on the host"


def test_an_older_scratch_libvirt_loses_one_device_at_most(
    sqlite_cloud: Cloud,
    generations: dict[str, Hypervisor],
    nova: Callable[[Cloud], NovaProcess],
) -> None:
    """The guests of 11.3 by its own libvirt and by 9.0; half of them change their board."""
    host, process = generations["trixie"], nova(sqlite_cloud)
    fleet = Fleet(sqlite_cloud, host, process, SEED, SIZE, drifting.change_board, PROPERTIES)
    told = {}
    for name in SCRATCHES:
        with scratch_of(generations[name]):
            told[name] = fleet.forecast()
    happened = fleet.happened()
    host.empty()
    assert len(happened) >= 12
    assert {guest.case["image_properties"].get("hw_machine_type") for guest in fleet.guests} >= {
        "pc",
        "q35",
    }
    wrong = {name: mistakes(fleet, forecasts, happened) for name, (forecasts, *_) in told.items()}
    assert wrong == {name: {} for name in SCRATCHES}
    notes = {name: [note for note in found[1] if "rules" in note] for name, found in told.items()}
    assert notes["trixie"] == []
    assert notes["bookworm"]
    for note in notes["bookworm"]:
        assert OLDER in note
        assert "does not know sound virtio: its address comes from novadev's rules" in note
