"""A remedy tried out: what its command would leave stored, or why it would be refused."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.config import Config
from novadev.image_property.changes import guest_with
from novadev.image_property.facts import Facts
from novadev.image_property.planning import SET, UNSET, Request, plan_one
from novadev.image_property.repairs import plan_without_unreadable
from novadev.machine_type import planning as machine_type
from novadev.machine_type.gathering import Evidence
from novadev.nova.attachments import Attachments
from novadev.nova.image_properties import get_property
from novadev.nova.request_specs import RequestSpec
from novadev.rules.guest import DriverRules
from novadev.rules.moves import Which
from novadev.runs.change import Change
from novadev.runs.place import Kind
from novadev.runs.plan import Plan
from novadev.value import ABSENT

_ONE = re.compile(r"novadev (image-property (?:set|unset)|machine-type set) --yes ")
_UNREADABLE = re.compile(r"novadev image-property unset --yes (--no-request-spec )?--unreadable ")
_STOPPED = "stopped"


@dataclass(frozen=True)
class Tried:
    """What is stored after a command, and whether the command changes anything."""

    facts: Facts
    changes: bool


@dataclass(frozen=True)
class Trial:
    """The rules that the commands go by; ``rules`` are those that the findings come from."""

    rules: DriverRules
    hosts: ComputeHosts
    config: Config

    def run(self, remedy: str, facts: Facts) -> Tried:
        """Return what REMEDY makes of FACTS, were the server stopped; raises what it would.

        Rows that hide another one are taken out by a command before it. What `stash-defaults`
        stores is not known here, and changes no guest.
        """
        facts.check_flavor()
        facts.check_spec()
        if not (_UNREADABLE.match(remedy) or property_of(remedy)):
            return Tried(facts, False)
        stopped = replace(facts.instance, vm_state=_STOPPED, task_state=None, hidden_rows={})
        plan = self._plan(remedy, replace(facts, instance=stopped))
        changes = plan.changes if plan else ()
        return Tried(_facts_with(facts, changes), bool(changes))

    def _plan(self, remedy: str, facts: Facts) -> Plan | None:
        name, with_spec = property_of(remedy), facts.spec is not None
        if name is None:
            return plan_without_unreadable(facts, facts.rules(self.hosts, self.config))
        words = shlex.split(remedy)
        if "machine-type" in words:
            compute = self.hosts.find(facts.instance.host or facts.instance.shelved_host)
            evidence = Evidence(facts, Attachments(), {}, self.rules, compute)
            return machine_type.plan_one(
                evidence, machine_type.Request(words[-2], False, with_spec)
            )
        request = _request(words, name, with_spec)
        return plan_one(facts, request, facts.rules(self.hosts, self.config), self.hosts)


def property_of(remedy: str | None) -> str | None:
    """Return the property that REMEDY stores or takes out; None for anything else."""
    found = _ONE.match(remedy or "")
    if remedy is None or found is None:
        return None
    if found[1] == "machine-type set":
        return "hw_machine_type"
    words = shlex.split(remedy)
    return words[words.index("--property") + 1].partition("=")[0] if "--property" in words else None


def _request(words: list[str], name: str, with_spec: bool) -> Request:
    if "set" not in words:
        return Request(UNSET, {get_property(name).name: ABSENT}, "none", False, with_spec)
    value = words[words.index("--property") + 1].partition("=")[2]
    values = {name: get_property(name).canonical(value)}
    which: Which = "all" if "--update-disks" in words else "matching"
    return Request(SET, values, which, False, with_spec)


def _facts_with(facts: Facts, changes: Iterable[Change]) -> Facts:
    """Return FACTS with CHANGES written, in both databases."""
    changes = tuple(changes)
    guest = guest_with(facts.guest, changes)
    instance = replace(
        facts.instance,
        image_properties=guest.image_properties,
        root_device_name=guest.root_device_name,
    )
    return replace(facts, guest=guest, instance=instance, spec=_spec_with(facts.spec, changes))


def _spec_with(spec: RequestSpec | None, changes: Iterable[Change]) -> RequestSpec | None:
    values = {item.place.name: item.after for item in changes if item.place.kind is Kind.SPEC}
    return replace(spec, text=spec.edited(values)) if spec and values else spec
