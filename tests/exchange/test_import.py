"""`device export` and `device import`: addresses go from one instance's record to another's."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from novadev.records.baseline import RecordedInstance
from novadev.records.device import VmDevice, VmDynamic, hash_of
from novadev.records.file_contents import ExportedInstance
from novadev.records.import_ import plan_recorded
from novadev.records.ovf import reader
from novadev.records.store import Overtaken
from novadev.state.tables import plans
from tests.cloud import Cloud
from tests.command import novadev
from tests.exchange.recorded import (
    OTHER_VM,
    VM,
    an_id,
    controller,
    device,
    disk,
    dynamic,
    export,
    guest,
    import_,
    nic,
    pci,
    record,
    recorded,
    records,
    rows,
    two_guests,
)
from tests.state.places import journal_on_mariadb


def addresses(cloud: Cloud, vm: str) -> list[str]:
    """The addresses of a guest's devices, in the order of their labels."""
    found = recorded(cloud, vm)
    return [found[label].address for label in sorted(found)]


def carry(cloud: Cloud, file: str, form: str) -> None:
    """Carry the addresses of web-1 to web-2."""
    export(cloud, form, "web-1", "-o", file)
    import_(cloud, file, "--instance", "web-2")


def one(cloud: Cloud, devices: Iterable[VmDevice], vm: str = VM, name: str = "web-1") -> str:
    """An instance with these recorded devices."""
    cloud.add_instance(uuid=vm, name=name)
    return record(cloud, devices)


def plan(cloud: Cloud, *arguments: str, code: int = 0) -> Any:
    result = novadev(cloud, "device", "import", "--dry-run", "-f", "json", *arguments)
    assert result.code == code, result.err
    return result.json


@pytest.mark.parametrize("form", ["--json", "--ovf"])
def test_addresses_are_carried_to_another_instance(
    sqlite_cloud: Cloud, tmp_path: Path, form: str
) -> None:
    vm, other = two_guests(sqlite_cloud)
    before = recorded(sqlite_cloud, other)
    assert addresses(sqlite_cloud, vm) != addresses(sqlite_cloud, other)
    carry(sqlite_cloud, str(tmp_path / "file"), form)
    assert addresses(sqlite_cloud, vm) == addresses(sqlite_cloud, other)
    after = recorded(sqlite_cloud, other)
    kept = [[replace(item, address="") for item in found.values()] for found in (before, after)]
    assert kept[0] == kept[1], "nothing but addresses changes"
    found = dynamic(sqlite_cloud, other)
    assert (found.hash, found.fingerprint, found.host) == (hash_of(after.values()), "", "cmp1")


def test_a_state_database_on_mariadb(mariadb_cloud: Cloud, tmp_path: Path) -> None:
    with journal_on_mariadb(mariadb_cloud):
        vm, other = two_guests(mariadb_cloud)
        before = recorded(mariadb_cloud, other)
        carry(mariadb_cloud, str(tmp_path / "file"), "--ovf")
        assert addresses(mariadb_cloud, vm) == addresses(mariadb_cloud, other)
        undone = novadev(mariadb_cloud, "undo", "1", "--yes")
        assert undone.code == 0, undone.err
        assert recorded(mariadb_cloud, other) == before


@pytest.mark.parametrize("form", ["--json", "--ovf"])
def test_export_import_export_is_a_fixpoint(sqlite_cloud: Cloud, tmp_path: Path, form: str) -> None:
    two_guests(sqlite_cloud)
    first, second, third = (str(tmp_path / name) for name in ("first", "second", "third"))
    carry(sqlite_cloud, first, form)
    export(sqlite_cloud, form, "web-2", "-o", second)
    again = import_(sqlite_cloud, second)
    assert "Nothing to do" in again.err
    assert "Nothing to do" in import_(sqlite_cloud, second, "--instance", "web-1").err
    export(sqlite_cloud, form, "web-2", "-o", third)
    assert Path(second).read_bytes() == Path(third).read_bytes()


@pytest.mark.parametrize("form", ["--json", "--ovf"])
def test_an_import_brings_the_same_instance_back(
    sqlite_cloud: Cloud, tmp_path: Path, form: str
) -> None:
    """After a record that saw other addresses the file of before puts all of them back."""
    vm, _ = two_guests(sqlite_cloud)
    file, later = tmp_path / "before", tmp_path / "after"
    export(sqlite_cloud, form, "web-1", "-o", str(file))
    moved = [replace(item, device_id=item.device_id) for item in guest(VM, shift=9)]
    record(sqlite_cloud, moved)
    import_(sqlite_cloud, str(file))
    export(sqlite_cloud, form, vm, "-o", str(later))
    assert file.read_bytes() == later.read_bytes()


def test_undo_takes_an_import_back(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    _, other = two_guests(sqlite_cloud)
    before = recorded(sqlite_cloud, other)
    carry(sqlite_cloud, str(tmp_path / "file"), "--json")
    assert recorded(sqlite_cloud, other) != before
    undone = novadev(sqlite_cloud, "undo", "1", "--yes")
    assert undone.code == 0, undone.err
    assert recorded(sqlite_cloud, other) == before
    assert dynamic(sqlite_cloud, other).hash == hash_of(before.values())


def test_an_undo_and_its_undo_take_back_what_a_stopped_import_wrote(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    """What is recorded by another stays as it is, and that is said; the import is there in part."""
    _, other = two_guests(sqlite_cloud)
    carry(sqlite_cloud, str(tmp_path / "file"), "--json")
    set_states(sqlite_cloud, {1: "started"})
    assert novadev(sqlite_cloud, "undo", "1", "--yes").code == 0
    was = recorded(sqlite_cloud, other)
    record(sqlite_cloud, [replace(was.pop("disk vda"), address=pci(30)), *was.values()])
    set_states(sqlite_cloud, {2: "started"})
    told = f"instance {other}: disk vda address is recorded as {pci(30)}; this part is left as it"
    dry = novadev(sqlite_cloud, "undo", "2", "--dry-run", "-f", "json")
    redone = novadev(sqlite_cloud, "undo", "2", "--yes", "-f", "json")
    assert (redone.code, recorded(sqlite_cloud, other)["disk vda"].address) == (0, pci(30))
    for (found,) in (dry.json["plans"], redone.json["plans"]):
        left = [item["what"] for item in found["changes"] if "left" in item]
        assert left == ["disk vda address"]
    assert redone.json["plans"][0]["error"].startswith(told)
    history = novadev(sqlite_cloud, "history", "-f", "json").json
    assert [run["state"] for run in history] == ["applied", "undone", "partial"]


def set_states(cloud: Cloud, states: Mapping[int, str]) -> None:
    """Give all plans of runs other states, as if they had been stopped on the way."""
    engine = sa.create_engine(f"sqlite:///{cloud.folder}/state.sqlite")
    with engine.begin() as connection:
        for run, state in states.items():
            change = sa.update(plans).where(plans.c.run_id == run).values(state=state)
            connection.execute(change)
    engine.dispose()


def test_every_state_stays_in_the_history(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    _, other = two_guests(sqlite_cloud)
    was = recorded(sqlite_cloud, other)["disk vda"]
    carry(sqlite_cloud, str(tmp_path / "file"), "--json")
    with records(sqlite_cloud) as vm_devices:
        versions = list(vm_devices.iter_versions(other, was.device_id))
    assert [version.device.address for version in versions if version.device] == [pci(10), pci(5)]


def test_a_dry_run_shows_the_plan_and_writes_nothing(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    _, other = two_guests(sqlite_cloud)
    file = str(tmp_path / "file")
    export(sqlite_cloud, "web-1", "-o", file)
    before = rows(sqlite_cloud)
    document = plan(sqlite_cloud, file, "--instance", "web-2")
    (found,) = document["plans"]
    assert found["instance"] == other
    changes = {item["what"]: (item["before"], item["after"]) for item in found["changes"]}
    assert changes["disk vda address"] == (pci(10), pci(5))
    assert len(changes) == 6
    assert "Only the record changes" in found["note"]
    assert "Matched only by their order: interface tap0b1, interface tap0b22" in found["note"]
    assert rows(sqlite_cloud) == before


def test_a_saved_plan_is_applied(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    vm, other = two_guests(sqlite_cloud)
    file, saved = str(tmp_path / "file"), str(tmp_path / "plan")
    export(sqlite_cloud, "web-1", "-o", file)
    import_(sqlite_cloud, file, "--instance", "web-2", "--plan-out", saved)
    assert addresses(sqlite_cloud, vm) != addresses(sqlite_cloud, other)
    assert novadev(sqlite_cloud, "apply", saved, "--yes").code == 0
    assert addresses(sqlite_cloud, vm) == addresses(sqlite_cloud, other)


@pytest.mark.parametrize("what", ["moved", "unplugged", "taken"])
def test_what_was_recorded_since_makes_a_plan_stale(
    sqlite_cloud: Cloud, tmp_path: Path, what: str
) -> None:
    _, other = two_guests(sqlite_cloud)
    file, saved = str(tmp_path / "file"), str(tmp_path / "plan")
    export(sqlite_cloud, "web-1", "-o", file)
    import_(sqlite_cloud, file, "--instance", "web-2", "--plan-out", saved)
    now = guest(OTHER_VM, shift=5)
    if what == "moved":
        now[0] = replace(now[0], address=pci(0x15))
    elif what == "unplugged":
        del now[0]
    else:
        now.append(disk("vdc", pci(5), vm=OTHER_VM))
    record(sqlite_cloud, now)
    before = recorded(sqlite_cloud, other)
    result = novadev(sqlite_cloud, "apply", saved, "--yes")
    assert result.code == 7
    told = "disk vda" if what != "taken" else "both at 0000:00:05.0"
    assert told in result.err
    assert recorded(sqlite_cloud, other) == before


def test_a_plan_is_stale_when_nothing_is_recorded_any_more(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    two_guests(sqlite_cloud)
    file, saved = str(tmp_path / "file"), str(tmp_path / "plan")
    export(sqlite_cloud, "web-1", "-o", file)
    import_(sqlite_cloud, file, "--instance", "web-2", "--plan-out", saved)
    (sqlite_cloud.folder / "state.sqlite").unlink()
    result = novadev(sqlite_cloud, "apply", saved, "--yes")
    assert result.code == 7
    assert "has no record any more" in result.err


def test_a_stopped_run_is_resumed(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """A plan that was written but not marked is found done, and the rest is done."""
    from novadev.records.import_ import apply, plan_import

    _, other = two_guests(sqlite_cloud)
    file = str(tmp_path / "file")
    export(sqlite_cloud, "web-1", "-o", file)
    from novadev import config
    from novadev.deployment import Deployment

    with Deployment(config.load((str(sqlite_cloud.config_file),), ())) as deployment:
        plans = list(plan_import(deployment, file, "web-2"))
        assert [item.state for item in apply(deployment, plans, False, lambda: None)] == ["applied"]
        after = recorded(sqlite_cloud, other)
        assert [item.state for item in apply(deployment, plans, True, lambda: None)] == ["applied"]
        assert recorded(sqlite_cloud, other) == after
        assert [item.state for item in apply(deployment, plans, False, lambda: None)] == ["stale"]


def test_several_instances_go_in_one_file_of_json(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    two_guests(sqlite_cloud)
    file = tmp_path / "file"
    export(sqlite_cloud, "web-1", "web-2", VM, "-o", str(file))
    assert [item["name"] for item in json.loads(file.read_text())["instances"]] == [
        "web-1",
        "web-2",
    ]
    record(sqlite_cloud, guest(VM, shift=12))
    record(sqlite_cloud, guest(OTHER_VM, shift=13))
    result = import_(sqlite_cloud, str(file))
    assert "2 applied" in result.err
    assert recorded(sqlite_cloud, VM)["disk vda"].address == pci(5)
    assert recorded(sqlite_cloud, OTHER_VM)["disk vda"].address == pci(10)


def test_custom_properties_come_along(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    one(sqlite_cloud, [disk("vda", pci(5), custom_properties="queues=4;")])
    one(sqlite_cloud, [disk("vda", pci(5), vm=OTHER_VM)], OTHER_VM, "web-2")
    carry(sqlite_cloud, str(tmp_path / "file"), "--ovf")
    assert recorded(sqlite_cloud, OTHER_VM)["disk vda"].custom_properties == "queues=4;"
    assert "Nothing to do" in import_(sqlite_cloud, str(tmp_path / "file")).err


def test_without_databases_an_instance_is_its_uuid(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    from tests.device.bed import ConfigFile

    vm, other = two_guests(sqlite_cloud)
    alone = tmp_path / "host.conf"
    state = f"sqlite:///{sqlite_cloud.folder}/state.sqlite"
    alone.write_text(f"[novadev]\nstate_connection = {state}\n")
    host, file = ConfigFile(alone), str(tmp_path / "file")
    export(host, vm, "-o", file)  # type: ignore[arg-type]
    import_(host, file, "--instance", other)  # type: ignore[arg-type]
    assert addresses(sqlite_cloud, vm) == addresses(sqlite_cloud, other)
    named = export(host, "web-1", code=4)  # type: ignore[arg-type]
    assert "give the UUID of the instance" in named.err


def test_a_named_instance_that_is_not_recorded_is_told_with_the_remedy(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    two_guests(sqlite_cloud)
    bare = sqlite_cloud.add_instance(name="bare")
    file = str(tmp_path / "file")
    assert f"novadev device record {bare}" in export(sqlite_cloud, "bare", code=3).err
    export(sqlite_cloud, "web-1", "-o", file)
    assert (
        f"novadev device record {bare}"
        in import_(sqlite_cloud, file, "--instance", "bare", code=3).err
    )
    assert "not found" in import_(sqlite_cloud, file, "--instance", "nobody", code=2).err
    assert "not found" in export(sqlite_cloud, "web-1", "nobody", code=2).err


def test_a_file_is_its_owners_alone_and_only_a_plain_one_is_replaced(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    two_guests(sqlite_cloud)
    file = tmp_path / "file"
    file.write_text("older")
    shown = export(sqlite_cloud, "web-1").out
    export(sqlite_cloud, "web-1", "-o", str(file))
    assert file.read_text() == shown == export(sqlite_cloud, "web-1", "-o", "-").out
    assert file.stat().st_mode & 0o777 == 0o600
    link = tmp_path / "link"
    link.symlink_to(file)
    for name in (str(link), str(tmp_path), str(tmp_path / "none" / "file"), "a\0b"):
        assert "file" in export(sqlite_cloud, "web-1", "-o", name, code=4).err
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["file", "link"]


def test_an_ovf_has_one_instance(sqlite_cloud: Cloud) -> None:
    two_guests(sqlite_cloud)
    assert "--json" in export(sqlite_cloud, "--ovf", "web-1", "web-2", code=4).err
    assert export(sqlite_cloud, "--ovf", "web-1", VM).out == export(sqlite_cloud, "--ovf", VM).out


@pytest.mark.parametrize("name", ["engine", "minimal", "ova"])
def test_what_has_no_address_in_the_file_keeps_the_one_it_has(name: str) -> None:
    """An engine's OVF has no item for a LUN, and no address for a device that never ran."""
    path = Path(__file__).parent.parent / "samples" / "ovf" / f"{name}.ovf"
    found = reader.loads(path.read_text(), name)
    exported = [replace(item, is_plugged=True, vm_id=VM) for item in found.devices]
    bare = [item for item in exported if not item.address and item.type in ("disk", "interface")]
    assert bare or name == "ova"
    places = iter(range(1, 32))
    mine = [
        item if item.address else replace(item, address=pci(next(places), bus=9))
        for item in exported
    ]
    target = RecordedInstance(VM, "web-1", "", VmDynamic(VM, "", "", "cmp1"), tuple(mine))
    same = plan_recorded(ExportedInstance(VM, "web-1", "", tuple(exported)), target)
    assert same.changes == ()
    others = [replace(item, vm_id=OTHER_VM, device_id=an_id(item.device_id)) for item in mine]
    elsewhere = RecordedInstance(OTHER_VM, "web-2", "", target.dynamic, tuple(others))
    assert plan_recorded(ExportedInstance(VM, "", "", tuple(exported)), elsewhere).changes == ()


def test_a_usb_address_without_a_port_is_carried(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """libvirt names the bus alone where it has not chosen a port yet; two may have it."""
    labels = ("input tablet usb", "input mouse usb")
    here = [device(label, "input", label.split()[1], "{type=usb, bus=0}") for label in labels]
    one(sqlite_cloud, here)
    file = str(tmp_path / "file")
    export(sqlite_cloud, "--json", "web-1", "-o", file)
    assert plan(sqlite_cloud, file)["result"] == "nothing"


def test_spare_controllers_may_be_on_one_side(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    """Root ports that one of two guests has more of carry nothing."""

    def ports(vm: str, count: int) -> list[VmDevice]:
        model = {"model": "pcie-root-port"}
        root = [controller("pci", 0, vm=vm, spec_params={"model": "pcie-root"})]
        numbered = range(1, count + 1)
        return root + [
            controller("pci", number, pci(2, function=number - 1), vm=vm, spec_params=model)
            for number in numbered
        ]

    one(sqlite_cloud, [*ports(VM, 3), nic("tapa", pci(0, bus=1))])
    mine = [*ports(OTHER_VM, 5), nic("tapbb", pci(0, bus=4), vm=OTHER_VM)]
    one(sqlite_cloud, mine, OTHER_VM, "web-2")
    carry(sqlite_cloud, str(tmp_path / "file"), "--json")
    found = recorded(sqlite_cloud, OTHER_VM)
    assert found["interface tapbb"].address == pci(0, bus=1)
    assert found["controller pci 5"].address == pci(2, function=4)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ({"alias": f"ua-{an_id('x')}"}, {"alias": f"ua-{an_id('x')}"}),
        (
            {"spec_params": {"mac": "52:54:00:AA:00:01"}},
            {"spec_params": {"mac": "52:54:00:aa:00:01"}},
        ),
    ],
    ids=["alias", "mac"],
)
def test_what_names_a_device_is_surer_than_its_order(
    sqlite_cloud: Cloud, tmp_path: Path, mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    one(sqlite_cloud, [nic("tapa", pci(4)), nic("tapbb", pci(9), **mine)])
    others = [nic("tapccc", pci(5), vm=OTHER_VM, **theirs), nic("tapdddd", pci(6), vm=OTHER_VM)]
    one(sqlite_cloud, others, OTHER_VM, "web-2")
    carry(sqlite_cloud, str(tmp_path / "file"), "--json")
    found = recorded(sqlite_cloud, OTHER_VM)
    assert found["interface tapccc"].address == pci(9)
    assert found["interface tapdddd"].address == pci(4)


def test_devices_of_a_kind_are_told_by_the_order_of_their_addresses(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    taps = ["tapa", "tapbb", "tapccc"]
    one(
        sqlite_cloud, [nic(tap, pci(slot)) for tap, slot in zip(taps, (0x12, 9, 0x0A), strict=True)]
    )
    others = [nic(tap, pci(slot), vm=OTHER_VM) for tap, slot in zip(taps, (3, 5, 4), strict=True)]
    one(
        sqlite_cloud,
        [replace(item, spec_params={"model": "virtio"}) for item in others],
        OTHER_VM,
        "web-2",
    )
    carry(sqlite_cloud, str(tmp_path / "file"), "--json")
    found = recorded(sqlite_cloud, OTHER_VM)
    assert [found[f"interface {tap}"].address for tap in taps] == [pci(9), pci(0x12), pci(0x0A)]


def test_an_undo_is_not_written_over_by_who_looked_before(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    """A record that looked at the guest before the undo, or before the import, looks again."""
    _, other = two_guests(sqlite_cloud)
    before = recorded(sqlite_cloud, other)
    seen = {VmDynamic(other, "h", "f" * 64, "cmp1"): guest(other, shift=9)}
    with records(sqlite_cloud) as vm_devices:
        for change in ("import", "undo"):
            looked = vm_devices.list_newest([other])
            if change == "import":
                carry(sqlite_cloud, str(tmp_path / "file"), "--json")
            else:
                undone = novadev(sqlite_cloud, "undo", "1", "--yes")
                assert undone.code == 0, undone.err
            written = recorded(sqlite_cloud, other)
            with pytest.raises(Overtaken):
                vm_devices.write(seen, newest=looked)
            assert recorded(sqlite_cloud, other) == written
        assert recorded(sqlite_cloud, other) == before
        vm_devices.write(seen, newest=vm_devices.list_newest([other]))
    assert recorded(sqlite_cloud, other)["disk vda"].address == pci(14)


def test_an_undo_after_a_record_takes_back_nothing_that_was_found_since(
    sqlite_cloud: Cloud, tmp_path: Path
) -> None:
    """Planned before the record or after it: what the record has found stays, and is told."""
    _, other = two_guests(sqlite_cloud)
    carry(sqlite_cloud, str(tmp_path / "file"), "--json")
    saved = str(tmp_path / "plan")
    assert novadev(sqlite_cloud, "undo", "1", "--plan-out", saved).code == 0
    record(sqlite_cloud, guest(other, shift=9))
    found = recorded(sqlite_cloud, other)
    for command in (("apply", saved), ("undo", "1")):
        result = novadev(sqlite_cloud, *command, "--yes")
        assert result.code == 7, result.err
        assert "is no longer" in result.out + result.err
        assert recorded(sqlite_cloud, other) == found
