"""One device by any of its names, the surest first; no hypervisor is needed to tell."""

import pytest

from novadev.device.named import find_named
from novadev.errors import BadInput, NotFound
from novadev.nova.attachments import Attachments
from tests import domains
from tests.device import attached
from tests.device.rig import mac, port_id, tap, volume_id

PCI = "5d0cbfd3-2b6f-4b1c-9d3a-9f3c1e6f2a10"
MDEV = "4b20d080-1b54-4048-85b3-a6a62d165c01"


def placed(device: str, slot: str) -> str:
    """DEVICE at a place of its own in the guest."""
    place = f'<address type="pci" domain="0x0000" bus="0x00" slot="{slot}" function="0x0"/>'
    end = device.rindex("</")
    return device[:end] + place + device[end:]


GUEST = domains.domain(
    disks=[
        placed(domains.disk("vda"), "0x05"),
        domains.disk("vdb", serial=volume_id(1)),
        domains.disk("vdc", serial=volume_id(2), alias="ua-vdb"),
        domains.disk("vdd", serial=f"{volume_id(3)[:20]}", alias=f"ua-{volume_id(4)}"),
    ],
    interfaces=[
        placed(domains.interface(mac(1), port=port_id(1)), "0x06"),
        domains.interface(mac(2), port=port_id(2)),
        domains.interface(mac(2), port=port_id(3)),
        domains.sriov(mac(4), "0000:00:05.0"),
    ],
    devices=[
        domains.pci("0000:81:00.1"),
        domains.mdev(MDEV),
        domains.share("tag"),
        domains.scsi_controller(),
    ],
)
LIVE = GUEST.replace(
    f"<target dev='{tap(1)}'/>".replace("'", '"'), '<target dev="vnet7"/>'
).replace('<domain type="qemu">', '<domain type="qemu" id="1">')
ATTACHED = Attachments(
    volumes=(
        *(attached.volume(volume_id(n), f"vd{'abc'[n]}") for n in (1, 2)),
        attached.volume(volume_id(5), "vdq", serial=volume_id(6)),
    ),
    ports=(attached.port(port_id(1), mac(1)),),
    pci_devices=(attached.pci("0000:81:00.1", PCI),),
)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("vda", "disk vda"),
        ("vdb", "disk vdb"),  # the alias ua-vdb names no attachment: it comes last
        ("ua-vdb", "disk vdc"),
        ("vdq", f"volume {volume_id(5)}"),
        ("disk vdb", "disk vdb"),
        (volume_id(1), "disk vdb"),
        (volume_id(1).upper(), "disk vdb"),
        (f"ua-{volume_id(4)}", "disk vdd"),
        (volume_id(4), "disk vdd"),
        (volume_id(3)[:20], "disk vdd"),
        (volume_id(5), f"volume {volume_id(5)}"),
        (volume_id(6), f"volume {volume_id(5)}"),
        (f"volume {volume_id(5)}", f"volume {volume_id(5)}"),
        (mac(1).upper(), f"interface {tap(1)}"),
        (port_id(1), f"interface {tap(1)}"),
        (tap(1), f"interface {tap(1)}"),
        ("vnet7", f"interface {tap(1)}"),
        ("interface vnet7", f"interface {tap(1)}"),
        ("0000:00:06.0", f"interface {tap(1)}"),
        ("00:06.0", f"interface {tap(1)}"),
        ("00:05.0", f"interface {mac(4)}"),
        ("0000:81:00.1", "hostdev 0000:81:00.1"),
        ("81:00.1", "hostdev 0000:81:00.1"),
        (PCI, "hostdev 0000:81:00.1"),
        (MDEV, f"hostdev {MDEV}"),
        ("tag", "filesystem tag"),
        ("controller scsi 0", "controller scsi 0"),
    ],
)
def test_finds_one(name: str, label: str) -> None:
    found = attached.inventory(GUEST, ATTACHED, LIVE)
    assert find_named(found.entries, name, "instance-1").label == label


def test_several() -> None:
    found = attached.inventory(GUEST, ATTACHED, LIVE)
    with pytest.raises(BadInput, match="matches 2 devices of instance-1: ") as caught:
        find_named(found.entries, mac(2), "instance-1")
    assert f"interface {tap(2)}" in str(caught.value)
    assert f"interface {tap(3)}" in str(caught.value)


@pytest.mark.parametrize("name", ["vdz", "ua-", "ua", "disk", "0000:", "x" * 5000])
def test_none(name: str) -> None:
    found = attached.inventory(GUEST, ATTACHED, LIVE)
    with pytest.raises(NotFound, match=r"^instance-1 has no device '") as caught:
        find_named(found.entries, name, "instance-1")
    assert len(str(caught.value)) < 200
