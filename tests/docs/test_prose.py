"""The prose of the pages, the units and the files to copy: no turn that is read twice."""

import re
from pathlib import Path

import pytest

from tests.docs.test_generated import DOCS, ROOT

TEXTS = sorted(
    {ROOT / "README.md", *DOCS.glob("*.rst"), *(ROOT / "systemd").iterdir()}
    - {DOCS / "architecture.rst"}  # its tree has clipped remarks
    | {path for path in (ROOT / "contrib").rglob("*") if path.is_file()}
)
TURNS = {
    r"shall": "name who wants it: you want novadev to …",
    r"befell": "say what happened",
    r"(?:came|come|comes) true": "a test passes; a forecast was right",
    r"(?:is|are) (?:told|said)": "name who says it: standard error names …, the log says …",
    r"as is meant": "as intended",
    r"(?:that|this) goes for": "this applies to",
    r"but for": "except",
    r"-q leaves only errors": "-q leaves errors and skips",
}
"""Turns that needed a second reading, each with what says it plainly."""


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_sentence_has_to_be_read_twice(path: Path) -> None:
    prose = " ".join(re.sub(r"(?m)^\s*#", "", path.read_text()).split())
    found = {
        turn: TURNS[turn] for turn in TURNS if re.search(rf"(?<!\w){turn}\b", prose, re.IGNORECASE)
    }
    assert found == {}
