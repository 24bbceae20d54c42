"""novadev accepts every command line in the pages: those in blocks, and those in a sentence."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from novadev.cli import root
from tests.docs.test_generated import DOCS, ROOT

PAGES = (*sorted(DOCS.glob("*.rst")), ROOT / "README.md")
ENDS = frozenset(("|", ">", ">>", "<", "<<", "&&", "||", ";", "&", "2>"))
"""What ends a command in a shell."""
PLACEHOLDERS = {"RUN": "1", "N": "1", "SECONDS": "1", "NAME=VALUE": "hw_disk_bus=virtio"}
"""Words of the pages for values that only some words are."""
NO_COMMAND = ("COMMAND", "runs on NAME")
"""What follows the program's name in a sentence and is no command: a placeholder, a message."""
_INLINE = re.compile(r"(?<!`)(`{1,2})novadev(\s[^`]+)\1(?!`)")
_TYPED = re.compile(r"\s*(?:[$#] )?(?:\w+=\S+ )*(?:sudo (?:-\S+ )*)?novadev (.*)")
_OPENS = re.compile(r"\.\. (?:code-block|parsed-literal)::|^(?!\s*\.\. ).*::$")


def words_of(text: str) -> list[str]:
    """The words of the command line TEXT up to the end of the command."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words = list(lexer)
    end = next((place for place, word in enumerate(words) if word in ENDS), len(words))
    kept = [word for word in words[:end] if word not in ("...", "…")]
    return ["1" if "$" in word else PLACEHOLDERS.get(word, word) for word in kept]


def in_blocks(page: str) -> Iterator[str]:
    """The lines of the literal blocks of PAGE, reStructuredText or Markdown."""
    is_fenced, border = False, None
    for line in page.replace("\\\n", " ").splitlines():
        indent = len(line) - len(line.lstrip())
        if line.startswith("```"):
            is_fenced = not is_fenced
        elif is_fenced or (border is not None and line.strip() and indent > border):
            yield line
        elif line.strip():
            border = indent if _OPENS.search(line) else None


def lines_in(page: str) -> Iterator[tuple[str, bool]]:
    """The command lines of PAGE, each with whether it is in a sentence: parts may be left out."""
    for line in in_blocks(page):
        if found := _TYPED.fullmatch(line):
            yield found[1], False
    for found in _INLINE.finditer(page):
        text = " ".join(found[2].split())
        if not text.startswith(NO_COMMAND):
            yield text, True


def check(words: list[str], in_sentence: bool) -> None:
    """Raise click's UsageError for WORDS that novadev would refuse."""
    command: click.Command = root
    context = click.Context(root, info_name="novadev", resilient_parsing=True)
    rest = words
    while isinstance(command, click.Group):
        _, rest, _ = command.make_parser(context).parse_args([*rest])
        if not rest:
            return
        child = command.get_command(context, rest[0])
        if child is None:
            raise click.UsageError(f"no command {rest[0]}")
        context = click.Context(child, info_name=rest[0], parent=context)
        command, rest = child, rest[1:]
    try:
        command.make_context(context.info_name, rest, parent=context.parent)
    except (click.MissingParameter, click.BadOptionUsage):
        if not in_sentence:
            raise


LINES = [(path, *found) for path in PAGES for found in lines_in(path.read_text())]


@pytest.mark.parametrize(
    ("page", "text", "in_sentence"),
    LINES,
    ids=[f"{path.name}: {text}" for path, text, _ in LINES],
)
def test_the_line_is_taken(
    page: Path, text: str, in_sentence: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = words_of(text)
    for word in words:
        if word.endswith(".txt"):
            Path(word).touch()
    check(words, in_sentence)


def test_lines_are_found() -> None:
    assert {path.name for path, *_ in LINES} >= {"README.md", "guide.rst", "audit.rst"}
    text = "See ``novadev undo\nRUN``::\n\n   $ novadev audit \\\n     --all\n\nnovadev audits.\n"
    assert [*lines_in(text)] == [("audit       --all", False), ("undo RUN", True)]


@pytest.mark.parametrize(
    ("text", "in_sentence"),
    [
        ("image-property list --observed SERVER", True),
        ("image-property lists", True),
        ("audit --all --format xml", True),
        ("undo", False),
        ("audit --all --check", False),
        ("undo 1 2", True),
    ],
)
def test_a_wrong_line_is_seen(text: str, in_sentence: bool) -> None:
    with pytest.raises(click.UsageError):
        check(words_of(text), in_sentence)
