"""The writer: that of image properties, of which it leaves the cell as it is."""

from __future__ import annotations

from collections.abc import Sequence

from novadev.deployment import Deployment
from novadev.image_property import applying
from novadev.image_property.applying import Policy
from novadev.image_property.states import AT_REST
from novadev.runs.lease import Fence
from novadev.runs.plan import Outcome, Plan
from novadev.runs.preview import Previewed

LEAVES_THE_CELL = Policy(AT_REST, None, touches_instances=False)


def apply(
    deployment: Deployment, plans: Sequence[Plan], resumed: bool, fence: Fence
) -> list[Outcome]:
    """Write PLANS of one cell and return an outcome for each, as ``image_property.applying``."""
    return applying.apply(deployment, plans, resumed, fence, LEAVES_THE_CELL)


def preview(deployment: Deployment, plans: Sequence[Plan], resumed: bool) -> list[Previewed]:
    """Return what `apply` would make of PLANS; see ``image_property.applying``."""
    return applying.preview(deployment, plans, resumed, LEAVES_THE_CELL)
