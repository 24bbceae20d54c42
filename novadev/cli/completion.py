"""What the shell completes a word to: each function is the ``shell_complete`` of some parameters.

Only names of plain characters are offered. A server may have any name, and what the shell puts into
the command line is run when the operator presses Enter.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@%+,=-]*")


def files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete the name of a file."""
    return [CompletionItem(incomplete, type="file")]


def folders(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete the name of a folder."""
    return [CompletionItem(incomplete, type="dir")]


def of(kind: str) -> Complete:
    """Return the function that offers the candidates of this KIND."""

    def complete(
        ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return _items(ctx, kind, incomplete)

    return complete


hosts, cells, projects, servers = of("hosts"), of("cells"), of("projects"), of("servers")
properties, stored_properties = of("properties"), of("stored properties")
checks, machine_types, runs = of("checks"), of("machine types"), of("runs")


def property_values(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer ``NAME=``, and ``NAME=VALUE`` once the name is there.

    A filter takes every stored property; what stores values leaves the machine type to a command
    of its own.
    """
    is_filter = param.name == "where"
    name, has_value, value = incomplete.partition("=")
    if is_filter and has_value and name == _MACHINE_TYPE:
        found = _items(ctx, "machine types", value)
        return [CompletionItem(f"{name}={item.value}") for item in found]
    if has_value:
        return _items(ctx, "values", incomplete)
    names = _items(ctx, "stored properties" if is_filter else "properties", incomplete)
    offered = (item.value for item in names if is_filter or item.value != _MACHINE_TYPE)
    return [CompletionItem(f"{offer}=") for offer in offered]


_MACHINE_TYPE = "hw_machine_type"


def columns(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the columns of the command that is being typed, with the options it has so far."""
    given = {name for name, value in ctx.params.items() if value}
    given |= {"run"} if "run" in ctx.params and ctx.args else set()  # not parsed, after a bare -c
    variant = next((more for name, more in _VARIANTS.items() if name in given), "")
    words = []
    while ctx.parent is not None:
        words.append(ctx.info_name or "")
        ctx = ctx.parent
    return _items(ctx, f"columns of {' '.join(reversed(words))}{variant}", incomplete)


_VARIANTS = {"long_": " --long", "wide": " --wide", "run": " RUN"}
"""What makes a command print other records: its parameter, and its words in `schema.RECORDS`."""


def schemas(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the next word of the commands that have a schema."""
    from novadev.cli.schema import KNOWN

    typed = list(ctx.params.get("command") or ())
    commands = [name.split() for name in KNOWN]
    found = {
        words[len(typed)]
        for words in commands
        if words[: len(typed)] == typed and len(words) > len(typed)
    }
    return [CompletionItem(word) for word in sorted(found) if word.startswith(incomplete)]


def _items(ctx: click.Context, kind: str, incomplete: str) -> list[CompletionItem]:
    """Return the candidates of KIND that begin with INCOMPLETE."""
    from novadev.cli.candidates import known

    of_program = ctx.find_root().params
    found = known(kind, of_program.get("config_files") or (), of_program.get("config_dirs") or ())
    return [
        CompletionItem(name)
        for name in found
        if name.startswith(incomplete) and _PLAIN.fullmatch(name)
    ]


def _option_of(word: str) -> str:
    """Return the ``--option=`` that WORD begins with; click completes only what follows it."""
    name, separator, _ = word.partition("=")
    return name + separator if separator and name.startswith("-") else ""


def _with_option(item: CompletionItem, option: str) -> CompletionItem:
    """Return ITEM with OPTION before it, for a shell that replaces the whole word."""
    if item.type != "plain":
        return item
    return CompletionItem(f"{option}{item.value}", item.type, item.help)


@add_completion_class
class Bash(BashComplete):
    """Completion for bash, which cuts a word at ``=`` and ``:`` where click's own does not look.

    The command line is handed over as it was typed, and what bash has already taken for an earlier
    word is left out of the answer.
    """

    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' response completion type value
    response=$(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \
%(complete_var)s=bash_complete "$1" 2>/dev/null)
    for completion in $response; do
        type=${completion%%%%,*} value=${completion#*,}
        if [[ $type == dir ]]; then
            compopt -o dirnames
        elif [[ $type == file ]]; then
            compopt -o default
        elif [[ $type == plain ]]; then
            COMPREPLY+=("$value")
            [[ $value != *= ]] || compopt -o nospace
        fi
    done
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""
    _option, _taken = "", ""
    _is_quoted = False

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is being typed, and what there is of it."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)[1:]
        word = words.pop() if words and not line[-1:].isspace() else ""
        breaks = set(os.environ.get("COMP_BREAKS", "=:")) & set("=:")
        self._taken = word[: 1 + max(map(word.rfind, breaks), default=-1)]
        self._option, self._is_quoted = _option_of(word), _ends_in_quotes(line)
        return words, word

    def format_completion(self, item: CompletionItem) -> str:
        """Return a line for bash: the type, and what follows the part that bash has.

        A blank is escaped: bash puts into the line what it gets. It closes quotes itself.
        """
        if item.type != "plain":
            return f"{item.type},"
        value = str(_with_option(item, self._option).value).removeprefix(self._taken)
        return f"plain,{value if self._is_quoted else value.replace(' ', _ESCAPED)}"


_ESCAPED = "\\ "


def _ends_in_quotes(line: str) -> bool:
    """Whether the command LINE ends inside quotes that are still open."""
    try:
        shlex.split(line.rstrip("\\"))
    except ValueError:
        return True
    return False


class _WholeWord(ShellComplete):
    """Gives the shell the whole word, with the option of ``--option=value``."""

    _option = ""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is being typed, and what there is of it."""
        words, word = super().get_completion_args()
        self._option = _option_of(word)
        return words, word

    def format_completion(self, item: CompletionItem) -> str:
        """Return what the shell is told of ITEM: its type, the whole word and its description."""
        return super().format_completion(_with_option(item, self._option))


@add_completion_class
class Zsh(_WholeWord, ZshComplete):
    """Completion for zsh, also from a file that zsh loads by itself.

    click's own script takes itself for such a file only the first time, and then completes nothing
    once. It also loses the option of ``--option=value``, and completes no file name there.
    """

    source_template = ZshComplete.source_template.replace(
        "$zsh_eval_context[-1] == loadautofunc", "$funcstack[1] == _%(prog_name)s"
    )
    for _paths in ("_path_files -/", "_path_files -f"):
        source_template = source_template.replace(
            f"            {_paths}",
            f"            [[ $PREFIX != --*=* ]] || compset -p $(( ${{#PREFIX%%%%=*}} + 1 ))\n"
            f"            {_paths}",
        )


@add_completion_class
class Fish(_WholeWord, FishComplete):
    """Completion for fish that keeps the commas of a name and of a description.

    click's own script splits a line at every comma, and takes only what is before the second. It
    also loses the option of ``--option=value``.
    """

    source_template = FishComplete.source_template.replace(
        'string split ","', 'string split --max 1 ","'
    )
    for _paths in ("__fish_complete_directories", "__fish_complete_path"):
        source_template = source_template.replace(
            f"{_paths} $metadata[2];",
            f"{_paths} $metadata[2] | string replace --regex '^' -- "
            "(string match --regex -- '^--[^=]*=' (commandline -ct); or echo '');",
        )
