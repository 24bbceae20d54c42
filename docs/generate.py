"""Write what the documentation takes from the program itself, and the manual pages.

Run it when a command, an option, an error or a configuration option has changed:
``.venv/bin/python docs/generate.py``. A test compares the files with what this makes.
"""

from __future__ import annotations

import copy
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import get_completion_class
from click_man.core import generate_man_page
from oslo_config import cfg, generator

from novadev import __version__, errors
from novadev.audit.checks import CHECKS
from novadev.cli import READER_GONE, help, root
from novadev.config.options import NOVA_OPTS
from novadev.errors import NovadevError

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from pictures import pictures  # noqa: E402 - the path is set above
from replay import DOCUMENTS, replayed, why_not  # noqa: E402 - the path is set above

GENERATED = FOLDER / "generated"
MAN = FOLDER.parent / "man"
COMPLETION = FOLDER.parent / "completion"
DATE = "2026-11-21"
"""The date on the manual pages; it changes with the version."""


def generated() -> dict[Path, str]:
    """Return every generated file with its text."""
    files = {
        GENERATED / "audit_checks.inc": audit_checks(),
        GENERATED / "exit_codes.inc": exit_codes(),
        GENERATED / "nova_options.inc": nova_options(),
        GENERATED / "novadev.conf.sample": config_sample(),
    }
    files |= {COMPLETION / name: text for name, text in completions()}
    return files | {MAN / name: text for name, text in man_pages()}


def present() -> set[Path]:
    """Return the generated files that are there."""
    return {*MAN.glob("*.1"), *COMPLETION.glob("*"), *GENERATED.glob("*")}


def completions() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of what each shell reads to complete a command line."""
    for shell in ("bash", "zsh", "fish"):
        kind = get_completion_class(shell)
        if kind is not None:
            yield f"novadev.{shell}", kind(root, {}, "novadev", "_NOVADEV_COMPLETE").source()


def error_classes(base: type[NovadevError] = NovadevError) -> Iterator[type[NovadevError]]:
    """Yield BASE and the classes below it, a family together: those of ``novadev.errors`` alone.

    Other modules have kinds of their own, which are known only once such a module is imported.
    """
    yield base
    for child in base.__subclasses__():
        if child.__module__ == NovadevError.__module__:
            yield from error_classes(child)


def meaning(kind: type[NovadevError]) -> str:
    """Return the whole docstring of an error on one line, without its last full stop."""
    return " ".join((kind.__doc__ or "").split()).rstrip(".")


def summary(text: str | None) -> str:
    """Return the first sentence or paragraph of a docstring on one line, without its full stop."""
    return " ".join((text or "").strip().partition("\n\n")[0].split()).rstrip(".")


OTHER_CODES = {
    0: "Done, or nothing to do",
    READER_GONE: "The reader of the output, such as head, went away; only commands that only read "
    "end so",
}
"""What the exit codes mean that no class of errors has."""


def exit_codes() -> str:
    """Return the table of exit codes as reStructuredText."""
    found = [(code, "", text) for code, text in OTHER_CODES.items()]
    found += [
        (kind.exit_code, f"``{kind.__name__}``", _OPTION.sub(r"``\g<0>``", meaning(kind)))
        for kind in error_classes()
    ]
    rows = [(str(code), *texts) for code, *texts in sorted(found, key=lambda row: row[0])]
    return _table(("Code", "Error", "Means"), rows, (10, 20, 70))


_ASKED = {
    "databases": "Nova's databases",
    "hosts": "the databases and the hosts",
    "target": "the databases, the hosts, a capability file",
    "rehearsal": "the databases, the hosts, a host to rehearse on",
}


def audit_checks() -> str:
    """Return the table of the audit's checks."""
    rows = [(f"``{check.name}``", check.finds, _ASKED[check.needs]) for check in CHECKS]
    return _table(("Check", "Finds", "Asks"), rows, (20, 55, 25))


def nova_options() -> str:
    """Return the table of Nova's options that novadev reads."""
    rows = [
        (f"``[{group}]``", f"``{option.name}``", _default(option))
        for group, options in NOVA_OPTS.items()
        for option in options
    ]
    return _table(("Group", "Option", "Default"), rows, (25, 45, 30))


def _default(option: cfg.Opt) -> str:
    return "none" if option.default in (None, "") else f"``{option.default}``"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]], widths: tuple[int, ...]) -> str:
    lines = [".. list-table::", "   :header-rows: 1"]
    lines += [f"   :widths: {' '.join(str(width) for width in widths)}", ""]
    for row in (head, *rows):
        for position, cell in enumerate(row):
            lines.append(f"   {' ' if position else '*'} - {cell}".rstrip())
    return "\n".join(lines) + "\n"


def config_sample() -> str:
    """Return what ``oslo-config-generator --namespace novadev`` prints."""
    options = cfg.ConfigOpts()
    generator.register_cli_opts(options)
    options(["--namespace", "novadev"], default_config_files=[], default_config_dirs=[])
    sample = io.StringIO()
    generator.generate(options, output_file=sample)
    return sample.getvalue()


def man_pages() -> Iterator[tuple[str, str]]:
    """Yield the name and text of every manual page."""
    context = click.Context(root, info_name="novadev")
    yield from _pages(_described(root, context), "novadev", None)
    name = "novadev-nova-compute.1"  # it takes Nova's options, so Click does not know it
    text = (FOLDER / f"{name}.in").read_text(encoding="utf-8")
    yield name, text.format(date=DATE, version=__version__)


def _described(command: click.Command, context: click.Context) -> click.Command:
    """Return a copy of COMMAND as click-man needs it: one whole line of help, commands by name."""
    described = copy.copy(command)
    described.short_help = summary(command.help)
    if isinstance(command, help.Command):
        described.params = _in_order(command, context)
    if isinstance(command, click.Group) and isinstance(described, click.Group):
        found = {
            name: command.get_command(context, name) for name in command.list_commands(context)
        }
        described.commands = {
            name: _described(child, context) for name, child in found.items() if child is not None
        }
    return described


def _in_order(command: help.Command, context: click.Context) -> list[click.Parameter]:
    """Return the parameters of COMMAND as its help has them: its own options first."""
    groups = command.option_groups(context)
    shown = [option for _, group in groups for option in group]
    places = {option.name: place for place, option in enumerate(shown)}
    return sorted(command.params, key=lambda param: places.get(param.name, -1))


def _pages(
    command: click.Command, name: str, parent: click.Context | None
) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=name, parent=parent)
    page, examples = _split_examples(generate_man_page(context, version=__version__, date=DATE))
    page = _PAGE_NAME.sub(lambda name: name[0].replace(" ", "-"), page)
    page = re.sub(r'"[^"]* Manual"', '"novadev Manual"', page, count=1)  # has room at the head
    page = page.rstrip("\n") + "\n"
    ending = EXIT_STATUS if parent else ENVIRONMENT + EXIT_STATUS
    yield (
        f"{context.command_path.replace(' ', '-')}.1",
        _as_typed(page + ending + examples + _see_also(parent)),
    )
    if isinstance(command, click.Group):
        for child_name, child in command.commands.items():
            yield from _pages(child, child_name, context)


def _split_examples(page: str) -> tuple[str, str]:
    """Return PAGE without its example, and a section with that on one line, as it is pasted."""
    before, _, rest = page.partition(f"\n.PP\n{help.EXAMPLE}")
    example, dot, after = rest.partition("\n.")
    line = " ".join(example.split())
    return before + dot + after, f".SH EXAMPLES\n.nf\n{line}\n.fi\n"


def _as_typed(page: str) -> str:
    """Return PAGE so that what it shows can be pasted: no word is divided, a minus is a minus."""
    head, _, rest = page.partition("\n")
    return f"{head}\n.nh\n.ad l\n" + _HYPHEN.sub(r"\\-", rest)


def _exit_status() -> str:
    codes = {code: [text] for code, text in OTHER_CODES.items()}
    for kind in error_classes():
        codes.setdefault(kind.exit_code, []).append(meaning(kind))
    lines = [".SH EXIT STATUS"]
    for code in sorted(codes):
        lines += [".TP", rf"\fB{code}\fP", f"{'. '.join(codes[code])}."]
    order = ", ".join(str(code) for code in errors.WORST_FIRST)
    lines += [".PP", f"Of several failures in one run, the first of {order} is the exit status."]
    return "\n".join(lines) + "\n"


def _see_also(parent: click.Context | None) -> str:
    above = f"{parent.command_path.replace(' ', '-')}(1), " if parent else ""
    pages = f"{above}nova-manage(1), virsh(1)".replace("-", r"\-")
    return f".SH SEE ALSO\n{pages}\n"


_OPTION = re.compile(r"--[a-z=-]+")
_PAGE_NAME = re.compile(r"\\fB[\w -]+\(1\)")
_HYPHEN = re.compile(r"(?<!\\)-")
EXIT_STATUS = _exit_status()
ENVIRONMENT = r""".SH ENVIRONMENT
.TP
\fBNOVADEV_CONFIG_FILE\fP
Configuration files, separated by blanks, where no \-\-config\-file is given.
.TP
\fBNO_COLOR\fP
If set, nothing is coloured unless \-\-color always asks for it.
.SH FILES
.TP
\fI/etc/nova/nova.conf\fP, \fI/etc/novadev/novadev.conf\fP, \fI/etc/nova/nova.conf.d\fP
What is read where no file and no folder is named.
.TP
\fI/var/lib/novadev/state.sqlite\fP
The journal of root; of anybody else it is \fI$XDG_STATE_HOME/novadev/state.sqlite\fP.
"""


def main() -> None:
    """Write every generated file, remove those of commands that are gone, run the examples."""
    files = generated()
    for path in present() - set(files):
        path.unlink()
    files |= {path: replayed(path) for path in DOCUMENTS if not why_not(path)} | pictures()
    for path, text in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
