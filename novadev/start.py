"""The script ``novadev``: Ctrl-C while the program is still being imported shows no traceback."""

from __future__ import annotations

import sys

_INTERRUPTED = 130
"""As `novadev.errors.Interrupted`, which may be what is being imported."""


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        from novadev import cli

        cli.main()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(_INTERRUPTED)
