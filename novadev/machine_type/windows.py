"""How a Windows guest gets to another machine: in two steps, so that it finds its boot disk."""

from __future__ import annotations

from novadev.rules.disks import GuestDisk

INTERFACES = (
    "Windows treats its network interfaces as new ones, and static IP addresses stay with the old "
    "ones: write the addresses down first and have a console ready. Windows may also ask to be "
    "activated again"
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
            f"Its driver for {after.bus} is installed, but will find the controller elsewhere: 1. "
            f"start it and update its drivers; 2. shut it down, take a snapshot; 3. {last}"
        )
    return (
        "First, on its present machine type: 1. novadev image-property set --property "
        f"hw_disk_bus={after.bus} --update-disks none --force {instance}; 2. while it is stopped, "
        f"attach an empty volume (Nova puts the volume on {after.bus}); 3. start it once, so that "
        "Windows installs the driver and starts it at boot from then on; 4. shut it down, detach "
        f"the volume, take a snapshot; 5. {last}"
    )
