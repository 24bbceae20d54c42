"""What is forecast is what becomes of guests that the real Nova builds again: every address.

Guests of Nova's own driver are defined on a host, and drift there, in Nova's records and in the
host's configuration. Then Nova's driver builds each from its records, libvirt defines that, and
what differs is compared with what was told.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from novadev.errors import Unreachable
from novadev.virt.scratch import ADDED, Scratch
from tests.cloud import Cloud
from tests.forecast.fleet import Fleet
from tests.forecast.judging import Changes
from tests.hypervisor import Hypervisor
from tests.nova_process import NovaProcess

pytestmark = pytest.mark.slow

HOSTS = 10
GUESTS = 40
SEED = 34


@pytest.fixture
def fleet(
    sqlite_cloud: Cloud, hypervisor: Hypervisor, nova: Callable[[Cloud], NovaProcess]
) -> Fleet:
    return Fleet(sqlite_cloud, hypervisor, nova(sqlite_cloud), SEED, (HOSTS, GUESTS))


def test_every_change_is_told_and_nothing_is_touched(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By libvirt and by the rules of layout, which tell nothing of what it adds; and how much of it

    without the rules of the hosts.
    """
    told, _, took = fleet.forecast()
    with monkeypatch.context() as patch:
        patch.setattr(Scratch, "lay_out", _no_libvirt)
        by_rules, notes, _ = fleet.forecast()
    assert sum("come from novadev's rules and not from libvirt" in note for note in notes) == 1
    fleet.forget_the_rules()
    unknown, _, _ = fleet.forecast()
    assert fleet.definitions() == fleet.before
    happened = fleet.happened()
    assert len(happened) > 0.85 * HOSTS * GUESTS
    wrong = {uuid: (told[uuid] - real, real - told[uuid]) for uuid, real in happened.items()}
    assert {uuid: both for uuid, both in wrong.items() if any(both)} == {}
    fields = Counter(change[1] for changes in happened.values() for change in changes)
    assert min(fields[name] for name in ("address", "bus", "model", "machine", "device")) > 10
    right = [
        uuid
        for uuid, real in happened.items()
        if _without_controllers(by_rules[uuid]) == _without_controllers(real)
    ]
    print(f"{len(happened)} guests, {sum(fields.values())} changes, {len(told) / took:.0f} /s")
    print(f"the rules are right of {len(right)} guests of {len(happened)}")
    assert len(right) / len(happened) > 0.99
    same = [uuid for uuid in fleet.on_old_rules if uuid in happened]
    kept = [uuid for uuid in same if unknown[uuid] == happened[uuid]]
    print(f"without the host's rules {len(kept)} guests of {len(same)} are told right")
    assert len(kept) / len(same) > 0.9


def _no_libvirt(*_: Any) -> Any:
    raise Unreachable("host scratch could not be reached: no QEMU driver")


def _without_controllers(found: Changes) -> Changes:
    return {change for change in found if change[0][0] not in ADDED}
