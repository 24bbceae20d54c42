"""What fills a template: every text is made printable first, and then escaped."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from novadev.text import printable


@cache
def environment(folder: Path) -> Environment:
    """Return what fills the templates of FOLDER."""
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = "{:,}".format
    return made


def _shown(value: Any) -> Any:
    """Return VALUE printable where it is text; markup of the page itself is of another class."""
    return printable(value) if type(value) is str else value


def policy(style: str, script: str = "") -> str:
    """Return a Content-Security-Policy that allows STYLE and SCRIPT by their sums, nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_sum(style)}'",
            f"script-src '{_sum(script)}'" if script else "script-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        )
    )


def _sum(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
