"""One alias, written and read back, for tests that write no more of them."""

from novadev.virt.alias import Alias
from novadev.virt.alias_writes import AliasWriter
from novadev.virt.device import Device
from novadev.virt.domain import Domain
from novadev.virt.host import Host


def update_alias(host: Host, domain: Domain, device: Device, alias: Alias | None) -> Domain:
    """Set or take out the alias of DEVICE of DOMAIN; return the definition that is read back."""
    writer = AliasWriter(host, domain)
    writer.write(device.label, alias)
    return writer.read()
