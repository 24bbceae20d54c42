"""What a forecast says of a host that keeps recorded addresses, against the rules of keeping."""

import pytest

from novadev.device.forecast.keeping import kept
from novadev.device.forecast.records import Fate, Features, Prediction
from novadev.virt.places import usb_ports
from novadev.virt.scratch import Layout, Place

MACHINE = "pc-i440fx-7.2"


@pytest.mark.parametrize("model", ["piix3-uhci", "qemu-xhci"])
@pytest.mark.parametrize("more", [0, 1])
def test_usb_devices_stay_where_each_has_a_port(model: str, more: int) -> None:
    """With one more, libvirt adds a hub and places them all; what is not on USB stays anyway."""
    count = usb_ports(model) + more
    usb = [fate(f"input {n}", "usb", f"0:{count - n}", n) for n in range(count)]
    disk = fate("disk vda", "virtio", "0000:00:09.0", count)
    places = [Place("input", f"input {n}", f"0:{n + 1}", None) for n in range(count)]
    places.append(Place("disk", "vda", "0000:00:05.0", None))
    controller = Place("controller", "usb 0", "0000:00:01.2", model)
    prediction = Prediction(
        *("U", True, MACHINE, MACHINE), fates=(*usb, disk), controllers=(controller,)
    )
    found = [place.address for place in kept(prediction, Layout(tuple(places))).places]
    assert found[-1] == "0000:00:09.0"
    stays = [f"0:{count - n}" for n in range(count)]
    assert found[:-1] == (stays if not more else [f"0:{n + 1}" for n in range(count)])


def fate(label: str, bus: str, address: str, number: int) -> Fate:
    """A device that stays as it is, at that ADDRESS now."""
    return Fate(label, label.split()[0], Features(address, bus), number, Features(None, bus))
