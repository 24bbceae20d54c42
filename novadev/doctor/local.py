"""What is on this machine: configuration and capability files."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from novadev import config
from novadev.capabilities import file
from novadev.capabilities.content import age_text
from novadev.config import Config
from novadev.config.unknown import find_unknown
from novadev.config.values import WrongValue
from novadev.doctor.result import Result, failure
from novadev.errors import BadInput, NovadevError
from novadev.foreign_file import read_text
from novadev.text import many
from novadev.virt.answers import Answers
from novadev.virt.capabilities import has_same_machine_types

_FEW = 5


def examine_configuration(
    found: Config,
    files: Sequence[str],
    directories: Sequence[str],
    wrong: Sequence[WrongValue],
) -> Iterator[Result]:
    """Yield a result for each file that was read, each unknown option, and each WRONG value."""
    unknown = find_unknown(files, directories)
    for name in found.files:
        yield Result("configuration", name, "ok", "read")
    if not found.files:
        text = f"no configuration file was found: {' and '.join(config.DEFAULT_FILES)} do not exist"
        yield Result("configuration", "configuration files", "warning", text)
    for item in unknown:
        meant = f"; did you mean {item.near}?" if item.near else ""
        text = f"{item.option} is not an option of novadev and has no effect{meant}"
        yield failure("configuration", item.file, BadInput(text))
    for value in wrong:
        yield failure("configuration", value.file, BadInput(value.sentence))


def examine_capability_files(
    found: Config, hosts: Sequence[str], answers: Mapping[str, Answers], now: datetime
) -> Iterator[Result]:
    """Yield a result for the capability file of each of HOSTS; ANSWERS are what hosts said now."""
    folder = found.compute_config_dir
    if folder is None:
        text = (
            "[novadev] compute_config_dir is not set, so novadev does not know the rules of "
            "the hosts"
        )
        yield Result("capabilities", "capability files", "skipped", text)
        return
    if not os.access(folder, os.R_OK | os.X_OK) or not Path(folder).is_dir():
        text = f"[novadev] compute_config_dir {folder} is not a readable folder"
        yield failure("capabilities", folder, BadInput(text))
        return
    missing = []
    for host in hosts:
        path = Path(folder, f"{host}.json")
        if os.path.lexists(path):
            yield _capability_file(path, host, answers.get(host), now)
        elif not Path(folder, f"{host}.conf").exists():
            missing.append(host)
    if missing:
        names = ", ".join(missing[:_FEW]) + (" …" if len(missing) > _FEW else "")
        text = f"{many(len(missing), 'host')} without one: {names}"
        yield Result("capabilities", folder, "warning", text, _save(missing, folder))


def _save(hosts: Sequence[str], folder: str | Path) -> tuple[str, ...]:
    """Return the lines that save the files of HOSTS: on each host, and then into FOLDER here."""
    is_one = len(hosts) == 1
    name = hosts[0] if is_one else "HOST"
    where = name if is_one else "each of these hosts (HOST is its name in Nova)"
    return (
        f"# On {where}, with the configuration files of its nova-compute:",
        f"novadev capabilities save -o {shlex.quote(f'{name}.json')}",
        f"# Then copy the file to this machine, into the folder {folder}",
    )


def _capability_file(path: Path, host: str, answers: Answers | None, now: datetime) -> Result:
    try:
        saved = file.loads(read_text(path), path)
        if saved.host != host:
            raise BadInput(f"it is the file of another host: {saved.host!r:.80}")
    except NovadevError as error:
        return failure("capabilities", str(path), error, *_save([host], path.parent))
    age = age_text(saved.saved_at, now)
    then = saved.versions.qemu
    text = f"saved {age}, libvirt {saved.versions.libvirt}, QEMU {then or 'none'}"
    if answers and answers.qemu and then and not has_same_machine_types(answers.qemu, then):
        text += f"; the host has QEMU {answers.qemu} now: save it again"
        return Result("capabilities", str(path), "warning", text, _save([host], path.parent))
    return Result("capabilities", str(path), "ok", text)
