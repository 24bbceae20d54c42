"""The command that fixes a finding, or None if there is no such command.

A device is never taken out of a guest as a remedy: that is for its owner to decide. An operator
pastes these commands into a shell, so nothing of a guest's stands in them unquoted, and they ask no
question, which would take the next line for its answer. The server is the last word of each
command, so that one command serves many servers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from shlex import quote

_UNPIN = "novadev device unpin"
_SET = "novadev image-property set --yes"
_MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def for_many(remedy: str, uuid: str | None) -> str | None:
    """Return REMEDY of the server UUID without the server: the command takes any number of them.

    None for a command that does not.
    """
    command = remedy.removesuffix(f" {uuid}")
    return None if command == remedy or remedy.startswith(_UNPIN) else command


def stash(uuid: str, *names: str) -> str:
    """Return the command that records what the guest has: all, or these properties.

    An alias of a machine type would be the next finding, so it records the versioned name.
    """
    versioned = " --versioned" if not names or "hw_machine_type" in names else ""
    chosen = "".join(f" --property {name}" for name in names)
    return f"novadev stash-defaults --yes{versioned}{chosen} {uuid}"


def stash_again(uuid: str, name: str) -> str:
    """Return the command that records what a run has taken out: it asks, as nobody must run it."""
    return f"novadev stash-defaults --property {name} {uuid}"


def set_property(uuid: str, name: str, value: str) -> str:
    """Return the command that stores VALUE, quoted: an image's owner chose it."""
    return f"{_SET} --property {quote(f'{name}={value}')} {uuid}"


def with_every_disk(remedy: str) -> str:
    """Return the command of `set_property` that moves every disk of the kind to the bus."""
    return remedy.replace(_SET, f"{_SET} --update-disks all", 1)


def set_machine_type(uuid: str, value: str) -> str | None:
    """Return the command that stores a machine type, with all that hangs on it.

    None for a value that is no name of one: an image's owner chose it.
    """
    return f"novadev machine-type set --yes {value} {uuid}" if _MACHINE.fullmatch(value) else None


def unset(uuid: str, name: str) -> str:
    """Return the command that takes the stored value of NAME out."""
    return f"novadev image-property unset --yes --property {name} {uuid}"


def sync(uuid: str) -> str:
    """Return the command that makes the request spec say what the cell stores."""
    return f"novadev image-property sync --yes {uuid}"


def unset_unreadable(uuid: str) -> str:
    """Return the command that takes out every stored value that Nova cannot read."""
    return f"novadev image-property unset --yes --unreadable {uuid}"


def unset_duplicates(uuid: str) -> str:
    """Return the command that takes out the rows of properties that Nova never reads."""
    return f"novadev image-property unset --yes --duplicates {uuid}"


def alias_migrate(uuid: str, whole: bool) -> str:
    """Return the command that gives every device its alias, with the WHOLE definition if need be.

    libvirt changes only disks and interfaces alone.
    """
    return f"novadev device alias-migrate --yes{' --whole-definition' if whole else ''} {uuid}"


def restore(uuid: str) -> str:
    """Return the command that puts the recorded addresses back."""
    return f"novadev device restore --yes {uuid}"


def unpin(uuid: str, device_ids: Iterable[str]) -> str:
    """Return the commands that give up the pins of these devices, and record what is there."""
    return f"{' '.join((_UNPIN, uuid, *device_ids))} && {record(uuid)}"


def record(uuid: str) -> str:
    """Return the command that takes what the guest has now for what it should have."""
    return f"novadev device record {uuid}"
