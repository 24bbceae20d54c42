"""stash-defaults beside real guests: what they have goes before what the rules say."""

from dataclasses import replace
from typing import Any

import pytest

from novadev.capabilities.content import Versions
from novadev.config import DriverOptions
from novadev.virt.capabilities import MachineType
from novadev.virt.domain import Domain
from tests import domains
from tests.capabilities.samples import SAMPLE, saved
from tests.cloud import Cloud
from tests.command import novadev
from tests.device.bed import reach
from tests.hypervisor import Hypervisor
from tests.stash_defaults.stashing import KVM, Stash, changes, none_with, notes

pytestmark = pytest.mark.slow

TABLET = "<input type='tablet' bus='usb'/>"
CIRRUS = "<video><model type='cirrus'/></video>"
VGA = "<video><model type='vga'/></video>"
RNG = "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"
EARLIER = replace(SAMPLE.versions, qemu="6.1.0")
FLOPPY = domains.disk("fda", "fdc", device="floppy")


class Site(Stash):
    """A cloud with one real host."""

    def __init__(self, cloud: Cloud, host: Hypervisor, **rules: str) -> None:
        super().__init__(cloud, **rules)
        self.host = host
        reach(cloud, [host])

    def guest(
        self, *devices: str, running: bool = False, machine: str = "pc", **wanted: Any
    ) -> str:
        """Define a guest with a disk on virtio and these devices, and write its instance."""
        uuid = self.add(**{"vm_state": "active" if running else "stopped", **wanted})
        disks = [domains.disk("vda")]
        self.host.define(domains.domain(uuid, machine=machine, disks=disks, devices=devices))
        if running:
            self.host.start(uuid)
        return uuid

    def machine(self, uuid: str) -> str:
        """The machine type that libvirt made of the alias."""
        text = self.host.connection.lookupByUUIDString(uuid).XMLDesc(0)
        os_type = Domain.from_xml(text).root.find("os/type")
        assert os_type is not None
        return os_type.get("machine", "")

    def save_capabilities(self, versions: Versions = SAMPLE.versions, **machine_types: str) -> None:
        """Keep a capability file of the host, with these machine types and Nova's defaults."""
        known = {name: MachineType(canonical) for name, canonical in machine_types.items()}
        types = {"x86_64": {name.replace("_", "-"): item for name, item in known.items()}}
        given = {"machine_types": types, "driver": DriverOptions(), "versions": versions}
        saved(self.hosts, "cmp1.json", **given)


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site(sqlite_cloud, hypervisor, cmp1=KVM)


@pytest.mark.parametrize("running", [False, True])
def test_a_guest_with_cirrus_is_recorded_so_whatever_the_rule_says(
    site: Site, running: bool
) -> None:
    uuid = site.guest(CIRRUS, TABLET, running=running)
    result = site.run(uuid)
    (plan,) = result.json["plans"]
    remark = "hw_video_model: the guest has cirrus; without this, a power-on brings virtio, "
    assert f"{remark}by the driver's choice" in notes(plan)
    assert site.stored(uuid)["hw_video_model"] == "cirrus"
    assert site.cloud.spec_properties(uuid) == site.stored(uuid)
    assert site.cloud.actions(uuid) == []
    assert site.run(uuid).json["result"] == "nothing"
    site.undo()
    assert site.stored(uuid) == {}


def test_sources_are_told_apart(site: Site) -> None:
    uuid = site.guest(TABLET, VGA, os_distro="win10")
    plan = site.plan(uuid)
    domain, osinfo, driver = (note for note in notes(plan) if note.startswith("from "))
    names = "hw_machine_type, hw_disk_bus, hw_pointer_model, hw_video_model"
    assert domain == f"from its persistent definition: {names}"
    assert osinfo == f"from libosinfo ({site.hosts}/cmp1.conf): hw_vif_model"
    assert driver == f"from the driver's rules ({site.hosts}/cmp1.conf): hw_cdrom_bus"


def test_a_transient_guest_has_a_live_definition_only(site: Site) -> None:
    uuid = site.guest(VGA, running=True)
    site.host.connection.lookupByUUIDString(uuid).undefine()
    assert notes(site.plan(uuid))[0].startswith("from its live definition: ")


def test_the_definition_alone(site: Site) -> None:
    uuid = site.guest(VGA, TABLET)
    found = changes(site.plan(uuid, "--source", "domain"))
    assert set(found) == {"hw_machine_type", "hw_disk_bus", "hw_pointer_model", "hw_video_model"}
    assert found["hw_machine_type"] == site.machine(uuid)


def test_the_definition_alone_needs_no_rules(site: Site) -> None:
    uuid = site.guest(VGA, TABLET)
    file = site.hosts / "cmp1.json"
    file.write_text("{}")
    plan = site.plan(uuid, "--source", "domain")
    assert changes(plan)["hw_video_model"] == "vga"
    told = f"{file} is not a capability file written by novadev"
    assert notes(plan)[-1] == f"without the rules of its host: {told}"
    assert site.reasons(uuid, code=4) == [told]


def test_a_disagreement_of_many_guests_is_told_once(site: Site) -> None:
    uuids = [site.guest(VGA, hw_video_model="virtio") for _ in range(3)]
    told = "hw_video_model is stored as virtio, but the guest has vga"
    result = site.run("--all", "--dry-run")
    lines = [line for line in result.err.splitlines() if told in line]
    name = site.cloud.instance(uuids[0])["display_name"]
    assert lines == [
        f"planned in part: 3 servers ({', '.join([name] * 3)}): {told}",
    ]
    kept = [skip for skip in result.json["skipped"] if told in skip["reason"]]
    assert [skip["instance"] for skip in kept] == uuids


def test_the_rules_alone(site: Site) -> None:
    plan = site.plan(site.guest(CIRRUS), "--source", "driver")
    assert changes(plan)["hw_video_model"] == "virtio"
    assert none_with("definition", notes(plan))


def test_a_guest_that_cannot_be_seen_is_not_guessed_at(site: Site) -> None:
    """One whose host is down, and the one beside it whose definition is read all the same."""
    unseen, seen = site.add(host="cmp9"), site.guest(CIRRUS, TABLET)
    site.know("cmp9")
    for source in ("auto", "domain"):
        result = site.run("--all", "--source", source, "--dry-run", code=8)
        assert "host cmp9 could not be reached" in result.err
        (plan,) = result.json["plans"]
        assert (plan["instance"], changes(plan)["hw_video_model"]) == (seen, "cirrus")
    site.run("--all", code=8)
    assert (site.stored(unseen), site.cloud.spec_properties(unseen)) == ({}, {})
    assert "(--source driver " in site.run(unseen, code=8).err
    assert changes(site.plan(unseen, "--source", "driver"))["hw_video_model"] == "virtio"


def test_a_guest_that_is_not_on_its_host(site: Site) -> None:
    uuid = site.add()
    for source in ("auto", "domain"):
        site.run(uuid, "--source", source, code=2)
        site.run("--all", "--source", source)
    assert site.stored(uuid) == {}


def test_a_null_where_the_guest_has_the_device_after_all(site: Site) -> None:
    nulls = dict.fromkeys(("hw_video_model", "hw_pointer_model", "hw_vif_model", "hw_cdrom_bus"))
    uuid = site.guest(VGA, TABLET, **nulls)
    site.run(uuid)
    found = site.stored(uuid)
    assert (found["hw_video_model"], found["hw_pointer_model"]) == ("vga", "usbtablet")
    assert (found["hw_vif_model"], found["hw_cdrom_bus"]) == (None, None)
    assert site.cloud.spec_properties(uuid) == {k: v for k, v in found.items() if v is not None}
    site.undo()
    assert site.stored(uuid) == nulls


def test_a_stored_value_the_guest_does_not_have_is_reported_and_left(site: Site) -> None:
    uuid = site.guest(VGA, hw_video_model="virtio")
    reason = "hw_video_model is stored as virtio, but the guest has vga"
    assert reason in site.reasons(uuid)
    assert reason in site.run(uuid).err
    assert site.stored(uuid)["hw_video_model"] == "virtio"
    assert reason in site.reasons(uuid)


def test_libvirt_s_own_scsi_controller_is_recorded(site: Site) -> None:
    uuid = site.add()
    site.host.define(domains.domain(uuid, disks=[domains.disk("sda", "scsi")]))
    site.run(uuid)
    assert site.stored(uuid)["hw_scsi_model"] == "lsilogic"
    assert site.cloud.spec_properties(uuid)["hw_scsi_model"] == "lsilogic"


def test_what_is_recorded_only_when_it_is_named(site: Site) -> None:
    uuid = site.guest(RNG, FLOPPY)
    assert not {"hw_rng_model", "hw_floppy_bus"} & set(changes(site.plan(uuid)))
    named = ("--property", "hw_rng_model", "--property", "hw_floppy_bus")
    assert changes(site.plan(uuid, *named)) == {"hw_rng_model": "virtio", "hw_floppy_bus": "fdc"}
    without = site.run(site.guest(), *named)
    assert (without.json["result"], without.json["plans"]) == ("nothing", [])


def test_a_keyboard_on_usb_is_recorded(site: Site) -> None:
    uuid = site.guest(TABLET, "<input type='keyboard' bus='usb'/>")
    assert changes(site.plan(uuid))["hw_input_bus"] == "usb"


# Machine types


def test_the_alias_is_recorded_where_it_stands_for_what_the_guest_has(site: Site) -> None:
    uuid = site.guest()
    canonical = site.machine(uuid)
    site.save_capabilities(pc=canonical)
    plan = site.plan(uuid)
    assert changes(plan)["hw_machine_type"] == "pc"
    assert f"hw_machine_type: pc stands for {canonical}" in notes(plan)


def test_the_canonical_type_is_recorded_where_the_alias_is_another(site: Site) -> None:
    uuid = site.guest()
    canonical = site.machine(uuid)
    site.save_capabilities(pc="pc-i440fx-99.0")
    plan = site.plan(uuid)
    assert changes(plan)["hw_machine_type"] == canonical
    remark = f"the guest has {canonical}, the rule gives pc (pc-i440fx-99.0)"
    assert f"hw_machine_type: {remark}" in notes(plan)


def test_an_alias_in_a_file_of_an_earlier_qemu_is_not_believed(site: Site) -> None:
    """It may stand for another machine type by now: with it the guest would change after all."""
    uuid, other = site.guest(), site.guest(hw_machine_type="pc")
    canonical = site.machine(uuid)
    site.save_capabilities(pc=canonical, versions=EARLIER)
    plan = site.plan(uuid)
    assert changes(plan)["hw_machine_type"] == canonical
    told = f"cmp1.json are from QEMU {EARLIER.qemu}, but cmp1 has "
    assert any(told in note for note in notes(plan))
    forecast = novadev(site.cloud, "device", "forecast", other)
    assert f"its capability file is from QEMU {EARLIER.qemu}" in forecast.err
    audit = novadev(site.cloud, "audit", "--check", "definition", other, "-f", "json")
    (found,) = audit.json
    assert f"whether pc still stands for {canonical}" in found["details"]
    assert told in found["details"]


@pytest.mark.parametrize(
    ("stored", "agrees"), [("pc", True), ("canonical", True), ("q35", False), ("other", False)]
)
def test_a_stored_machine_type_beside_the_guest_s(site: Site, stored: str, agrees: bool) -> None:
    uuid = site.add()
    site.host.define(domains.domain(uuid, disks=[domains.disk("vda")]))
    canonical = site.machine(uuid)
    site.save_capabilities(pc=canonical)
    value = {"canonical": canonical, "other": "pc-i440fx-2.11"}.get(stored, stored)
    row = {"key": "image_hw_machine_type", "value": value, "deleted": 0}
    site.cloud.insert("instance_system_metadata", "cell1", instance_uuid=uuid, **row)
    told = f"hw_machine_type is stored as {value}, but the guest has {canonical}"
    assert (told not in site.reasons(uuid)) == agrees


def test_with_capabilities_that_were_saved_from_the_host(site: Site) -> None:
    (site.hosts / "cmp1.conf").unlink()
    uuid = site.guest(VGA, TABLET)
    file = site.hosts / "cmp1.json"
    assert novadev(site.cloud, "capabilities", "save", "--host", "cmp1", "-o", str(file)).code == 0
    plan = site.plan(uuid)
    assert changes(plan)["hw_machine_type"] == "pc"
    assert any(f"(capability file {file}" in note for note in notes(plan))


def test_a_guest_without_a_tablet_is_not_given_one(site: Site) -> None:
    """Nor the keyboard that comes with a stored hw_input_bus."""
    uuid = site.guest(VGA)
    assert not {"hw_input_bus", "hw_pointer_model"} & set(changes(site.plan(uuid)))
    tablet, keyboard = sorted(site.reasons(uuid), reverse=True)
    assert tablet.startswith(
        "hw_pointer_model: not recorded: the guest has no tablet, and storing it would "
    )
    assert keyboard.startswith("hw_input_bus: not recorded: storing it would add a keyboard")
    named = ("--property", "hw_pointer_model")
    assert changes(site.plan(uuid, *named)) == {"hw_pointer_model": "usbtablet"}


def test_the_rules_go_by_the_machine_type_the_guest_has(site: Site) -> None:
    """Q35 has no IDE: a cdrom on it would keep the guest from starting."""
    plan = site.plan(site.guest(VGA, TABLET, machine="q35"))
    assert changes(plan)["hw_cdrom_bus"] == "sata"


def test_a_request_spec_that_disagrees_with_the_guest_is_reported(site: Site) -> None:
    uuid = site.guest(VGA, TABLET, hw_video_model="vga", spec_properties={"hw_video_model": "qxl"})
    told = "hw_video_model is stored as qxl in the request spec, but the guest has vga"
    assert told in site.reasons(uuid)


def test_rules_that_fail_beside_a_definition_that_tells(site: Site) -> None:
    """What the guest has is recorded all the same; of the rest the reason is said."""
    uuid = site.guest(VGA, TABLET, hw_cpu_policy="some")
    result = site.run(uuid, "--dry-run", code=3)
    (plan,) = result.json["plans"]
    assert set(changes(plan)) >= {"hw_machine_type", "hw_disk_bus", "hw_video_model"}
    reason = "its definition has no such device, and Nova's rules fail for it"
    assert f"hw_cdrom_bus, hw_vif_model: {reason}" in site.reasons(uuid, code=3)


@pytest.fixture
def unset(site: Site) -> tuple[str, str]:
    """A guest with cirrus, whose stored cirrus a run has taken out, and that run."""
    uuid = site.guest(CIRRUS, hw_video_model="cirrus")
    line = ("image-property", "unset", "--property", "hw_video_model", uuid)
    return uuid, str(novadev(site.cloud, *line, "--yes", "-f", "json").json["run"])


def test_what_an_operator_took_out_is_put_back_for_nobody_who_does_not_name_it(
    site: Site, unset: tuple[str, str]
) -> None:
    uuid, run = unset
    other = site.guest(CIRRUS)
    result = site.run("--all")
    assert site.stored(other)["hw_video_model"] == "cirrus"
    assert "hw_video_model" not in site.stored(uuid)
    assert "hw_video_model" not in site.cloud.spec_properties(uuid)
    assert (
        f"hw_video_model: not recorded: run {run} took cirrus out (--property hw_video_model "
        "stores it again)"
    ) in [item["reason"].removeprefix(f"instance {uuid}: ") for item in result.json["skipped"]]
    plan = site.plan(uuid, "--property", "hw_video_model")
    assert changes(plan) == {"hw_video_model": "cirrus"}
    assert f"hw_video_model: run {run} took cirrus out" in notes(plan)


def test_an_undone_record_can_be_made_again(site: Site) -> None:
    uuid = site.guest(CIRRUS)
    site.run(uuid)
    site.undo()
    site.run(uuid)
    assert site.stored(uuid)["hw_video_model"] == "cirrus"


def test_an_undone_record_leaves_what_was_taken_out_before(
    site: Site, unset: tuple[str, str]
) -> None:
    uuid, run = unset
    record = site.run(uuid, "--property", "hw_video_model").json["run"]
    site.undo(record)
    assert any(f"run {run} took cirrus out" in text for text in site.reasons(uuid, code=3))
