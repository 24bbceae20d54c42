"""Recorded guests, written through VmDevices into a cloud's own state database."""

import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from novadev.records.device import VmDevice, VmDynamic, hash_of
from novadev.records.store import VmDevices
from novadev.state.store import open_state
from tests.cloud import Cloud
from tests.command import Result, novadev

VM = "0a000000-0000-4000-8000-00000000000a"
OTHER_VM = "0b000000-0000-4000-8000-00000000000b"
NAMESPACE = uuid.UUID("c0000000-0000-4000-8000-00000000000c")


def an_id(name: str) -> str:
    """The same UUID for a name every time."""
    return str(uuid.uuid5(NAMESPACE, name))


def pci(slot: int, bus: int = 0, function: int = 0) -> str:
    """An address as oVirt writes it."""
    return (
        f"{{type=pci, slot=0x{slot:02x}, bus=0x{bus:02x}, domain=0x0000, function=0x{function:x}}}"
    )


def drive(unit: int) -> str:
    return f"{{type=drive, bus=0, controller=0, target=0, unit={unit}}}"


def usb(port: int) -> str:
    return f"{{type=usb, bus=0, port={port}}}"


def device(label: str, kind: str, name: str, address: str = "", **more: Any) -> VmDevice:
    """One recorded device of guest `vm`, whose id comes of the label and the guest."""
    vm = more.pop("vm", VM)
    values: dict[str, Any] = {"device_id": an_id(f"{vm} {label}"), "host": "cmp1", **more}
    return VmDevice(vm_id=vm, type=kind, device=name, address=address, label=label, **values)


def disk(target: str, address: str = "", bus: str = "virtio", **more: Any) -> VmDevice:
    params = {"bus": bus, "target": target, **more.pop("spec_params", {})}
    values = {"is_managed": True, **more}
    name = values.pop("name", "disk")
    return device(f"disk {target}", "disk", name, address, spec_params=params, **values)


def nic(tap: str, address: str = "", model: str = "virtio", **more: Any) -> VmDevice:
    params = {
        "model": model,
        "mac": f"52:54:00:00:00:{an_id(tap)[:2]}",
        **more.pop("spec_params", {}),
    }
    values = {"is_managed": True, **more}
    return device(f"interface {tap}", "interface", "bridge", address, spec_params=params, **values)


def controller(kind: str, index: int, address: str = "", **more: Any) -> VmDevice:
    return device(f"controller {kind} {index}", "controller", kind, address, **more)


def guest(vm: str = VM, shift: int = 0) -> list[VmDevice]:
    """A q35-like guest; SHIFT moves its PCI devices to later slots. Names differ by guest."""
    tail = vm[-2:]
    volume = an_id(f"volume {vm}")
    port = an_id(f"port {vm}")
    return [
        disk("vda", pci(5 + shift), vm=vm, boot_order=1),
        disk("vdb", pci(6 + shift), vm=vm, device_id=volume, alias=f"ua-{volume}"),
        disk("sda", drive(1), "sata", vm=vm, name="cdrom", is_readonly=True),
        nic(f"tap{tail}1", pci(3 + shift), vm=vm, device_id=port, alias=f"ua-{port}"),
        nic(f"tap{tail}22", pci(4 + shift), vm=vm),
        controller("pci", 0, vm=vm, spec_params={"model": "pcie-root"}),
        controller("usb", 0, pci(1, function=2), vm=vm, is_managed=True),
        controller("sata", 0, pci(0x1F, function=2), vm=vm),
        device("input tablet usb", "input", "tablet", usb(1 + shift), vm=vm),
        device("graphics vnc", "graphics", "vnc", vm=vm),
        device("video cirrus", "video", "cirrus", pci(2), vm=vm, spec_params={"model": "cirrus"}),
        device(
            *("memballoon virtio", "balloon", "memballoon", pci(7 + shift)),
            **{"vm": vm, "is_managed": True, "spec_params": {"model": "virtio"}},
        ),
        replace(disk("vdz", vm=vm), is_plugged=False),
    ]


@contextmanager
def records(cloud: Cloud) -> Iterator[VmDevices]:
    """The recorded devices of a cloud."""
    text = cloud.config_file.read_text().partition("state_connection = ")[2]
    database = open_state(text.splitlines()[0])
    try:
        yield VmDevices(database)
    finally:
        database.close()


def record(cloud: Cloud, devices: Iterable[VmDevice], host: str = "cmp1") -> str:
    """Write what is recorded of a guest; its UUID comes back."""
    devices = list(devices)
    (vm,) = {item.vm_id for item in devices}
    with records(cloud) as vm_devices:
        vm_devices.write({VmDynamic(vm, hash_of(devices), "f" * 64, host): devices})
    return vm


def recorded(cloud: Cloud, vm: str) -> dict[str, VmDevice]:
    """What is recorded of a guest, by label."""
    with records(cloud) as vm_devices:
        return {item.label: item for item in vm_devices.list_devices([vm]).get(vm, ())}


def dynamic(cloud: Cloud, vm: str) -> VmDynamic:
    with records(cloud) as vm_devices:
        return vm_devices.list_dynamics([vm])[vm]


def rows(cloud: Cloud) -> list[Any]:
    """Every row of the state database, to be compared with another time's."""
    with sqlite3.connect(cloud.folder / "state.sqlite") as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        tables = [name for (name,) in connection.execute(query)]
        return [(name, connection.execute(f"SELECT * FROM {name}").fetchall()) for name in tables]


def two_guests(cloud: Cloud) -> tuple[str, str]:
    """Two recorded instances with the same devices, the second's at other addresses."""
    for vm, name in ((VM, "web-1"), (OTHER_VM, "web-2")):
        cloud.add_instance(uuid=vm, name=name)
    record(cloud, guest(VM))
    record(cloud, guest(OTHER_VM, shift=5))
    return VM, OTHER_VM


def export(cloud: Cloud, *arguments: str, code: int = 0) -> Result:
    result = novadev(cloud, "device", "export", *arguments)
    assert result.code == code, result.out + result.err
    assert "Traceback" not in result.err
    return result


def import_(cloud: Cloud, *arguments: str, code: int = 0) -> Result:
    """Import without a question."""
    result = novadev(cloud, "device", "import", "--yes", *arguments)
    assert result.code == code, result.out + result.err
    assert "Traceback" not in result.err
    return result
