"""How a Windows guest gets to another machine: in two steps, so that it finds its boot disk."""

from __future__ import annotations

from novadev.rules.disks import GuestDisk

INTERFACES = (
    "Windows takes its network interfaces for new ones, and static addresses stay with the old "
    "ones: note them first, and have a console at hand; it may want to be activated again"
)


def route(instance: str, machine_type: str, before: GuestDisk, after: GuestDisk) -> str:
    """Return what to do first, and the command that then does the rest.

    before and after are the root disk. Windows starts a disk driver at boot only if it has seen a
    device of it; that of SATA (storahci) comes with Windows, and is no exception.
    """
    last = (
        f"novadev machine-type set {machine_type} --force {instance}; if it does not boot then, "
        "novadev undo takes it back"
    )
    if before.bus == after.bus:
        return (
            f"its driver for {after.bus} is there, but is to find the controller in another place: "
            f"1. start it and bring its drivers up to date; 2. shut it down, take a snapshot; 3. "
            f"{last}"
        )
    return (
        f"while it is on the machine it has: 1. novadev image-property set --property "
        f"hw_disk_bus={after.bus} --update-disks none --force {instance}; 2. attach an empty "
        f"volume while it is stopped, which comes on {after.bus}; 3. start it once, so that "
        "Windows installs the driver and starts it at boot from then on; 4. shut it down, detach "
        f"the volume, take a snapshot; 5. {last}"
    )
