"""Whether QEMU can send a device of a running guest to another host.

The device may well be there: what counts is whether QEMU can save its state, and whether the other
QEMU reads it. A guest that is started anew there is another matter.
"""

from __future__ import annotations

from novadev.capabilities.target import FINE, Target, Told, unknown
from novadev.rules.device import GuestDevice

_NEVER = {
    ("crypto", "virtio"): "virtio-crypto",
    ("sound", "usb"): "usb-audio",
    ("serial", "usb-serial"): "usb-serial",
    ("console", "usb-serial"): "usb-serial",
}
"""QEMU's devices without a state to send, by libvirt's element and model.

Source: QEMU 5.2 to 10.0, hw/virtio/virtio-crypto.c, hw/usb/dev-audio.c and hw/usb/dev-serial.c,
``.unmigratable = 1``. The others that have it libvirt cannot give a guest, or no verdict is "fine"
with: vhost-user-fs, virtio-input-host, vfio, ivshmem.
"""
_NO_NVME = "QEMU cannot send the state of an NVMe controller"
_READS_OLD_ESP_BEFORE = (7, 3)
"""QEMU 7.2 takes the state of am53c974 from 5.2; 10.0 takes it of neither."""


def judge_migration(fact: GuestDevice, host: Target) -> Told:
    """Return the verdict on a device that a live migration sends to HOST, and why."""
    model = fact.model or ""
    if name := _NEVER.get((fact.tag, model)):
        return "would not start", f"QEMU cannot send a running guest with {name} to any host"
    if "nvme" in (fact.bus, fact.device):
        return "would not start", _NO_NVME
    if why := _unclear(fact, host):
        return unknown(why)
    return FINE


def _unclear(fact: GuestDevice, host: Target) -> str | None:
    """Return why a migration may fail, which more than the other host decides.

    Source: QEMU, hw/9pfs/9p.c (v9fs_attach), hw/audio/virtio-snd.c, ui/vdagent.c; for am53c974
    seen with 5.2 and 7.2, to 10.0.
    """
    match fact.tag, fact.model, fact.device:
        case "filesystem", _, _:
            return "QEMU sends no guest that has mounted the share"
        case "sound", "virtio", _:
            return "not every QEMU can send virtio sound"
        case "channel", _, "qemu-vdagent":
            return "not every QEMU can send a qemu-vdagent channel"
        case "controller", "am53c974", _ if host.qemu >= _READS_OLD_ESP_BEFORE:
            return "its QEMU may not read the state of am53c974 that an older one sends"
    return None
