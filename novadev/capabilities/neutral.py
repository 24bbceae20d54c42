"""Parts of a definition that every host supports: names, sizes, sources, old QEMU features.

The tables give, by path, the values that are plain on every generation. What is not here makes the
guest "not checked": an element, an attribute, and a value that no check has looked at. ANY is for
what the host gives back as it is (names, identifiers), for its own files, networks and secrets,
which are not looked at (see docs/capabilities.rst), and for what a judge looks at elsewhere.
Source: libvirt, docs/formatdomain.rst, by the release that each attribute and value came with:
plain is what libvirt has had since 6.0 and still has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Values = tuple[str, ...] | re.Pattern[str]
"""The plain values: these, or those that fit; an empty tuple is any."""
Table = Mapping[str, Values]
"""By path: ``child@attribute``, ``child()`` for its text, ``child`` for one that has neither.

``child@*`` is any attribute, ``child/**`` all that is in it, ``*`` the whole device: its own
verdict says that it is not checked.
"""
ANY: tuple[str, ...] = ()
_NUMBER = re.compile(r"\d{1,9}")
"""What every unsigned number of libvirt holds; some read a negative one as a very large one."""
_SIZE = re.compile(r"\d{1,18}")
_BOOT_ORDER = re.compile(r"\d{1,5}")
_SWITCH = ("on", "off")
_YES = ("yes", "no")


def _each(paths: Iterable[str], values: Values) -> dict[str, Values]:
    return dict.fromkeys(paths, values)


OF_GUESTS: Mapping[str, Table] = {
    **{name: {"()": ANY} for name in ("name", "uuid", "title", "description")},
    "metadata": {"**": ANY},
    "memory": {"()": _SIZE, "@unit": ANY, "@dumpCore": _SWITCH},
    "currentMemory": {"()": _SIZE, "@unit": ANY},
    "on_poweroff": {"()": ("destroy",)},
    "on_reboot": {"()": ("restart", "destroy")},
    "on_crash": {"()": ("destroy", "restart", "preserve")},
    "resource": {"partition()": ("/machine",)},
    "blkiotune": {"": ANY},
    "memtune": {
        "": ANY,
        **_each(("hard_limit()", "soft_limit()"), _SIZE),
        **_each(("hard_limit@unit", "soft_limit@unit", "swap_hard_limit@unit"), ANY),
    },
    "pm": _each(("suspend-to-mem@enabled", "suspend-to-disk@enabled"), _YES),
    "vcpus": {
        **_each(("vcpu@id", "vcpu@order"), _NUMBER),
        **_each(("vcpu@enabled", "vcpu@hotpluggable"), _YES),
    },
    "iothreadids": {"": ANY, "iothread@id": _NUMBER},
}
"""Elements directly under ``<domain>`` that have no judge."""
OF_PROCESSORS: Table = {
    "@mode": ANY,
    "@match": ("exact",),
    "@check": ANY,
    "@migratable": _SWITCH,
    **_each(("model()", "model@fallback", "model@vendor_id", "vendor()"), ANY),
    **_each(("feature@name", "feature@policy"), ANY),
    **_each(("topology@sockets", "topology@dies", "topology@cores", "topology@threads"), _NUMBER),
    "topology@clusters": ("1",),
    "numa/cell@id": _NUMBER,
    "numa/cell@memory": _SIZE,
    **_each(("numa/cell@cpus", "numa/cell@unit"), ANY),
    "numa/cell@memAccess": ("shared", "private"),
    "numa/cell@discard": _YES,
}
"""The ``<cpu>`` element, beside its mode, model and features, which are judged."""
OF_TIMERS: Table = {
    "@name": ANY,
    "@present": _YES,
    "@tickpolicy": ("delay", "catchup"),
}
"""A timer of the clock, beside its name."""
OF_BOOT: Mapping[str, Table] = {
    "type": _each(("()", "@arch", "@machine"), ANY),
    "boot": {"@dev": ("hd", "cdrom", "network", "fd")},
    "bootmenu": {"@enable": _YES, "@timeout": _NUMBER},
    "bios": {"@useserial": _YES, "@rebootTimeout": re.compile(r"-1|\d{1,4}")},
}
"""Children of ``<os>`` that have no judge."""
OF_LOADERS: Table = {
    "()": ANY,
    **_each(("@readonly", "@secure", "@stateless"), _YES),
    "@type": ("rom", "pflash"),
    "@format": ANY,
}
OF_VARIABLES: Table = {
    **_each(("", "()", "@template", "source@file"), ANY),
    "@type": ("file",),
    **_each(("@format", "@templateFormat"), ANY),
}

_ALWAYS: Table = {
    **_each(("alias@name", "address@*", "address/zpci@*"), ANY),
    "boot@order": _BOOT_ORDER,
}
"""Of every device: what libvirt itself writes, and its place in the boot order."""
_VIRTIO = _each(
    (f"driver@{name}" for name in ("iommu", "ats", "packed", "event_idx", "ioeventfd")), _SWITCH
)
_CHARACTER: Table = {
    **_each(("@type", "@tty", "target@type", "target@name"), ANY),
    **_each(("source@path", "source@mode", "source@host", "source@service", "source@channel"), ANY),
    **_each(("log@file", "log@append", "source@append", "source"), ANY),
    "source@tls": ("no",),
    "source/clipboard@copypaste": _YES,
    "source/mouse@mode": ("client", "server"),
    "target@port": _NUMBER,
    "target@state": ANY,
    "target/model@name": ("isa-serial", "pci-serial", "usb-serial", "pl011", "spapr-vty"),
    "protocol@type": ("raw", "telnet"),
}
_BACKING: Table = {
    **_each(("source", "source@file", "source@dev", "source@name", "source@index"), ANY),
    **_each(("source@startupPolicy", "source@protocol", "source/snapshot@name"), ANY),
    **_each(("source/host@*", "source/config@file", "source/initiator/iqn@name"), ANY),
    **_each(("source/auth/**", "auth/**", "encryption/secret@*"), ANY),
    **_each(("source/encryption/secret@*", "backingStore", "@index"), ANY),
    **_each(("encryption@format", "source/encryption@format"), ("luks",)),
    **_each(("encryption@engine", "source/encryption@engine"), ("qemu",)),
    "source@tls": ("no",),
    "@type": ("file", "block", "network"),
    "format@type": ("raw", "qcow2"),
}
_POLICIES = ("stop", "report", "ignore", "enospace")
OF_DEVICES: Mapping[str, Table] = {
    "audio": {"@id": _NUMBER, "@type": ANY},
    "channel": _CHARACTER,
    "console": _CHARACTER,
    "controller": {
        **_each(("@type", "@model", "model"), ANY),
        **_each(("@index", "@ports", "@vectors", "master@startport"), _NUMBER),
        "model@name": (
            *("pcie-root-port", "ioh3420", "pci-bridge", "i82801b11-bridge", "x3130-upstream"),
            *("xio3130-downstream", "pxb", "pxb-pcie", "pcie-pci-bridge"),
            "spapr-pci-host-bridge",
        ),
        **_each((f"target@{key}" for key in ("chassis", "chassisNr", "busNr", "index")), ANY),
        "target@port": ANY,
        **_each(("pcihole64()", "pcihole64@unit"), ANY),
        **_each(
            (f"driver@{key}" for key in ("queues", "cmd_per_lun", "max_sectors", "iothread")),
            _NUMBER,
        ),
    },
    "crypto": {**_each(("@model", "@type"), ANY), "backend@model": ("builtin",)},
    "disk": {
        **_BACKING,
        "@device": ANY,
        "@model": ("virtio", "virtio-transitional", "virtio-non-transitional"),
        "@snapshot": ("no", "internal", "external"),
        "@rawio": _YES,
        "driver": ANY,
        "driver@name": ("qemu",),
        "driver@type": ("raw", "qcow2"),
        "driver@io": ("native", "threads"),
        "driver@cache": ("none", "writethrough", "writeback", "directsync", "unsafe", "default"),
        "driver@discard": ("unmap", "ignore"),
        "driver@detect_zeroes": ("off", "on", "unmap"),
        "driver@copy_on_read": _SWITCH,
        "driver@queues": _NUMBER,
        **_each(("driver@error_policy", "driver@rerror_policy"), _POLICIES),
        **_each(("target@dev", "target@bus"), ANY),
        "target@tray": ("open", "closed"),
        "serial()": re.compile(".{1,36}"),
        **_each(("shareable", "iotune/**"), ANY),
        **_each(("blockio@logical_block_size", "blockio@physical_block_size"), ("512",)),
        **_each(("mirror@*", "@size"), ANY),
    },
    "filesystem": {
        **_each(("@model", "target@dir", "source@dir", "readonly"), ANY),
        "@type": ("mount",),
        "@accessmode": ("passthrough", "mapped", "squash"),
        "driver@type": ("path", "virtiofs"),
        **_VIRTIO,
    },
    "graphics": {
        **_each(("@type", "@port", "@autoport", "@tlsPort", "@websocket", "@listen"), ANY),
        **_each(("@socket", "@keymap", "@passwd", "@passwdValidTo", "@connected"), ANY),
        "@sharePolicy": ("allow-exclusive", "force-shared", "ignore"),
        "@defaultMode": ("any", "insecure"),
        **_each(("listen@address", "listen@network", "listen@socket", "listen@fromConfig"), ANY),
        "listen@type": ("address", "network", "socket", "none"),
        "channel@name": ANY,
        "channel@mode": ("any", "insecure"),
        **_each(("image@compression", "jpeg@compression", "zlib@compression"), ANY),
        **_each(("playback@compression", "clipboard@copypaste", "filetransfer@enable"), _SWITCH),
        **_each(("clipboard@copypaste", "filetransfer@enable"), _YES),
        "streaming@mode": ("filter", "all", "off"),
        "mouse@mode": ("client", "server"),
        "gl@enable": ("no",),
    },
    "hostdev": {"*": ANY},
    "hub": {"@type": ANY},
    "input": {**_each(("@type", "@bus", "source/**"), ANY), "@model": ("virtio",)},
    "interface": {
        "@type": (
            *("bridge", "direct", "ethernet", "hostdev", "network", "user", "vdpa", "vhostuser"),
        ),
        "@connectionid": ANY,
        **_each(("@managed", "@trustGuestRxFilters", "target@managed", "rom@enabled"), _YES),
        **_each(("mac@address", "model@type", "target@dev", "virtualport/**", "filterref/**"), ANY),
        **_each((f"source@{key}" for key in ("bridge", "network", "portgroup", "portid")), ANY),
        **_each(("source@dev", "source@mode", "source@type", "source@path", "source"), ANY),
        **_each(("bandwidth/**", "script@path", "downscript@path", "driver"), ANY),
        **_each(("acpi@index", "mtu@size", "tune/sndbuf()", "driver@queues"), _NUMBER),
        "link@state": ("up", "down"),
        "rom@bar": _SWITCH,
        "port@isolated": _YES,
        "driver@name": ("vhost", "qemu"),
        "driver@txmode": ("iothread", "timer"),
        "driver@rx_queue_size": ("256", "512", "1024"),
        "driver@tx_queue_size": ("256",),
        **_each(("driver/host@*", "driver/guest@*"), _SWITCH),
    },
    "iommu": {"@model": ANY},
    "memballoon": {
        **_each(("@model", "@freePageReporting"), ANY),
        "@autodeflate": _SWITCH,
        "stats@period": _NUMBER,
    },
    "panic": {"@model": ANY},
    "redirdev": {**_CHARACTER, "@bus": ANY},
    "rng": {
        "@model": ANY,
        "backend@model": ("random",),
        "backend()": ("/dev/urandom", "/dev/random"),
        **_each(("rate@bytes", "rate@period"), _NUMBER),
    },
    "serial": _CHARACTER,
    "sound": {
        "@model": ANY,
        "@streams": _NUMBER,
        "audio@id": ANY,
        "codec@type": ("duplex", "micro", "output"),
    },
    "tpm": {
        **_each(("@model", "backend@type", "backend@version"), ANY),
        "backend@persistent_state": _YES,
        **_each(("backend/encryption@secret", "backend/device@path"), ANY),
    },
    "video": {
        "model@type": ANY,
        **_each((f"model@{key}" for key in ("ram", "vram", "vram64", "vgamem", "heads")), _NUMBER),
        **_each(("model/resolution@x", "model/resolution@y"), _NUMBER),
        "model@primary": _YES,
        "driver@vgaconf": ("io", "on", "off"),
        "driver@name": ("qemu",),
        **_each(("model/acceleration@accel2d", "model/acceleration@accel3d"), ("no",)),
    },
    "watchdog": {
        "@model": ANY,
        "@action": ("reset", "shutdown", "poweroff", "pause", "none", "dump", "inject-nmi"),
    },
}
"""By the element of a device."""
_TAKE_VIRTIO = ("controller", "disk", "input", "interface", "memballoon", "rng", "video")
"""Devices that have the options of virtio if their bus, model or type is of virtio."""
_READONLY: Table = {"readonly": ANY}
_BLOCKS = _each(("blockio@logical_block_size", "blockio@physical_block_size"), ("512", "4096"))
OF_KINDS: Mapping[tuple[str, str], Table] = {
    ("controller", "pcie-root-port"): {"target@hotplug": _SWITCH},
    ("disk", "cdrom"): _READONLY,
    ("disk", "floppy"): _READONLY,
    ("disk", "ide"): {"wwn()": ANY},
    ("disk", "scsi"): {
        **_READONLY,
        "wwn()": ANY,
        "vendor()": re.compile(".{1,8}"),
        "product()": re.compile(".{1,16}"),
        **_BLOCKS,
    },
    ("disk", "usb"): {**_READONLY, "target@removable": _SWITCH},
    ("disk", "virtio"): {**_READONLY, **_BLOCKS, "driver@iothread": _NUMBER},
    ("interface", "hostdev"): {"vlan/**": ANY, "source/**": ANY},
    ("interface", "vhostuser"): {"driver@tx_queue_size": ("256", "512", "1024")},
    ("iommu", "intel"): {
        **_each((f"driver@{key}" for key in ("caching_mode", "eim", "intremap", "iotlb")), _SWITCH),
        "driver@aw_bits": ("39", "48"),
    },
}
"""What is plain on one bus, kind, model or type of a device alone."""


def table_of(tag: str, *kinds: str | None) -> Table:
    """Return what is plain of a device with this TAG, and a bus, kind or model among KINDS."""
    table = OF_DEVICES.get(tag, {"*": ANY})
    more = [OF_KINDS.get((tag, kind or ""), {}) for kind in kinds]
    if tag in _TAKE_VIRTIO and any((kind or "").startswith("virtio") for kind in kinds):
        more.append(_VIRTIO)
    return {**_ALWAYS, **table, **{path: item for one in more for path, item in one.items()}}


def is_plain(table: Table, path: str, value: str) -> bool:
    """Return whether TABLE has the VALUE of an attribute or text at PATH, or all that is there."""
    where = path.partition("@")[0].removesuffix("()")
    parts = where.split("/")
    above = ("/".join((*parts[:depth], "**")) for depth in range(len(parts) + 1))
    for known in (path, f"{where}@*" if "@" in path else path, *above):
        if known in table:
            values = table[known]
            return bool(
                not values or values.fullmatch(value)
                if isinstance(values, re.Pattern)
                else not values or value in values
            )
    return False
