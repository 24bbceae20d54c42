"""The shapes of a rehearsal on the report's page, and in their file."""

import io
import json
from dataclasses import replace
from pathlib import Path

import lxml.html
import pytest

from novadev.audit import report
from novadev.audit.finding_store import Collected
from novadev.audit.rehearsal import Rehearsals, RehearsedShape, check_file, write_shapes
from novadev.errors import BadInput
from novadev.rehearsal.rehearsing import Budget, Rehearsal
from novadev.virt.pool import Pool
from tests.audit.collecting import ABOUT

HOSTILE = "<script>alert(1)</script> \x1b[31m"
SHAPE = RehearsedShape("5b1f0c9a7e42", 3, "uuid", "pc-q35-7.2, disk virtio", "started", "", ())
BROKEN = replace(
    SHAPE, shape=HOSTILE, guests=1, outcome="would not start", message=HOSTILE, hardware=HOSTILE
)
PARTLY = replace(SHAPE, guests=7, not_rehearsed=("hostdev pci", HOSTILE))


def page(*shapes: RehearsedShape) -> lxml.html.HtmlElement:
    rehearsals = Rehearsals(Rehearsal(Pool(str), "new1", Budget()))
    rehearsals.shapes += shapes
    file = io.StringIO()
    with Collected() as collected:
        report.Report("x.html", file).write(replace(ABOUT, rehearsals=rehearsals), collected)
    return lxml.html.document_fromstring(file.getvalue())


def rows(*shapes: RehearsedShape) -> list[list[str]]:
    found = page(*shapes).xpath('//table[@class="shapes"]/tbody/tr')
    return [[" ".join(cell.text_content().split()) for cell in row] for row in found]


def test_shapes_that_failed_come_first_then_those_of_most_guests() -> None:
    found = rows(SHAPE, PARTLY, BROKEN)
    assert [row[0] for row in found] == ["1", "7", "3"]
    assert [row[2] for row in found] == ["would not start", "started", "started"]


def test_foreign_text_is_text() -> None:
    found = page(BROKEN, PARTLY)
    assert len(found.xpath("//script")) == 1
    told = rows(BROKEN, PARTLY)
    assert told[0][3] == "<script>alert(1)</script> \\x1b[31m"
    assert told[1][4] == "hostdev pci, <script>alert(1)</script> \\x1b[31m"


def test_a_page_without_a_rehearsal_has_no_place_for_one() -> None:
    assert page().xpath('//*[@id="rehearsal"] | //a[@href="#rehearsal"]') == []
    assert len(page(SHAPE).xpath('//*[@id="rehearsal"] | //a[@href="#rehearsal"]')) == 2


def test_the_page_says_which_shapes_it_has_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_SHAPES", 2)
    assert len(rows(SHAPE, PARTLY, BROKEN)) == 2
    assert "2 of 3 shapes" in page(SHAPE, PARTLY, BROKEN).text_content()


def test_the_file_has_every_field_and_is_the_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "shapes.json"
    write_shapes(str(file), [BROKEN, PARTLY])
    found = json.loads(file.read_text())
    assert [item["message"] for item in found] == [HOSTILE, ""]
    assert found[1]["not_rehearsed"] == ["hostdev pci", HOSTILE]
    assert file.stat().st_mode & 0o777 == 0o600
    write_shapes(str(file), [])
    assert json.loads(file.read_text()) == []


def test_a_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "other")
    for name in ("-", str(tmp_path), str(link), "/nowhere/shapes.json"):
        with pytest.raises(BadInput, match="--shapes"):
            check_file(name)
