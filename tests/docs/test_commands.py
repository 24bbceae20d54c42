"""Every command, option and exit code is in the guide's pages and in the manual pages."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from novadev import config
from novadev.cli import READER_GONE, root
from novadev.cli.help import split_example
from novadev.config.options import NOVA_OPTS
from novadev.errors import NovadevError, worst
from tests.docs.test_generated import DOCS, ROOT, generate

TEXT = "\n".join(path.read_text() for path in sorted(DOCS.glob("*.rst")))
CODES = sorted({kind.exit_code for kind in generate.error_classes()} | {0, READER_GONE})


def commands(
    command: click.Command = root, context: click.Context | None = None
) -> Iterator[tuple[str, click.Command]]:
    """Every command by the words that are typed, the root first."""
    context = context or click.Context(root, info_name="novadev")
    yield context.command_path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, click.Context(child, info_name=name, parent=context))


COMMANDS = dict(commands())


def options(command: click.Command) -> list[str]:
    found = [item for item in command.params if isinstance(item, click.Option)]
    return [word for option in found for word in option.opts]


def is_named(word: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


def man_page(words: str) -> str:
    page = ROOT / "man" / f"{words.replace(' ', '-')}.1"
    return page.read_text().replace("\\-", "-").replace("\\fB", "").replace("\\fP", "")


def test_is_named_takes_whole_words() -> None:
    assert is_named("--all", "say ``--all``.")
    assert not is_named("--all", "--all-properties")
    assert not is_named("-c", "--column")


def test_commands_and_options_are_found() -> None:
    assert {"novadev", "novadev image-property set", "novadev undo"} <= set(COMMANDS)
    assert {"--force", "--yes", "-y"} <= set(options(COMMANDS["novadev image-property set"]))


@pytest.mark.parametrize("words", COMMANDS)
def test_command_is_in_the_pages(words: str) -> None:
    assert is_named(words, TEXT)


@pytest.mark.parametrize("words", COMMANDS)
def test_command_has_help(words: str) -> None:
    assert COMMANDS[words].help


@pytest.mark.parametrize("words", COMMANDS)
def test_options_are_in_the_pages(words: str) -> None:
    assert [word for word in options(COMMANDS[words]) if not is_named(word, TEXT)] == []


@pytest.mark.parametrize("words", COMMANDS)
def test_options_are_in_the_manual_page(words: str) -> None:
    page = man_page(words)
    assert [word for word in options(COMMANDS[words]) if not is_named(word, page)] == []


@pytest.mark.parametrize("words", COMMANDS)
def test_options_have_help(words: str) -> None:
    found = [item for item in COMMANDS[words].params if isinstance(item, click.Option)]
    assert [item.name for item in found if not item.help] == []


@pytest.mark.parametrize("words", COMMANDS)
def test_the_manual_page_has_the_example_in_a_section(words: str) -> None:
    found = re.findall(r"^\.SH EXAMPLES\n\.nf\n(.+)\n\.fi$", man_page(words), re.MULTILINE)
    assert found == [split_example(COMMANDS[words].help or "")[1]]
    assert "Example:" not in man_page(words)


def test_the_manual_pages_that_a_page_names_are_there() -> None:
    pages = {path.name.removesuffix(".1") for path in (ROOT / "man").glob("*.1")}
    for words in COMMANDS:
        named = re.findall(r"(?:See |, |^)(novadev[^\n,]*?)\(1\)", man_page(words), re.MULTILINE)
        assert set(named) <= pages


@pytest.mark.parametrize("words", COMMANDS)
def test_exit_codes_are_in_the_manual_page(words: str) -> None:
    status = man_page(words).partition(".SH EXIT STATUS")[2]
    assert [code for code in CODES if f".TP\n{code}\n" not in status] == []


@pytest.mark.parametrize("kind", [*generate.error_classes()], ids=lambda kind: kind.__name__)
def test_error_is_in_the_table(kind: type[NovadevError]) -> None:
    table = (DOCS / "generated" / "exit_codes.inc").read_text()
    assert f"   * - {kind.exit_code}\n     - ``{kind.__name__}``\n" in table
    assert kind.__doc__


def test_the_page_tells_the_order_of_codes() -> None:
    page = " ".join((DOCS / "exit_codes.rst").read_text().split())
    order = re.search(r"the first of ([\d, ]+) that occurred", page)
    assert order is not None
    left = [int(code) for code in order[1].split(",")]
    while left:
        assert worst(left) == left[0]
        left.pop(0)


def test_every_option_of_nova_is_in_the_table() -> None:
    table = (DOCS / "generated" / "nova_options.inc").read_text()
    for group, options in NOVA_OPTS.items():
        for option in options:
            assert f"   * - ``[{group}]``\n     - ``{option.name}``\n" in table


def test_the_files_read_by_default_are_told() -> None:
    page = (DOCS / "configuration.rst").read_text()
    for name in (*config.DEFAULT_FILES, *config.DEFAULT_DIRS):
        assert f"``{name}``" in page


def test_no_path_of_a_machine_is_told() -> None:
    documents = [*DOCS.glob("*.rst"), *(ROOT / "man").glob("*.1"), ROOT / "README.md"]
    text = "\n".join(Path(path).read_text() for path in documents).replace("//root@", "//")
    assert [word for word in ("/tmp", "/root", "/home", str(ROOT)) if word in text] == []
