"""The counts of an audit for the textfile collector of Prometheus' node exporter.

The text format is that of https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from novadev.audit.finding_store import Collected, Tally
from novadev.audit.scope import About
from novadev.state.keeping import HostKeeping

Sample = tuple[Mapping[str, str], float]


def metrics(about: About, collected: Collected) -> str:
    """Return the counts as text, to be written at once: every check that ran, found or not."""
    at_risk = dict(zip(("failure", "warning"), collected.guests_at_risk(), strict=True))
    accepted = collected.count_apart(None)
    families: tuple[tuple[str, str, Iterable[Sample]], ...] = (
        ("findings", "Findings, by check and severity.", _findings(about, collected)),
        (
            "guests_at_risk",
            "Guests with findings, by the worst severity of each.",
            [({"severity": severity}, count) for severity, count in at_risk.items()],
        ),
        (
            "acknowledged",
            "Acknowledged findings, by check.",
            [({"check": one.name}, accepted.get(one.name, 0)) for one in about.checks],
        ),
        ("guests", "Guests that were audited.", [({}, about.guests)]),
        (
            "guests_unseen",
            "Audited guests of which only the databases could be read, not their hosts.",
            [({}, about.unseen)],
        ),
        (
            "unreachable",
            "Cells, hosts and guests that could not be checked.",
            [({}, len(about.unreachable))],
        ),
        (
            "keeping_hosts",
            "Hosts by what their nova-compute does with recorded addresses.",
            _modes(about.keeping),
        ),
        (
            "keeping_definitions",
            "Definitions kept, shown or passed through, and guests not recorded, by host and why.",
            _definitions(about.keeping),
        ),
        (
            "last_run_timestamp_seconds",
            "When the audit ended, in seconds since 1970.",
            [({}, int(about.finished.timestamp()))],
        ),
    )
    return "".join(_family(f"novadev_audit_{name}", told, of) for name, told, of in families)


def _findings(about: About, collected: Collected) -> Iterable[Sample]:
    found = {tally.value: tally for tally in collected.by("check")}
    for name in dict.fromkeys((*(check.name for check in about.checks), *found)):
        tally = found.get(name, Tally(name))
        yield {"check": name, "severity": "failure"}, tally.failures
        yield {"check": name, "severity": "warning"}, tally.warnings


def _modes(keeping: Sequence[HostKeeping]) -> Iterable[Sample]:
    modes = Counter("silent" if one.is_silent else one.mode for one in keeping)
    for mode in ("on", "log", "off", "silent"):
        yield {"mode": mode}, modes[mode]


def _definitions(keeping: Sequence[HostKeeping]) -> Iterable[Sample]:
    for one in keeping:
        for (outcome, reason), number in sorted(one.counts.items()):
            yield {"host": one.host, "outcome": outcome, "reason": reason}, number


def _family(name: str, told: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {told}", f"# TYPE {name} gauge"]
    lines += [f"{name}{_labels(labels)} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
