"""A libvirt of our own that lays guests out: what it answers is what a host's would.

``qemu:///embed`` in a child process, with a folder of its own that goes with it. No guest is
started there, and none of a compute host is touched: it is given outlines, without names and
sources, and asked where they would be.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import stat
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from novadev.errors import NotFound, NovadevError, Unreachable
from novadev.virt.binding import libvirt
from novadev.virt.domain import Domain
from novadev.virt.host import PERSISTENT, Host
from novadev.virt.outline import Board, definition_of, number_of
from novadev.virt.pool import Pool

if TYPE_CHECKING:
    from typing_extensions import Self


REMEMBERED = 10_000
"""How many layouts are kept: the guests of a fleet have few shapes."""
_TIMEOUT = 60.0
"""Seconds for a layout; the first asks QEMU what it can, which takes one or two."""
_NAME = "scratch"
_NOBODY = 65534
_IN_MEMORY = "/dev/shm"  # noqa: S108 - mkdtemp makes it there
_FOLDERS = (
    *("HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"),
    *("XDG_DATA_HOME", "XDG_STATE_HOME"),
)
"""Where libvirt's QEMU driver looks for what is outside of its root."""


ADDED = ("controller", "hub")
"""What libvirt adds for the devices of a guest: a USB hub where ports are too few."""


@dataclass(frozen=True)
class Place:
    """Where a device is, and of which model: both as texts, None where there is none.

    ``tag`` and ``name`` say what it is: ``controller``, ``usb 0``.
    """

    tag: str
    name: str
    address: str | None
    model: str | None


@dataclass(frozen=True)
class Layout:
    """The places of the outlines, one each, and of what libvirt adds for them.

    ``is_exact`` says that they are libvirt's own: what has no address then has none. ``untold``
    are the outlines, by their number, that libvirt was not asked about.
    """

    places: tuple[Place, ...]
    added: tuple[Place, ...] = ()
    is_exact: bool = False
    untold: frozenset[int] = frozenset()

    def is_exact_of(self, number: int) -> bool:
        """Return whether the place of the outline with this NUMBER is libvirt's own."""
        return self.is_exact and number not in self.untold


class Scratch:
    """Lays guests out; to be used in a ``with``, at whose end nothing of it is left.

    The child starts with the first question. As root it becomes an ordinary user before libvirt
    is opened: the driver then needs no account of its own, and no rights.
    """

    def __init__(self) -> None:
        self._pool = Pool(lambda _: f"qemu:///embed?root={self._folder.name}", _TIMEOUT)
        self._known: OrderedDict[Board, Layout | NovadevError] = OrderedDict()
        self.asked = 0
        """How often libvirt was asked; the other answers were known."""

    def __enter__(self) -> Self:
        prefix = f"novadev-scratch-{os.getpid()}-"
        self._folder = tempfile.TemporaryDirectory(prefix=prefix, dir=_place())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.close()
        _end_probes(Path(self._folder.name))
        self._folder.cleanup()

    def lay_out(self, board: Board) -> Layout:
        """Return the places that libvirt gives the devices of BOARD.

        Raises Unreachable where there is no QEMU driver here, NotFound where there is no QEMU for
        the architecture, and what libvirt refuses as NotAsNeeded.
        """
        found = self._known.pop(board, None)
        if found is None:
            self.asked += 1
            found = self._ask(board)
        self._known[board] = found
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        if isinstance(found, NovadevError):
            raise found
        return found

    def _ask(self, board: Board) -> Layout | NovadevError:
        try:
            return self._pool.call(_NAME, lay_out, self._folder.name, board)
        except NovadevError as error:
            return error

    @cached_property
    def libvirt(self) -> str:
        """The version of this libvirt, such as ``9.0.0``; raises Unreachable if there is none."""
        return self._pool.call(_NAME, libvirt_version, self._folder.name)


def _place() -> str:
    """Return where the folder is to be: in memory if that can be, for a definition is synced.

    Root's own folder for temporary files may be closed to an ordinary user.
    """
    places = (_IN_MEMORY, tempfile.gettempdir(), "/tmp")  # noqa: S108 - mkdtemp makes it there
    return next(place for place in places if place == places[-1] or _is_open(Path(place)))


def _is_open(place: Path) -> bool:
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return False
    folders = (place, *place.parents)
    return os.geteuid() != 0 or all(item.stat().st_mode & stat.S_IXOTH for item in folders)


def lay_out(host: Host, folder: str, board: Board) -> Layout:
    """Return the places that the libvirt of HOST, whose root is FOLDER, gives BOARD's devices.

    Called in the scratch child. Raises as `Scratch.lay_out`.
    """
    give_up_root(folder)
    _check_emulator(host, board.architecture, board.machine)
    with host.translated():
        domain = host.connection.defineXML(definition_of(board))
        try:
            text = domain.XMLDesc(PERSISTENT)
        finally:
            domain.undefine()
    return _layout(Domain.from_xml(text), len(board.outlines))


def libvirt_version(host: Host, folder: str) -> str:
    """Return the version of the libvirt of HOST, whose root is FOLDER."""
    give_up_root(folder)
    return host.libvirt_version()


@cache
def _check_emulator(host: Host, architecture: str, machine: str) -> None:
    """Raise NotFound where there is no QEMU for ARCHITECTURE, or it has no such machine type."""
    connection = host.connection
    try:
        connection.getDomainCapabilities(None, architecture, machine, "qemu")
    except libvirt.libvirtError as error:
        text = f"no QEMU here for {architecture} and {machine}: {error.get_error_message()}"
        raise NotFound(text) from error


def _layout(domain: Domain, number: int) -> Layout:
    places: list[Place] = [Place("", "", None, None)] * number
    added: list[Place] = []
    for device in domain.devices:
        address = device.address
        place = Place(
            tag=str(device.element.tag),
            name=device.short_name or "",
            address=None if address is None else str(address),
            model=device.model,
        )
        index = number_of(device)
        if index is not None and index < number:
            places[index] = place
        elif place.tag in ADDED:
            added.append(place)
    return Layout(tuple(places), tuple(added), is_exact=True)


def give_up_root(folder: str) -> None:
    """Give up root's rights once and for all; what libvirt keeps goes into FOLDER."""
    if os.environ.get("HOME") == folder:
        return
    os.environ.update(dict.fromkeys(_FOLDERS, folder))
    if os.geteuid() != 0:
        return
    try:
        user, group = pwd.getpwnam("nobody")[2:4]
    except KeyError:
        user = group = _NOBODY
    os.chown(folder, user, group)
    try:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    except OSError as error:
        raise Unreachable(f"no scratch libvirt: {error.strerror}") from error


def _end_probes(folder: Path) -> None:
    """Kill a QEMU that was being asked what it can when the child was killed: it is a daemon."""
    for path in folder.glob("lib/qemu/qmp-*/qmp.pid"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(path.read_text())
            if str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
