"""`device export` and `device import`: what the plan says, against the devices of two guests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from novadev.virt.address import Address
from tests.running_nova.forecast import addresses
from tests.running_nova.nova import Nova, Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]


def test_a_guest_gets_the_addresses_of_another(
    nova: Nova, make: Callable[..., Server], tmp_path: Path
) -> None:
    if nova.keeps:
        pytest.skip("the hosts of this cloud keep addresses: restore has nothing to do there")
    one, other = (make() for _ in range(2))
    for server in (one, other):
        server.wait_for_guest()
        server.attach_volume()
    one.attach_volume()
    one.detach_volume(one.volumes[0])
    nova.novadev("device", "record", one.uuid, other.uuid)
    before, wanted = addresses(other), addresses(one)
    plans = [plan_import(one, other, tmp_path / form, form) for form in ("--ovf", "--json")]
    assert plans[0]["changes"] == plans[1]["changes"]
    told = moves(plans[1])
    assert told
    assert {label: was for label, (was, _) in told.items()} == {name: before[name] for name in told}
    expected = before | {label: will for label, (_, will) in told.items()}
    assert sorted(expected.values()) == sorted(wanted.values())
    done = nova.write("device", "import", str(tmp_path / "--json"), "--instance", other.uuid)
    assert done["plans"][0]["changes"] == plans[1]["changes"]
    assert addresses(other) == before, "only the record has changed"
    nova.write("device", "restore", other.uuid)
    other.reboot("SOFT")
    assert addresses(other) == expected
    assert other.guest.pci() == one.guest.pci()
    assert nova.novadev("device", "drift", other.uuid, "-f", "json").json == []


def plan_import(one: Server, other: Server, file: Path, form: str) -> Any:
    """What an import of a guest's addresses would change in the record of another."""
    nova = one.nova
    nova.novadev("device", "export", form, one.uuid, "-o", str(file))
    words = ("device", "import", str(file), "--instance", other.uuid, "--dry-run", "-f", "json")
    (plan,) = nova.novadev(*words).json["plans"]
    return plan


def moves(plan: Any) -> dict[str, tuple[str, str]]:
    """Where each device is and will be by a plan, by its label."""
    return {
        item["what"].removesuffix(" address"): (place(item["before"]), place(item["after"]))
        for item in plan["changes"]
    }


def place(text: str) -> str:
    """An address of the record as `device show` has it."""
    address = Address.from_ovirt(text)
    assert address
    return address.text
