"""What libosinfo recommends for an operating system, asked as Nova asks it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from novadev.rules.image_meta import values
from novadev.rules.releases import NEWEST_RELEASE


@dataclass(frozen=True)
class Recommendation:
    """The bus of disks and the model of network interfaces; None where there is none."""

    disk_bus: str | None = None
    vif_model: str | None = None


NO_RECOMMENDATION = Recommendation()

SYSTEM_DIR = "/usr/share/osinfo"
"""Where osinfo-db is; $OSINFO_SYSTEM_DIR overrules it, as for libosinfo."""
_VIRTIO_DISKS = ("virtio-block", "virtio1.0-block")
_VIRTIO_INTERFACES = ("virtio-net", "virtio1.0-net")


class UnreadableOsInfo(ValueError):
    """libosinfo is there, and cannot read its database.

    Nova then registers nothing for an instance that names an os_distro.
    """


class OsInfo:
    """libosinfo's database on this machine, read once.

    available tells whether libosinfo is there. Without it nothing is recommended, which is what
    a compute host without it does. Another version of libosinfo or osinfo-db may recommend
    something else, so what is asked here holds for hosts with the same ones. Raises
    UnreadableOsInfo for a database with a broken file.

    >>> OsInfo().recommendation("ubuntu22.04")
    Recommendation(disk_bus='virtio', vif_model='e1000e')
    """

    def __init__(self) -> None:
        self._library = _library()
        self._systems: Any = None if self._library is None else _read_systems(self._library)
        self._known: dict[tuple[str, int], Recommendation] = {}

    @property
    def available(self) -> bool:
        """Whether libosinfo, its typelib and PyGObject are there."""
        return self._library is not None

    @property
    def version(self) -> str | None:
        """The version of libosinfo, or None if it is not installed."""
        library = self._library
        if library is None:
            return None
        return f"{library.MAJOR_VERSION}.{library.MINOR_VERSION}.{library.MICRO_VERSION}"

    @property
    def database_version(self) -> str | None:
        """The version of osinfo-db from its folder, or None if that cannot be read."""
        folder = os.environ.get("OSINFO_SYSTEM_DIR") or SYSTEM_DIR
        try:
            return (Path(folder) / "VERSION").read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError):
            return None

    def recommendation(
        self, os_distro: str | None, release: int = NEWEST_RELEASE
    ) -> Recommendation:
        """Return what Nova of the release takes from libosinfo for this os_distro.

        os_distro is a short id (``win10``) or, if it begins with ``http``, an id; one that
        libosinfo does not know, as ``ubuntu``, has no recommendation.
        Source: nova/virt/osinfo.py, OsInfo and _OsInfoDatabase.get_os.
        """
        if not os_distro or not self.available:
            return NO_RECOMMENDATION
        key = os_distro, release
        if key not in self._known:
            self._known[key] = self._ask(os_distro, release)
        return self._known[key]

    def every_recommendation(self, release: int = NEWEST_RELEASE) -> dict[str, Recommendation]:
        """Return the recommendations by short id and by id, of the systems that have any.

        It takes a second.
        """
        found = {}
        for number in range(self._systems.get_length() if self.available else 0):
            system = self._systems.get_nth(number)
            for name in (system.get_id(), *system.get_param_value_list("short-id")):
                found[name] = self.recommendation(name, release)
        return {name: told for name, told in found.items() if told != NO_RECOMMENDATION}

    def _ask(self, os_distro: str, release: int) -> Recommendation:
        field = "id" if os_distro.startswith("http") else "short-id"
        found = self._library.List.new_filtered(self._systems, self._filter(field, os_distro))
        if not found.get_length():
            return NO_RECOMMENDATION
        system = found.get_nth(0)
        disk, interface = self._first(system, "block"), self._first(system, "net")
        return Recommendation(
            _as_nova_calls(disk, _VIRTIO_DISKS, values("hw_disk_bus", release)),
            _as_nova_calls(interface, _VIRTIO_INTERFACES, values("hw_vif_model", release)),
        )

    def _first(self, system: Any, device_class: str) -> str | None:
        """Return the name of the first device of a class, which need not be the best one."""
        devices = system.get_all_devices(self._filter("class", device_class))
        name: str | None = devices.get_nth(0).get_name() if devices.get_length() else None
        return name

    def _filter(self, field: str, value: str) -> Any:
        made = self._library.Filter.new()
        made.add_constraint(field, value)
        return made


def _as_nova_calls(
    device: str | None, virtio: tuple[str, ...], known: tuple[str, ...]
) -> str | None:
    """Return Nova's name of a libosinfo device; None for one that Nova has no name for."""
    if device in virtio:
        return "virtio"
    return device if device in known else None


def _library() -> Any:
    """Return the library, or None where it, its typelib or PyGObject is missing."""
    try:
        import gi

        gi.require_version("Libosinfo", "1.0")
        from gi.repository import Libosinfo
    except (ImportError, ValueError):
        return None
    return Libosinfo


def _read_systems(library: Any) -> Any:
    """Return the library's list of operating systems."""
    from gi.repository import GLib

    loader = library.Loader()
    try:
        loader.process_default_path()
    except GLib.Error as error:
        raise UnreadableOsInfo(f"libosinfo cannot read its database: {error.message}") from error
    return loader.get_db().get_os_list()
