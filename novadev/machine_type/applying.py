"""The writer: that of image properties, with an action of its own for the owner of the instance."""

from __future__ import annotations

from collections.abc import Sequence

from novadev.deployment import Deployment
from novadev.image_property import applying
from novadev.image_property.applying import Policy
from novadev.image_property.planning import VM_STATES
from novadev.machine_type.present_effects import with_machine_effects
from novadev.runs.lease import Fence
from novadev.runs.plan import Outcome, Plan
from novadev.runs.preview import Previewed

CHANGES_MACHINES = Policy(VM_STATES, "update_machine_type")


def apply(
    deployment: Deployment, plans: Sequence[Plan], resumed: bool, fence: Fence
) -> list[Outcome]:
    """Write PLANS of one cell and return an outcome for each, as ``image_property.applying``."""
    return applying.apply(deployment, plans, resumed, fence, CHANGES_MACHINES)


def preview(deployment: Deployment, plans: Sequence[Plan], resumed: bool) -> list[Previewed]:
    """Return what `apply` would make of PLANS; see ``image_property.applying``."""
    return applying.preview(deployment, plans, resumed, CHANGES_MACHINES, with_machine_effects)
