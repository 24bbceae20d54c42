"""What is replayed into the documentation."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.test_generated import generate


@pytest.fixture(scope="module")
def replay() -> ModuleType:
    assert generate, "which makes docs/ importable"
    return importlib.import_module("replay")


@pytest.mark.parametrize("text", ["Error: no such thing", "Error: instance x: unexpected"])
def test_an_error_that_a_page_may_show(replay: ModuleType, tmp_path: Path, text: str) -> None:
    assert list(_ran(replay, tmp_path, text)) == [text, "# exit code 1"]


def test_an_error_of_novadev_s_own_ends_it(replay: ModuleType, tmp_path: Path) -> None:
    text = "Error: unexpected ValueError; the traceback is in /tmp/x.log"
    with pytest.raises(RuntimeError, match=r"\$ program\nError: unexpected ValueError"):
        list(_ran(replay, tmp_path, text))


def _ran(replay: ModuleType, folder: Path, text: str) -> list[str]:
    (folder / "program.py").write_text(f"raise SystemExit({text!r})\n")
    return list(replay.Stage(folder, {}, None).run("program"))
