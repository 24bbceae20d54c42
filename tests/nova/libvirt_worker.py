"""Calls of the worker that ask Nova's own libvirt driver; libvirt is only beside release 34.

The hypervisor is a test's own, by its libvirt URI. Nova is imported in the calls: its driver takes
a second, and most tests never ask it.
"""

from nova import objects

ADDRESS = ("domain", "bus", "slot", "function")


def guest_device_by_alias(uri, uuid, alias, persistent):
    """What nova.virt.libvirt.guest's Guest.get_device_by_alias() finds, None if nothing.

    {"class", "target_dev", "serial", "alias", "source", "mac"}; what a device has none of is None.
    """
    guest = _host(uri).get_guest(objects.Instance(uuid=uuid))
    found = guest.get_device_by_alias(alias, from_persistent_config=persistent)
    return None if found is None else _described(found)


def parse_aliases(xml):
    """[class, alias, identity] of each device that Nova's LibvirtConfigGuest reads from XML.

    The identity is a disk's target, an interface's MAC, a share's tag, an mdev's UUID or a PCI
    address. The alias is None of what has none, and of what Nova reads none of.
    """
    from nova.virt.libvirt import config

    guest = config.LibvirtConfigGuest()
    guest.parse_str(xml)
    return [[type(d).__name__, getattr(d, "alias", None), _identity(d)] for d in guest.devices]


def soft_reboot(uri, uuid):
    """What LibvirtDriver._soft_reboot() returns: whether it shut the guest down and started it.

    The guests of the test bed have no system to answer ACPI: one goes off when Nova asks it to.
    """
    from nova.virt.libvirt import driver

    asked = driver.LibvirtDriver.__new__(driver.LibvirtDriver)
    asked._host = _host(uri)
    return asked._soft_reboot(objects.Instance(uuid=uuid))


CALLS = {call.__name__: call for call in (guest_device_by_alias, parse_aliases, soft_reboot)}


class Obedient:
    """A libvirt domain whose guest goes off when asked, as one with an operating system does."""

    def __init__(self, domain):
        self._domain = domain

    def __getattr__(self, name):
        return getattr(self._domain, name)

    def shutdown(self):
        """Ask the guest, and answer for it."""
        self._domain.shutdown()
        self._domain.destroy()


def _host(uri):
    """A Host of Nova's, without its event threads, which would outlive the worker.

    A new one for each call: without those threads it waits for itself when it finds that a test
    has restarted the daemon.
    """
    from nova.virt.libvirt import host

    class Host(host.Host):
        def _get_domain(self, instance):
            return Obedient(super()._get_domain(instance))

    return Host(uri)


def _described(device):
    named = ("target_dev", "serial", "alias")
    source = (getattr(device, name, None) for name in ("source_path", "source_name", "source_dev"))
    return {
        "class": type(device).__name__,
        **{name: getattr(device, name, None) for name in named},
        "source": next(filter(None, source), None),
        "mac": getattr(device, "mac_addr", None),
    }


def _identity(device):
    for name in ("mac_addr", "target_dev", "target_dir", "uuid"):
        if getattr(device, name, None):
            return getattr(device, name)
    parts = [getattr(device, name, None) for name in ADDRESS]
    if None in parts:
        return None
    domain, bus, slot, function = (int(part, 16) for part in parts)
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}"
