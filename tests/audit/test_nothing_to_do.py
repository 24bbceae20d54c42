"""A warning on which nobody has to act is no finding: the guest works with what it has."""

from typing import Any

import pytest

from novadev.audit.correction import for_fault
from novadev.rules.guest import ComputeRules
from novadev.rules.validity import OF_A_CHANGE, faults
from tests.audit.auditing import audit, healthy
from tests.cloud import Cloud
from tests.rules.test_validity import CASES

CHOSEN = {"scsi-model-missing", "lun-local"}
"""Rules with a warning that a person decides about: docs/audit.rst has them in its table."""


@pytest.mark.parametrize("expected", [name for name in CASES if name.startswith("warning ")])
def test_a_warning_has_a_command_or_a_decision_or_is_none_of_the_audit(expected: str) -> None:
    for made in CASES[expected]:
        (fault,) = faults(made, ComputeRules())
        has_command = for_fault(fault, "UUID", "cmp1") is not None
        assert (has_command or fault.rule in CHOSEN) is (fault.rule not in OF_A_CHANGE)


@pytest.mark.parametrize(
    "stored",
    [
        *(
            {"hw_machine_type": "pc-q35-7.2", "hw_cdrom_bus": "sata", "hw_vif_model": model}
            for model in ("e1000", "rtl8139", "ne2k_pci", "pcnet", "vmxnet3")
        ),
        {"hw_usb_model": "none", "hw_input_bus": "usb"},
    ],
)
def test_a_guest_that_works_has_no_finding(sqlite_cloud: Cloud, stored: dict[str, Any]) -> None:
    healthy(sqlite_cloud, **stored)
    assert audit(sqlite_cloud, "--all", "--check", "combination", "--check", "no-effect") == []


def test_more_disks_than_one_lsilogic_controller_takes(sqlite_cloud: Cloud) -> None:
    """Libvirt adds controllers, and the guest has had them since."""
    uuid = healthy(sqlite_cloud, hw_scsi_model="lsilogic")
    for letter in "abcdefgh":
        sqlite_cloud.add_volume(uuid, None, f"/dev/sd{letter}", disk_bus="scsi", device_type="disk")
    assert audit(sqlite_cloud, "--all", "--check", "combination") == []
