"""One run of the program: its options and, when first needed, its deployment."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from novadev.deployment import Deployment


class Session:
    """What every command needs."""

    def __init__(
        self,
        config_files: tuple[str, ...] = (),
        config_dirs: tuple[str, ...] = (),
        color: str = "auto",
        verbose: bool = False,
        quiet: bool = False,
        log_file: str | None = None,
    ) -> None:
        self._config_files = config_files
        self._config_dirs = config_dirs
        self._color = color
        self.verbose = verbose
        self.quiet = quiet
        self.log_file = log_file

    @cached_property
    def deployment(self) -> Deployment:
        """The deployment that the configuration describes."""
        from novadev import config
        from novadev.deployment import Deployment

        return Deployment(config.load(self._config_files, self._config_dirs))

    def close(self) -> None:
        """Close the deployment, if it was opened."""
        if "deployment" in self.__dict__:
            self.deployment.close()

    @property
    def is_colored(self) -> bool:
        """Whether stdout gets colours."""
        if self._color == "auto":
            return sys.stdout.isatty() and "NO_COLOR" not in os.environ
        return self._color == "always"

    def say(self, text: str) -> None:
        """Tell the operator something that is no data."""
        if not self.quiet:
            click.echo(text, err=True)


pass_session = click.make_pass_decorator(Session)
