"""Parts of a definition that every host supports: names, sizes, sources, old QEMU features.

Of a device's attributes the tables give the values that are plain; an empty tuple is any value.
Sources (files, bridges, secrets) are not looked at: see docs/capabilities.rst.
Source: libvirt, docs/formatdomain.rst, by the release that each attribute came with: plain is what
libvirt has had since 6.0.
"""

from __future__ import annotations

from collections.abc import Mapping

EVERY_HOST_HAS = frozenset(
    (
        *("name", "uuid", "hwuuid", "title", "description", "metadata", "memory", "currentMemory"),
        *("on_poweroff", "on_reboot", "on_crash", "on_lockfailure", "resource", "blkiotune"),
        *("memtune", "pm", "vcpus", "defaultiothread"),
    )
)
"""Elements directly under ``<domain>``."""
EVERY_DEVICE_HAS = frozenset(
    (
        *("alias", "address", "source", "boot", "serial", "wwn", "vendor", "product", "mac"),
        *("auth", "encryption", "backingStore", "mirror", "virtualport", "vlan", "bandwidth"),
        *("mtu", "link", "filterref", "guest", "ip", "route", "iotune", "readonly", "shareable"),
        *("geometry", "blockio", "log", "protocol", "listen", "resolution", "stats", "rate"),
        *("tune", "coalesce", "script", "downscript", "portForward"),
    )
)
"""Children of a device."""

ANY: tuple[str, ...] = ()
_VIRTIO = {f"driver@{name}": ANY for name in ("iommu", "ats", "packed", "event_idx", "ioeventfd")}
_CHARACTER = {
    **dict.fromkeys(("@type", "@tty", "target@type", "target@port", "target@name"), ANY),
    **dict.fromkeys(("target@state", "target/model@name"), ANY),
}
OF_DEVICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "audio": dict.fromkeys(("@id", "@type"), ANY),
    "channel": _CHARACTER,
    "console": _CHARACTER,
    "controller": {
        **dict.fromkeys(("@type", "@index", "@model", "@ports", "@vectors", "model@name"), ANY),
        **dict.fromkeys(("master@startport", "target@*", "pcihole64@unit", "pcihole64"), ANY),
        **{f"driver@{name}": ANY for name in ("queues", "cmd_per_lun", "max_sectors", "iothread")},
        **_VIRTIO,
    },
    "crypto": {**dict.fromkeys(("@model", "@type"), ANY), "backend@model": ("builtin",)},
    "disk": {
        **dict.fromkeys(("@type", "@device", "@model", "@snapshot", "@rawio", "@sgio"), ANY),
        "@type": ("file", "block", "network", "dir", "volume"),
        "driver@name": ("qemu",),
        "driver@type": ("raw", "qcow2"),
        "driver@io": ("native", "threads"),
        **{f"driver@{name}": ANY for name in ("cache", "discard", "iothread", "queues")},
        **{f"driver@{name}": ANY for name in ("error_policy", "rerror_policy", "copy_on_read")},
        "driver@detect_zeroes": ANY,
        **_VIRTIO,
        **dict.fromkeys(("target@dev", "target@bus", "target@tray", "target@removable"), ANY),
    },
    "filesystem": {
        **dict.fromkeys(("@type", "@accessmode", "@model", "driver@type", "target@dir"), ANY),
        **_VIRTIO,
    },
    "graphics": {
        "@*": ANY,
        **{
            f"{child}@*": ANY
            for child in (
                *("channel", "image", "jpeg", "zlib", "playback", "streaming", "clipboard"),
                *("mouse", "filetransfer"),
            )
        },
        "gl@enable": ("no",),
    },
    "hostdev": {"*": ANY},
    "hub": {"@type": ANY},
    "input": {**dict.fromkeys(("@type", "@bus", "@model"), ANY), **_VIRTIO},
    "interface": {
        **dict.fromkeys(("@type", "@managed", "@trustGuestRxFilters", "@connectionid"), ANY),
        **dict.fromkeys(("model@type", "target@*", "acpi@index", "rom@bar", "rom@enabled"), ANY),
        **dict.fromkeys(("driver@name", "driver@queues", "driver@txmode"), ANY),
        **dict.fromkeys(("driver@rx_queue_size", "driver@tx_queue_size"), ANY),
        **dict.fromkeys(("driver/host@*", "driver/guest@*", "driver", "port@isolated"), ANY),
        **_VIRTIO,
    },
    "iommu": {
        "@model": ANY,
        **{f"driver@{name}": ANY for name in ("intremap", "caching_mode", "eim", "iotlb")},
        "driver@aw_bits": ANY,
    },
    "memballoon": {**dict.fromkeys(("@model", "@autodeflate"), ANY), **_VIRTIO},
    "panic": {"@model": ANY},
    "redirdev": {**_CHARACTER, "@bus": ANY},
    "rng": {"@model": ANY, "backend@model": ("random",), **_VIRTIO},
    "serial": _CHARACTER,
    "sound": dict.fromkeys(("@model", "@streams", "codec@type", "audio@id"), ANY),
    "tpm": dict.fromkeys(
        (
            *("@model", "backend@type", "backend@version", "backend@persistent_state"),
            *("backend/encryption@secret", "backend/device@path"),
        ),
        ANY,
    ),
    "video": {
        **dict.fromkeys(
            (
                *("model@type", "model@ram", "model@vram", "model@vram64", "model@vgamem"),
                *("model@heads", "model@primary", "model/resolution@*", "driver@vgaconf"),
            ),
            ANY,
        ),
        "driver@name": ("qemu",),
        "model/acceleration@accel2d": ANY,
        "model/acceleration@accel3d": ("no",),
        **_VIRTIO,
    },
    "watchdog": dict.fromkeys(("@model", "@action"), ANY),
}
"""By element: what of it is plain, as ``@attribute``, ``child@attribute`` or ``child``.

``@*`` is any attribute, ``*`` the whole device: its own verdict says that it is not checked.
"""
