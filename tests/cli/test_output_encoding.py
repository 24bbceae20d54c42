"""What standard output cannot take: characters that its encoding lacks, or anything at all."""

import os
import subprocess
import sys

import pytest

from tests.cloud import Cloud

FORMATS = ("table", "json", "jsonl", "yaml", "csv", "value")
LIST = ("image-property", "list", "--all")


def ended(*command: str, encoding: str = "utf-8") -> tuple[int, str, str]:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, check=False
    )
    return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)


@pytest.mark.slow
def test_a_character_that_the_encoding_lacks_is_an_escape(sqlite_cloud: Cloud) -> None:
    sqlite_cloud.add_instance(name="\u6771é", hw_vif_model="virtio")
    program = ("-m", "novadev", "--config-file", str(sqlite_cloud.config_file))
    for shape in ("table", "csv", "value"):
        code, out, err = ended(*program, *LIST, "-f", shape, "-c", "name", encoding="latin-1")
        assert (code, err) == (0, "")
        assert "\\u6771é" in out


TREE = """
from novadev.cli.device_tree import print_tree
from novadev.cli.session import Session
from novadev.cli.talk import open_standard_files
from novadev.device.topology import Node
open_standard_files()
print_tree(Session(), "web-1", [Node("bus", children=(Node("9 ports: free", "00:02.0 …"),))])
"""


@pytest.mark.slow
def test_a_tree_is_drawn_in_ascii_where_there_is_nothing_else() -> None:
    code, out, err = ended("-c", TREE, encoding="latin-1")
    assert (code, err) == (0, "")
    assert out.splitlines() == ["web-1", "`-- bus", "    `-- 00:02.0 ...  9 ports: free"]
    assert "└── bus" in ended("-c", TREE)[1]


@pytest.mark.slow
@pytest.mark.parametrize("shape", FORMATS)
def test_output_that_goes_nowhere_is_an_error(sqlite_cloud: Cloud, shape: str) -> None:
    sqlite_cloud.add_instance(name="web-1", hw_vif_model="virtio")
    program = (sys.executable, "-m", "novadev", "--config-file", str(sqlite_cloud.config_file))
    command = ("-c", 'exec "$@" >&-', "sh", *program, *LIST, "-f", shape)
    done = subprocess.run(["sh", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: the output could not be written: Bad file descriptor\n"


@pytest.mark.slow
def test_a_command_that_writes_nothing_needs_no_output(sqlite_cloud: Cloud) -> None:
    program = (sys.executable, "-m", "novadev", "--config-file", str(sqlite_cloud.config_file))
    command = ("-c", 'exec "$@" >&- 2>&- <&-', "sh", *program, *LIST)
    assert subprocess.run(["sh", *command], check=False).returncode == 0
