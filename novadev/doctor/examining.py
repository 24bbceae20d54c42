"""All checks of the doctor, ordered so that an early fault explains later ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone

from novadev.config.values import WrongValue
from novadev.deployment import Deployment
from novadev.doctor import databases, hosts, keeping, local, state, units
from novadev.doctor.result import Result, failure
from novadev.errors import BadInput
from novadev.virt.answers import Answers


def examine(
    opened: Callable[[], tuple[Deployment, Sequence[WrongValue]]],
    files: Sequence[str],
    directories: Sequence[str],
    wanted: Sequence[str],
) -> Iterator[Result]:
    """Yield what was examined; OPENED gives the deployment of the configuration FILES.

    With it come the values that options cannot have; the deployment has the defaults of these.

    WANTED are the hosts to be asked, names or patterns, none for all. Nothing is written, made or
    upgraded.
    """
    try:
        deployment, wrong = opened()
    except BadInput as error:
        yield failure("configuration", "configuration files", error)
    else:
        yield from local.examine_configuration(deployment.config, files, directories, wrong)
        if any(item.is_place for item in wrong):
            text = "nothing is asked until the configuration says where it is"
            yield Result("database", "databases and hosts", "skipped", text)
        else:
            yield from _examine_what_it_names(deployment, wanted)
    yield from units.examine_units()


def _examine_what_it_names(deployment: Deployment, wanted: Sequence[str]) -> Iterator[Result]:
    """Yield what is found of the databases, hosts and files that the configuration names."""
    yield from databases.examine(deployment)
    chosen, missing = hosts.choose(*hosts.list_hosts(deployment), wanted)
    answers: dict[str, Answers] = {}
    for item in hosts.examine(deployment, chosen, missing):
        if isinstance(item, Result):
            yield item
        else:
            answers[item[0]] = item[1]
    yield from state.examine(deployment)
    yield from keeping.examine(deployment.config, chosen)
    now = datetime.now(timezone.utc)
    yield from local.examine_capability_files(deployment.config, chosen, answers, now)
