"""How Sphinx makes the pages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from novadev import __version__

project = "novadev"
author = "the novadev developers"
release = version = __version__
extensions = ["sphinx_click"]
exclude_patterns = ["_build", "generated"]
html_theme = "alabaster"
html_theme_options = {
    "description": "The virtual hardware of Nova's libvirt guests: known, stable, changeable",
    "page_width": "1080px",
    "sidebar_width": "240px",
}
html_show_sourcelink = False
nitpicky = True
