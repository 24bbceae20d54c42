"""One run of the program: its options and, when first needed, its deployment."""

from __future__ import annotations

import gc
import os
import re
import shlex
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

import click

from novadev import __version__
from novadev.cli.talk import say
from novadev.errors import BadInput

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from novadev.config import Config
    from novadev.config.values import WrongValue
    from novadev.deployment import Deployment
    from novadev.errors import NovadevError

_CREDENTIALS = re.compile(r"(?<=://).*@", re.DOTALL)


def masked(text: str) -> str:
    """Return TEXT without what may be a password in a URL."""
    return _CREDENTIALS.sub("***@", text)


class Session:
    """What every command needs.

    ``wrong_values`` is a list for a command that goes on although options of the configuration
    have values that they cannot have: those are then added to it.
    ``owed`` prints the document that a program was promised, for an error that comes before it.
    """

    def __init__(self) -> None:
        self.config_files: tuple[str, ...] = ()
        self.config_dirs: tuple[str, ...] = ()
        self.color = "auto"
        self.verbose = False
        self.quiet = False
        self.log_file: str | None = None
        self.arguments: tuple[str, ...] = ()
        self.wrong_values: list[WrongValue] | None = None
        self.owed: Callable[[NovadevError], object] | None = None
        self._log: logging.Logger | None = None
        self._began = time.monotonic()

    @property
    def asked(self) -> str:
        """The command line as typed, without what may be a password in a URL."""
        return shlex.join(masked(word) for word in self.arguments)

    @cached_property
    def deployment(self) -> Deployment:
        """The deployment that the configuration describes."""
        from novadev import config
        from novadev.deployment import Deployment

        loaded = config.load(self.config_files, self.config_dirs, self.wrong_values)
        self._begin_configured_log(loaded)
        if not gc.isenabled():  # cli.main switched it off for the imports
            gc.freeze()  # they stay: the collector need not look through them
            gc.enable()
        return Deployment(loaded)

    def _begin_configured_log(self, loaded: Config) -> None:
        """Start the log; a log file of the configuration that cannot be written is a wrong value.

        Raises BadInput where a command does not go on with such values.
        """
        try:
            self.begin_log(loaded.log_file)
        except BadInput as error:
            if self.wrong_values is None or self.log_file:
                raise
            from novadev.config import place_of
            from novadev.config.values import WrongValue

            where = place_of("novadev", "log_file", loaded.files)
            self.wrong_values.append(
                WrongValue(where, "novadev", "log_file", f"is no use: {error}", False)
            )

    def begin_log(self, log_file: str | None) -> None:
        """Start the log: in --log-file or LOG_FILE if one is given, and on stderr with -v."""
        file = self.log_file or log_file
        if not (file or self.verbose):
            return
        from novadev.cli import log

        log.end()
        if self.verbose:
            log.to_screen()
        if file:
            log.to_file(file)
        self.log_file, self._log = file, log.LOGGER
        from novadev.runs.lease import user

        self._log.info("novadev %s, run by %s: %s", __version__, user(), self.asked)

    def end_log(self, code: int) -> None:
        """Log the exit CODE and close the log."""
        if self._log is None:
            return
        from novadev.cli import log

        seconds = time.monotonic() - self._began
        self._log.info("novadev ends with exit code %d after %.1f s", code, seconds)
        log.end()

    def give_owed(self, error: NovadevError) -> None:
        """Print the document that is still owed, as ERROR ends the command."""
        owed, self.owed = self.owed, None
        if owed is not None:
            with suppress(OSError):  # its reader may be gone
                owed(error)

    @property
    def names(self) -> Mapping[str, str]:
        """The names of the servers that were read last, by their UUIDs."""
        return self.deployment.names if "deployment" in self.__dict__ else {}

    @property
    def hosts_of(self) -> Mapping[str, str]:
        """The hosts of those servers, by their UUIDs."""
        return self.deployment.hosts_of if "deployment" in self.__dict__ else {}

    def close(self) -> None:
        """Close the deployment, if it was opened."""
        if "deployment" in self.__dict__:
            self.deployment.close()

    @property
    def is_colored(self) -> bool:
        """Whether stdout gets colours."""
        if self.color == "auto":
            return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        return self.color == "always"

    def say(self, text: str) -> None:
        """Tell the operator something that is no data."""
        if not self.quiet:
            say(text)


pass_session = click.make_pass_decorator(Session)
