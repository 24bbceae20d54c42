"""Remedies of one server never undo one another: see `refusals.agreed`."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from novadev.audit.finding import Severity, Trouble
from novadev.audit.refusals import agreed

PC = "novadev machine-type set --yes pc UUID"
VERSIONED = "novadev machine-type set --yes pc-i440fx-7.2 UUID"
SET = "novadev image-property set --yes --property hw_disk_bus=sata UUID"
UNSET = "novadev image-property unset --yes --property hw_disk_bus UUID"
FAULT = ("ide-machine-type", "row 1 disk ide")
STASH = "novadev stash-defaults --yes UUID"


def trouble(
    remedy: str | None, check: str = "stored-value", severity: Severity = "warning"
) -> Trouble:
    return Trouble(check, severity, "", remedy)


@pytest.mark.parametrize(
    ("troubles", "remedies"),
    [
        ([trouble(PC), trouble(VERSIONED, "target")], [VERSIONED, VERSIONED]),
        ([trouble(PC), trouble(VERSIONED, severity="failure")], [VERSIONED, VERSIONED]),
        ([trouble(PC, "target"), trouble(VERSIONED, severity="failure")], [PC, PC]),
        ([trouble(UNSET), trouble(SET)], [UNSET, UNSET]),
        ([trouble(SET), trouble(PC), trouble(None)], [SET, PC, None]),
        ([trouble(UNSET), replace(trouble(SET), fault=FAULT)], [SET, SET]),
        (
            [trouble(UNSET, severity="failure"), replace(trouble(SET), fault=FAULT)],
            [UNSET, UNSET],
        ),
        ([trouble(STASH), trouble(UNSET), trouble(SET, severity="failure")], [STASH, SET, SET]),
    ],
)
def test_one_property_has_one_remedy(
    troubles: Sequence[Trouble], remedies: Sequence[str | None]
) -> None:
    assert [item.remedy for item in agreed(troubles)] == remedies
