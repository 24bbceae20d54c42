"""A host's answers to the doctor, which only asks whether the host works."""

from __future__ import annotations

import time
from dataclasses import dataclass

from novadev.virt.host import Host, version_text


@dataclass(frozen=True)
class Answers:
    """What a host says. ``seconds`` is how long that took, the connection included.

    ``qemu`` is None where the hypervisor is another one; ``is_secure`` whether nobody on the way
    can read what is said: on the same machine, by ssh or by TLS.
    """

    uri: str
    libvirt: str
    qemu: str | None
    running: int
    defined: int
    is_secure: bool
    seconds: float


def ask(host: Host) -> Answers:
    """Return what HOST says of itself; raises Unreachable."""
    began = time.monotonic()
    connection = host.connection
    with host.translated():
        libvirt = version_text(connection.getLibVersion())
        is_secure = bool(connection.isSecure() == 1)
        uri = str(connection.getURI())
    domains = host.list_domains()
    running = sum(domain.is_active for domain in domains)
    return Answers(
        uri=uri,
        libvirt=libvirt,
        qemu=host.qemu_version(),
        running=running,
        defined=len(domains),
        is_secure=is_secure,
        seconds=time.monotonic() - began,
    )
