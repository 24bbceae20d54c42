"""What a guest will need of a host by what Nova has stored of it."""

from __future__ import annotations

from novadev.capabilities.facts import GuestFacts
from novadev.rules.guest import DriverRules, Guest, architecture, machine_type
from novadev.rules.hardware import hardware
from novadev.rules.image_meta import check_readable
from novadev.rules.osinfo import NO_RECOMMENDATION, Recommendation


def facts_of_guest(
    guest: Guest, rules: DriverRules, recommended: Recommendation = NO_RECOMMENDATION
) -> GuestFacts:
    """Return what GUEST needs at its next power-on on a host with these RULES.

    Of its interfaces there is one, for all have the model of the property but devices of the
    host. What the flavor adds is not among it: nor are devices of the host and shares.
    RECOMMENDED is libosinfo's for the guest's os_distro. Raises one of
    :data:`novadev.rules.defaults.REFUSALS` where Nova itself would not build the guest.
    """
    check_readable(guest, rules.release)
    return GuestFacts(
        architecture=architecture(guest, rules),
        domain_type=rules.virt_type,
        machine_type=machine_type(guest, rules),
        devices=hardware(guest, rules, recommended),
    )
