"""Help texts with groups of options and an example, and suggestions for mistyped names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from novadev.cli import completion
from novadev.cli.one_of import OneOf
from novadev.text import nearest

SELECTION = (
    *("from_file", "everything", "server_names", "hosts", "cell", "project", "status"),
    *("vm_state", "where", "without", "limit"),
)
OUTPUT = ("format_", "columns", "summary", "details")
RUN = (
    *("dry_run", "yes", "plan_out", "overwrite", "message", "max_failures", "fail_on_skip"),
    *("take_over", "workers"),
)
GROUPS = (("Which servers", SELECTION), ("Output", OUTPUT), ("Run", RUN))
"""The groups that follow the command's own options, and the parameters in each."""
EXAMPLE = "Example: "
BEFORE = frozenset(("--config-file", "--config-dir", "--version"))
"""Options of the program that stand before the command; the others may follow it."""


def _tell_session(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Give the session VALUE of an option of the program that stands behind the command."""
    if value and ctx.obj is not None:
        setattr(ctx.obj, str(param.name), value)


ANYWHERE = tuple(
    click.Option(names, hidden=True, expose_value=False, callback=_tell_session, **more)
    for names, more in (
        (["-q", "--quiet"], {"is_flag": True}),
        (["-v", "--verbose"], {"is_flag": True}),
        (["--color"], {"type": OneOf(["auto", "always", "never"])}),
        (["--log-file"], {"shell_complete": completion.files}),
    )
)
"""Options of the program as they may stand behind a command too, where no help repeats them."""


def _anywhere(ctx: click.Context, incomplete: str) -> Iterator[CompletionItem]:
    """Yield those options that INCOMPLETE may become and CTX has not got, with their help."""
    told = {param.name: getattr(param, "help", "") for param in ctx.find_root().command.params}
    for option in ANYWHERE if incomplete.startswith("-") else ():
        if ctx.get_parameter_source(str(option.name)) is not ParameterSource.COMMANDLINE:
            names = (name for name in option.opts if name.startswith(incomplete))
            yield from (CompletionItem(name, help=told.get(option.name)) for name in names)


HELP = ["-h", "--help"]
"""The names of the option that shows the help of a command."""


class _Helped(click.Command):
    """A command or group whose help has its example in one piece."""

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """Return the same names in every context: click keeps what the first one gave."""
        return HELP

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what INCOMPLETE may become; also the options of the program that may follow."""
        more = _anywhere(ctx, incomplete) if ctx.parent else ()
        return [*super().shell_complete(ctx, incomplete), *more]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help without its example."""
        text, example = split_example(self.help or "")
        whole, self.help = self.help, text
        super().format_help_text(ctx, formatter)
        self.help = whole
        if example:
            with formatter.section("Example"):
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Command(_Helped):
    """A command whose help has its own options first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in groups; --host is a filter only where servers are selected."""
        for title, options in self.option_groups(ctx):
            _write(ctx, formatter, title, options)

    def option_groups(self, ctx: click.Context) -> list[tuple[str, list[click.Option]]]:
        """Return the options by the titles of their groups, the command's own first."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        selects = any(param.name == "everything" for param in options)
        groups = [(title, names) for title, names in GROUPS if selects or names is not SELECTION]
        shared = {name for _, names in groups for name in names}
        own = [param for param in options if param.name not in shared]
        found = [("Options", own)]
        for title, names in groups:
            chosen = [param for param in options if param.name in names]
            chosen.sort(key=lambda param: names.index(str(param.name)))
            found.append((title, chosen))
        return found

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and those of the program that may follow it."""
        return [*super().get_params(ctx), *ANYWHERE]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say where the options of the program are."""
        formatter.write(f"\n{OTHERS}\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse ARGS; say of an option of the program where it goes."""
        with _telling_the_place(ctx, list(args)):
            return super().parse_args(ctx, args)


OTHERS = "The options -q, -v, --color and --log-file work here too; see novadev --help."


@contextmanager
def _telling_the_place(ctx: click.Context, args: Sequence[str]) -> Iterator[None]:
    """Say where an option goes that is on the wrong side of the command in ARGS."""
    try:
        yield
    except click.NoSuchOption as error:
        name = error.option_name
        if name in BEFORE:
            text = f"{name} goes before the command: novadev {name} …"
            raise click.UsageError(text, ctx) from None
        if command := _command_with(ctx, name, args):
            text = f"{name} goes after the command: {ctx.command_path} {command} {name} …"
            raise click.UsageError(text, ctx) from None
        near = _near_options(name, error.possibilities or ())
        raise click.NoSuchOption(name, possibilities=near, ctx=ctx) from None


def _near_options(name: str, possible: Iterable[str]) -> list[str]:
    """Return which of those that are POSSIBLE the option NAME means: it is cut short, or near."""
    whole = [option for option in possible if option.startswith(name)]
    near = nearest(name.lstrip("-"), [option.lstrip("-") for option in possible])
    return whole or [option for option in possible if option.lstrip("-") == near]


def _command_with(ctx: click.Context, option: str, args: Sequence[str]) -> str | None:
    """Return the command below CTX, of those that have OPTION, which ARGS seem to mean.

    The word COMMAND if they mean none of these; None if there are none.
    """
    found = [
        path
        for path, command in _commands(ctx.command, ctx)
        if any(option in param.opts for param in command.params)
    ]
    typed = " ".join(args)
    meant = [path for path in found if f" {path} " in f" {typed} "]
    return max(meant, key=len, default="COMMAND") if found else None


def _commands(group: click.Command, ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands of GROUP and of the groups in it, each with what is typed for it."""
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {path}", below) for path, below in _commands(command, ctx))
        elif command is not None:
            yield name, command


def _write(
    ctx: click.Context, formatter: click.HelpFormatter, title: str, params: list[click.Option]
) -> None:
    rows = [row for param in params if (row := param.get_help_record(ctx)) is not None]
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


def split_example(text: str) -> tuple[str, str]:
    """Return the help TEXT without its example, and the example on one line."""
    before, _, example = text.partition(EXAMPLE)
    example, _, after = example.partition("\n\n")
    return before.rstrip() + ("\n\n" + after if after else ""), " ".join(example.split())


class Group(_Helped, click.Group):
    """A group that says which command may have been meant."""

    command_class = Command

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return its own parameters and, below the program, those that may stand anywhere."""
        return [*super().get_params(ctx), *(ANYWHERE if ctx.parent else ())]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse ARGS; say of an option of the program where it goes."""
        with _telling_the_place(ctx, list(args)):
            return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that ARGS begin with; raises click.UsageError, with a near name."""
        name = args[0]
        known = self.list_commands(ctx)
        is_typed = ctx.resilient_parsing  # for the shell: what is not known yet has no completion
        if not is_typed and self.get_command(ctx, name) is None and not name.startswith("-"):
            near = nearest(name, known)
            hint = f" Did you mean {near!r}?" if near else f" There are {', '.join(known)}."
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def command(*args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a `Command` of a function, as `click.command` does."""
    decorate: Callable[[Callable[..., Any]], click.Command] = click.command(
        *args, cls=Command, **kwargs
    )
    return decorate


def group(*args: Any, **kwargs: Any) -> Callable[[Callable[..., Any]], Group]:
    """Make a `Group` of a function, as `click.group` does."""
    decorate: Callable[[Callable[..., Any]], Group] = click.group(*args, cls=Group, **kwargs)
    return decorate
