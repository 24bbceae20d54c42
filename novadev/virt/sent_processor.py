"""The processor that a live migration takes along, beside the definition that it sends.

libvirt sends the model and features that the guest runs with in the migration cookie, and the other
host takes these, and all of them (``check='full'``). Sources: libvirt,
src/qemu/qemu_migration_cookie.c, qemuMigrationCookieAddCPU; src/qemu/qemu_process.c,
qemuProcessUpdateLiveGuestCPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novadev.virt.domain import Domain

if TYPE_CHECKING:
    from lxml import etree


def with_processor_of(running: Domain, sent: Domain) -> Domain:
    """Return what is SENT with the processor of the RUNNING guest, where another host may differ.

    That is for ``host-model``, and for a model of which QEMU left features out, as the host has
    none. What QEMU adds to a model, such as ``hypervisor``, it adds on every host.
    """
    written, expanded = sent.root.find("cpu"), running.root.find("cpu")
    if written is not None and expanded is not None and _may_differ(written, expanded):
        sent.root.replace(written, expanded)
    return sent


def _may_differ(written: etree._Element, expanded: etree._Element) -> bool:
    left_out = _switched_off(expanded) - _switched_off(written)
    return written.get("mode") == "host-model" or bool(left_out)


def _switched_off(cpu: etree._Element) -> set[str | None]:
    return {item.get("name") for item in cpu.iterfind("feature[@policy='disable']")}
