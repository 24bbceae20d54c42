"""Every fact that depends on a release of Nova.

A release is the first number of Nova's version: 34 for 34.0.0. ``docs/releases.rst`` says how the
next one is added. ``tests/releases`` has what was read off each release, and the tests of rules
and schemas hold this module against it.
"""

from __future__ import annotations

OLDEST_RELEASE = 26
"""Zed: the first release whose schemas novadev knows."""
NEWEST_RELEASE = 34
"""The newest release of Nova whose schemas and rules were compared with novadev's."""

SERVICE_VERSIONS = {
    26: 64,
    27: 66,
    28: 66,
    29: 67,
    30: 67,
    31: 68,
    32: 70,
    33: 72,
    34: 74,
}
"""What nova-compute of a release writes into ``services.version``.

Source: nova/objects/service.py, SERVICE_VERSION. SERVICE_VERSION_ALIASES is behind it: it has 66
for Caracal (29), whose own version has been 67 from 29.0.0 on.
"""

SCHEMA_REVISIONS = {
    "api": {"b30f573d3377": (26, 27), "cdeec0c85668": (28, 34)},
    "main": {
        "ccb0fa1a2252": (26, 26),
        "960aac0e09ea": (27, 27),
        "1acf2c98e646": (28, 28),
        "13863f4e1612": (29, 30),
        "2903cd72dc14": (31, 33),
        "ab450ba04102": (34, 34),
    },
}
"""The first and the last release whose database has this revision of Alembic's.

Source: nova/db/api/migrations/versions and nova/db/main/migrations/versions of each release.
"""

TABLES_CAME_WITH = {"share_mapping": 29}
"""The tables that releases before this one have not; every other one is in all of them."""

PROPERTIES_CAME_WITH = {
    "hw_maxphysaddr_bits": 29,
    "hw_maxphysaddr_mode": 29,
    "hw_mem_encryption_model": 32,
    "hw_redirected_usb_ports": 32,
    "hw_sound_model": 32,
    "hw_usb_model": 32,
}
"""Image properties that releases before this one do not read (nova/objects/image_meta.py)."""
VALUES_CAME_WITH = {
    ("hw_mem_encryption_model", "amd-sev-snp"): 34,
    ("hw_mem_encryption_model", "intel-tdx"): 34,
    ("hw_vif_model", "igb"): 31,
}
"""Values that releases before this one cannot read (nova/objects/fields.py)."""

ISO_ROOT_IS_CDROM_SINCE = 28
"""Since then a root disk with an ISO image is a cdrom, whatever its row says.

Source: nova/virt/libvirt/blockinfo.py, get_root_info.
"""
NO_BALLOON_SINCE = 29
"""Since then a host without memory statistics gives no balloon, where libvirt added one before.

Source: nova/virt/libvirt/driver.py, _guest_add_memory_balloon.
"""
PACKED_RING_SINCE = 29
"""Since then ``hw_virtio_packed_ring`` is written for each interface, of whatever model.

Source: nova/virt/libvirt/vif.py, get_base_config.
"""
SPICE_QXL_UNTIL = 30
"""The last release that gives a guest with SPICE qxl (``driver.py`` _get_video_type)."""


def release_of(service_version: int) -> int | None:
    """Return the newest release with such services, None before the oldest and after the newest.

    27 and 28 have one version, as have 29 and 30. Of what is above, only a root disk with an
    ISO image tells the two of a pair apart.
    """
    if service_version > SERVICE_VERSIONS[NEWEST_RELEASE]:
        return None
    reached = (number for number, own in SERVICE_VERSIONS.items() if own <= service_version)
    return max(reached, default=None)


def may_run(service_version: int, release: int) -> bool:
    """Whether a host whose nova-compute has this SERVICE_VERSION may run RELEASE."""
    found, own = release_of(service_version), SERVICE_VERSIONS.get(release)
    return found is None or own is None or own == SERVICE_VERSIONS[found]
