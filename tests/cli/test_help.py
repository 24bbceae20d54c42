"""Help as a person reads it, and what is said to somebody who mistypes."""

import re
import shlex

import click
import pytest

from novadev.cli import root
from novadev.cli.help import OUTPUT, RUN, SELECTION
from novadev.cli.session import Session
from tests.cloud import Cloud
from tests.command import novadev
from tests.docs.test_commands import COMMANDS
from tests.docs.test_generated import ROOT

LEAVES = {words: item for words, item in COMMANDS.items() if not isinstance(item, click.Group)}


def example(words: str) -> str:
    """The example in the help of a command, as it is shown."""
    [found] = re.findall(r"^Example:\n  (.*)$", novadev(None, *words.split()[1:], "-h").out, re.M)
    return str(found)


@pytest.mark.parametrize("words", LEAVES)
def test_every_command_has_an_example_that_can_be_pasted(words: str) -> None:
    """On one line, of this command, with options that it has and values that they take."""
    text = example(words)
    assert text.startswith(f"{words} ") or text == words
    context = click.Context(root, info_name="novadev")
    arguments = shlex.split(text)[len(words.split()) :]
    LEAVES[words].make_context(words, [a for a in arguments if a != "-"], parent=context)


@pytest.mark.parametrize("words", sorted(COMMANDS.keys() - LEAVES.keys()))
def test_every_group_has_the_example_of_a_command_in_it(words: str) -> None:
    text = example(words)
    leaf = max((name for name in LEAVES if text.startswith(f"{name} ")), key=len)
    assert leaf.startswith(f"{words} ")
    context = click.Context(root, info_name="novadev")
    LEAVES[leaf].make_context(leaf, shlex.split(text)[len(leaf.split()) :], parent=context)


@pytest.mark.parametrize("words", COMMANDS)
def test_the_names_of_the_help_hang_on_no_context(words: str) -> None:
    """Click keeps the option that the first context asked for, a test's or the manual's too."""
    command = COMMANDS[words]
    option = command.get_help_option(click.Context(command))
    assert option is not None
    assert option.opts == ["-h", "--help"]


@pytest.mark.parametrize("words", LEAVES)
def test_every_option_is_in_one_group(words: str) -> None:
    text = novadev(None, *words.split()[1:], "--help").out.partition("\nOptions:\n")[2]
    for param in LEAVES[words].params:
        if isinstance(param, click.Option) and not param.hidden:
            name = max((*param.opts, *param.secondary_opts), key=len)
            assert len(re.findall(rf"^  (?:-\w, )?{name}(?![\w-])", text, re.M)) == 1, name


def test_the_groups_stand_in_an_order() -> None:
    text = novadev(None, "image-property", "set", "--help").out
    titles = re.findall(r"^(\w[\w ]*):$", text, re.M)
    assert titles == ["Example", "Options", "Which servers", "Output", "Run"]
    own = text.partition("\nOptions:")[2].partition("\nWhich servers:")[0]
    assert "--update-disks" in own
    assert "--dry-run" not in own


def test_a_host_is_no_filter_where_no_server_is_selected() -> None:
    text = novadev(None, "doctor", "--help").out
    assert "Which servers:" not in text
    assert "--host HOST" in text.partition("\nOptions:")[2].partition("\nOutput:")[0]


GROUPS = {words: item for words, item in COMMANDS.items() if isinstance(item, click.Group)}


@pytest.mark.parametrize("words", GROUPS)
def test_a_list_of_commands_cuts_no_description_short(words: str) -> None:
    lines = novadev(None, *words.split()[1:], "--help").out.partition("\nCommands:\n")[2]
    assert re.findall(r"^  [a-z-]+  .*\.$", lines, re.M)
    assert [line for line in lines.splitlines() if line.endswith("...")] == []


def test_no_parameter_is_in_two_groups() -> None:
    names = [*SELECTION, *OUTPUT, *RUN]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("image-proprty list", "No such command 'image-proprty'. Did you mean 'image-property'?"),
        ("device alias-migrat", "Did you mean 'alias-migrate'?"),
        ("undo 3 --dry-rn", "Did you mean '--dry-run'?"),
        ("audit --al", "Error: No such option '--al'. Did you mean '--all'?"),
        ("audit --chek alias", "Error: No such option '--chek'. Did you mean '--check'?"),
        ("audit --status SHUTOF", "'SHUTOF' is not one of the values; did you mean SHUTOFF?"),
        ("audit --status xyzzy", "'xyzzy' is not one of the values; there are ACTIVE, BUILD, "),
        ("audit --all -f jsn", "'jsn' is not one of the values; did you mean json?"),
        ("frobnicate", "There are apply, audit, "),
        ("undo 3 --config-file a", "--config-file goes before the command: novadev --config-file"),
        ("device --config-dir a list", "--config-dir goes before the command"),
        (
            "-f json image-property list --all",
            "-f goes after the command: novadev image-property list -f …",
        ),
        ("--format=json history", "--format goes after the command: novadev history --format …"),
        ("device -c label show web-1", "-c goes after the command: novadev device show -c …"),
        ("--yes device", "--yes goes after the command: novadev COMMAND --yes …"),
        ("--nonsense history", "Error: No such option '--nonsense'."),
    ],
)
def test_what_was_meant(typed: str, said: str) -> None:
    result = novadev(None, *typed.split())
    assert result.code == 4
    assert said in " ".join(result.err.split())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("audit --all --check alais", "Error: there is no check 'alais': did you mean alias?"),
        ("audit --all --check xyzzy", "Error: there is no check 'xyzzy': there are alias, "),
        ("history -c stat", "no column 'stat'. Did you mean state?"),
        ("image-property list web-*", "A pattern goes with --name, where servers can be filtered"),
    ],
)
def test_what_was_meant_on_a_deployment(sqlite_cloud: Cloud, typed: str, said: str) -> None:
    assert said in novadev(sqlite_cloud, *typed.split()).err


@pytest.mark.parametrize("words", LEAVES)
@pytest.mark.parametrize("typed", ["-q", "--quiet", "-v", "--color always", "--log-file x.log"])
def test_an_option_of_the_program_may_follow_the_command(words: str, typed: str) -> None:
    """It is as if it stood before; no command takes one of these for its own."""
    session, (option, *value) = Session(), typed.split()
    context = click.Context(root, info_name="novadev", obj=session)
    arguments = shlex.split(example(words))[len(words.split()) :]
    LEAVES[words].make_context(words, [*arguments, option, *value], parent=context)
    given = {
        "-q": session.quiet,
        "--quiet": session.quiet,
        "-v": session.verbose,
        "--color": session.color == "always",
        "--log-file": session.log_file == "x.log",
    }
    assert given.pop(option)


def test_an_option_of_the_program_may_follow_a_group() -> None:
    told = novadev(None, "image-property", "-q", "list", "--frobnicate")
    assert "No such option" in told.err
    assert "-q, -v, --color and --log-file work here too" in novadev(None, "undo", "-h").out


@pytest.mark.parametrize("words", LEAVES)
def test_help_fits_a_terminal(words: str) -> None:
    """Only the example is longer than 80 characters, because it is pasted in one piece."""
    lines = novadev(None, *words.split()[1:], "-h").out.splitlines()
    assert [line for line in lines if len(line) > 80 and example(words) not in line] == []


def test_a_manual_page_has_the_order_of_the_help() -> None:
    """A command's own options come first; one for a single server has none for many."""
    page = (ROOT / "man" / "novadev-image-property-set.1").read_text()
    assert page.index(r"\fB\-\-property\fP") < page.index(r"\fB\-\-from\-file\fP")
    assert "--summary" not in novadev(None, "device", "detach", "-h").out
