"""A reader that goes away is no error: `novadev ... | head`; nor is Ctrl-C at the begin."""

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


def test_ctrl_c_while_the_program_is_imported_shows_no_traceback() -> None:
    code = """
import sys
from novadev import start
class CtrlC:
    def find_spec(self, name, *_):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, CtrlC())
start.main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, b"Interrupted.\n")
