"""As of a time: what was recorded until then, also where the database's clock was once wrong."""

from datetime import datetime
from pathlib import Path

import pytest

from novadev.records import rows
from novadev.records.device import AsOf, VmDevice, VmDynamic, hash_of
from novadev.records.store import VmDevices
from novadev.state.store import open_state

VM = "0a000000-0000-4000-8000-00000000000a"


def device(number: int, slot: int) -> VmDevice:
    address = f"{{type=pci, slot=0x{slot:02x}, bus=0x00, domain=0x0000, function=0x0}}"
    return VmDevice(f"{VM[:-1]}{number}", VM, "interface", "bridge", address=address)


def test_a_clock_that_was_ahead_for_one_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = VmDevices(open_state(f"sqlite:///{tmp_path}/state.sqlite"))
    layouts = {"10:00": (5, 6), "12:00": (6, 5), "10:30": (7, 5)}
    for clock, slots in layouts.items():
        now = datetime.fromisoformat(f"2026-11-30 {clock}")
        monkeypatch.setattr(rows, "now_of", lambda _, now=now: now)
        found = [device(number, slot) for number, slot in enumerate(slots)]
        store.write({VmDynamic(VM, hash_of(found), clock, "cmp1"): found})
    for clock, slots in {"10:15": (5, 6), "10:45": (7, 5)}.items():
        then = AsOf(time=datetime.fromisoformat(f"2026-11-30 {clock}"))
        recorded = store.list_devices_as_of([VM], then)[VM]
        assert recorded == tuple(device(number, slot) for number, slot in enumerate(slots)), clock
    before = AsOf(time=datetime.fromisoformat("2026-11-30 09:00"))
    assert store.list_devices_as_of([VM], before) == {}
