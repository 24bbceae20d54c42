"""What somebody lives with: counted apart until its date, and told in clear words where wrong."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from novadev.audit.acknowledgements import read_acknowledgements
from novadev.audit.finding import ONCE
from novadev.errors import BadInput
from tests.audit.auditing import healthy
from tests.audit.collecting import FINDING
from tests.cloud import Cloud
from tests.command import novadev

TODAY = date(2026, 11, 29)
SAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "acknowledgements.yaml"


def write(folder: Path, text: str) -> str:
    path = folder / "known.yaml"
    path.write_text(text)
    return str(path)


def entry(**changes: str | None) -> str:
    values = {
        "check": "no-effect",
        "instance": "web-*",
        "reason": "as agreed",
        "until": "2099-12-31",
    }
    return json.dumps([{k: v for k, v in {**values, **changes}.items() if v is not None}])


@pytest.mark.parametrize(
    ("changes", "is_covered"),
    [
        ({}, True),
        ({"instance": FINDING.instance}, True),
        ({"instance": "web-2"}, False),
        ({"instance": "*", "host": "cmp2"}, False),
        ({"instance": None, "host": "cmp?"}, True),
        ({"details": "*stands for*"}, True),
        ({"details": "other"}, False),
        ({"check": "orphan"}, False),
        ({"until": str(TODAY)}, True),
        ({"until": "2026-11-28"}, False),
    ],
)
def test_what_an_entry_covers(changes: dict[str, str], is_covered: bool, tmp_path: Path) -> None:
    name = write(tmp_path, entry(**{"check": "machine-type", **changes}))
    (marked,) = read_acknowledgements(name, TODAY).marked([FINDING])
    assert marked.counts is not is_covered
    assert ("as agreed" in (marked.acknowledged or "")) is is_covered


@pytest.mark.parametrize(
    ("instance", "is_covered"), [("web-1", False), ("web-*", False), ("*", True), (None, True)]
)
def test_what_is_told_once_for_many_guests_is_not_accepted_for_one(
    instance: str | None, is_covered: bool, tmp_path: Path
) -> None:
    finding = replace(FINDING, details=f"not checked for cmp9: x ({ONCE} with the same)", once=True)
    name = write(tmp_path, entry(check="machine-type", instance=instance, host="*"))
    (marked,) = read_acknowledgements(name, TODAY).marked([finding])
    assert marked.counts is not is_covered


def test_a_stored_value_makes_no_finding_one_of_many(tmp_path: Path) -> None:
    finding = replace(FINDING, details=f"hw_video_model=zz {ONCE} with the same): unknown")
    (marked,) = read_acknowledgements(
        write(tmp_path, entry(check="machine-type", instance="web-1")), TODAY
    ).marked([finding])
    assert not marked.counts


@pytest.mark.parametrize("copied", [0, 1])
def test_details_copied_from_an_audit_go_on_to_count(copied: int, tmp_path: Path) -> None:
    """Whatever the state of the server adds to them, and with brackets in them."""
    plain = "[libvirt] num_pcie_ports is 0"
    texts = [plain, f"{plain}; the server has to be stopped first (openstack server stop)"]
    name = write(tmp_path, entry(check="machine-type", details=texts[copied]))
    for text in texts:
        (marked,) = read_acknowledgements(name, TODAY).marked([replace(FINDING, details=text)])
        assert not marked.counts


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (entry(check="orphans"), "did you mean orphan?"),
        (entry(check="unreachable"), "no check that can be acknowledged is called 'unreachable'"),
        (entry(reason=None), "entry 1 has no reason"),
        (entry(reason=" "), "entry 1 has an empty reason"),
        (entry(until=None), "entry 1 has no until"),
        (entry(until="in spring"), "until is not a date: write it as 2027-03-31"),
        (
            "- {check: orphan, host: a, reason: b, until: 2026-13-01}",
            "is not valid YAML: month must be",
        ),
        (entry(instance=None), "names no instance and no host"),
        (entry(server="x"), "a key that does not belong there: 'server'"),
        ("- [", "line 1: "),
        ('- instance: a\n  "instance": "*"', "line 2: the key 'instance' stands twice"),
        ('[{"check": "lun", "check": "orphan"}]', "line 1: the key 'check' stands twice"),
        ("checks: {}", "is not a list of acknowledgements"),
        ("- orphan", "entry 1 is not an object"),
        ("- !!python/object:os.system {}", "could not determine a constructor"),
    ],
)
def test_a_file_that_is_none_is_told(text: str, told: str, tmp_path: Path) -> None:
    name = write(tmp_path, text)
    with pytest.raises(BadInput) as raised:
        read_acknowledgements(name)
    assert str(raised.value).startswith(name)
    assert told in str(raised.value)


@pytest.mark.parametrize("text", ["false", "0", "{}", "''", "null", "~", "no", "0.0", "!!set {}"])
def test_a_value_that_is_no_list_is_not_taken_for_an_empty_file(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a list of acknowledgements"):
        read_acknowledgements(write(tmp_path, text))


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "---\n", "[]"])
def test_an_empty_file_acknowledges_nothing(text: str, tmp_path: Path) -> None:
    found = read_acknowledgements(write(tmp_path, text), TODAY)
    assert list(found.marked([FINDING])) == [FINDING]


def test_the_sample_is_one() -> None:
    assert not read_acknowledgements(str(SAMPLE), TODAY).ended


def test_they_are_counted_apart(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    healthy(sqlite_cloud, hw_rng_model="virtio")
    words = ("audit", "--all", "--check", "no-effect", "--check", "lun", "--fail-on", "warning")
    assert novadev(sqlite_cloud, *words).code == 3
    accepted = ("--acknowledge", write(tmp_path, entry()))
    result = novadev(sqlite_cloud, *words, *accepted)
    assert result.code == 0
    assert "Acknowledged: 1 (no-effect 1)" in result.out
    assert "novadev image-property unset" not in result.out
    assert "1 guest: 0 failures, 0 warnings; 1 acknowledged." in result.err
    (item,) = novadev(sqlite_cloud, *words, *accepted, "-f", "json").json
    assert item["acknowledged"] == "as agreed (until 2099-12-31)"
    counted = novadev(sqlite_cloud, *words, *accepted, "-f", "prometheus").out
    assert 'novadev_audit_findings{check="no-effect",severity="warning"} 0' in counted
    assert 'novadev_audit_acknowledged{check="no-effect"} 1' in counted
    page = tmp_path / "page.html"
    assert novadev(sqlite_cloud, *words, *accepted, "--report", str(page)).code == 0
    assert "as agreed (until 2099-12-31)" in page.read_text()


def test_a_date_that_is_past_is_told_and_hides_nothing(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    healthy(sqlite_cloud, hw_rng_model="virtio")
    words = ("audit", "--all", "--check", "no-effect", "--acknowledge")
    result = novadev(sqlite_cloud, *words, write(tmp_path, entry(until="2020-01-31")))
    assert result.code == 3
    assert "entry 1 (no-effect) was valid until 2020-01-31: its findings count again" in result.err
    assert "1 guest: 0 failures, 1 warning." in result.err


@pytest.mark.parametrize("last", [False, True])
def test_a_past_date_beside_a_valid_entry_for_the_same_hides_what_that_covers(
    sqlite_cloud: Cloud, tmp_path: Path, last: bool
) -> None:
    """Whichever stands first; nothing counts again, so nothing fails."""
    healthy(sqlite_cloud, hw_rng_model="virtio")
    both = [*json.loads(entry(until="2020-01-31")), *json.loads(entry())]
    name = write(tmp_path, json.dumps(both[::-1] if last else both))
    words = ("audit", "--all", "--check", "no-effect", "--fail-on", "warning")
    result = novadev(sqlite_cloud, *words, "--acknowledge", name)
    assert result.code == 0
    place = 2 if last else 1
    assert f"entry {place} (no-effect) was valid until 2020-01-31" in result.err
    assert "No finding counts again for it. Remove the entry." in result.err
    assert "its findings count again" not in result.err


def test_a_past_date_of_what_is_fixed_fails_nothing(sqlite_cloud: Cloud, tmp_path: Path) -> None:
    healthy(sqlite_cloud)
    name = write(tmp_path, entry(until="2020-01-31"))
    result = novadev(sqlite_cloud, "audit", "--all", "--check", "no-effect", "--acknowledge", name)
    assert result.code == 0
    assert "Remove the entry." in result.err


def test_an_unknown_check_ends_it_before_anything_is_asked(tmp_path: Path) -> None:
    config = tmp_path / "nova.conf"
    config.write_text("")
    name = write(tmp_path, entry(check="orphans"))
    result = novadev(None, "--config-file", str(config), "audit", "--all", "--acknowledge", name)
    assert result.code == 4
    assert "did you mean orphan?" in result.err


def test_a_text_that_is_no_list_says_what_the_file_has_to_be(tmp_path: Path) -> None:
    for text in ("# Title\n\nprose\n=====\n\n- a: `b`\n", "just: one\n", "\x01"):
        file = tmp_path / "README.md"
        file.write_text(text)
        with pytest.raises(BadInput, match="has to be a list in YAML"):
            read_acknowledgements(str(file))
