"""A setting of a guest, and all that is known of the host that is to meet it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from novadev.capabilities.content import Capabilities
from novadev.capabilities.facts import GuestFacts
from novadev.capabilities.target import Target
from novadev.capabilities.unlisted import Setting
from novadev.capabilities.versions import Version

NOT_TOLD = "the file does not say whether the host has it"


@dataclass(frozen=True)
class Need:
    """A setting of a guest, and what is known of the host for it."""

    setting: Setting
    guest: GuestFacts
    host: Capabilities
    target: Target

    @property
    def value(self) -> str:
        """What is asked for."""
        return self.setting.value

    @cached_property
    def has_smm(self) -> bool:
        """Whether the guest has System Management Mode, which some firmware needs."""
        return any((one.kind, one.value) == ("feature", "smm") for one in self.guest.settings)

    @property
    def libvirt(self) -> Version:
        """The version of the host's libvirt."""
        return self.target.libvirt
