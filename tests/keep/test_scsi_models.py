"""A guest whose SCSI controller is to be of another model gets none of the recorded one."""

import re

from novadev.keep.definition import keep
from tests import domains
from tests.keep.guests import as_nova, record_of

UUID = "11111111-2222-3333-4444-555555555555"
DISK = domains.disk("sda", "scsi", source=f"{domains.IMAGES}/{UUID}/disk")
CONTROLLER = (
    "<controller type='scsi' index='{0}' model='{1}'><address type='pci' domain='0x0000' bus='0x00'"
    " slot='0x0{2}' function='0x0'/></controller>"
)


def disks(number: int, each: int) -> list[str]:
    """Disks, so many of them on each controller, as libvirt or Nova places them."""
    return [
        domains.disk(f"sd{'abcdefghij'[one]}", "scsi", serial=f"volume-{one}").replace(
            "</disk>",
            f"<address type='drive' controller='{one // each}' bus='0' target='0' "
            f"unit='{one % each}'/></disk>",
        )
        for one in range(number)
    ]


def controllers(text: str) -> list[tuple[str, str | None]]:
    """The SCSI controllers by index, with their model."""
    found = re.findall(r"<controller type=\"scsi\" index=\"(\d)\"(?: model=\"([^\"]+)\")?", text)
    return [(index, model or None) for index, model in found]


def guest(disks: list[str], *devices: str) -> str:
    return as_nova(domains.domain(UUID, disks=disks, devices=devices))


def test_a_model_that_nova_names_no_more_is_left_to_libvirt() -> None:
    """A rebuild from an image without hw_scsi_model: its system may lack virtio-scsi."""
    record = record_of(guest([DISK], CONTROLLER.format(0, "virtio-scsi", 4)))
    kept = keep(guest([DISK]), record)
    assert controllers(kept.text) == [("0", None)]
    assert kept.addresses == {"controller scsi 0": "0000:00:04.0"}


def test_a_model_that_nova_names_is_that_of_every_controller() -> None:
    lsilogic = [CONTROLLER.format(index, "lsilogic", 4 + index) for index in (0, 1)]
    record = record_of(guest(disks(9, 7), *lsilogic))
    kept = keep(guest(disks(9, 16), CONTROLLER.format(0, "virtio-scsi", 4)), record)
    assert controllers(kept.text) == [("0", "virtio-scsi")]
    assert 'controller="1"' not in kept.text


def test_a_controller_of_the_model_that_nova_names_comes_back() -> None:
    both = [CONTROLLER.format(index, "virtio-scsi", 4 + index) for index in (0, 1)]
    record = record_of(guest(disks(9, 7), *both))
    first = "<controller type='scsi' index='0' model='virtio-scsi'/>"
    kept = keep(guest(disks(9, 16), first), record)
    assert controllers(kept.text) == [("0", "virtio-scsi"), ("1", "virtio-scsi")]
    assert kept.text.count('controller="1"') == 2
