"""What stash-defaults would record for a guest and what it would not, from its own planner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from novadev.audit.finding import UNREAD, Trouble
from novadev.audit.remedies import stash, stash_again
from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.errors import BadInput, NovadevError
from novadev.image_property.decisions import Decision
from novadev.image_property.facts import Facts
from novadev.nova.instances import Instance
from novadev.rules.defaults import REFUSALS, REGISTERED
from novadev.rules.server_states import way_to_stored_hardware
from novadev.stash_defaults.effects import HARMLESS, not_again
from novadev.stash_defaults.gathering import no_domain
from novadev.stash_defaults.planning import outlook
from novadev.stash_defaults.sources import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUT = frozenset({"hw_input_bus", "hw_pointer_model"})
"""What stash-defaults leaves out where storing it would give the guest a device more."""


@dataclass(frozen=True)
class Outlook:
    """The values of the properties that would be recorded, and why others would not be.

    ``undecided`` is by reason, those left out because that adds a device not among them, nor
    those of ``taken_out``: what a run took out, and stash-defaults would put back.
    """

    recorded: Mapping[str, str | None] = field(default_factory=dict)
    undecided: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    taken_out: Mapping[str, Decision] = field(default_factory=dict)

    @classmethod
    def of(cls, evidence: Evidence) -> Outlook:
        """Return what stash-defaults would do of the guest that EVIDENCE is of."""
        try:
            found, undecided = outlook(evidence)
        except NovadevError as error:
            prefix = f"instance {evidence.facts.instance.uuid}: "
            return cls(undecided={str(error).removeprefix(prefix): REGISTERED})
        except REFUSALS as error:
            return cls(undecided={f"Nova's rules fail: {error}": REGISTERED})
        taken = {
            name: decision
            for name, decision in evidence.taken_out.items()
            if name in undecided.get(not_again(name, decision), ())
        }
        known = {*HARMLESS, *(not_again(name, decision) for name, decision in taken.items())}
        told = {why: tuple(names) for why, names in undecided.items() if why not in known}
        return cls({name: item.value for name, item in found.items()}, told, taken)

    @property
    def is_on_lsilogic(self) -> bool:
        """Whether the SCSI model would be the one that libvirt chooses, and few guests can use."""
        return self.recorded.get("hw_scsi_model") == "lsilogic"


@dataclass(frozen=True)
class NotNow:
    """Why stash-defaults would refuse a guest; ``is_silent``: because its host did not answer."""

    why: str
    is_silent: bool = False


def why_not_now(facts: Facts, is_silent: bool, hosts: ComputeHosts) -> NotNow | None:
    """Return why stash-defaults would refuse a guest that was not read; None if it may take it.

    IS_SILENT: its host was asked, and did not answer.
    """
    host = facts.instance.host
    if is_silent:
        return NotNow(f"host {host} did not answer", is_silent)
    if host is None:
        return None
    unread = no_domain(facts)
    if unread is not None:
        return NotNow(str(unread))
    try:
        compute = hosts.find(host)
    except BadInput as error:
        return NotNow(str(error))
    if compute is None or compute.qemu is None or compute.release in (None, facts.release):
        return None
    return NotNow(
        f"the rules in {compute.origin} are from Nova {compute.release}, but nova-compute on "
        f"{host} is {facts.release} now: save the file again (novadev capabilities save)"
    )


def not_stashed(
    instance: Instance,
    known: Outlook | None,
    taken_out: Mapping[str, Decision],
    not_now: NotNow | None = None,
) -> Iterator[Trouble]:
    """Yield the properties of Nova's own list that are not stored.

    Where storing one would change the guest, nothing is to be done, and nothing is said; what is
    not KNOWN to be so, as no host was asked, is taken to be so of the input devices. The others
    are named with what was not read, for some of them may be such, or cannot be recorded. What a
    run has TAKEN OUT is not offered to be stored again. A SCSI model that nobody chose is not
    stored with the others: that is another finding's. NOT_NOW is that of `why_not_now`.
    """
    uuid = instance.uuid
    missing = [name for name in REGISTERED if name not in instance.image_properties]
    for name, decision in (taken_out if known is None else known.taken_out).items():
        if name in missing:
            missing.remove(name)
            is_seen = known is not None
            details = decided(name, "not stored", decision, instance, is_seen=is_seen)
            yield Trouble("not-stashed", "warning", details)
    if known is None:
        if not INPUT.issuperset(missing):
            yield _of_unread(uuid, missing, not_now)
        return
    recorded = [name for name in missing if name in known.recorded]
    if recorded:
        chosen = recorded if known.is_on_lsilogic else ()
        yield Trouble("not-stashed", "warning", _details(recorded), stash(uuid, *chosen))
    for why, names in known.undecided.items():
        left = [name for name in missing if name in names]
        if left:
            details = f"{_details(left)}; stash-defaults cannot record {_it(left)}: {why}"
            yield Trouble("not-stashed", "warning", details)


def _of_unread(uuid: str, missing: list[str], not_now: NotNow | None) -> Trouble:
    details = f"{_details(missing)}; {UNREAD}"
    if not_now is None:
        return Trouble("not-stashed", "warning", details, stash(uuid))
    details += f", and stash-defaults cannot record {_it(missing)}: {not_now.why}"
    return Trouble("not-stashed", "warning", details, waits_for_host=not_now.is_silent)


def decided(name: str, stored: str, decision: Decision, instance: Instance, is_seen: bool) -> str:
    """Return that a property is STORED so by a DECISION, what comes of it, and what reverses it.

    IS_SEEN: the definition of the guest shows that the guest has the value still.
    """
    way = way_to_stored_hardware(instance.vm_state, instance.host is not None)
    what = f"the guest {'has' if is_seen else 'may have'} it"
    if decision.is_default_known:
        what = f"{what} until a power-on gives it today's default ({way})"
    else:
        what = f"{what}; novadev does not know which value a power-on ({way}) gives the guest"
    again = f"to store {decision.before} again, run {stash_again(instance.uuid, name)}"
    return f"{name} is {stored}: {decision.told}, and {what}; {again}"


def _details(names: list[str]) -> str:
    verb = "is" if len(names) == 1 else "are"
    return f"{', '.join(names)} {verb} not stored: a new default would change the guest"


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"
