"""What a migration or an unshelve would bring otherwise: the request spec beside the cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from novadev.audit.correction import from_here
from novadev.audit.finding import Trouble
from novadev.audit.remedies import set_machine_type, sync
from novadev.audit.stored import Stored, unread
from novadev.errors import BadInput, InvalidValue, NovadevError
from novadev.image_property.sync.differences import differences, in_words, lacked
from novadev.nova.image_properties import MACHINE_TYPE
from novadev.nova.instances import Instance
from novadev.nova.request_specs import RequestSpec
from novadev.rules.defaults import REFUSALS, REGISTERED, registered
from novadev.rules.image_meta import unreadable
from novadev.rules.machine_types import family_of
from novadev.rules.property_faults import NO_EFFECT
from novadev.runs.change import Change


def request_spec(stored: Stored) -> Iterator[Trouble]:
    """Yield what a migration would bring otherwise: it builds the guest from the request spec."""
    spec = stored.facts.spec
    if spec is None:
        details = (
            "it has no request spec, which a migration or an unshelve needs to build the guest"
        )
        yield Trouble("request-spec", "warning", details)
        return
    try:
        found = differences(stored.values, spec, stored.facts.instance.image_ref)
    except BadInput as error:
        yield unread(stored, error)
        return
    except InvalidValue as error:
        yield _compared_later(stored, spec, error)
        return
    except NovadevError as error:
        yield Trouble("request-spec", "warning", f"{_UNCOMPARED}: {error}")
        return
    silent = {*NO_EFFECT, *_chosen_again(stored, found)}
    told = [item for item in found if item.place.name not in silent]
    if told:
        trouble = Trouble("request-spec", "warning", in_words(told))
        yield _with_remedy(trouble, stored.facts.instance, told)


_UNCOMPARED = "its request spec cannot be compared"


def _compared_later(stored: Stored, spec: RequestSpec, error: InvalidValue) -> Trouble:
    """Return that the cell has to be read first; a sync comes after what makes it readable."""
    details = f"{_UNCOMPARED}: {error}"
    told = stored.outside
    after = frozenset(
        "stored-value" if name in told else "unreadable" for name in unreadable(stored.values)
    )
    try:
        left = stored.readable.values
        found = differences(left, spec, stored.facts.instance.image_ref)
    except NovadevError:
        return Trouble("request-spec", "warning", details)
    trouble = Trouble("request-spec", "warning", details, after=after)
    return _with_remedy(trouble, stored.facts.instance, found)


def _with_remedy(trouble: Trouble, instance: Instance, found: Iterable[Change]) -> Trouble:
    """Return TROUBLE with the command for what was FOUND; of two machine types a person decides.

    Nova replaces the stored machine type when it rescues a server
    (``nova/virt/libvirt/driver.py`` _configure_guest_by_virt_type): the copy in the request spec is
    then the only one of what was chosen. A name that is none of a machine type was chosen by nobody
    who has such a guest.
    """
    pairs = ((item.before, item.after) for item in found if item.place.name == MACHINE_TYPE)
    spec, cell = next(pairs, (None, None))
    if not (isinstance(spec, str) and isinstance(cell, str) and family_of(spec)):
        return replace(trouble, remedy=sync(instance.uuid))
    again = set_machine_type(instance.uuid, spec) or "novadev machine-type set"
    return replace(
        trouble,
        remedy=sync(instance.uuid) if family_of(cell) else None,
        instead=(
            "a rescue replaces the machine type in the cell: to keep that of the request spec, "
            f"run {from_here(again, instance)}"
        ),
        keeps="that of the cell",
        settled_by=MACHINE_TYPE,
    )


def _chosen_again(stored: Stored, found: Iterable[Change]) -> frozenset[str]:
    """Return the names of FOUND that the spec lacks and whose values Nova would choose again.

    At the spawn Nova writes its own choices into the cell and never into the spec
    (``_register_undefined_instance_details``). The guest is the same with either until the rules of
    its host change; only the USB keyboard that a stored hw_input_bus adds goes at a migration, and
    the PS/2 one stays. libosinfo may choose too, where os_distro says for what.
    """
    lacking = lacked(found) & set(REGISTERED)
    if stored.are_assumed or not lacking or "os_distro" in stored.values:
        return frozenset()
    kept = {name: value for name, value in stored.values.items() if name not in lacking}
    try:
        chosen = registered(replace(stored.facts.guest, image_properties=kept), stored.rules)
    except REFUSALS:
        return frozenset()
    return frozenset(name for name in lacking if chosen.get(name) == stored.values[name])
