"""Draw the pictures of the documentation: a guest of the demo, as ``device show --svg`` draws it.

A test compares the picture with what this makes; ``docs/generate.py`` writes it.
"""

from __future__ import annotations

from pathlib import Path

from replay import ROOT, stage, why_not

PICTURE = ROOT / "docs" / "images" / "device-show.svg"
GUEST = "web-2"
"""A guest with root ports, a share and a volume."""


def pictures() -> dict[Path, str]:
    """Return the pictures with their text; none where no private hosts can run here."""
    if why_not(ROOT / "README.md"):
        return {}
    with stage(with_hosts=True) as found:
        said = [*found.run(f"novadev device show {GUEST} --svg picture.svg")]
        if said != ["The picture is in picture.svg."]:
            raise RuntimeError("\n".join(said))
        return {PICTURE: (found.folder / "picture.svg").read_text(encoding="utf-8")}
