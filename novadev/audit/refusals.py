"""Checks each remedy with its own command, so that none would be refused."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import replace

from novadev.audit.finding import Trouble
from novadev.audit.stored import Stored
from novadev.capabilities.compute_hosts import ComputeHosts
from novadev.config import Config
from novadev.errors import NovadevError
from novadev.image_property.planning import SET, UNSET, Request, plan_one
from novadev.machine_type import planning as machine_type
from novadev.machine_type.gathering import Evidence
from novadev.nova.attachments import Attachments
from novadev.nova.image_properties import get_property
from novadev.rules.buses import TooManyDisks, UnsupportedBus
from novadev.value import ABSENT

_ONE = re.compile(r"novadev (image-property (?:set|unset)|machine-type set) --yes ")
_WRITES_SPEC = re.compile(
    r"(novadev (?:image-property (?:set|unset)|machine-type set|stash-defaults)) --yes "
)
_STOPPED = "stopped"


def agreed(troubles: Iterable[Trouble]) -> list[Trouble]:
    """Return TROUBLES with one remedy for each property: two would undo one another.

    That is the remedy against a target before all others, and that of a failure before that of a
    warning; of those alike, the first.
    """
    found = [(item, _property_of(item.remedy)) for item in troubles]
    if not found[1:]:
        return [item for item, _ in found]
    chosen: dict[str, Trouble] = {}
    for item, name in found:
        if name and _weight(item) > _weight(chosen.get(name)):
            chosen[name] = item
    return [_with(item, chosen[name].remedy) if name else item for item, name in found]


def _with(item: Trouble, remedy: str | None) -> Trouble:
    """Return ITEM with REMEDY: another one than its own settles what else could be done."""
    return replace(item, remedy=remedy, instead=item.instead if remedy == item.remedy else None)


def _property_of(remedy: str | None) -> str | None:
    """Return the property that REMEDY stores or takes out; None for anything else."""
    found = _ONE.match(remedy or "")
    if (
        remedy is None
        or found is None
        or remedy.startswith("novadev image-property unset --yes --un")
    ):
        return None
    if found[1] == "machine-type set":
        return "hw_machine_type"
    words = shlex.split(remedy)
    return words[words.index("--property") + 1].partition("=")[0] if "--property" in words else None


def _weight(item: Trouble | None) -> int:
    if item is None:
        return -1
    return 2 * (item.check == "target") + (item.severity == "failure")


def accepted(trouble: Trouble, stored: Stored, hosts: ComputeHosts, config: Config) -> Trouble:
    """Return TROUBLE with a remedy that is accepted, or without one and with the reason.

    HOSTS and CONFIG give the rules that the commands go by.
    """
    remedy = trouble.remedy
    if remedy is None or not _WRITES_SPEC.match(remedy):
        return trouble
    if stored.facts.spec is None:
        remedy = _WRITES_SPEC.sub(r"\1 --yes --no-request-spec ", remedy)
    try:
        _check(remedy, stored, hosts, config)
    except (NovadevError, UnsupportedBus, TooManyDisks) as error:
        why = str(error).removeprefix(f"instance {stored.uuid}").removeprefix(": ").strip()
        details = f"{trouble.details}; no command fixes it: {why}"
        return replace(trouble, remedy=None, details=details)
    return replace(trouble, remedy=remedy)


def _check(remedy: str, stored: Stored, hosts: ComputeHosts, config: Config) -> None:
    """Raise what the command of REMEDY would, were the server stopped.

    Rows that hide another one are taken out by a command before it.
    """
    facts, name = stored.facts, _property_of(remedy)
    facts.check_flavor()
    facts.check_spec()
    if name is None:
        return
    stopped = replace(facts.instance, vm_state=_STOPPED, task_state=None, hidden_rows={})
    facts, with_spec = replace(facts, instance=stopped), facts.spec is not None
    words = shlex.split(remedy)
    if "machine-type" in words:
        compute = hosts.find(stopped.host or stopped.shelved_host)
        evidence = Evidence(facts, Attachments(), {}, stored.rules, compute)
        machine_type.plan_one(evidence, machine_type.Request(words[-2], False, with_spec))
        return
    value = words[words.index("--property") + 1].partition("=")[2]
    request = Request(UNSET, {get_property(name).name: ABSENT}, "none", False, with_spec)
    if "set" in words:
        values = {name: get_property(name).canonical(value)}
        request = Request(SET, values, "matching", False, with_spec)
    plan_one(facts, request, facts.rules(hosts, config), hosts)
