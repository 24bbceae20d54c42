"""The script finds Nova's interpreter, and says clearly where there is no Nova."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from novadev.compute.nova_main import config_arguments
from novadev.compute.start import INSIDE, command_of, interpreter_of
from novadev.errors import NotFound


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("#!/usr/bin/python3 -s\n", ["/usr/bin/python3", "-s"]),
        ("#!/var/lib/kolla/venv/bin/python3.12\n", ["/var/lib/kolla/venv/bin/python3.12"]),
        (f"#!/usr/bin/env -S {sys.executable} -s\n", [sys.executable, "-s"]),
        ('#!/bin/sh\n\'\'\'exec\' "/a long/bin/python" "$0" "$@"\n', ["/a long/bin/python"]),
    ],
)
def test_the_interpreter_that_a_script_names(tmp_path: Path, lines: str, found: list[str]) -> None:
    program = tmp_path / "nova-compute"
    program.write_text(lines)
    assert interpreter_of(program) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#!/bin/sh\nexec x\n",
        "\x7fELF\x02",
        "#!\n",
        "#!/usr/bin/env\n",
        "#!/usr/bin/python3 'x\n",
    ],
)
def test_what_is_no_python_script_is_refused(tmp_path: Path, text: str) -> None:
    program = tmp_path / "nova-compute"
    program.write_text(text)
    with pytest.raises(NotFound, match="no Python script"):
        interpreter_of(program)


def test_the_command_is_nova_compute_in_its_own_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nova-compute"
    program.write_text("#!/opt/nova/bin/python3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = command_of(["--config-file", "/etc/nova/nova.conf"])
    wrapped = ["/opt/nova/bin/python3", str(INSIDE), sys.executable, str(program)]
    assert found == [*wrapped, "--config-file", "/etc/nova/nova.conf"]


def test_without_nova_it_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from novadev.compute.start import main; main()"]
    result = subprocess.run(
        command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr == (
        "Error: there is no nova-compute in PATH. Install nova-compute, or set "
        "NOVADEV_NOVA_COMPUTE to its program\n"
    )


def test_the_configuration_files_are_those_of_nova_compute() -> None:
    words = ["--config-file=/a", "--debug", "--config-file", "/b", "--config-dir", "/c", "--x", "y"]
    assert config_arguments(words) == [
        *("--config-file", "/a", "--config-file", "/b", "--config-dir", "/c")
    ]


@pytest.mark.parametrize("name", ["nova_main", "keeper_client", "driver_wrapper"])
def test_what_runs_in_novas_interpreter_needs_no_new_python(name: str) -> None:
    """The oldest Nova that can be wrapped may have Python 3.8: no isinstance with a union there."""
    tree = ast.parse(INSIDE.with_name(f"{name}.py").read_text(), feature_version=(3, 8))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    asked = [node for node in calls if ast.unparse(node.func) in ("isinstance", "issubclass")]
    assert not any(isinstance(node.args[1], ast.BinOp) for node in asked)
