"""What may stand in records, in the state database and in a definition: Nova's text is defined."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from novadev.compute import driver_wrapper, keeper_client
from novadev.compute.keeper import Keeper
from novadev.compute.records import Records
from novadev.errors import NotAsNeeded
from novadev.keep.definition import Record, keep
from novadev.records.device import VmDynamic
from novadev.records.store import VmDevices
from novadev.state.store import open_state
from novadev.virt.domain import Domain
from tests.compute.test_keeper import DRIFTED, GENEROUS, NOVA, UUID, Log, Wrapped
from tests.keep.guests import essence, places_of, record_of
from tests.keep.test_definition import assert_apart
from tests.templates import ROOT, nova_environment, nova_program

HAND = {
    "no addresses": "UPDATE vm_device SET address = 'no address'",
    "other addresses": "UPDATE vm_device SET address = '{type=pci, slot=0x99, bus=zz}'",
    "one place": "UPDATE vm_device SET address = (SELECT MAX(address) FROM vm_device)",
    "no JSON": "UPDATE vm_device SET spec_params = '{no'",
    "another JSON": "UPDATE vm_device SET spec_params = '[1, {}]'",
    "odd values": """UPDATE vm_device SET spec_params = '{"model": {"a": 1}, "bus": null}'""",
    "no kinds": "UPDATE vm_device SET type = '', device = ''",
    "other kinds": "UPDATE vm_device SET type = 'controller', device = 'pci'",
    "odd controllers": "UPDATE vm_device SET label = 'controller pci 99999999999'",
    "odd aliases": "UPDATE vm_device SET alias = 'ua-<&\"'",
    "nothing plugged": "UPDATE vm_device SET is_plugged = 0",
    "an odd pin": "INSERT INTO vm_device_pin SELECT vm_id, device_id, '{x', seen FROM vm_device",
    "pins in one place": "INSERT INTO vm_device_pin SELECT vm_id, device_id, "
    "'{type=pci, slot=0x05, bus=0x00, domain=0x0000, function=0x0}', seen FROM vm_device",
    "another guest's": "UPDATE vm_device SET vm_id = 'another'",
    "a newer novadev": "UPDATE alembic_version SET version_num = '9999'",
    "no table": "DROP TABLE vm_device",
    "something else": "CREATE TABLE something (id INTEGER)",
}


@pytest.mark.parametrize("name", HAND)
def test_what_somebody_wrote_into_the_state_database(tmp_path: Path, name: str) -> None:
    url = f"sqlite:///{tmp_path / 'state.sqlite'}"
    database = open_state(url)
    rows = record_of(DRIFTED).devices
    VmDevices(database).write({VmDynamic(UUID, "hash", "fingerprint", "cmp1"): rows})
    with database.writing() as connection:
        connection.execute(sa.text(HAND[name]))
    database.close()
    config = tmp_path / "nova.conf"
    options = f"keep_addresses = on\nkeep_aliases = true\nstate_connection = {url}\n"
    config.write_text(f"[novadev]\n{options}")
    keeper = Keeper([str(config)], [])
    assert keeper.load()["mode"] == "on"
    answer = keeper.answer({"do": "keep", "uuid": UUID, "xml": NOVA, "again": True})
    assert answer is not None
    text = answer["text"] or NOVA
    assert essence(text) == essence(NOVA)
    assert_apart(text)
    assert answer["told"], "one line in the log says what was done"
    assert "Traceback" not in answer["told"][0]


def test_devices_that_are_gone_leave_the_others_where_they_are() -> None:
    root = Domain.from_xml(NOVA).root
    devices = root.find("devices")
    assert devices is not None
    for gone in devices.findall("interface")[:2]:
        devices.remove(gone)
    nova = Domain(root).text
    kept = keep(nova, record_of(DRIFTED))
    assert essence(kept.text) == essence(nova)
    before = places_of(DRIFTED)
    now = places_of(kept.text)
    assert len(now) > 5
    assert {key: before[key] for key in now if key in before} == {
        key: place for key, place in now.items() if key in before
    }


@pytest.mark.parametrize("number", [60, 1000])
def test_a_record_with_many_other_devices_changes_nothing(number: int) -> None:
    """Where there are too many the guest has Nova's own definition, and no other guest waits."""
    record = record_of(DRIFTED)
    card = next(row for row in record.devices if row.type == "interface")
    more = tuple(replace(card, device_id=f"more-{n}", label="x") for n in range(number))
    if number < 200:
        assert essence(keep(NOVA, Record((*record.devices, *more))).text) == essence(NOVA)
        return
    with pytest.raises(NotAsNeeded, match="more than 100 devices"):
        keep(NOVA, Record((*record.devices, *more)))


def test_a_guest_of_many_recorded_devices_is_not_read(tmp_path: Path) -> None:
    """To read them all would take the time in which other guests are answered."""
    url = f"sqlite:///{tmp_path / 'state.sqlite'}"
    card = next(row for row in record_of(DRIFTED).devices if row.type == "interface")
    many = [replace(card, device_id=f"more-{number}") for number in range(300)]
    VmDevices(open_state(url)).write({VmDynamic(UUID, "hash", "fingerprint", "cmp1"): many})
    records = Records(url, lambda uuid, error: None)
    with pytest.raises(NotAsNeeded, match="more than 100 devices are recorded"):
        records.get(UUID, None, again=True)
    assert records.get(UUID, DRIFTED, again=True).devices, "what it has just now counts"


@pytest.mark.slow
def test_a_definition_with_four_thousand_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with the limit, and the next guest has an answer."""
    channel = "<channel type='pty'><target type='virtio' name='c{}'/></channel>"
    more = "".join(channel.format(number) for number in range(4000))
    seen, nova = (text.replace("</devices>", f"{more}</devices>") for text in (DRIFTED, NOVA))
    config = tmp_path / "nova.conf"
    state = f"state_connection = sqlite:///{tmp_path / 'state.sqlite'}"
    config.write_text(f"[novadev]\nkeep_addresses = on\n{state}\n")
    wrapped = Wrapped(config)
    try:
        message = {"do": "seen", "uuid": UUID, "xml": seen}
        wrapped.keeper.ask(message, answers=False)
        began = time.monotonic()
        assert wrapped.wrapper.kept(nova, UUID, None) == nova
        assert time.monotonic() - began < 10 * keeper_client.LIMIT, (
            "the machine of a test may be busy"
        )
        monkeypatch.setattr(keeper_client, "LIMIT", GENEROUS)
        wrapped.see()
        assert wrapped.kept() != NOVA
    finally:
        wrapped.keeper.stop()


class Driver:
    """A driver with the functions that are wrapped."""

    def _get_guest_xml(
        self, context, instance, network_info, disk_info, image_meta, rescue=None
    ): ...

    def _hard_reboot(self, context, instance): ...

    def destroy(self, context, instance): ...

    def migrate_disk_and_power_off(self, context, instance): ...

    def power_off(self, instance): ...


class Host:
    """… and a host."""

    def write_instance_config(self, xml): ...


class Guest:
    """… and a guest."""

    def launch(self, pause=False): ...


@pytest.mark.parametrize(
    ("owner", "name", "other"),
    [
        (Driver, "_get_guest_xml", None),
        (Driver, "_get_guest_xml", lambda self, context, instance, rescue: ""),
        (Driver, "_get_guest_xml", lambda self, context, instance, network_info, disk_info: ""),
        (Driver, "_hard_reboot", lambda self, instance: ""),
        (Driver, "destroy", 7),
        (Host, "write_instance_config", lambda self, xml, more: ""),
        (Host, "write_instance_config", None),
        (Guest, "launch", lambda self, flags=0: ""),
        (Guest, "launch", None),
    ],
)
def test_another_nova_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, other: object
) -> None:
    if other is None:
        monkeypatch.delattr(owner, name)
    else:
        monkeypatch.setattr(owner, name, other)
    before = [dict(vars(one)) for one in (Driver, Host, Guest)]
    wrapper = driver_wrapper.Wrapper(None, Log(), lambda: "cmp7")  # type: ignore[arg-type]
    with pytest.raises(driver_wrapper.OtherShape, match=name):
        driver_wrapper.wrap(Driver, Host, Guest, wrapper)
    assert [dict(vars(one)) for one in (Driver, Host, Guest)] == before


@pytest.mark.slow
def test_a_nova_without_the_function_runs_and_says_so_once() -> None:
    """Nova 34 whose driver has lost it, up to the moment in which it would serve."""
    program = nova_program("34", "nova-compute")
    code = f"""
import runpy, sys
sys.argv[:] = ["x", {sys.executable!r}, {str(program)!r}]
import nova.cmd.compute
from nova.virt.libvirt import driver
del driver.LibvirtDriver._get_guest_xml
nova.cmd.compute.main = lambda: nova.cmd.compute.service.serve(None)
nova.cmd.compute.service.serve = lambda server: print("serves")
runpy.run_path({str(ROOT / "novadev/compute/nova_main.py")!r}, run_name="__main__")
"""
    result = subprocess.run(
        [nova_program("34", "python"), "-c", code],
        env=nova_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "serves\n"), result.stderr
    told = "nova-compute runs without novadev: this release of Nova has another _get_guest_xml"
    assert result.stderr.count(told) == 1
