"""The processor that a live migration takes along, beside the definition that it sends.

libvirt sends the model and features that the guest runs with in the migration cookie, and the other
host takes these, and all of them (``check='full'``). It leaves out what its model got with a later
libvirt, such as ``vmx-ept`` of Nehalem, unless the guest's definition names the feature. Sources:
libvirt, src/qemu/qemu_migration_cookie.c, qemuMigrationCookieAddCPU; src/qemu/qemu_domain.c,
qemuDomainMakeCPUMigratable; src/qemu/qemu_process.c, qemuProcessUpdateLiveGuestCPU.
"""

from __future__ import annotations

from novadev.virt.domain import Domain

OF_MODEL = "disable-of-model"
"""The policy, novadev's own, of a feature that is off because only the model has it.

Such a one is sent unless the model got it later. If the other host's libvirt knows the model and
not the feature, the model got it later. Tried with libvirt 11.3, which sends to 7.0 and to 9.0.
"""


def with_processor_of(running: Domain, sent: Domain) -> Domain:
    """Return what is SENT with the processor of the RUNNING guest, where that is sent too.

    Only on x86 does libvirt look at what a guest really has, and so has a whole processor of it.
    A feature that is off has the policy `OF_MODEL` where what is SENT does not name it.
    """
    written, expanded = sent.root.find("cpu"), running.root.find("cpu")
    if written is not None and expanded is not None and expanded.get("check") == "full":
        named = {one.get("name") for one in written.iterfind("feature")}
        for feature in expanded.iterfind("feature[@policy='disable']"):
            if feature.get("name") not in named:
                feature.set("policy", OF_MODEL)
        sent.root.replace(written, expanded)
    return sent
