"""All checks of the doctor, ordered so that an early fault explains later ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone

from novadev.deployment import Deployment
from novadev.doctor import databases, hosts, keeping, local, units
from novadev.doctor.result import Result, failure
from novadev.errors import BadInput
from novadev.virt.answers import Answers


def examine(
    opened: Callable[[], Deployment],
    files: Sequence[str],
    directories: Sequence[str],
    wanted: Sequence[str],
) -> Iterator[Result]:
    """Yield what was examined; OPENED gives the deployment of the configuration FILES.

    WANTED are the hosts to be asked, names or patterns, none for all. Nothing is written, made or
    upgraded.
    """
    try:
        deployment = opened()
    except BadInput as error:
        yield failure("configuration", "configuration files", error)
        return
    found = deployment.config
    yield from local.examine_configuration(found, files, directories)
    yield from databases.examine(deployment)
    chosen, missing = hosts.choose(*hosts.list_hosts(deployment), wanted)
    answers: dict[str, Answers] = {}
    for item in hosts.examine(deployment, chosen, missing):
        if isinstance(item, Result):
            yield item
        else:
            answers[item[0]] = item[1]
    yield from local.examine_state_database(deployment)
    yield from keeping.examine(found, chosen)
    now = datetime.now(timezone.utc)
    yield from local.examine_capability_files(found, chosen, answers, now)
    yield from units.examine_units()
