"""The findings in one guest: from stored values, from its host, and for a target host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from novadev.audit.correction import undecided
from novadev.audit.finding import Trouble
from novadev.audit.guest import Inspection
from novadev.audit.kinds import Kinds
from novadev.audit.mismatch import compared
from novadev.audit.prescription import Present, present_host
from novadev.audit.refusals import accepted, agreed
from novadev.audit.server_state import ERROR, TASK, error_state, stuck_task
from novadev.audit.stashing import Outlook, why_not_now
from novadev.audit.stored import Stored
from novadev.audit.stored_checks import stored_troubles
from novadev.audit.target import Needs, TargetHost, Unchecked, target_troubles
from novadev.audit.trial import Trial
from novadev.capabilities.compute_hosts import ComputeHost, ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.config import Config
from novadev.errors import BadInput, Busy, NotAsNeeded, NotFound, NovadevError, Unreachable
from novadev.image_property.decisions import Decision, Decisions
from novadev.image_property.facts import Facts
from novadev.nova.image_properties import MACHINE_TYPE
from novadev.nova.instances import Instance
from novadev.rules.defaults import BY_DEFAULT
from novadev.rules.guest import DriverRules
from novadev.rules.machine_types import may_be
from novadev.stash_defaults.gathering import find_compute, no_domain
from novadev.stash_defaults.sources import Evidence, in_force

_UNBUILT = ("building", "error", "shelved_offloaded", "soft-delete")
"""States in which an instance may be without a domain, and nothing is wrong."""


class Examination:
    """The checks of single guests: those WANTED, against TARGETS too; DECISIONS of operators.

    What they do not check for TARGETS is added to UNCHECKED.
    """

    def __init__(
        self,
        config: Config,
        hosts: ComputeHosts,
        releases: ServerReleases,
        wanted: frozenset[str],
        targets: Sequence[TargetHost],
        decisions: Decisions,
        unchecked: Unchecked,
    ) -> None:
        self._config, self._hosts, self._releases = config, hosts, releases
        self._wanted, self._targets, self._decisions = wanted, targets, decisions
        self._unchecked = unchecked
        self._kinds = Kinds(self._by_what_is_stored, hosts)

    def read(self, everything: Sequence[Facts]) -> None:
        """Read in one go what runs have made of the instances that are examined next."""
        self._decisions.read([facts.instance.uuid for facts in everything])

    def troubles(self, facts: Facts, found: Inspection | NovadevError | None) -> Iterator[Trouble]:
        """Yield what the checks find in the guest that FACTS are of.

        FOUND is what its host has of it, or why the host does not say; None where none was asked.
        Nothing is found in an instance that never had a guest.
        """
        if facts.instance.was_never_built:
            return
        taken_out = self._taken_out(facts)
        if found is not None or facts.instance.host is None or taken_out or self._targets:
            yield from self._judged(facts, found, taken_out)
        else:
            yield from self._kinds.troubles(facts)

    def _by_what_is_stored(self, facts: Facts) -> Iterator[Trouble]:
        return self._judged(facts, None, {})

    def _judged(
        self,
        facts: Facts,
        found: Inspection | NovadevError | None,
        taken_out: Mapping[str, Decision],
    ) -> Iterator[Trouble]:
        compute = self._compute(facts.instance)
        rules = self._assumed(facts.instance) if compute is None else compute.rules
        inspection = found if isinstance(found, Inspection) else None
        known = self._evidence(facts, found, taken_out)
        stored = Stored(
            facts,
            rules,
            _machine_type(facts, inspection, compute),
            facts.release,
            compute is None,
            None if known is None else self._outlook(known),
            taken_out,
            why_not_now(facts, is_of_host(found), self._hosts) if known is None else None,
        )
        troubles = list(self._troubles(stored, found, known))
        if any(item.remedy for item in troubles):
            trial = Trial(rules, self._hosts, self._config)
            troubles = accepted(agreed(troubles), facts, trial)
        yield from (undecided(item, facts.instance) for item in troubles)

    def _troubles(
        self, stored: Stored, found: Inspection | NovadevError | None, known: Evidence | None
    ) -> Iterator[Trouble]:
        facts, inspection = stored.facts, found if isinstance(found, Inspection) else None
        yield from error_state(facts.instance, found) if ERROR in self._wanted else ()
        yield from stuck_task(facts.instance) if TASK in self._wanted else ()
        yield from stored_troubles(stored, self._wanted)
        if "target" in self._wanted:
            mended = stored.readable.facts
            needs, present = _needs(inspection), self._present(facts.instance, inspection)
            yield from target_troubles(mended, needs, self._targets, self._unchecked, present)
        if inspection is not None and known is not None:
            yield from inspection.troubles
            found_here = compared(known, stored, self._decisions)
            yield from (item for item in found_here if item.check in self._wanted)
        elif isinstance(found, NovadevError):
            yield from self._without_domain(facts.instance, found)

    def _evidence(
        self,
        facts: Facts,
        found: Inspection | NovadevError | None,
        taken_out: Mapping[str, Decision],
    ) -> Evidence | None:
        """Return all that is known of a guest; None where its host was not asked, or is silent."""
        if (found is None and facts.instance.host is not None) or is_of_host(found):
            return None
        hardware = found.hardware if isinstance(found, Inspection) else None
        error = found if isinstance(found, NovadevError) else no_domain(facts)
        compute = find_compute(self._hosts, facts, self._releases.version_of(facts.instance))
        if isinstance(compute, NovadevError):
            known, bad = self._compute(facts.instance), compute
            return Evidence(facts, hardware, error, known, bad, taken_out)
        if compute is not None and hardware is not None:
            compute = compute.beside(hardware.qemu)
        return Evidence(facts, hardware, error, compute, taken_out=taken_out)

    def _taken_out(self, facts: Facts) -> Mapping[str, Decision]:
        """Return the decisions to store a value no more, as stash-defaults takes them."""
        decisions = self._decisions.taken_out(facts.instance)
        if not decisions:
            return decisions
        version = self._releases.version_of(facts.instance)
        return in_force(decisions, facts, find_compute(self._hosts, facts, version))

    def _outlook(self, known: Evidence) -> Outlook | None:
        values = known.facts.instance.image_properties
        is_missing = any(values.get(name) is None for name in BY_DEFAULT)
        return Outlook.of(known) if is_missing and "not-stashed" in self._wanted else None

    def _compute(self, instance: Instance) -> ComputeHost | None:
        """Return what is known of the instance's host; nothing where its file is bad."""
        try:
            return self._hosts.find(instance.host or instance.shelved_host)
        except BadInput:
            return None

    def _present(self, instance: Instance, inspection: Inspection | None) -> Present:
        """Return what is known of the host that the instance starts on until it moves.

        An offloaded one may start on the host that it was on.
        """
        compute = self._compute(instance)
        qemu = inspection.hardware.qemu if inspection else None
        targets = [target.capabilities for target in self._targets]
        host = instance.host or (instance.shelved_host if compute else None)
        found = present_host(host, compute, qemu, targets)
        return found if instance.host or found.capabilities else Present()

    def _assumed(self, instance: Instance) -> DriverRules:
        host = instance.host or instance.shelved_host
        return self._hosts.assumed(host, self._config.driver_options)

    def _without_domain(self, instance: Instance, error: NovadevError) -> Iterator[Trouble]:
        """Yield why a guest could not be looked at, unless its whole host could not."""
        if isinstance(error, NotFound) and "missing-domain" in self._wanted:
            if instance.vm_state not in _UNBUILT:
                yield Trouble("missing-domain", "failure", str(error))
        elif isinstance(error, NotAsNeeded):
            yield Trouble("unreachable", "warning", str(error))
        elif is_unseen(error) and not is_of_host(error):
            yield Trouble("unreachable", "failure", str(error), is_unasked=True)


def _machine_type(
    facts: Facts, inspection: Inspection | None, compute: ComputeHost | None
) -> str | None:
    """Return what the stored machine type stands for; None where that is not known.

    That is what the guest has, unless it was started as a machine of another family.
    """
    stored = facts.instance.image_properties.get(MACHINE_TYPE) or ""
    if inspection is None and facts.instance.host is not None:
        return None
    found = inspection.hardware.machine_type if inspection else None
    if found is not None and may_be(stored, found):
        return found
    return compute.machine_types.get(stored) if compute else None


def _needs(inspection: Inspection | None) -> Needs:
    if inspection is None:
        return Needs(None)
    return Needs(inspection.needs, is_built=not inspection.is_carried)


def is_unseen(found: object) -> bool:
    """Whether a guest could not be looked at on its host; one that is not there was."""
    return isinstance(found, NovadevError) and not isinstance(found, NotFound | NotAsNeeded)


def is_of_host(found: object) -> bool:
    """Whether the whole host gave no answer, and not one guest alone."""
    return isinstance(found, Unreachable) and not isinstance(found, Busy)
