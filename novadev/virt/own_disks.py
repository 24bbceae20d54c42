"""An instance's own disks: the files, images and logical volumes that Nova makes for it."""

from __future__ import annotations

import re

from novadev.virt.devices import Disk

_NAME = re.compile(r"disk(\.(local|eph\d+|swap|config|config\.rescue|rescue))?")
"""Nova's names of them (``nova/virt/libvirt/driver.py``, ``blockinfo.py``)."""
_MAPPED, _ENCRYPTED = "/dev/mapper", "-dmcrypt"
_OF_INSTANCE = re.compile(
    r"(?:.*/)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})[/_][^/]+", re.DOTALL
)


def file_name(disk: Disk) -> str | None:
    """Return Nova's name of a disk of its instance's own, whichever instance that is."""
    found = _OF_INSTANCE.fullmatch(disk.source or "")
    return own_disk_name(found[1], disk) if found else None


def own_disk_name(uuid: str, disk: Disk) -> str | None:
    """Return the name of a disk of the instance UUID's own, as ``disk.config``; None of any other.

    A file in a folder of the instance's UUID, or an RBD image or logical volume
    ``<uuid>_disk.config`` (``nova/virt/libvirt/imagebackend.py``). One that is encrypted is
    ``/dev/mapper/<uuid>_disk.config-dmcrypt`` (``nova/virt/libvirt/storage/dmcrypt.py``).
    """
    folder, _, name = (disk.source or "").rpartition("/")
    if folder == _MAPPED:
        name = name.removesuffix(_ENCRYPTED)
    own = name.removeprefix(f"{uuid}_")
    is_there = own != name or folder.endswith(uuid)
    return own if is_there and _NAME.fullmatch(own) else None
