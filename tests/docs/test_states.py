"""The pages name no state of a run that does not exist."""

import re

from novadev.runs.states import State
from tests.docs.test_generated import DOCS, ROOT

RUN_STATES = {
    *("planning", "running", "interrupted"),
    *("nothing", "applied", "undone", "abandoned", "partial", "failed"),
}


def test_the_page_on_json_has_the_states_of_runs() -> None:
    page = (DOCS / "json.rst").read_text()
    section = page[page.index("``state`` is ``planning``") :].partition("``applied`` counts")[0]
    named = set(re.findall(r"``([a-z]+)``", section)) - {"state"}
    assert named == RUN_STATES


def test_where_pages_speak_of_the_history_they_name_states_that_exist() -> None:
    unknown, seen = [], 0
    for path in [*DOCS.glob("*.rst"), ROOT / "README.md"]:
        for paragraph in re.split(r"\n\s*\n", path.read_text()):
            if "novadev history" not in paragraph:
                continue
            words = re.findall(r"\b(?:is|are|as|or)\s+\*([a-z]+)\*", paragraph)
            seen += len(words)
            unknown += [
                f"{path.name}: {word}" for word in words if word not in RUN_STATES | {*State}
            ]
    assert seen > 3
    assert unknown == []
