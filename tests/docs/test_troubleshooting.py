"""The messages on the page about troubleshooting are those that novadev prints."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import novadev
from tests.docs.test_generated import DOCS

ANYTHING = "\0"
NAME = r"\b[A-Z]{1,4}\b|\b(?:HOST|NAME|UUID|TIME|FILE|LABEL|PROCESS)\b|…"
"""What stands for a name in a message on the page."""


def literals() -> Iterator[str]:
    """Every text in the code of novadev, with a mark where a value is put in."""
    for path in Path(str(novadev.__file__)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", ANYTHING) for part in node.values)
                yield "".join(part if isinstance(part, str) else ANYTHING for part in parts)


def quoted() -> list[str]:
    """What the first columns of the page quote: messages of several words."""
    page = (DOCS / "troubleshooting.rst").read_text()
    cells = re.findall(r"^   \* - (.*(?:\n       .*)*)", page, re.MULTILINE)
    texts = [
        " ".join(text.split()) for cell in cells for text in re.findall("``(.+?)``", cell, re.S)
    ]
    return [text for text in texts if text.count(" ") > 1]


def test_messages_are_quoted_as_they_are_printed() -> None:
    known = "\n".join(literals())
    messages = quoted()
    assert len(messages) > 12
    for message in messages:
        pieces = [piece.strip(" :.()[]") for piece in re.split(NAME, message)]
        for piece in pieces:
            assert piece.count(" ") < 2 or piece in known, f"{message}: no text has {piece!r}"
