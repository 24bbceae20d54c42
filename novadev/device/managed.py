"""Which devices count as managed: those with an owner, and some kinds without one."""

from __future__ import annotations

from collections.abc import Collection

from novadev.device.inventory import Entry

ANY = "*"


def is_managed(entry: Entry, special: Collection[str]) -> bool:
    """Whether Nova knows whose the device of ENTRY is, or it is one of the SPECIAL kinds.

    Those are ``type:device`` in oVirt's words, ``*`` for any
    (``OvfReaderWriterUtils.isSpecialDevice`` of ovirt-engine).
    """
    device = entry.device
    if entry.owner is not None or device is None:
        return True
    kinds = {f"{kind}:{name}" for kind in (device.type, ANY) for name in (device.device, ANY)}
    return not kinds.isdisjoint(special)
