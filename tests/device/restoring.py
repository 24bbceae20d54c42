"""One-line ways to record where devices are, to move them, and to put them back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from novadev.database import Database
from novadev.records.device import VmDevice
from novadev.records.store import VmDevices
from novadev.state.store import open_state
from novadev.virt.address import Address
from novadev.virt.domain import Domain
from tests import domains
from tests.command import Result
from tests.device.site import Site

A, B = "0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"
P, Q = "a3bb189e-8bf9-4c8c-9b3e-6e1f0f2f5d10", "b1c2d3e4-0001-4c8c-9b3e-6e1f0f2f5d11"
MAC, OTHER_MAC = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"
TAP, OTHER_TAP = f"interface tap{P[:11]}", f"interface tap{Q[:11]}"
RNG = '<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>'
CHANNEL = '<channel type="pty"><target type="virtio" name="{}"/></channel>'


def guest(**more: Any) -> str:
    """Two local disks, two volumes, two ports, two sources of randomness, two channels."""
    devices = [domains.scsi_controller(), RNG, RNG, '<input type="tablet" bus="usb"/>']
    devices += [CHANNEL.format(name) for name in ("org.qemu.guest_agent.0", "b")]
    disks = [
        domains.disk("vda"),
        domains.disk("vdb", serial=A),
        domains.disk("sda", "scsi", serial=B),
        domains.disk("sdb", "sata"),
    ]
    interfaces = [domains.interface(MAC, port=P), domains.interface(OTHER_MAC, port=Q)]
    return domains.domain(
        **{"disks": disks, "interfaces": interfaces, "devices": devices, "ports": [P, Q], **more}
    )


def pci(text: str) -> Address:
    """The address of a text such as "0:04.0"."""
    bus, _, rest = text.partition(":")
    return Address.from_text(f"0000:{int(bus, 16):02x}:{rest}")


def addresses(domain: Domain) -> dict[str, str]:
    """Where the devices of a definition are, by labels in which no address is."""
    return {
        f"{device.plain_label} {number}": device.address.ovirt_text
        for number, device in enumerate(domain.devices)
        if device.address and device.element.tag != "controller"
    }


def place(domain: Domain, label: str) -> str:
    """Where the device with this label is."""
    return str(domain.device(label).address)


def move(site: Site, uuid: str, where: Mapping[str, Address]) -> Domain:
    """Define a guest with devices in other places; the definition comes back."""
    domain = site.persistent(uuid)
    moves = {domain.device(label): address for label, address in where.items()}
    wanted = domain.with_addresses(moves)
    site.host.connection.defineXML(wanted)
    moved = site.persistent(uuid)
    assert moved.canonical == Domain.from_xml(wanted).canonical
    return moved


def swap(site: Site, uuid: str, *labels: str) -> Domain:
    """Define a guest with each of these devices in the place of the next one."""
    domain = site.persistent(uuid)
    places = [domain.device(label).address for label in labels]
    assert all(places)
    turned = zip(labels, [*places[1:], places[0]], strict=True)
    return move(site, uuid, {label: address for label, address in turned if address})


def record(site: Site, *uuids: str) -> None:
    """Record the devices as they are now."""
    result = site.run("device", "record", *uuids)
    assert result.code == 0, result.err


def rerecord(site: Site, uuid: str, changes: Mapping[str, Mapping[str, Any]]) -> None:
    """Record a guest, then other values than it has for the devices with these labels."""
    record(site, uuid)
    state = open_state(f"sqlite:///{site.cloud.folder / 'state.sqlite'}")
    try:
        _rewrite(state, uuid, changes)
    finally:
        state.close()


def _rewrite(state: Database, uuid: str, changes: Mapping[str, Mapping[str, Any]]) -> None:
    stored = VmDevices(state)
    dynamic = replace(stored.list_dynamics([uuid])[uuid], hash="", fingerprint="")
    rows = {row.label: row for row in stored.list_devices([uuid])[uuid]}
    assert set(changes) <= set(rows), rows.keys()
    kept = {label: replace(row, **changes.get(label, {})) for label, row in rows.items()}
    stored.write({dynamic: list(kept.values())})


def rows(site: Site, uuid: str) -> dict[str, VmDevice]:
    """What is recorded of a guest, by label."""
    state = open_state(f"sqlite:///{site.cloud.folder / 'state.sqlite'}")
    try:
        return {row.label: row for row in VmDevices(state).list_devices([uuid])[uuid]}
    finally:
        state.close()


def restore(site: Site, *arguments: str, code: int = 0) -> Result:
    """Run restore without a question; it must end with CODE."""
    result = site.run("device", "restore", "--yes", *arguments)
    assert result.code == code, result.out + result.err
    return result


def plan(site: Site, *arguments: str) -> Any:
    """The document of a dry run."""
    return site.run("device", "restore", "--dry-run", "-f", "json", *arguments).json


def reason(site: Site, uuid: str) -> str:
    """Why a guest is skipped, without its name."""
    document = plan(site, uuid)
    assert document["plans"] == []
    (skip,) = document["skipped"]
    return str(skip["reason"]).removeprefix(f"instance {uuid}: ")


def moves(document: Any) -> dict[str, tuple[str, str]]:
    """What the one plan of a document changes, by the name of the device."""
    (only,) = document["plans"]
    return {
        item["what"].removesuffix(" address"): (item["before"], item["after"])
        for item in only["changes"]
    }
