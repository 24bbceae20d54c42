"""The processor that a live migration takes along, beside the definition that it sends.

libvirt sends the model and features that the guest runs with in the migration cookie, and the other
host takes these, and all of them (``check='full'``). Sources: libvirt,
src/qemu/qemu_migration_cookie.c, qemuMigrationCookieAddCPU; src/qemu/qemu_process.c,
qemuProcessUpdateLiveGuestCPU.
"""

from __future__ import annotations

from novadev.virt.domain import Domain


def with_processor_of(running: Domain, sent: Domain) -> Domain:
    """Return what is SENT with the processor of the RUNNING guest, where that is sent too.

    Only on x86 does libvirt look at what a guest really has, and so has a whole processor of it.
    """
    written, expanded = sent.root.find("cpu"), running.root.find("cpu")
    if written is not None and expanded is not None and expanded.get("check") == "full":
        sent.root.replace(written, expanded)
    return sent
