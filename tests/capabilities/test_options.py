"""The driver's options have Nova's own names, types and defaults."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from novadev import config
from novadev.config import DriverOptions, load_driver_options
from novadev.config.options import DRIVER_OPTIONS
from novadev.errors import BadInput
from tests.templates import nova_environment, nova_program

ASK = """
import json, sys
import nova.conf
options = json.loads(sys.argv[1])
answers = []
for name in sys.argv[2:]:
    nova.conf.CONF.clear()
    nova.conf.CONF([], project="nova", default_config_files=[name], default_config_dirs=[])
    try:
        answers.append([
            nova.conf.CONF[name] if group == "DEFAULT" else nova.conf.CONF[group][name]
            for group, name in options
        ])
    except ValueError:
        answers.append(None)
print(json.dumps(answers))
"""
TEXTS = (
    "",
    "[libvirt]\nvirt_type = qemu\ndisk_prefix = sd\nuse_virtio_for_bridges = off\n",
    "[libvirt]\nhw_machine_type = x86_64=q35,aarch64=virt\n",
    "[libvirt]\nhw_machine_type =\ndisk_prefix =\n",
    "[DEFAULT]\npointer_model =\n",
    "[DEFAULT]\npointer_model = ps2mouse\nconfig_drive_format = vfat\nvnc_enabled = false\n",
    "[vnc]\nenabled = 0\n[spice]\nenabled = 1\nagent_enabled = false\n",
    "[compute]\nmax_disk_devices_to_attach = 26\n",
    "[libvirt]\nnum_pcie_ports = 12\nmem_stats_period_seconds = -1\n",
    "[libvirt]\nnum_pcie_ports = 29\n",
    "[libvirt]\nvirt_type = xen\n",
    "[libvirt]\nvirt_type = KVM\n",
    "[DEFAULT]\npointer_model = mouse\n",
)


def as_novadev_reads(path: Path) -> list[Any] | None:
    try:
        _, found = load_driver_options(str(path))
    except BadInput:
        return None
    return [getattr(found, name) for name in DRIVER_OPTIONS]


@pytest.mark.parametrize("release", ["34", "28"])
def test_as_nova_reads_them(tmp_path: Path, release: str) -> None:
    paths = [tmp_path / f"{number}.conf" for number in range(len(TEXTS))]
    for path, text in zip(paths, TEXTS, strict=True):
        path.write_text(text)
    asked = json.dumps(list(DRIVER_OPTIONS.values()))
    command = [nova_program(release, "python"), "-c", ASK, asked, *paths]
    told = subprocess.run(command, env=nova_environment(), capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    machine_types = list(DRIVER_OPTIONS).index("hw_machine_type")
    for text, path, answer in zip(TEXTS, paths, json.loads(told.stdout), strict=True):
        if answer is not None:
            answer[machine_types] = tuple(answer[machine_types] or ())
        assert as_novadev_reads(path) == answer, text


def test_defaults(tmp_path: Path) -> None:
    path = tmp_path / "nova.conf"
    path.touch()
    assert load_driver_options(str(path)) == (None, DriverOptions())
    loaded = config.load([str(path)])
    assert loaded.driver_options == DriverOptions()
    assert loaded.image_metadata_prefilter is False
    assert loaded.compute_config_dir is None


def test_options_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "nova.conf"
    path.write_text(
        "[scheduler]\nimage_metadata_prefilter = true\n[libvirt]\nvirt_type = qemu\n"
        "[novadev]\ncompute_config_dir = /etc/novadev/compute\n"
    )
    loaded = config.load([str(path)])
    assert loaded.driver_options == DriverOptions(virt_type="qemu")
    assert loaded.image_metadata_prefilter is True
    assert loaded.compute_config_dir == "/etc/novadev/compute"
