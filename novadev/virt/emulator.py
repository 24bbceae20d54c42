"""The devices that a QEMU of this machine has, by its own list.

libvirt reports no models of interfaces, SCSI controllers and input devices, in no version. The
emulator tells them without starting a guest: ``qemu-system-x86_64 -device help``.
"""

from __future__ import annotations

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
    told = _VERSION.match(_run(emulator, "-version") or "")
    if told is None or told[1] != version:
        LOG.warning(
            "%s is not the QEMU %s of libvirt: its devices are not known", emulator, version
        )
        return None
    return devices_in(_run(emulator, "-device", "help") or "") or None


def devices_in(text: str) -> dict[str, str | None]:
    """Return the devices in the TEXT that QEMU prints for ``-device help``, without processors."""
    found = {name: bus or None for name, bus in _DEVICE.findall(text)}
    return {name: found[name] for name in sorted(found) if not name.endswith(_PROCESSORS)}


def _run(emulator: str, *arguments: str) -> str | None:
    """Return what EMULATOR prints; None if it fails."""
    ordinary = _NOBODY if os.geteuid() == 0 else None
    try:
        result = subprocess.run(  # noqa: S603 - no shell, and the path is libvirt's
            [emulator, *arguments],
            stdin=subprocess.DEVNULL,
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
