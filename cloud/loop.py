"""Files as block devices, so that a guest with a volume can be migrated while it runs.

libvirt calls it unsafe to migrate a guest live whose disk is a file on no file system for several
hosts (``qemuMigrationSrcIsSafe``); a block device it takes for one that both hosts have.
"""

import fcntl
import os
import stat
import struct
from pathlib import Path

CONTROL = Path("/dev/loop-control")
MAJOR = 7
GET_FREE, CONFIGURE = 0x4C82, 0x4C0A
AUTOCLEAR = 4
CONFIG = struct.Struct("=I56xI240x")
"""``struct loop_config`` of ``linux/loop.h``: the file, and the flags of the device."""


def make(file: Path, node: Path) -> int:
    """Make NODE a block device of what is in FILE; returns its open handle.

    The kernel takes the device away when nobody has it open any more, however they ended. Raises
    OSError where there can be none.
    """
    with CONTROL.open("rb") as control, file.open("rb+") as data:
        number = fcntl.ioctl(control, GET_FREE)
        os.mknod(node, stat.S_IFBLK | 0o600, os.makedev(MAJOR, number))
        handle = os.open(node, os.O_RDWR)
        fcntl.ioctl(handle, CONFIGURE, CONFIG.pack(data.fileno(), AUTOCLEAR))
    return handle
