"""The name a device goes by: libvirt's ``<alias>``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from novadev.errors import BadInput

PREFIX = "ua-"
"""Before every alias that is not libvirt's own (``virDomainDeviceAliasIsUserAlias``)."""
_USER_DEFINED = re.compile(rf"{PREFIX}[A-Za-z0-9_-]*", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class Alias:
    """An alias as the XML has it: one that was set, or libvirt's own such as ``virtio-disk0``."""

    name: str

    def __str__(self) -> str:
        return self.name

    @classmethod
    def for_uuid(cls, uuid: str) -> Alias:
        """Return the alias of what has this UUID, exactly as Nova spells it.

        ``nova/virt/libvirt/config.py`` make_libvirt_device_alias; Nova also makes ``ua-None`` of
        a volume without id, so what is no UUID raises BadInput here.
        """
        if not _UUID.fullmatch(uuid):
            raise BadInput(f"{uuid!r} is not a UUID, so no alias can be made from it")
        return cls(PREFIX + uuid)

    @property
    def is_user_defined(self) -> bool:
        """Whether libvirt keeps it in a definition: it drops any other in silence.

        The prefix, then letters, digits, ``_`` and ``-`` (``virDomainDeviceInfoParseXML``).
        """
        return _USER_DEFINED.fullmatch(self.name) is not None

    @property
    def identifier(self) -> str | None:
        """What stands behind the prefix; None of an alias that is libvirt's own."""
        return self.name.removeprefix(PREFIX) if self.is_user_defined else None

    @property
    def uuid(self) -> str | None:
        """The UUID it was made of; None when there is none in it."""
        identifier = self.identifier
        return identifier if identifier and _UUID.fullmatch(identifier) else None

    def checked(self) -> Alias:
        """Return it, or raise BadInput when libvirt would drop it."""
        if not self.is_user_defined:
            shown = self.name if len(self.name) <= 60 else f"{self.name[:60]}…"
            raise BadInput(
                f"libvirt would drop the alias {shown!r}: it keeps {PREFIX} followed by letters, "
                "digits, _ and -"
            )
        return self
