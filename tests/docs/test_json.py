"""docs/json.rst has the shapes the commands print, with every key."""

import dataclasses
import json
import re
from typing import Any

import pytest

from novadev.audit.finding import Finding
from novadev.cli.choices import Choices
from novadev.cli.document import Document, Paper, plan_entry
from novadev.cli.output import columns_of
from novadev.cli.past_run import ChangeRecord
from novadev.cli.session import Session
from novadev.cli.skips import Skips
from novadev.device.owners import KEYS
from novadev.device.show_on_host import ShownDevice
from novadev.image_property.listing import PropertyRecord
from novadev.records.drift import Drift
from novadev.records.list import ListedGuest
from novadev.records.record import RecordedGuest
from novadev.runs.change import Change, Effect
from novadev.runs.journal import RunSummary
from novadev.runs.place import in_cell
from novadev.runs.plan import Plan, Skip
from novadev.value import ABSENT
from tests.docs.test_generated import DOCS

PAGE = (DOCS / "json.rst").read_text()
LISTED, DEVICES, RECORDED, DRIFTED, MUTATING, FINDINGS, RUNS, CHANGES = (
    json.loads(block) for block in re.findall(r"code-block:: json\n\n((?:   .*\n|\n)+)", PAGE)
)
CONTRACT = {
    "list": {"instance", "property", "stored", "value", "request_spec_value"},
    "devices": {
        *("instance", "label", "type", "device", "bus", "model", "alias", "expected_alias"),
        *("owner_type", "owner_id", "matched_by", "target", "serial", "mac", "address"),
        *("boot_order", "managed", "plugged", "readonly", "logical_name", "definition"),
        *("live_alias", "live_address", "disagreements"),
    },
    "recorded": {"instance", "host", "hash", "previous_hash", "changed"},
    "listed": {"instance", "host", "hash", "recorded_hash", "changed", "devices"},
    "drift": {"instance", "label", "field", "recorded", "found"},
    "finding": {"check", "severity", "instance", "host", "details", "remedy"},
    "document": {"run", "result", "plans", "skipped"},
    "plan": {"action", "instance", "host", "cell", "state", "note", "changes", "error"},
    "change": {"what", "before", "after"},
    "skip": {"instance", "reason"},
    "run": {
        *("run", "started", "finished", "user", "action", "state", "plans", "applied", "failed"),
    },
}


def fields(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def printed(capsys: pytest.CaptureFixture[str], format_: str = "json") -> dict[str, Any]:
    """A document as a mutating command prints it."""
    document, skips = Document(format_, Paper(goes_on=False)), Skips(Session())
    change = Change(in_cell("hw_disk_bus"), ABSENT, None)
    plan = Plan("set", "uuid", "cell", (change,), effects=(Effect("root disk", "a", "b"),))
    document.add(plan, "applied", None)
    skips.add(Skip("other", "because"))
    document.close(1, "applied", skips)
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


@pytest.mark.parametrize(
    ("example", "kind"),
    [
        (LISTED, PropertyRecord),
        (DEVICES, ShownDevice),
        (RECORDED, RecordedGuest),
        (DRIFTED, Drift),
        (FINDINGS, Finding),
        (RUNS, RunSummary),
        (CHANGES, ChangeRecord),
    ],
    ids=["list", "device show", "device record", "device drift", "audit", "history", "history RUN"],
)
def test_example_has_the_keys_of_the_record(example: list[dict[str, Any]], kind: Any) -> None:
    assert list(example[0]) == columns_of(kind)


def test_example_has_the_keys_of_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys)
    assert list(MUTATING) == list(found)
    assert list(MUTATING["plans"][0]) == list(found["plans"][0])
    assert list(MUTATING["plans"][0]["changes"][0]) == list(found["plans"][0]["changes"][0])
    assert list(MUTATING["skipped"][0]) == list(found["skipped"][0])


def test_absent_and_null_are_as_the_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    change = printed(capsys)["plans"][0]["changes"][0]
    assert change == {"what": "hw_disk_bus", "before": {"absent": True}, "after": None}
    assert '``{"absent": true}``' in PAGE


def test_the_contract_is_kept() -> None:
    plan = plan_entry(
        Plan("set", "uuid", "cell", (Change(in_cell("a"), None, "b"),)), "planned", None
    )
    assert CONTRACT["list"] <= set(fields(PropertyRecord)) & set(LISTED[0])
    assert CONTRACT["devices"] <= set(fields(ShownDevice)) & set(DEVICES[0])
    assert CONTRACT["recorded"] <= set(fields(RecordedGuest)) & set(RECORDED[0])
    assert CONTRACT["drift"] <= set(fields(Drift)) & set(DRIFTED[0])
    assert CONTRACT["listed"] <= set(fields(ListedGuest))
    assert CONTRACT["finding"] <= set(fields(Finding))
    assert CONTRACT["plan"] <= set(plan) & set(MUTATING["plans"][0])
    assert CONTRACT["change"] <= set(plan["changes"][0])
    assert CONTRACT["document"] <= set(MUTATING)
    assert CONTRACT["skip"] <= set(MUTATING["skipped"][0])
    assert CONTRACT["run"] <= set(fields(RunSummary)) & set(RUNS[0])


def test_a_plan_has_a_diff_where_it_was_asked_for() -> None:
    plan = Plan("device alias-migrate", "uuid", "cell", (), diff="--- persistent")
    assert set(plan_entry(plan, "planned", None)) - set(MUTATING["plans"][0]) == {"diff"}
    assert "``diff``\n" in PAGE


def test_the_page_has_every_way_to_match_a_device() -> None:
    told = PAGE.partition("``matched_by``\n")[2].partition(": the property")[0]
    assert tuple(re.findall(r"``([a-z-]+)``", told)) == KEYS


@pytest.mark.parametrize("key", sorted({*LISTED[0], *DEVICES[0], *MUTATING, *MUTATING["plans"][0]}))
def test_key_is_explained(key: str) -> None:
    prose = re.sub(r"code-block:: json\n\n(?:   .*\n|\n)+", "", PAGE)
    assert f"``{key}``" in prose


def test_choices_have_the_formats_the_page_names() -> None:
    assert "format_" in fields(Choices)
    assert "--format yaml" in PAGE
