"""What an installation brings beside the program: units and manual pages, each in its place."""

from pathlib import Path, PurePosixPath
from tarfile import TarFile
from zipfile import ZipFile

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parent.parent.parent
UNITS = {path.name: path for path in (ROOT / "systemd").iterdir()}
PAGES = {path.name: path for path in (ROOT / "man").iterdir()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    folder = str(tmp_path_factory.mktemp("wheel"))
    (name,) = WheelBuilder(str(ROOT)).build(directory=folder, versions=["standard"])
    return ZipFile(name)


def data(wheel: ZipFile, folder: str) -> dict[str, bytes]:
    """The files that go into a folder of the prefix, by name."""
    return {
        PurePosixPath(name).name: wheel.read(name)
        for name in wheel.namelist()
        if PurePosixPath(name).parent.match(f"novadev-*.data/data/{folder}")
    }


def test_units_are_where_systemd_looks(wheel: ZipFile) -> None:
    found = data(wheel, "lib/systemd/system")
    assert found == {name: path.read_bytes() for name, path in UNITS.items()}
    assert {PurePosixPath(name).suffix for name in found} == {".service", ".timer"}


def test_manual_pages_are_where_man_looks(wheel: ZipFile) -> None:
    found = data(wheel, "share/man/man1")
    assert found == {name: path.read_bytes() for name, path in PAGES.items()}
    assert "novadev.1" in found


def test_completions_are_where_each_shell_looks(wheel: ZipFile) -> None:
    found = {
        "novadev.bash": data(wheel, "share/bash-completion/completions")["novadev"],
        "novadev.zsh": data(wheel, "share/zsh/site-functions")["_novadev"],
        "novadev.fish": data(wheel, "share/fish/vendor_completions.d")["novadev.fish"],
    }
    assert found == {path.name: path.read_bytes() for path in (ROOT / "completion").iterdir()}


def test_the_page_of_the_audit_is_beside_its_code(wheel: ZipFile) -> None:
    templates = [path for path in (ROOT / "novadev").glob("*/templates/*") if path.is_file()]
    names = {str(path.relative_to(ROOT)) for path in templates}
    assert names == {name for name in wheel.namelist() if "/templates/" in name}
    assert {"audit", "pages"} <= {name.split("/")[1] for name in names}


@pytest.mark.slow
def test_source_archive_has_them_too(tmp_path: Path) -> None:
    (name,) = SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with TarFile.open(name) as archive:
        found = {str(PurePosixPath(*PurePosixPath(item).parts[1:])) for item in archive.getnames()}
    assert {f"systemd/{name}" for name in UNITS} <= found
    assert {f"man/{name}" for name in PAGES} <= found
