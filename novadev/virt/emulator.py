"""The devices and block drivers that a QEMU of this machine has, by its own word.

libvirt reports no models of interfaces, SCSI controllers and input devices, in no version, and no
block drivers. The emulator tells them without starting a guest.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
from urllib.parse import urlsplit

LOG = logging.getLogger(__name__)
MAX_BYTES = 1024 * 1024
"""The list of QEMU 7.2 has 30 KiB."""
_TIMEOUT = 20.0
_DEVICE = re.compile(r'^name "([^"\s]{1,80})"(?:, bus ([\w-]{1,40}))?', re.MULTILINE)
"""``qdev_print_devinfo`` in QEMU's ``softmmu/qdev-monitor.c``."""
_VERSION = re.compile(r"^QEMU emulator version (\d+\.\d+\.\d+)")
_PROCESSORS = "-cpu"
PROTOCOLS = (
    *("ftp", "ftps", "gluster", "http", "https", "iscsi", "nbd", "nfs", "nvme", "rbd"),
    *("sheepdog", "ssh", "tftp", "vxhs"),
)
"""What a disk can be reached over, as libvirt and QEMU both call it; each needs a block driver.

Source: libvirt, src/conf/storage_source_conf.c, virStorageNetProtocol; QEMU, block/.
"""
_NO_DRIVER = "Unknown driver"
"""``bdrv_open_inherit`` in QEMU's ``block.c``, after it has looked for a module."""
_NOBODY = 65534


def is_local(uri: str) -> bool:
    """Whether libvirt's URI leads to this machine: it names no host.

    One that names this machine itself counts as remote: behind ``localhost`` may be a tunnel.
    """
    try:
        return not urlsplit(uri).netloc and urlsplit(uri).scheme.partition("+")[2] in ("", "unix")
    except ValueError:
        return False


def list_devices(emulator: str, version: str) -> dict[str, str | None] | None:
    """Return the devices a guest can be given by name, each with the bus it needs, if any.

    Processors are left out. None where this cannot be told: the EMULATOR is not there, does not
    run or end, or is not of the VERSION that libvirt says the host has. It is run as an ordinary
    user, and starts no guest.
    """
    if not os.path.isabs(emulator):
        return None
    if not _is_version(emulator, version):
        return None
    return devices_in(_run(emulator, "-device", "help") or "") or None


def list_block_drivers(emulator: str, version: str) -> tuple[str, ...] | None:
    """Return those of PROTOCOLS that QEMU has a block driver for, built in or as a module.

    None as in `list_devices`. QEMU's lists name modules that are not installed, so it is asked to
    add a drive of each kind without saying which: it has to load the driver before it refuses. No
    machine is made, and nothing is opened.
    """
    if not os.path.isabs(emulator) or not _is_version(emulator, version):
        return None
    asked = _run(emulator, *NO_MACHINE, questions=block_questions())
    return block_drivers_in(asked or "") or None


NO_MACHINE = (
    *("-nodefaults", "-no-user-config", "-machine", "none", "-display", "none"),
    *("-S", "-qmp", "stdio"),
)
"""A QEMU without any guest, which answers on its standard output."""


def block_questions() -> str:
    """Return the commands that ask such a QEMU for the drivers of PROTOCOLS, and end it."""
    asked = [
        {
            "execute": "human-monitor-command",
            "id": name,
            "arguments": {"command-line": f"drive_add 0 if=none,format={name}"},
        }
        for name in PROTOCOLS
    ]
    commands = ({"execute": "qmp_capabilities"}, *asked, {"execute": "quit"})
    return "".join(json.dumps(command) + "\n" for command in commands)


def block_drivers_in(answers: str) -> tuple[str, ...]:
    """Return the PROTOCOLS with a driver, by what QEMU answered; none if an answer is missing."""
    told: dict[str, str] = {}
    for line in answers.splitlines():
        try:
            answer = json.loads(line)
        except ValueError:
            return ()
        if isinstance(answer, dict) and isinstance(answer.get("return"), str):
            told[str(answer.get("id"))] = answer["return"]
    if set(told) != set(PROTOCOLS):
        return ()
    return tuple(name for name in PROTOCOLS if told[name] and _NO_DRIVER not in told[name])


def _is_version(emulator: str, version: str) -> bool:
    told = _VERSION.match(_run(emulator, "-version") or "")
    if told is not None and told[1] == version:
        return True
    LOG.warning("%s is not the QEMU %s of libvirt: its devices are not known", emulator, version)
    return False


def devices_in(text: str) -> dict[str, str | None]:
    """Return the devices in the TEXT that QEMU prints for ``-device help``, without processors."""
    found = {name: bus or None for name, bus in _DEVICE.findall(text)}
    return {name: found[name] for name in sorted(found) if not name.endswith(_PROCESSORS)}


def _run(emulator: str, *arguments: str, questions: str = "") -> str | None:
    """Return what EMULATOR prints, if QUESTIONS are put to it; None if it fails."""
    ordinary = _NOBODY if os.geteuid() == 0 else None
    try:
        result = subprocess.run(  # noqa: S603 - no shell, and the path is libvirt's
            [emulator, *arguments],
            input=questions.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            timeout=_TIMEOUT,
            check=True,
            user=ordinary,
            group=ordinary,
            extra_groups=None if ordinary is None else (),
        )
    except (OSError, subprocess.SubprocessError) as error:
        LOG.warning("%s %s: %s", emulator, " ".join(arguments), error)
        return None
    return result.stdout[:MAX_BYTES].decode(errors="replace")
