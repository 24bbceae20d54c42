"""An audit beside an earlier one: what is new, still there, mended, or was not looked for."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from novadev.audit.comparison import Comparison, read_comparison
from novadev.audit.coverage import Coverage
from novadev.audit.finding import Earlier, Finding
from novadev.errors import BadInput
from tests.audit.auditing import healthy
from tests.audit.collecting import FINDING
from tests.cloud import Cloud
from tests.command import novadev

ORPHAN = replace(FINDING, check="orphan", details="disk vdc", instance="a", host="cmp1")
NAMES = tuple(Earlier.__dataclass_fields__)


def compared(
    before: Sequence[Finding], now: Sequence[Finding], coverage: Coverage | None = None
) -> tuple[list[tuple[str | None, str]], int]:
    """What each is, with its details; and how many were not checked."""
    kept = [Earlier(**{name: asdict(item)[name] for name in NAMES}) for item in before]
    comparison = Comparison(kept)
    checks = frozenset(("orphan", "forecast", "unknown-domain", "no-effect"))
    known = coverage or Coverage(guests={"a", "b"}, hosts={"cmp1"}, checks=checks)
    found = comparison.compared(list(now), known)
    told = [(item.comparison, item.details) for item in found if isinstance(item, Finding)]
    return told, comparison.not_checked.total()


def test_each_is_new_still_there_or_mended() -> None:
    others = [replace(ORPHAN, details="disk vdd"), replace(ORPHAN, instance="b")]
    told, _ = compared([ORPHAN, others[0]], [ORPHAN, others[1]])
    assert told == [("still there", "disk vdc"), ("new", "disk vdc"), ("mended", "disk vdd")]


def test_of_two_alike_one_is_mended() -> None:
    told, _ = compared([ORPHAN, ORPHAN], [ORPHAN])
    assert told == [("still there", "disk vdc"), ("mended", "disk vdc")]


def test_other_words_of_a_check_with_one_finding_are_the_same() -> None:
    before = replace(ORPHAN, check="forecast", details="3 more")
    assert compared([before], [replace(before, details="2 more")])[0] == [("still there", "2 more")]
    waits = replace(ORPHAN, details="disk vdc; the server has to be stopped for the remedy")
    assert compared([waits], [ORPHAN])[0] == [("still there", "disk vdc")]


def test_a_server_that_moved_keeps_its_findings() -> None:
    assert compared([ORPHAN], [replace(ORPHAN, host="cmp2")])[0][0][0] == "still there"


@pytest.mark.parametrize(
    ("before", "change"),
    [
        (ORPHAN, {"checks": ("forecast",)}),
        (ORPHAN, {"guests": {"b"}}),
        (ORPHAN, {"unseen": {"a"}}),
        (ORPHAN, {"unmade": {("orphan", "a")}}),
        (replace(ORPHAN, instance=None, check="unknown-domain"), {"hosts": set()}),
        (
            replace(ORPHAN, instance=None, check="unknown-domain"),
            {"unmade": {("unreachable", "cmp1")}},
        ),
    ],
)
def test_what_was_not_looked_for_is_not_mended(before: Finding, change: dict[str, object]) -> None:
    known = {"guests": {"a"}, "hosts": {"cmp1"}, "checks": ("orphan", "unknown-domain")}
    assert compared([before], [], Coverage(**known)) == ([("mended", "disk vdc")], 0)  # type: ignore[arg-type]
    missed = compared([before], [], Coverage(**{**known, **change}))  # type: ignore[arg-type]
    assert missed == ([("not checked", "disk vdc")], 1)


def test_a_whole_audit_ends_what_was_of_a_server_that_is_gone() -> None:
    known = Coverage(guests={"b"}, checks=("orphan",), is_whole=True)
    assert compared([ORPHAN], [], known) == ([("mended", "disk vdc")], 0)


def test_a_host_that_is_silent_leaves_what_the_databases_tell() -> None:
    known = Coverage(guests={"a"}, unseen={"a"}, checks=("orphan", "no-effect"))
    told, left = compared([ORPHAN, replace(ORPHAN, check="no-effect")], [], known)
    assert ([kind for kind, _ in told], left) == (["not checked", "mended"], 1)


def test_of_a_server_without_a_domain_only_what_needs_one_was_not_looked_for() -> None:
    names = ("missing-domain", "target", "no-effect", "orphan", "forecast")
    before = [replace(ORPHAN, check=name, details=name) for name in names]
    before[1] = replace(before[1], target="cmp9", target_file="/new.json", move="power-on")
    targets = {("cmp9", "/new.json")}
    known = Coverage(guests={"a"}, bare={"a"}, checks=names, targets=targets)
    told, left = compared(before, [], known)
    words = ["mended"] * 3 + ["not checked"] * 2
    assert (told, left) == (list(zip(words, names, strict=True)), 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it is not valid JSON"),
        ("{", "it is not valid JSON"),
        ("{}", "it is not a list of findings"),
        ('[{"check": "orphan", "check": "lun"}]', "a key twice: 'check'"),
        ('[{"check": "orphan"}]', "has no severity"),
        ("[1]", "is not an object"),
    ],
)
def test_a_file_that_is_none_is_told(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "last.json"
    path.write_text(text)
    with pytest.raises(BadInput) as raised:
        read_comparison(str(path))
    assert str(path) in str(raised.value)
    assert told in str(raised.value)


@pytest.mark.parametrize("kind", ["a pipe", "too large"])
def test_a_file_that_could_have_no_end_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "last.json"
    if kind == "a pipe":
        os.mkfifo(path)
    else:
        path.touch()
        os.truncate(path, (256 << 20) + 1)
    with pytest.raises(BadInput, match=r"is not a regular file|is larger than 256 MiB"):
        read_comparison(str(path))


def test_two_audits_of_a_cloud(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    uuid = healthy(sqlite_cloud, hw_rng_model="virtio", name="first")
    kept = healthy(sqlite_cloud, hw_rng_model="virtio", name="second")
    words = ("audit", "--all", "--check", "no-effect")
    last = tmp_path / "last.json"
    last.write_text(novadev(sqlite_cloud, *words, "-f", "json").out)
    novadev(sqlite_cloud, "image-property", "unset", "--yes", "--property", "hw_rng_model", uuid)
    healthy(sqlite_cloud, hw_rng_model="virtio", name="third")
    compare = (*words, "--compare-with", str(last))
    result = novadev(sqlite_cloud, *compare)
    assert "2 warnings; 1 new; 1 still there; 1 mended." in result.err
    assert f"first ({uuid}) on cmp1" in result.out.partition("Mended: 1 (no-effect 1)")[2]
    found = novadev(sqlite_cloud, *compare, "-f", "json").json
    assert {item["name"]: item["comparison"] for item in found} == {
        **{"first": "mended", "second": "still there", "third": "new"}
    }
    last.write_text(json.dumps(found))
    narrow = novadev(
        sqlite_cloud, "audit", kept, "--check", "no-effect", "--compare-with", str(last)
    )
    assert "1 warning; 0 new; 1 still there; 0 mended; 1 not checked." in narrow.err
    assert "1 of the findings in" in narrow.err
    assert "exists here" not in narrow.err
    page = tmp_path / "page.html"
    novadev(sqlite_cloud, *compare, "--report", str(page))
    assert "Compared with the earlier audit: 2 still there" in page.read_text()
    last.write_text(json.dumps([{**item, "instance": kept[::-1]} for item in found]))
    assert f"None of the servers in {last} exists here." in novadev(sqlite_cloud, *compare).err
