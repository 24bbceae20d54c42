"""What is made from the program is current: tables, the sample, manual pages, examples, HTML."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
REMEDY = "out of date: run .venv/bin/python docs/generate.py"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load("generate")
FILES: dict[Path, str] = generate.generated()


def test_every_generated_file_is_there_and_no_other() -> None:
    assert generate.present() == set(FILES), REMEDY


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_generated_file_is_current(path: Path) -> None:
    assert path.read_text() == FILES[path], REMEDY


MAN_PAGES = sorted((ROOT / "man").glob("*.1"))
REQUESTS = {"TH", "SH", "PP", "TP", "RS", "RE", "B", "I", "IP", "nf", "fi", "nh", "ad"}
"""Those of the man macros, and of troff, that the pages use."""


@pytest.mark.parametrize("path", MAN_PAGES, ids=lambda path: path.name)
def test_a_man_page_has_only_requests_that_man_knows(path: Path) -> None:
    found = re.findall(r"^[.']\s*([^\s\\]+)", path.read_text(), re.MULTILINE)
    assert set(found) <= REQUESTS
    assert "EXIT STATUS" in re.findall(r"^\.SH (.+)", path.read_text(), re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("path", MAN_PAGES, ids=lambda path: path.name)
def test_groff_warns_of_nothing_in_a_man_page(path: Path) -> None:
    command = ["groff", "-man", "-Tutf8", "-ww", "-z", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("path", generate.DOCUMENTS, ids=lambda path: path.name)
def test_examples_print_what_they_show(path: Path) -> None:
    if reason := generate.why_not(path):
        pytest.skip(f"no compute hosts for the examples: {reason}")
    assert path.read_text() == generate.replayed(path), REMEDY


@pytest.mark.slow
def test_the_picture_is_what_the_program_draws() -> None:
    if reason := generate.why_not(ROOT / "README.md"):
        pytest.skip(f"no compute hosts for the picture: {reason}")
    drawn = generate.pictures()
    assert set(drawn) == set((DOCS / "images").glob("*.svg"))
    for path, text in drawn.items():
        assert path.read_text() == text, REMEDY


def test_every_picture_is_shown_and_every_shown_one_is_there() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = set(re.findall(r"!\[.+\]\(docs/images/(.+?)\)", readme))
    pages = "".join(path.read_text() for path in DOCS.glob("*.rst"))
    assert shown == {path.name for path in (DOCS / "images").iterdir()}
    assert shown == set(re.findall(r"\.\. image:: images/(\S+)\n   :alt: .+", pages))
    assert max(path.stat().st_size for path in (DOCS / "images").iterdir()) < 150_000


def test_sample_is_what_the_generator_prints() -> None:
    program = [Path(sys.executable).parent / "oslo-config-generator", "--namespace", "novadev"]
    printed = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    assert (DOCS / "generated" / "novadev.conf.sample").read_text() == printed
    assert "No description" not in printed, "each of the choices of an option has one"


def test_a_table_of_markdown_has_a_head() -> None:
    """A blank line within a table would make paragraphs of the rows below it."""
    pages = [*ROOT.glob("*.md"), ROOT / "tests" / "README.md"]
    for path in pages:
        found = re.findall(r"(?:^|\n)\n(\|.*\n.*)\n", path.read_text())
        assert [rows for rows in found if not re.search(r"\n\|[ |:-]+\|$", rows)] == [], path


@pytest.mark.slow
def test_pages_build_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-E", "-b", "html", DOCS, tmp_path]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    page = (tmp_path / "commands.html").read_text()
    for command_name in ("novadev-image-property-set", "novadev-resume", "novadev-history"):
        assert f'id="{command_name}"' in page
    (holder,) = re.findall(r"^Copyright: The (.*)$", (ROOT / "debian/copyright").read_text(), re.M)
    assert f"Copyright &#169; the {holder}\n" in page


@pytest.mark.parametrize("path", sorted((ROOT / "man").glob("*.1")), ids=lambda path: path.name)
def test_man_page_has_no_stray_roff(path: Path) -> None:
    """A line of help that begins with a dot or a quote would vanish from the page."""
    known = (".TH ", ".SH ", ".TP", ".PP", ".B ", ".RS", ".nf", ".fi", ".RE", ".nh", ".ad ")
    lines = path.read_text().splitlines()
    assert [line for line in lines if line[:1] in (".", "'") and not line.startswith(known)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "man").glob("*.1")), ids=lambda path: path.name)
def test_man_page_divides_no_word_and_shows_plain_minus_signs(path: Path) -> None:
    """What a reader marks with the mouse is what novadev understands."""
    heading, undivided, *lines = path.read_text().splitlines()
    assert (heading[:4], undivided) == (".TH ", ".nh")
    assert [line for line in lines if re.search(r"(?<!\\)-", line)] == []
