"""A capability file: JSON in an order that never changes, so that two of them can be compared.

It ends with a sum over everything but the time. Written aside and renamed, readable by its owner
only. A file that was edited is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from novadev.capabilities.content import Capabilities, Versions
from novadev.config import DRIVER_OPTIONS, DriverOptions
from novadev.errors import BadInput
from novadev.rules.osinfo import Recommendation
from novadev.virt.capabilities import MachineType

VERSION = 1
"""The format. A reader takes older ones, and leaves alone the keys that it does not know."""
MAX_BYTES = 16 * 1024 * 1024
_NOT_IN_SUM = ("saved_at", "sha256")
T = TypeVar("T")


def dumps(found: Capabilities) -> str:
    """Return FOUND as the text of a capability file."""
    data = {
        "novadev_capabilities": VERSION,
        "host": found.host,
        "saved_on": found.saved_on,
        "saved_at": found.saved_at,
        "novadev": found.novadev,
        "architecture": found.architecture,
        "versions": asdict(found.versions),
        "driver": _driver(found.driver),
        "machine_types": {
            arch: {name: asdict(machine) for name, machine in machines.items()}
            for arch, machines in found.machine_types.items()
        },
        "osinfo": None
        if found.recommendations is None
        else {name: asdict(told) for name, told in found.recommendations.items()},
    }
    return _text({**data, "sha256": _sum(data)}) + "\n"


def _driver(options: DriverOptions) -> dict[str, dict[str, Any]]:
    """Return the options by group and name, as nova.conf has them."""
    data: dict[str, dict[str, Any]] = {}
    for field, (group, name) in DRIVER_OPTIONS.items():
        data.setdefault(group, {})[name] = getattr(options, field)
    return data


def _sum(data: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in data.items() if key not in _NOT_IN_SUM}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _text(value: Any, depth: int = 0) -> str:
    """Return VALUE as JSON; from the second level on, what is flat stands on one line."""
    if not isinstance(value, dict) or not value or (depth > 1 and _is_flat(value)):
        return json.dumps(value, sort_keys=True)
    indent = "  " * (depth + 1)
    names = sorted(value) if depth else value
    lines = [f"{indent}{json.dumps(name)}: {_text(value[name], depth + 1)}" for name in names]
    return "{\n" + ",\n".join(lines) + "\n" + "  " * depth + "}"


def _is_flat(value: dict[str, Any]) -> bool:
    return not any(isinstance(item, dict) for item in value.values())


def write(name: str, found: Capabilities) -> None:
    """Write FOUND to the file NAME (0600); raises BadInput.

    A regular file of that name is replaced; anything else there is left alone.
    """
    path = Path(name)
    if os.path.lexists(path) and (path.is_symlink() or not path.is_file()):
        raise BadInput(f"capability file {name!r}: there is something that is no plain file")
    try:
        _replace(path, dumps(found))
    except OSError as error:
        raise BadInput(f"capability file {name} cannot be written: {error.strerror}") from None


def _replace(path: Path, text: str) -> None:
    descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink()
        raise


def read_text(name: str | Path) -> str:
    """Return the text of the file NAME.

    Raises BadInput for what is no plain file, cannot be read, is over 16 MiB or is not UTF-8.
    """
    try:
        with open(name, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise BadInput(f"{name} is not a plain file")
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadInput(f"{str(name)!r} is not the name of a file") from None
    if len(data) > MAX_BYTES:
        raise BadInput(f"{name} is larger than {MAX_BYTES >> 20} MiB")
    return _decoded(data, name)


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the writer of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def _decoded(data: bytes, name: str | Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{name} is not text") from None


def loads(text: str, name: str | Path) -> Capabilities:
    """Return what TEXT says, the content of the capability file NAME.

    Raises BadInput for what is none, was edited or cut short, or is of a newer format.
    """
    try:
        data = json.loads(text)
        _check_format(data, name)
        if data["sha256"] != _sum(data):
            raise BadInput(f"capability file {name} is cut short or was edited: save it again")
        return _decode(data)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput(f"{name} is not a capability file novadev wrote") from None


def _check_format(data: Any, name: str | Path) -> None:
    version = _of(int, data["novadev_capabilities"])
    if version > VERSION:
        raise BadInput(
            f"capability file {name} is of format {version}, and this novadev knows {VERSION}: "
            "it takes a newer novadev to read it"
        )
    if version < 1:
        raise ValueError(version)


def _decode(data: Mapping[str, Any]) -> Capabilities:
    return Capabilities(
        host=_of(str, data["host"]),
        saved_on=_of(str, data["saved_on"]),
        saved_at=_of(str, data["saved_at"]),
        novadev=_of(str, data["novadev"]),
        architecture=_of(str, data["architecture"]),
        versions=_versions(data["versions"]),
        driver=DriverOptions(**dict(_options(data["driver"]))),
        machine_types={
            arch: {name: _machine_type(item) for name, item in machines.items()}
            for arch, machines in data["machine_types"].items()
        },
        recommendations=None
        if data["osinfo"] is None
        else {name: _recommendation(item) for name, item in data["osinfo"].items()},
    )


def _of(kind: type[T], value: Any) -> T:
    """Return VALUE if it is of this very type; a bool is no int. Raises TypeError."""
    if type(value) is not kind:
        raise TypeError(kind.__name__)
    return value


def _maybe(kind: type[T], value: Any) -> T | None:
    return None if value is None else _of(kind, value)


def _versions(data: Mapping[str, Any]) -> Versions:
    return Versions(
        libosinfo=_maybe(str, data["libosinfo"]),
        libvirt=_of(str, data["libvirt"]),
        nova=_maybe(int, data["nova"]),
        osinfo_db=_maybe(str, data["osinfo_db"]),
        qemu=_maybe(str, data["qemu"]),
    )


def _options(data: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the options, each of the type that its default has: a text where that is None."""
    for field, (group, name) in DRIVER_OPTIONS.items():
        default = getattr(DriverOptions, field)
        value = data[group][name]
        if isinstance(default, tuple):
            yield field, tuple(_of(str, item) for item in _of(list, value))
        elif default is None or field == "pointer_model":
            yield field, _maybe(str, value)
        else:
            yield field, _of(type(default), value)


def _machine_type(data: Mapping[str, Any]) -> MachineType:
    return MachineType(_of(str, data["canonical"]), _of(bool, data["deprecated"]))


def _recommendation(data: Mapping[str, Any]) -> Recommendation:
    return Recommendation(_maybe(str, data["disk_bus"]), _maybe(str, data["vif_model"]))
