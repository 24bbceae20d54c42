"""Files as block devices, so that a guest with a volume can be migrated while it runs.

libvirt calls it unsafe to migrate a guest live whose disk is a file on no file system for several
hosts (``qemuMigrationSrcIsSafe``); a block device it takes for one that both hosts have.
"""

import fcntl
import os
import stat
import struct
from contextlib import suppress
from pathlib import Path

from cloud.places import RUN

CONTROL = Path("/dev/loop-control")
MAJOR = 7
REMOVE, GET_FREE, CONFIGURE = 0x4C81, 0x4C82, 0x4C0A
AUTOCLEAR = 4
CONFIG = struct.Struct("=I56xI240x")
"""``struct loop_config`` of ``linux/loop.h``: the file, and the flags of the device."""

DEVICES = Path("/sys/block")
MADE = "loops"
"""The file in the cloud's folder with the numbers of those that the kernel has made for it."""


def make(file: Path, node: Path) -> int:
    """Make NODE a block device of what is in FILE; returns its open handle.

    The kernel takes the device away when nobody has it open any more, however they ended. Raises
    OSError where there can be none.
    """
    known = {path.name for path in DEVICES.glob("loop*")}
    with CONTROL.open("rb") as control, file.open("rb+") as data:
        number = fcntl.ioctl(control, GET_FREE)
        if f"loop{number}" not in known:
            with (RUN / MADE).open("a") as made:
                print(number, file=made)
        os.mknod(node, stat.S_IFBLK | 0o600, os.makedev(MAJOR, number))
        handle = os.open(node, os.O_RDWR)
        fcntl.ioctl(handle, CONFIGURE, CONFIG.pack(data.fileno(), AUTOCLEAR))
    return handle


def remove_made(folder: Path) -> None:
    """Remove the devices that the kernel has made for the cloud in FOLDER, but for those in use."""
    made = folder / MADE
    if not made.exists():
        return
    with CONTROL.open("rb") as control:
        for number in made.read_text().split():
            with suppress(OSError):  # another cloud has taken it, or has it removed
                fcntl.ioctl(control, REMOVE, int(number))
