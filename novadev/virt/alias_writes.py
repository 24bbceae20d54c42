"""Writes the aliases of disks and interfaces into a persistent definition, device by device.

libvirt has no compare-and-swap: `AliasWriter` says how it guards. It reads back what it wrote,
because libvirt drops what it does not like without an error.
"""

from __future__ import annotations

from novadev.errors import NotAsNeeded, NotFound, StalePlan
from novadev.virt import xml
from novadev.virt.alias import Alias
from novadev.virt.binding import libvirt
from novadev.virt.device import Device
from novadev.virt.devices import Disk, Interface
from novadev.virt.domain import Domain
from novadev.virt.host import Host

_GONE = (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_DEVICE_MISSING)
"""What `updateDeviceFlags` says of a disk, and of an interface, that is no longer there."""


def can_update(device: Device) -> bool:
    """Whether libvirt can change the alias of this device alone, in the persistent definition.

    It can for disks and interfaces (``qemuDomainUpdateDeviceConfig``; graphics have no alias).
    """
    return isinstance(device, Disk | Interface)


def in_two_steps(device: Device) -> bool:
    """Whether libvirt finds the device by its alias, which is taken out before it gets another.

    It does so for interfaces (``virDomainNetFindIdx``). A process killed in between leaves none.
    """
    return isinstance(device, Interface)


class AliasWriter:
    """Writes aliases into the persistent definition of one domain, one after the other.

    DOMAIN is that definition, read just before. The rest of it is never sent, so what others
    attach, detach or undefine meanwhile stays so. libvirt puts the device that is sent in the
    place of the one at its target, or with its MAC and address: only a device swapped for another
    *there* since the last reading would be lost.

    After each alias the definition is read again. Where it differs from the reading before in the
    line of this alias alone, `domain` follows without being parsed; else it is parsed and
    compared at once. What `read` returns is always parsed and compared.
    """

    def __init__(self, host: Host, domain: Domain) -> None:
        self._host = host
        self._text = domain.source
        self._unread: dict[str, Device] = {}
        """What was written since the last parse, by label."""
        self.domain = domain.copy()
        """The definition as it is by the last reading."""

    def write(self, label: str, alias: Alias | None) -> None:
        """Set or take out the alias of a disk or interface; nothing is sent if it is so already.

        Raises BadInput for an alias libvirt would drop, NotAsNeeded for one that another device
        has (libvirt checks only a whole definition, and loses the domain when it is restarted),
        StalePlan when the device is gone or is another now, NotFound without the domain and
        NotAsNeeded of a transient one. What is undefined between the write and the reading back
        while its guest runs is taken as it was written, as if it had been undefined right after.
        """
        device = self.domain.device(label)
        before = device.alias
        if before == alias:
            return
        wanted = self.domain.device_with_alias(device, alias)
        self._send(device, wanted)
        self._unread[label] = wanted
        text = self._host.read_back_text(self.domain.uuid)
        if self._text is not None and _differs_by_alias(self._text, text, before, alias):
            self._text, device.alias = text, alias
            return
        self._text = text
        try:
            self._parse().check_aliases([alias] if alias else [])
        except NotAsNeeded:
            self._send(wanted, device)
            raise
        self._check_written()

    def read(self) -> Domain:
        """Return the definition by the last reading; raises StalePlan if it is not as written."""
        if self._unread:
            self._parse()
            self._check_written()
        return self.domain

    def _parse(self) -> Domain:
        assert self._text is not None
        self.domain = self._host.parsed(self._text, self.domain.uuid)
        return self.domain

    def _check_written(self) -> None:
        """Raise StalePlan where a device is not what was written of it since the last parse."""
        written, self._unread = self._unread, {}
        for label, wanted in written.items():
            try:
                found = self.domain.device(label)
            except NotFound as error:
                raise StalePlan(
                    f"host {self._host.name}: {error}: it was changed meanwhile"
                ) from error
            if not _same(found, wanted):
                raise StalePlan(
                    f"host {self._host.name}: {label} of domain {self.domain.uuid} was changed "
                    f"meanwhile, or libvirt did not take the alias {wanted.alias} (it has "
                    f"{found.alias})"
                )

    def _send(self, old: Device, new: Device) -> None:
        """Put NEW in the place of OLD."""
        if in_two_steps(old) and old.alias and new.alias:
            bare = old.copy()
            bare.alias = None
            self._update(bare)
        self._update(new)

    def _update(self, device: Device) -> None:
        host, uuid = self._host, self.domain.uuid
        handle = host.handle(uuid)
        with host.translated(uuid, stale=_GONE):
            text = xml.serialise(device.element)
            handle.updateDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _differs_by_alias(before: str, after: str, old: Alias | None, new: Alias | None) -> bool:
    """Whether AFTER is BEFORE but for one line: OLD's is gone there, or NEW's has come, or both.

    Of the definitions that libvirt writes, in which every ``<alias>`` has a line of its own.
    """
    ours, theirs = before.splitlines(), after.splitlines()
    pairs = enumerate(zip(ours, theirs, strict=False))
    start = next((at for at, (one, other) in pairs if one != other), min(len(ours), len(theirs)))
    gone, come = _line(old), _line(new)
    return (
        [line.strip() for line in ours[start : start + len(gone)]] == gone
        and [line.strip() for line in theirs[start : start + len(come)]] == come
        and ours[start + len(gone) :] == theirs[start + len(come) :]
    )


def _line(alias: Alias | None) -> list[str]:
    return [f"<alias name='{alias.name}'/>"] if alias else []


def _same(found: Device, wanted: Device) -> bool:
    """Whether FOUND differs from WANTED, which is in no domain, in spelling at most."""
    texts = [xml.serialise(device.element) for device in (found.copy(), wanted)]
    return texts[0] == texts[1] or xml.canonical(texts[0]) == xml.canonical(texts[1])
