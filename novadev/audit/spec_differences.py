"""What a migration or an unshelve would bring otherwise: the request spec beside the cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from novadev.audit.finding import Trouble
from novadev.audit.remedies import set_machine_type, sync
from novadev.audit.stored import Stored, unread
from novadev.errors import BadInput, InvalidValue, NovadevError
from novadev.image_property.sync.differences import differences, in_words, lacked
from novadev.nova.request_specs import RequestSpec
from novadev.rules.defaults import REFUSALS, REGISTERED, registered
from novadev.rules.image_meta import unreadable
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
        choice = _machine_type_choice(stored.uuid, told)
        remedy = None if choice else sync(stored.uuid)
        yield Trouble("request-spec", "warning", in_words(told) + choice, remedy)


_UNCOMPARED = "its request spec cannot be compared"


def _compared_later(stored: Stored, spec: RequestSpec, error: InvalidValue) -> Trouble:
    """Return that the cell has to be read first; a sync comes after what makes it readable."""
    details, uuid = f"{_UNCOMPARED}: {error}", stored.uuid
    told = stored.outside
    after = frozenset(
        "stored-value" if name in told else "unreadable" for name in unreadable(stored.values)
    )
    try:
        left = stored.readable.values
        choice = _machine_type_choice(
            uuid, differences(left, spec, stored.facts.instance.image_ref)
        )
    except NovadevError:
        return Trouble("request-spec", "warning", details)
    remedy = None if choice else sync(uuid)
    return Trouble("request-spec", "warning", details + choice, remedy, after=after)


def _machine_type_choice(uuid: str, found: Iterable[Change]) -> str:
    """Return what either of two machine types takes; empty where FOUND has no two.

    Nova replaces the stored machine type when it rescues a server
    (``nova/virt/libvirt/driver.py`` _configure_guest_by_virt_type): the copy in the request spec is
    then the only one of what was chosen.
    """
    for item in found:
        pair = (item.before, item.after)
        if item.place.name == "hw_machine_type" and all(isinstance(one, str) for one in pair):
            again = set_machine_type(uuid, str(item.before))
            return (
                "; a rescue replaces the machine type in the cell: to keep that of the request "
                f"spec, stop the server and run {again or 'novadev machine-type set'}; to keep "
                f"that of the cell, run {sync(uuid)}"
            )
    return ""


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
