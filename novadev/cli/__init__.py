"""What the operator types and sees.

``main`` is the only place that turns errors into exit codes. The modules of the commands import
nothing heavier than click: what a command needs is imported when it runs.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from signal import SIGPIPE
from typing import NoReturn

import click

from novadev import __version__
from novadev.cli import completion
from novadev.cli.help import HELP, Group
from novadev.cli.one_of import OneOf
from novadev.cli.session import Session
from novadev.cli.talk import open_standard_files, say, tell
from novadev.errors import BadInput, Declined, Interrupted, NovadevError

COMMANDS = {
    "apply": "novadev.cli.history:apply",
    "audit": "novadev.cli.audit:audit",
    "capabilities": "novadev.cli.capabilities:capabilities",
    "device": "novadev.cli.device:device",
    "doctor": "novadev.cli.doctor:doctor",
    "history": "novadev.cli.history:history",
    "image-property": "novadev.cli.image_property:image_property",
    "machine-type": "novadev.cli.machine_type:machine_type",
    "plan": "novadev.cli.plan:plan",
    "resume": "novadev.cli.history:resume",
    "schema": "novadev.cli.schema:schema",
    "stash-defaults": "novadev.cli.stash_defaults:stash_defaults",
    "undo": "novadev.cli.history:undo",
}


READER_GONE = 128 + SIGPIPE
"""The exit code if what reads the output goes away, as ``| head`` does: that of other tools."""


class LazyGroup(Group):
    """A group whose commands are imported when they are looked at."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": HELP})
@click.option(
    "--config-file",
    "config_files",
    shell_complete=completion.files,
    multiple=True,
    metavar="FILE",
    envvar="NOVADEV_CONFIG_FILE",
    help="A nova.conf to read; may be repeated.  [default: /etc/nova/nova.conf, then "
    "/etc/novadev/novadev.conf]",
)
@click.option(
    "--config-dir",
    "config_dirs",
    shell_complete=completion.folders,
    multiple=True,
    metavar="DIR",
    help="Read the .conf files in this folder.",
)
@click.option(
    "--color",
    type=OneOf(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="When to colour tables and plans.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Log each step to stderr, with tracebacks of unexpected errors.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print no progress and no summary on stderr.")
@click.option(
    "--log-file",
    shell_complete=completion.files,
    metavar="FILE",
    help="Append a log of each step to FILE, with tracebacks of unexpected errors.  [default: "
    "[novadev] log_file]",
)
@click.version_option(__version__, prog_name="novadev", message="%(prog)s %(version)s")
@click.pass_context
def root(
    ctx: click.Context,
    config_files: tuple[str, ...],
    config_dirs: tuple[str, ...],
    color: str,
    verbose: bool,
    quiet: bool,
    log_file: str | None,
) -> None:
    """Inspect, stabilize and change the virtual hardware of Nova's libvirt guests.

    Example: novadev audit --all
    """
    session = ctx.ensure_object(Session)
    session.config_files, session.config_dirs = config_files, config_dirs
    session.color, session.verbose, session.quiet = color, verbose, quiet
    session.log_file = log_file
    ctx.call_on_close(session.close)


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    open_standard_files()
    gc.disable()  # until the imports are done (session.py): they leave no garbage to look for
    sys.exit(_flush(run()))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ARGUMENTS (the process's own if None) and return the exit code."""
    session = Session()
    session.arguments = tuple(sys.argv[1:] if arguments is None else arguments)
    code = _run(arguments, session)
    session.end_log(code)
    return code


def _run(arguments: Sequence[str] | None, session: Session) -> int:
    try:
        result = root.main(arguments, "novadev", standalone_mode=False, obj=session)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except click.ClickException as error:
        error.show()
        return BadInput.exit_code
    except NovadevError as error:
        if not isinstance(error, (Declined, Interrupted)):
            session.give_owed(error)
        say(f"Error: {_line(error, session)}")
        return error.exit_code
    except click.Abort:
        tell("")  # the question is on this line
        say("Interrupted.")
        return Interrupted.exit_code
    except KeyboardInterrupt:
        say("Interrupted.")
        return Interrupted.exit_code
    except SystemExit as ended:  # click's, for a completion or where the reader went away
        return READER_GONE if ended.code else 0
    except UnicodeEncodeError:
        say("Error: an argument is not text in UTF-8")
        return BadInput.exit_code
    except OSError as error:
        return _lost(error)
    except Exception as error:
        return _unexpected(error, session)


def _unexpected(error: Exception, session: Session) -> int:
    """Keep the traceback, show it if wanted, and say in one line where it is."""
    from novadev.cli.tracebacks import keep, text

    if session.verbose:
        say(text())
    where = keep(session.log_file)
    say(f"Error: unexpected {type(error).__name__}; the traceback is in {where}")
    return NovadevError.exit_code


def _line(error: NovadevError, session: Session) -> str:
    """Return the message of ERROR without control characters, and with the names of servers."""
    from novadev.cli.grouping import with_names
    from novadev.text import printable

    return printable(with_names(str(error), session.names))


def _flush(code: int) -> int:
    """Write what is left, so that a reader that went away is met here and not at exit.

    Return the exit CODE of the command, or that of output that is lost.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not code and not isinstance(error, BrokenPipeError):
            return _lost(error)
    return code


def _lost(error: OSError) -> int:
    say(f"Error: the output could not be written: {error.strerror}")
    return NovadevError.exit_code
