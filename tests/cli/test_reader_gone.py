"""A reader that goes away is no error: `novadev ... | head`."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cloud import Cloud

PROGRAM = Path(sys.executable).parent / "novadev"


def test_a_reading_command_ends_in_silence_like_other_tools(sqlite_cloud: Cloud) -> None:
    for number in range(3):
        sqlite_cloud.add_instance(name=f"web-{number}", host="cmp1")
    reader, writer = os.pipe()
    os.close(reader)
    for shape in ("table", "json", "jsonl", "csv"):
        ended = subprocess.run(
            [PROGRAM, "--config-file", sqlite_cloud.config_file, *LIST, "-f", shape],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (141, b""), shape
    os.close(writer)


LIST = ("image-property", "list", "--all")
