"""Forecasts for guests of one generation of libvirt, laid out by a scratch libvirt of another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

from typing_extensions import Self

from novadev.virt.pool import Pool
from novadev.virt.scratch import Scratch
from tests.forecast import drifting
from tests.forecast.fleet import Fleet
from tests.forecast.judging import Changes
from tests.hypervisor import Hypervisor

PROPERTIES = {
    **drifting.PROPERTIES,
    "hw_disk_bus": ("virtio", "virtio", "scsi", "sata", "usb"),
    "hw_sound_model": ("ich6", "ich9", "ac97", "virtio"),
    "hw_vif_model": ("virtio", "virtio", "e1000", "e1000e", "rtl8139", "igb", "vmxnet3"),
    "hw_viommu_model": ("virtio", "intel"),
}
"""What a guest may ask for; every board has its disks, for they all go to the other one."""
Mistakes = dict[str, tuple[Changes, Changes]]
"""By UUID what was told and does not happen, and what happens and was not told."""


class ScratchOf(Scratch):
    """A scratch libvirt that is the one of another host: what is defined there goes at once."""

    def __init__(self, host: Hypervisor) -> None:
        super().__init__()
        self._pool = Pool(lambda _: host.uri, timeout=60)

    def __enter__(self) -> Self:
        super().__enter__()
        self._home = os.environ["HOME"]
        os.environ["HOME"] = self._folder.name  # so the child takes itself for an ordinary user's
        return self

    def __exit__(self, *error: Any) -> None:
        os.environ["HOME"] = self._home
        super().__exit__(*error)


@contextmanager
def scratch_of(host: Hypervisor) -> Iterator[None]:
    """Have every forecast laid out by the libvirt of HOST."""
    with mock.patch("novadev.device.forecast.layouts.Scratch", partial(ScratchOf, host)):
        yield


def mistakes(fleet: Fleet, told: dict[str, Changes], happened: dict[str, Changes]) -> Mistakes:
    """What was told wrong, of the guests that could be built again."""
    both = {uuid: (told[uuid] - real, real - told[uuid]) for uuid, real in happened.items()}
    return {uuid: found for uuid, found in both.items() if any(found)}
