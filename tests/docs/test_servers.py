"""The servers in the examples of README and pages: a UUID has one name, and a name one UUID."""

import re
from collections import defaultdict

from tests.docs.test_generated import DOCS, ROOT

UUID = r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
HEADING = re.compile(rf"([\w.-]+) \({UUID}\)")
RECORD = re.compile(
    rf'"instance": "{UUID}"(?:(?!"instance": |\n\n).)*?"name": "([^"]+)"', flags=re.DOTALL
)
"""A record of the JSON, up to its last key; none has a blank line."""


def named() -> set[tuple[str, str]]:
    """Return the UUIDs in all examples, each with a name that it has there."""
    text = "\n".join(path.read_text() for path in (ROOT / "README.md", *DOCS.glob("*.rst")))
    return {(uuid, name) for name, uuid in HEADING.findall(text)} | set(RECORD.findall(text))


def test_one_uuid_has_one_name_and_one_name_one_uuid() -> None:
    names, uuids = defaultdict(set), defaultdict(set)
    for uuid, name in named():
        names[uuid].add(name)
        uuids[name].add(uuid)
    assert [found for found in (*names.items(), *uuids.items()) if len(found[1]) > 1] == []


def test_the_examples_of_json_are_among_them() -> None:
    page = (DOCS / "json.rst").read_text()
    assert {name for _, name in RECORD.findall(page)} == {"busy-1", "db-1", "web-1", "web-2"}
    assert len(RECORD.findall(page)) == page.count('"instance": "')
