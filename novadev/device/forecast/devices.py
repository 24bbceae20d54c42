"""The devices Nova will make at the next power-on, from the guest's own and what is decided.

Source of all orders: nova/virt/libvirt/driver.py, _get_guest_config. libvirt keeps one within each
kind of device only.
"""

from __future__ import annotations

from novadev.device.forecast.attached import wanted_hostdevs, wanted_ports, wanted_shares
from novadev.device.forecast.controllers import wanted_controllers
from novadev.device.forecast.decided import Decided
from novadev.device.forecast.disks import wanted_disks
from novadev.device.forecast.own import AGAIN, wanted_balloon, wanted_channels, wanted_display
from novadev.device.forecast.wanted import Wanted, kept
from novadev.device.inventory import Inventory


def wanted_devices(inventory: Inventory, decided: Decided, machine: str) -> list[Wanted]:
    """Return the devices of the guest's next power-on, but for what libvirt adds by itself.

    MACHINE is the machine type that it will have. Without databases everything is kept.
    """
    entries = inventory.entries
    found = [*wanted_disks(inventory, decided), *wanted_ports(inventory, decided)]
    found += kept(entries, *AGAIN)
    found += [*wanted_channels(entries, decided), *wanted_balloon(entries, decided)]
    found += wanted_display(entries, decided)
    found += wanted_hostdevs(inventory)
    found += wanted_shares(inventory)
    found += wanted_controllers(entries, decided, machine, found)
    return found
