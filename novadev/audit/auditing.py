"""The audit: all checks of the selected guests, as a stream of findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property, partial

from novadev import __version__
from novadev.audit.checks import Check, names_of
from novadev.audit.correction import needs, when
from novadev.audit.coverage import Coverage
from novadev.audit.drift import Records
from novadev.audit.examination import Examination, is_of_host, is_unseen
from novadev.audit.finding import Finding, Move, Trouble
from novadev.audit.forecast import Foresight, foresee
from novadev.audit.guest import GUEST_CHECKS, Examined, Inspection, inspect
from novadev.audit.keeping import CHECK as NOT_KEEPING
from novadev.audit.keeping import Keeping
from novadev.audit.mapping import mapping_troubles, residence_finding
from novadev.audit.rehearsal import CHECK, Rehearsals
from novadev.audit.scope import About, in_words
from novadev.audit.target import TargetHost, Unchecked, versions_of
from novadev.audit.unknown_domains import unknown_domains
from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.capabilities.server_releases import ServerReleases
from novadev.deployment import Deployment
from novadev.device.forecast.layouts import Layouts
from novadev.device.hosted_instance import HostedInstance
from novadev.device.selecting import attached
from novadev.errors import BadInput, NotAsNeeded, NovadevError, SchemaUnknown, Unreachable
from novadev.image_property.decisions import Decisions
from novadev.image_property.facts import Facts, read_facts
from novadev.nova.image_properties import MACHINE_TYPE
from novadev.nova.instances import Instance
from novadev.residence import Doubled, Residence, SharedDatabase
from novadev.runs.plan import Skip
from novadev.selection import Chunk, Selection, iter_by_host, of_chunks
from novadev.virt.asking import Answer
from novadev.virt.refusals import of_host


@dataclass
class Audit:
    """One audit; what it counts is complete when its findings were taken.

    ``guests`` is how many instances were looked at, ``unseen`` at how many of them in the databases
    alone, as their hosts did not tell of them. ``unreachable`` is what could not be asked, and
    ``codes`` the exit codes that this gives: 3 for a schema that is unknown, else 8. ``coverage``
    is filled where there is one.
    """

    deployment: Deployment
    selection: Selection
    checks: Sequence[Check]
    targets: Sequence[TargetHost] = ()
    rehearsals: Rehearsals | None = None
    move: Move = "power-on"
    guests: int = 0
    unseen: int = 0
    unreachable: list[str] = field(default_factory=list)
    codes: set[int] = field(default_factory=set)
    coverage: Coverage | None = None

    def findings(self) -> Iterator[Finding | Skip]:
        """Yield what the checks find, guest by guest, and skips for names that are nobody's.

        Reads only, but for a rehearsal on its host, which comes last. Raises as
        :func:`novadev.selection.iter_by_host` and :meth:`Rehearsals.check`.
        """
        if self.rehearsals is not None:
            self.rehearsals.check()
        yield from self._without_records()
        with self._foresight() as foresight:
            residence = Residence(self.deployment)
            chunks = iter_by_host(self.deployment, self.selection, residence)
            for item in of_chunks(chunks, partial(self._in_chunk, foresight), named=False):
                if isinstance(item, Skip) and self.coverage is not None:
                    self.coverage.miss(item)
                if isinstance(item, Doubled | SharedDatabase) and "mapping" in self._wanted:
                    yield residence_finding(item)
                elif isinstance(item, Finding) or item.database is None:
                    yield item
                else:
                    yield from self._lost_database(item)
        for error in residence.silent.values() if self._asks_every_cell else ():
            yield from self._lost_database(Skip.of(None, error, named=False))
        if "unknown-domain" in self._wanted and not self.selection.is_named:
            yield from self._unknown()
        yield from self._not_keeping()
        if self.rehearsals is not None:
            yield from self._rehearsed(self.rehearsals)
        if self.coverage is not None:
            self._complete(self.coverage)

    def _complete(self, coverage: Coverage) -> None:
        """Note what was made of all guests and hosts."""
        coverage.checks = self._wanted - self._unmade
        coverage.hosts = self._seen_hosts - self._lost_hosts
        coverage.asks_hosts = bool(self._of_hosts)
        is_complete = not self.codes and not coverage.lacks_cell
        coverage.is_whole = self.selection.is_whole and is_complete
        coverage.targets = {(one.capabilities.host, one.file) for one in self.targets}
        coverage.move, coverage.unjudged = self.move, self._unchecked.guests
        if self.rehearsals is not None:
            coverage.targets |= {(self.rehearsals.host, None)}
            coverage.unmade |= {(CHECK, uuid) for uuid in self.rehearsals.missed}
        coverage.unmade |= {("drift", uuid) for uuid in self._records.missed}

    def progress(self) -> str:
        """Return how far the rehearsal is, in a few words; empty where none is going on."""
        return "" if self.rehearsals is None else self.rehearsals.progress()

    def about(self) -> About:
        """Return what the audit was of; complete when its findings were taken."""
        return About(
            finished=datetime.now(timezone.utc),
            deployment=self.deployment.config.cloud_name or self.deployment.config.host,
            selection=in_words(self.selection),
            guests=self.guests,
            unseen=self.unseen,
            checks=self.checks,
            unreachable=self.unreachable,
            versions={"novadev": __version__} | dict(map(versions_of, self.targets)),
            rehearsals=self.rehearsals,
            keeping=self._keeping.found,
        )

    @cached_property
    def _wanted(self) -> frozenset[str]:
        return frozenset(check.name for check in self.checks)

    @property
    def _asks_every_cell(self) -> bool:
        """Whether a silent cell leaves a check unmade, whichever cells were chosen."""
        return self.selection.cell is None or "mapping" in self._wanted

    @cached_property
    def _of_hosts(self) -> frozenset[str]:
        return frozenset().union(
            *(names_of(self.checks, need) for need in ("hosts", "target", "rehearsal"))
        )

    @cached_property
    def _hosts(self) -> ComputeHosts:
        return ComputeHosts(self.deployment.config)

    @cached_property
    def _releases(self) -> ServerReleases:
        return ServerReleases(self.deployment, self._hosts)

    @cached_property
    def _examination(self) -> Examination:
        config, hosts, releases = self.deployment.config, self._hosts, self._releases
        decisions, unchecked = Decisions(self.deployment), self._unchecked
        return Examination(
            config, hosts, releases, self._wanted, self.targets, decisions, unchecked
        )

    @cached_property
    def _unchecked(self) -> Unchecked:
        return Unchecked(keeps_guests=self.coverage is not None)

    @cached_property
    def _records(self) -> Records:
        return Records(self.deployment if "drift" in self._wanted else None)

    def _without_records(self) -> Iterator[Finding]:
        """Yield that the recorded devices cannot be read, if so; the rest goes on without them."""
        try:
            self._records.fingerprints(())
        except NovadevError as error:
            self._records = Records(None)
            self._unmade.add("drift")
            yield from self._lost_database(Skip.of(None, error, named=False))

    @contextmanager
    def _foresight(self) -> Iterator[Foresight | None]:
        """Give what foresees the next power-on; None where that is not asked for."""
        if "forecast" not in self._wanted:
            yield None
            return
        with Layouts() as layouts:
            yield Foresight(self.deployment, self._hosts, layouts)

    @cached_property
    def _seen_hosts(self) -> set[str]:
        return set()

    @cached_property
    def _unmade(self) -> set[str]:
        """The checks that are not made of anything; of servers that are named, one is not."""
        return {"unknown-domain"} if self.selection.is_named else set()

    @cached_property
    def _lost_hosts(self) -> set[str]:
        return set()

    @cached_property
    def _keeping(self) -> Keeping:
        return Keeping(self.deployment.config)

    @cached_property
    def _told(self) -> set[tuple[str | None, str | None, str]]:
        return set()

    def _in_chunk(self, foresight: Foresight | None, chunk: Chunk) -> Iterator[Finding]:
        everything = list(read_facts(self.deployment, chunk, self._releases))
        self._examination.read(everything)
        hosted = list(self._hosted(chunk)) if self._of_hosts else []
        self.guests += len(everything)
        self._keeping.add(item.instance.host for item in everything)
        inspected = self._inspected(everything, hosted)
        hosted = [item for item in hosted if isinstance(inspected[item.uuid], Inspection)]
        drifted = self._records.drift([item for item in hosted if _is_new(inspected[item.uuid])])
        foreseen = foresee(everything, hosted, foresight)
        for facts in everything:
            uuid = facts.instance.uuid
            found = inspected.get(uuid)
            if self.coverage is not None:
                self.coverage.see(facts.instance, found)
            self.unseen += is_unseen(found)
            if isinstance(found, NovadevError) and is_of_host(found):
                yield from self._lost_host(str(facts.instance.host), str(of_host(found)))
            yield from self._without_rules(facts.instance)
            troubles = [*self._examination.troubles(facts, found)]
            if "mapping" in self._wanted:
                troubles += mapping_troubles(chunk, facts.instance)
            troubles += [told[uuid] for told in (drifted, foreseen) if uuid in told]
            if self.rehearsals is not None:
                shape = found.shape if isinstance(found, Inspection) else None
                blank = Trouble(CHECK, "failure", "", target=self.rehearsals.host)
                self.rehearsals.add(shape, self._finding(facts, found, blank))
            for trouble in troubles:
                finding = self._finding(facts, found, trouble)
                yield from self._unasked(finding) if trouble.is_unasked else [finding]

    def _hosted(self, chunk: Chunk) -> Iterator[HostedInstance]:
        return attached(self.deployment, chunk.cell, chunk.instances, self.selection.is_named)

    def _inspected(
        self, everything: Sequence[Facts], instances: Sequence[HostedInstance]
    ) -> Mapping[str, Inspection | NovadevError]:
        """Return what the hosts of the instances have of them, or why they do not say."""
        recorded = self._records.fingerprints([instance.uuid for instance in instances])
        roots = {item.instance.uuid: item.instance.root_device_name for item in everything}
        work: dict[str, list[tuple[HostedInstance, Examined]]] = defaultdict(list)
        for hosted in instances:
            wanted = self._wanted & GUEST_CHECKS
            root, record = roots[hosted.uuid], recorded.get(hosted.uuid)
            asked = Examined(
                wanted,
                root,
                record,
                move=self.move if self.targets else None,
                for_rehearsal=self.rehearsals is not None,
            )
            work[hosted.host].append((hosted, asked))
        self._seen_hosts.update(work)
        answers = self.deployment.hosts.run(inspect, work)
        return {item.arguments[0].uuid: _found(item) for item in answers}

    def _without_rules(self, instance: Instance) -> Iterator[Finding]:
        """Yield once that the file of the instance's host is bad: other rules stand in for it.

        By these nothing is mended that was found by the rules of the file.
        """
        host = instance.host or instance.shelved_host
        try:
            self._hosts.find(host)
        except BadInput as error:
            if self.coverage is not None:
                self.coverage.unmade.add(("unreachable", instance.uuid))
            details = (
                f"its guests are checked with the rules of novadev's own configuration: {error}"
            )
            yield from self._unasked(Finding("unreachable", "failure", None, host, details, None))

    def _lost_host(self, host: str, reason: str) -> Iterator[Finding]:
        self._lost_hosts.add(host)
        details = reason if reason.startswith(f"host {host}") else f"host {host}: {reason}"
        yield from self._unasked(Finding("unreachable", "failure", None, host, details, None))

    def _lost_database(self, skip: Skip) -> Iterator[Finding]:
        """Yield the database that could not be read, with the UUID of its cell."""
        cells = (cell.uuid for cell in self.deployment.cells if cell.label == skip.database)
        found = Finding("unreachable", "failure", None, None, skip.reason, None)
        is_schema = skip.exit_code == SchemaUnknown.exit_code
        code = SchemaUnknown.exit_code if is_schema else Unreachable.exit_code
        yield from self._unasked(replace(found, cell=next(cells, "")), code)

    def _unasked(self, finding: Finding, code: int = Unreachable.exit_code) -> Iterator[Finding]:
        """Yield FINDING once, and count it as something that could not be asked."""
        if self.coverage is not None:
            self.coverage.unmade.add((finding.check, finding.instance or finding.host))
        key = (finding.instance, finding.host, finding.details)
        if key not in self._told:
            self._told.add(key)
            self.unreachable.append(finding.details)
            self.codes.add(code)
            yield finding

    def _unknown(self) -> Iterator[Finding]:
        """Yield the domains of the hosts that were asked which Nova has no instance of there."""
        hosts = sorted(self._seen_hosts - self._lost_hosts)
        for host, found in unknown_domains(self.deployment, hosts):
            if isinstance(found, Trouble):
                yield Finding(found.check, found.severity, None, host, found.details, None)
            elif found.database is not None:
                if self.coverage is not None:
                    self.coverage.unmade.add(("unknown-domain", host))
                yield from self._lost_database(Skip.of(None, found, named=False))
            else:
                details = f"its domains could not be compared with Nova's instances: {found}"
                lost = Finding("unknown-domain", "failure", None, host, details, None)
                yield from self._unasked(lost)

    def _not_keeping(self) -> Iterator[Finding]:
        """Yield the hosts of the guests that do not keep recorded addresses, though others do."""
        try:
            yield from self._keeping.findings() if NOT_KEEPING in self._wanted else ()
        except NovadevError as error:
            self._unmade.add(NOT_KEEPING)
            yield from self._lost_database(Skip.of(None, error, named=False))

    def _rehearsed(self, rehearsals: Rehearsals) -> Iterator[Finding]:
        """Yield what the rehearsal finds; of a host that was lost, once, that it was."""
        yield from rehearsals.findings()
        host, error, left = rehearsals.host, rehearsals.failure, rehearsals.rehearsal.left
        if error is not None:
            details = f"the rehearsal ended early: {error}"
            lost = Finding("unreachable", "failure", None, host, details, None, target=host)
            yield from self._unasked(lost, error.exit_code)
        for what, why in rehearsals.rehearsal.unable.items():
            details = f"guests with {what} were not rehearsed: {why}"
            lost = Finding("unreachable", "failure", None, host, details, None, target=host)
            yield from self._unasked(lost, NotAsNeeded.exit_code)
        if left is not None:
            details = (
                "the rehearsal may have left a guest there, which the next rehearsal removes: "
                f"{left}"
            )
            lost = Finding("unreachable", "failure", None, host, details, None, target=host)
            yield from self._unasked(lost)

    def _finding(self, facts: Facts, found: object, trouble: Trouble) -> Finding:
        instance = facts.instance
        needed = needs(trouble.remedy and (trouble.first or trouble.remedy), instance)
        machine_type = found.hardware.machine_type if isinstance(found, Inspection) else None
        return Finding(
            check=trouble.check,
            severity=trouble.severity,
            instance=instance.uuid,
            host=instance.host,
            details=trouble.details + when(needed, instance),
            remedy=trouble.remedy,
            name=instance.name,
            cell=instance.cell,
            project=instance.project_id or "",
            machine_type=machine_type or instance.image_properties.get(MACHINE_TYPE) or "",
            needs="wait" if trouble.waits_for_host else needed,
            target=trouble.target,
            target_file=trouble.target_file,
            move=trouble.move,
            once=trouble.once,
        )


def _found(answer: Answer[Inspection]) -> Inspection | NovadevError:
    """Return what the host answered; a host that is not asked, whatever for, is unreachable."""
    if answer.error is None:
        return answer.result()
    return answer.error if answer.was_asked else Unreachable(str(answer.error))


def _is_new(found: Inspection | NovadevError) -> bool:
    return isinstance(found, Inspection) and found.is_new
