"""A file that cannot be written is told before anything is asked: there is no host here."""

from pathlib import Path

import pytest

from tests.cloud import Cloud
from tests.command import novadev

COMMANDS = (
    ("device", "report", "web-1", "-o"),
    ("device", "show", "web-1", "--svg"),
    ("capabilities", "save", "--host", "cmp1", "-o"),
    ("device", "export", "web-1", "-o"),
    ("image-property", "set", "--property", "hw_disk_bus=sata", "web-1", "--plan-out"),
    ("audit", "web-1", "--report"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", ["missing/file", "folder", "link"])
def test_a_file_that_cannot_be_written_is_the_first_thing_said(
    sqlite_cloud: Cloud, tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    sqlite_cloud.add_instance(name="web-1", host="cmp1", vm_state="stopped")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    result = novadev(sqlite_cloud, *command, str(tmp_path / name))
    assert (result.code, result.out) == (4, ""), result.err
    assert name in result.err
    assert {path.name for path in tmp_path.iterdir() if not path.is_symlink()} >= {"folder"}
    assert not (tmp_path / "elsewhere").exists()
