"""What restore leaves as it is, each with its reason, before libvirt is asked; and stale plans."""

import json
import time
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import libvirt
import pytest
from lxml import etree

from novadev.virt.address import Address
from tests import domains
from tests.cloud import Cloud
from tests.device.restoring import (
    OTHER_TAP,
    TAP,
    addresses,
    guest,
    move,
    moves,
    pci,
    place,
    plan,
    reason,
    record,
    rerecord,
    restore,
    rows,
    swap,
)
from tests.device.site import Site
from tests.hypervisor import Hypervisor
from tests.previewing import kept

pytestmark = pytest.mark.slow

CONFIG = libvirt.VIR_DOMAIN_AFFECT_CONFIG


@pytest.fixture
def site(sqlite_cloud: Cloud, hypervisor: Hypervisor) -> Site:
    return Site.of(sqlite_cloud, hypervisor)


@pytest.mark.parametrize(
    ("machine", "label", "address", "why"),
    [
        ("pc", "disk vda", "{type=pci, slot=0x01, bus=0x01}", "there is no PCI bus 1"),
        ("pc", "disk vda", "{type=pci, slot=0x00, bus=0x00}", "PCI bus 0 (pci-root) has no such"),
        ("pc", "disk vda", "{type=pci, slot=0x20, bus=0x00}", "PCI bus 0 (pci-root) has no such"),
        ("pc", "disk vda", "{slot=5, type=pci, domain=1}", "there is only PCI domain 0"),
        ("pc", "disk vda", "{type=pci, slot=0x01, function=0x4}", "the chipset has its own"),
        ("pc", "controller usb 0", "{type=pci, slot=0x1e}", "the chipset has its own"),
        ("pc", "disk sdb", "{type=drive, unit=6}", "sata controller 0 has no such unit"),
        ("pc", "disk sda", "{type=drive, controller=1}", "there is no scsi controller 1"),
        ("pc", "disk sda", "{bus=1}", "scsi controller 0 has no such unit"),
        ("pc", "channel b", "{type=virtio-serial, port=0}", "controller 0 has no such port"),
        ("pc", "channel b", "{type=virtio-serial, port=31}", "controller 0 has no such port"),
        ("pc", "input tablet usb", "{type=usb, bus=0, port=3}", "USB bus 0 has no such port"),
        ("pc", "input tablet usb", "{type=usb, bus=1, port=1}", "there is no usb controller 1"),
        ("pc", "input tablet usb", "{type=usb, bus=0, port=2.1}", "USB bus 0 has no such port"),
        (
            "pc",
            "disk vda",
            "{type=pci, slot=0x1e, function=0x1}",
            "function 0 of its slot would be empty",
        ),
        ("pc", "disk vda", "{type=pci, slot=mine}", "its recorded address cannot be read"),
        ("pc", "disk vda", "{type=pci, slot=1, x=y}", "its recorded address cannot be read"),
        ("pc", "disk vda", "nonsense=a=b", "its recorded address cannot be read"),
        ("q35", "disk vda", "{type=pci, bus=0x03, slot=0x01}", "(pcie-root-port) has no such slot"),
        ("q35", "disk vda", "{type=pci, bus=0x30}", "there is no PCI bus 48"),
        ("q35", "disk vda", "{type=pci, slot=0x1f, function=0x5}", "the chipset has its own"),
        ("q35", "controller pci 2", "{type=pci, bus=0x0c}", "cannot be on PCI bus 12"),
    ],
)
def test_a_place_that_is_not_there(
    site: Site, machine: str, label: str, address: str, why: str
) -> None:
    uuid = site.add(guest(machine=machine))
    before = site.persistent(uuid)
    rerecord(site, uuid, {label: {"address": address}})
    assert why in reason(site, uuid)
    assert why in restore(site, uuid, code=3).err
    assert site.persistent(uuid).canonical == before.canonical


def test_a_place_that_is_taken(site: Site) -> None:
    """By a device that is recorded there too: both are named."""
    uuid = site.add(guest())
    record(site, uuid)
    there = rows(site, uuid)[TAP].address
    rerecord(site, uuid, {"disk vda": {"address": there}})
    where = place(site.persistent(uuid), TAP)
    assert reason(site, uuid) == f"disk vda: {where} is taken by {TAP}, which is recorded there too"


def test_a_place_of_a_device_that_cannot_make_room(site: Site) -> None:
    """It is not recorded, and no other place on its bus is free."""
    hub = '<hub type="usb"><address type="usb" bus="0" port="1"/></hub>'
    tablet = '<input type="tablet" bus="usb"><address type="usb" bus="0" port="{}"/></input>'
    uuid = site.add(guest(devices=[tablet.format("1"), tablet.format("2")]))
    record(site, uuid)
    root = site.persistent(uuid).root
    first, second = root.findall("devices/input[@type='tablet']")
    for tablet_, port in ((first, "1.1"), (second, "2")):
        tablet_.find("address").set("port", port)
    first.addprevious(etree.fromstring(hub))
    site.host.connection.defineXML(etree.tostring(root, encoding="unicode"))
    before = site.persistent(uuid)
    why = "0:1 is taken by hub usb, which is not recorded and cannot move to another address"
    assert why in reason(site, uuid)
    restore(site, uuid, code=3)
    assert site.persistent(uuid).canonical == before.canonical


def test_another_bus_or_model_since(site: Site) -> None:
    """oVirt clears the address then: the device keeps the one it has, and the others go home."""
    uuid = site.add(guest())
    sata = "{type=drive, bus=0, controller=0, target=0, unit=3}"
    was = {"spec_params": {"bus": "sata", "target": "vdb"}, "address": sata}
    e1000 = {"spec_params": {"model": "e1000"}, "address": pci("0:1e.0").ovirt_text}
    rerecord(site, uuid, {"disk vdb": was, TAP: e1000})
    before = site.persistent(uuid)
    done = restore(site, uuid, "-f", "json")
    (skip,) = done.json["skipped"]
    assert skip["reason"] == (
        f"nothing to do for instance {uuid}: its definition has every recorded address that "
        "still applies; disk vdb: its bus was sata and is virtio, so its recorded address no "
        f"longer applies; {TAP}: its model was e1000 and is virtio, so its recorded address no "
        "longer applies"
    )
    swap(site, uuid, "disk vda", "disk vdb")
    document = plan(site, uuid)
    assert set(moves(document)) == {"disk vda", "disk vdb"}
    assert "disk vdb: its bus was sata" in document["plans"][0]["note"]
    restore(site, uuid)
    assert site.persistent(uuid).canonical == before.canonical


def test_who_is_in_the_way_without_a_claim_takes_what_is_left(site: Site) -> None:
    uuid = site.add(guest())
    home = place(site.persistent(uuid), "disk vda")
    was = {"spec_params": {"bus": "sata", "target": "vdb"}, "address": "{type=drive, unit=3}"}
    rerecord(site, uuid, {"disk vdb": was})
    turned = swap(site, uuid, "disk vda", "disk vdb", OTHER_TAP)
    assert place(turned, OTHER_TAP) == home
    restore(site, uuid)
    after = site.persistent(uuid)
    assert place(after, "disk vda") == home
    assert place(after, "disk vdb") == place(turned, "disk vda")
    away = move(site, uuid, {"disk vda": pci("0:1e.0"), "disk vdb": Address.from_text(home)})
    assert moves(plan(site, uuid)) == {
        "disk vda": ("0000:00:1e.0", home),
        "disk vdb": (home, "0000:00:1e.0"),
    }
    restore(site, uuid)
    assert place(site.persistent(uuid), "disk vdb") == place(away, "disk vda")


def test_another_machine_since(site: Site) -> None:
    uuid = site.add(guest())
    record(site, uuid)
    site.host.connection.lookupByUUIDString(uuid).undefine()
    site.host.define(guest(uuid=uuid, machine="q35", name="again"))
    assert reason(site, uuid) == (
        "its machine type has changed since the record (pci-root, now pcie-root), so no recorded "
        "address applies any more"
    )


def test_guests_that_must_not_be_touched(site: Site) -> None:
    names = ("busy", "migrating", "rescued", "saved", "transient")
    uuids = {name: site.add(guest(), name=name, start=name == "saved") for name in names}
    record(site, *uuids.values())
    for uuid in uuids.values():
        swap(site, uuid, "disk vda", "disk vdb")
    site.cloud.update("instances", "cell1", {"uuid": uuids["busy"]}, task_state="rebooting")
    site.cloud.add_migration(uuids["migrating"])
    site.cloud.update("instances", "cell1", {"uuid": uuids["rescued"]}, vm_state="rescued")
    site.handle(uuids["saved"]).managedSave()
    site.host.start(uuids["transient"])
    site.handle(uuids["transient"]).undefine()
    for name, why in {
        "busy": "it has a task in progress: rebooting",
        "migrating": "its live-migration 1 is running",
        "rescued": "it is rescued: its present definition is dropped when it is unrescued",
        "saved": "it has a managed save image, which contains its old definition",
        "transient": "its domain is transient: there is no persistent definition",
    }.items():
        assert reason(site, uuids[name]) == why


def test_plans_in_a_file(site: Site, tmp_path: Path) -> None:
    """Exactly what was saved is written, where Nova and the host are still as they were."""
    names = ("fine", "moved", "busy", "deleted", "plugged", "elsewhere", "aliased", "undefined")
    uuids = {name: site.add(guest(), name=name) for name in names}
    record(site, *uuids.values())
    home = {name: site.persistent(uuid).canonical for name, uuid in uuids.items()}
    for uuid in uuids.values():
        swap(site, uuid, "disk vda", "disk vdb")
    file = tmp_path / "plan"
    restore(site, "--all", "--plan-out", str(file))

    cloud = site.cloud
    cloud.update("instances", "cell1", {"uuid": uuids["moved"]}, host="cmp2", node="cmp2")
    cloud.update("instances", "cell1", {"uuid": uuids["busy"]}, task_state="rebooting")
    cloud.soft_delete(uuids["deleted"])
    disk = domains.disk("vdx", serial=str(uuid4()))
    site.handle(uuids["plugged"]).attachDeviceFlags(disk, CONFIG)
    move(site, uuids["elsewhere"], {"disk vda": pci("0:1e.0")})
    site.migrate(uuids["aliased"])
    site.handle(uuids["undefined"]).undefine()
    before = {name: site.persistent(uuids[name]).canonical for name in names[1:-2]}

    applied = kept(site.run, "apply", str(file))
    assert applied.code == 7
    errors = {item["instance"]: item["error"] for item in applied.json["plans"]}
    states = {item["instance"]: item["state"] for item in applied.json["plans"]}
    said = {name: errors[uuid] or "" for name, uuid in uuids.items()}
    for name, why in {
        "moved": "it is on host cmp2 now, but the plan was made for cmp1",
        "busy": "it has a task in progress now: rebooting",
        "deleted": "it is deleted",
        "plugged": "has changed since the plan was made: plan again",
        "elsewhere": "disk vda has 0000:00:1e.0 now: plan again",
        "undefined": "Domain not found",
    }.items():
        assert why in said[name], name
        assert states[uuids[name]] == "stale"
    assert {name: site.persistent(uuids[name]).canonical for name in before} == before
    assert (said["fine"], said["aliased"]) == ("", "")
    assert site.persistent(uuids["fine"]).canonical == home["fine"]
    assert site.aliases(uuids["aliased"])


def test_undo_moves_no_other_volume_that_has_the_target_since(site: Site) -> None:
    """Nor off its pin: it is another device, though it is called as the one that was moved."""
    uuid = site.add(guest())
    record(site, uuid)
    swap(site, uuid, "disk vda", "disk vdb")
    restore(site, uuid)
    old = site.persistent(uuid).device("disk vdb")
    serial = str(uuid4())
    new = domains.text(old.element).replace(str(old.element.findtext("serial")), serial)
    site.handle(uuid).detachDeviceFlags(domains.text(old.element), CONFIG)
    site.handle(uuid).attachDeviceFlags(new, CONFIG)
    site.cloud.add_volume(uuid, serial, "/dev/vdb")
    there = place(site.persistent(uuid), "disk vdb")
    assert there == str(old.address)
    record(site, uuid)
    assert site.run("device", "pin", uuid, serial).code == 0
    undone = kept(site.run, "undo", "1")
    (plan,) = undone.json["plans"]
    left = {item["what"]: item.get("left") for item in plan["changes"]}
    assert left["disk vdb address"] == "is another device now"
    assert "disk vdb has now" in left["disk vda address"]
    assert place(site.persistent(uuid), "disk vdb") == there
    assert site.run("device", "drift", uuid).code == 0


def test_undo_where_the_definition_has_changed(site: Site) -> None:
    """What was written is taken back device by device; what others did since stays."""
    names = ("plugged", "elsewhere", "gone", "taken", "same")
    uuids = {name: site.add(guest(), name=name) for name in names}
    record(site, *uuids.values())
    there = addresses(site.persistent(uuids["same"]))
    for uuid in uuids.values():
        swap(site, uuid, "disk vda", "disk vdb")
    swapped = addresses(site.persistent(uuids["same"]))
    restore(site, *uuids.values())
    site.handle(uuids["plugged"]).attachDeviceFlags(
        domains.disk("vdx", serial=str(uuid4())), CONFIG
    )
    move(site, uuids["elsewhere"], {"disk vdb": pci("0:1e.0")})
    first = site.persistent(uuids["gone"]).device("disk vda")
    site.handle(uuids["gone"]).detachDeviceFlags(domains.text(first.element), CONFIG)
    move(site, uuids["taken"], {"disk vdb": pci("0:1e.0")})
    move(site, uuids["taken"], {TAP: _address(there, "disk vdb")})
    undone = kept(site.run, "undo", "1")
    assert undone.code == 7, undone.err
    plans = {item["instance"]: item for item in undone.json["plans"]}
    left = {
        name: {item["what"].removesuffix(" address"): item.get("left") for item in plan["changes"]}
        for name, plan in ((name, plans[uuid]) for name, uuid in uuids.items())
    }
    assert left["plugged"] == left["same"] == {"disk vda": None, "disk vdb": None}
    assert left["elsewhere"] == {"disk vda": None, "disk vdb": "has address 0000:00:1e.0"}
    assert left["gone"] == {"disk vda": "is gone", "disk vdb": None}
    assert left["taken"]["disk vdb"] == "has address 0000:00:1e.0"
    assert left["taken"]["disk vda"].endswith(f"which {TAP} has now")
    for name in ("plugged", "elsewhere", "same"):
        found = addresses(site.persistent(uuids[name]))
        assert _address(found, "disk vda") == _address(swapped, "disk vda")
    found = addresses(site.persistent(uuids["gone"]))
    assert _address(found, "disk vdb") == _address(swapped, "disk vdb")
    assert "disk vda is gone; this part was left as it is; undone: disk vdb" in undone.err
    states = {name: plans[uuid]["state"] for name, uuid in uuids.items()}
    assert states == dict.fromkeys(names, "applied") | {"taken": "stale"}
    move(site, uuids["taken"], {TAP: pci("0:1d.0")})
    assert site.run("undo", "1", "--yes").code == 0
    found = addresses(site.persistent(uuids["taken"]))
    assert _address(found, "disk vda") == _address(swapped, "disk vda")


def _address(found: dict[str, str], label: str) -> Address:
    (text,) = (place for name, place in found.items() if name.startswith(f"{label} "))
    address = Address.from_ovirt(text)
    assert address is not None
    return address


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"before":"0000:00:', '"before":"0000:0:'),
        ('"after":"0000:00:', '"after":"{type=pci, x=\\u003cy>, bus=0x'),
        (' address"', ' alias"'),
        ('"definition":"', '"definition":"0'),
        ('"host":"cmp1"', '"host":""'),
    ],
)
def test_a_file_that_was_edited(site: Site, tmp_path: Path, old: str, new: str) -> None:
    """Even with a new sum it is no plan of this kind."""
    uuid = site.add(guest())
    record(site, uuid)
    before = swap(site, uuid, "disk vda", "disk vdb")
    file = tmp_path / "plan"
    restore(site, uuid, "--plan-out", str(file))
    assert old in file.read_text()
    lines = file.read_text().replace(old, new, 1).splitlines()[:-1]
    total = sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    file.write_text("\n".join([*lines, json.dumps({"plans": 1, "sha256": total}), ""]))
    refused = site.run("apply", str(file), "--yes")
    assert refused.code == 4
    assert "sum" not in refused.err
    assert site.persistent(uuid).canonical == before.canonical


def test_what_libvirt_refuses_leaves_all_as_it_was(site: Site) -> None:
    """The emulator it names is none: the plan fails with libvirt's reason, the others are done."""
    emulator = site.host.folder / "var/lib/emulator"
    emulator.write_text('#!/bin/sh\nexec /usr/bin/qemu-system-x86_64 "$@"\n')
    emulator.chmod(0o755)
    named = guest().replace("<devices>", "<devices><emulator>/var/lib/emulator</emulator>")
    refused, fine = site.add(named), site.add(guest())
    record(site, refused, fine)
    homes = addresses(site.persistent(fine))
    for uuid in (refused, fine):
        swap(site, uuid, "disk vda", "disk vdb")
    before = site.persistent(refused)
    while int(time.time()) == int(emulator.stat().st_ctime):
        time.sleep(0.1)  # libvirt knows a changed emulator by the second (virQEMUCapsIsValid)
    emulator.write_text("#!/bin/sh\nexit 1\n")
    site.host.restart()
    result = site.run("device", "restore", refused, fine, "--yes", "-f", "json")
    assert result.code != 0
    (error,) = [item["error"] for item in result.json["plans"] if item["instance"] == refused]
    assert "the addresses cannot be written: host cmp1: domain" in error
    assert "/var/lib/emulator" in error
    assert site.persistent(refused).canonical == before.canonical
    assert addresses(site.persistent(fine)) == homes
