"""The controllers that Nova writes; libvirt adds the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from novadev.device.forecast.decided import Decided
from novadev.device.forecast.wanted import Wanted
from novadev.device.inventory import Entry
from novadev.rules.device import GuestDevice, needs_usb, usb_model
from novadev.rules.machine_types import has_pci_express
from novadev.virt.device import Device
from novadev.virt.devices import Controller, Disk, Input
from novadev.virt.outline import Outline


def wanted_controllers(
    entries: Sequence[Entry], decided: Decided, machine: str, others: Sequence[Wanted]
) -> Iterator[Wanted]:
    """Yield the controllers that Nova itself writes: SCSI, the ports of PCI Express, and USB."""
    now = [entry for entry in entries if isinstance(entry.device, Controller)]
    if model := decided.models.get("hw_scsi_model"):
        yield _controller(now, "scsi", "0", model)
    if has_pci_express(machine):
        ports = decided.root_ports
        if ports is None:
            ports = root_ports([entry.device for entry in entries if entry.device])
        if ports:
            yield _controller(now, "pci", "0", "pcie-root")
        for index in range(1, ports + 1):
            yield _controller(now, "pci", str(index), "pcie-root-port")
    yield _controller(now, "usb", "0", _usb_model(entries, decided, others))


def _controller(now: Sequence[Entry], kind: str, index: str, model: str | None) -> Wanted:
    """Return the controller; it is paired with the present one by type and index, later."""
    values = {"@type": kind, "@index": index, "@model": model}
    return Wanted(None, f"controller {kind} {index}", Outline.of("controller", values))


def root_ports(devices: Sequence[Device]) -> int:
    """Return how many root ports Nova writes (``num_pcie_ports``), as far as DEVICES tell.

    libvirt adds the ports that are missing, and one to spare where none is written; a bridge for
    conventional devices comes behind the written ones and one more. So ports behind a bridge, or
    no two to spare, say that libvirt made them.
    """
    models = {int(item.index or 0): item.model for item in _pci_controllers(devices)}
    ports = [index for index, model in models.items() if model == "pcie-root-port"]
    bridges = [index for index, model in models.items() if model == "pcie-to-pci-bridge"]
    if bridges:
        return 0 if max(ports, default=0) > min(bridges) else max(len(ports) - 1, 0)
    buses = {item.address.values.get("bus") for item in devices if item.address}
    used = sum(f"0x{index:02x}" in buses for index in ports)
    return len(ports) if len(ports) > used + 1 else 0


def _pci_controllers(devices: Sequence[Device]) -> list[Controller]:
    return [item for item in devices if isinstance(item, Controller) and item.kind == "pci"]


def _usb_model(entries: Sequence[Entry], decided: Decided, others: Sequence[Wanted]) -> str | None:
    """Return the model of the USB controller; None lets libvirt choose.

    The flavor may name a model too: a guest that needs no USB and has a controller keeps it.
    """
    outlines = [item.outline for item in others if item.outline]
    buses = [(item.tag, item.get("target/@bus") or item.get("@bus")) for item in outlines]
    if needs_usb(GuestDevice("", tag, bus=bus) for tag, bus in buses):
        return usb_model(None, is_needed=True)
    now = [entry.device for entry in entries if entry.device]
    had_users = any(item.bus == "usb" for item in now if isinstance(item, Disk | Input))
    models = [item.model for item in now if isinstance(item, Controller) and item.kind == "usb"]
    kept = None if had_users or not models else models[0]
    return usb_model(decided.usb_model or kept, is_needed=False)
