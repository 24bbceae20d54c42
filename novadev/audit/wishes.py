"""Which stored values a run of novadev stored for the guest's next power-on."""

from __future__ import annotations

from novadev.deployment import Deployment
from novadev.errors import NovadevError
from novadev.image_property.planning import SET
from novadev.machine_type import ACTION as SET_MACHINE_TYPE
from novadev.runs.place import Kind, Place

_ACTIONS = (SET, SET_MACHINE_TYPE)
"""What changes the guest's next hardware on purpose; other actions store what it has."""


class Wishes:
    """The values that operators have stored, by the journal of DEPLOYMENT; of None there are none.

    A journal that cannot be read knows of none.
    """

    def __init__(self, deployment: Deployment | None) -> None:
        self._deployment = deployment

    def run_of(self, uuid: str, name: str, value: str) -> int | None:
        """Return the run that stored VALUE as the property of an instance.

        None where the newest write of the property that is in the journal was of something else.
        """
        if self._deployment is None:
            return None
        place = Place(Kind.PROPERTY, name)
        try:
            landed = self._deployment.journal.list_landed(uuid)
        except NovadevError:
            return None
        for item in landed:
            for change in item.plan.changes:
                if change.place == place:
                    is_wish = item.plan.action in _ACTIONS and change.after == value
                    return item.run if is_wish else None
        return None
