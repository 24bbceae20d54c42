"""How Sphinx makes the pages."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from novadev import __version__

project = "novadev"
author = "the novadev developers"
copyright = author
release = version = __version__
extensions = ["sphinx_click"]
exclude_patterns = ["_build", "generated"]
html_theme = "furo"
html_title = f"novadev {version}"
html_show_sourcelink = False
nitpicky = True


def _without_emphasis(_app: Any, _context: Any, lines: list[str]) -> None:
    """Let a star in the help of an option be one: patterns of names have it."""
    lines[:] = [re.sub(r"(?<![\w])\*", r"\*", line) for line in lines]


def setup(app: Any) -> None:
    """Connect what sphinx-click tells of each command."""
    app.connect("sphinx-click-process-options", _without_emphasis)
