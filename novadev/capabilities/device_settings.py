"""What single devices need of a host beside their kind, their bus and their model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from novadev.capabilities.unlisted import Setting

if TYPE_CHECKING:
    from lxml import etree

_HAVE_HEADS = ("qxl", "virtio")
_LONGEST_VNC_PASSWORD = 8


def of_device(element: etree._Element) -> Iterator[Setting]:
    """Yield the settings of a device that a judge knows."""
    read = _READERS.get(str(element.tag))
    if read:
        yield from read(element)


def _disk(element: etree._Element) -> Iterator[Setting]:
    for source in element.iter("source"):
        over = "nvme" if source.get("type") == "pci" else source.get("protocol")
        if over:
            yield Setting(f"disk over {over}", "block driver", over)


def _tpm(element: etree._Element) -> Iterator[Setting]:
    backend = element.find("backend[@version]")
    if backend is not None:
        version = backend.get("version", "")
        yield Setting(f"TPM {version}", "tpm version", f"{version} {element.get('model', '')}")


def _video(element: etree._Element) -> Iterator[Setting]:
    """Yield the number of heads where the model has just one."""
    for model in element.iterfind("model[@heads]"):
        kind, heads = model.get("type", ""), model.get("heads", "")
        if kind not in _HAVE_HEADS and heads != "1":
            yield Setting(f"video {kind} with {heads} heads", "video heads", heads)


def _graphics(element: etree._Element) -> Iterator[Setting]:
    """Yield what a console asks for; with ``autoport`` the other host chooses its ports anew."""
    if element.get("type") == "vnc":
        length = len(element.get("passwd", "").encode())
        if length > _LONGEST_VNC_PASSWORD:
            yield Setting(f"VNC password of {length} characters", "vnc password", str(length))
    has_own_ports = element.get("type") == "spice" and element.get("autoport") != "yes"
    if has_own_ports and element.get("tlsPort", "0") != "0":
        yield Setting("SPICE with a TLS port", "spice tls")


_READERS: Mapping[str, Callable[[etree._Element], Iterator[Setting]]] = {
    "disk": _disk,
    "graphics": _graphics,
    "tpm": _tpm,
    "video": _video,
}
