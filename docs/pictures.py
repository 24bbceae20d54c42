"""Draw the pictures of the documentation on the deployment of the demo.

``docs/generate.py`` writes what ``device show --svg`` draws, and a test draws it again. The
pictures of pages hold a time, so no test compares them. ``.venv/bin/python docs/pictures.py`` makes
them with Chromium, after ``.venv/bin/uv pip install pillow``.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from replay import ROOT, Stage, stage, why_not

IMAGES = ROOT / "docs" / "images"
PICTURE = IMAGES / "device-show.svg"
GUEST = "web-2"
"""A guest with root ports, a share and a volume."""
PAGES = {
    IMAGES / "device-report.png": (
        f"novadev device record {GUEST}",
        f"novadev device report {GUEST} -o page.html",
    ),
    IMAGES / "audit-report.png": ("novadev audit --all --report page.html --title 'Demo cloud'",),
}
"""The pictures of pages, each with the commands that write its page."""
BROWSER = "chromium-headless-shell"
WINDOW = (1280, 900)


def pictures() -> dict[Path, str]:
    """Return the pictures with their text; none where no private hosts can run here."""
    if why_not(ROOT / "README.md"):
        return {}
    with stage(with_hosts=True) as found:
        said = [*found.run(f"novadev device show {GUEST} --svg picture.svg")]
        if said != ["The picture is in picture.svg."]:
            raise RuntimeError("\n".join(said))
        return {PICTURE: (found.folder / "picture.svg").read_text(encoding="utf-8")}


def photograph(page: Path, picture: Path) -> None:
    """Write the top of PAGE to PICTURE as a browser shows it, with few colours: it stays small."""
    from PIL import Image  # only who makes pictures needs it

    size = ",".join(str(pixels) for pixels in WINDOW)
    words = [BROWSER, "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    words += [f"--window-size={size}", f"--screenshot={picture}", page.as_uri()]
    subprocess.run(words, check=True, capture_output=True, timeout=300)  # noqa: S603 - our own page
    with Image.open(picture) as drawn:
        drawn.convert("RGB").quantize(128, kmeans=4, dither=Image.Dither.NONE).save(
            picture, optimize=True
        )


def _write_page(found: Stage, commands: tuple[str, ...]) -> Path:
    """Run COMMANDS and return the page that they wrote; raises RuntimeError where they did not."""
    page = found.folder / "page.html"
    page.unlink(missing_ok=True)
    said = [line for command in commands for line in found.run(command)]
    if not page.exists():
        raise RuntimeError("\n".join(said))
    return page


def main() -> None:
    """Make the pictures of pages."""
    with stage(with_hosts=True) as found:
        for picture, commands in PAGES.items():
            photograph(_write_page(found, commands), picture)


if __name__ == "__main__":
    main()
