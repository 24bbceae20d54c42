"""The counts of an audit as Prometheus reads them."""

import re
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from novadev.audit import prometheus
from novadev.audit.checks import CHECKS, Check
from novadev.audit.finding import Finding
from novadev.audit.finding_store import Collected
from novadev.audit.scope import About
from tests.audit.collecting import ABOUT, FINDING
from tests.docs.test_generated import DOCS

PAGE = (DOCS / "audit.rst").read_text()
Samples = dict[tuple[str, ...], float]


def printed(found: Iterable[Finding], about: About = ABOUT) -> str:
    with Collected() as collected:
        for finding in found:
            collected.add(finding)
        return prometheus.metrics(about, collected)


def read(text: str) -> dict[str, Metric]:
    """The families by name, without the prefix that all have."""
    families = list(text_string_to_metric_families(text))
    assert all(family.name.startswith("novadev_audit_") for family in families)
    return {family.name.removeprefix("novadev_audit_"): family for family in families}


def samples(family: Metric) -> Samples:
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_counts_are_those_of_the_findings() -> None:
    found = [
        FINDING,
        replace(FINDING, severity="failure", check="ghost"),
        replace(FINDING, instance="other"),
        replace(FINDING, instance=None, check="unreachable", severity="failure"),
    ]
    families = read(printed(found, replace(ABOUT, unreachable=("host cmp17",))))
    of_checks = samples(families["findings"])
    assert {labels: count for labels, count in of_checks.items() if count} == {
        ("ghost", "failure"): 1,
        ("machine-type", "warning"): 2,
        ("unreachable", "failure"): 1,
    }
    assert samples(families["guests_at_risk"]) == {("failure",): 1, ("warning",): 1}
    assert samples(families["guests"]) == {(): 1204}
    assert samples(families["unreachable"]) == {(): 1}
    assert samples(families["last_run_timestamp_seconds"]) == {(): 1795230465}


def test_every_check_that_ran_is_there_found_or_not() -> None:
    """So that a series does not end when the last finding is mended."""
    of_checks = samples(read(printed([]))["findings"])
    assert set(of_checks.values()) == {0}
    assert {name for name, _ in of_checks} == {check.name for check in CHECKS}
    assert len(of_checks) == 2 * len(CHECKS)


def test_every_family_says_what_it_is() -> None:
    text = printed([FINDING])
    families = read(text)
    assert all(family.type == "gauge" and family.documentation for family in families.values())
    assert not any(name.endswith("_total") for name in families), "which only counters have"
    assert text.endswith("\n")
    assert text.count("# TYPE ") == text.count("# HELP ") == len(families)


@given(st.text(min_size=1, max_size=30))
def test_no_text_ends_its_label(name: str) -> None:
    about = replace(ABOUT, checks=(Check(name, "finds", "databases"),))
    (labels, _) = samples(read(printed([], about))["findings"])
    assert labels == (name, "failure")


def test_the_page_has_every_metric() -> None:
    told = set(re.findall(r"\* - ``novadev_audit_(\w+)", PAGE))
    families = read(printed([]))
    assert told == set(families)
    for name, family in families.items():
        labels = ", ".join(family.samples[0].labels)
        assert f"``novadev_audit_{name}{{{labels}}}``" in PAGE or not labels
