"""A guest that boots the micro image on a simulated host, and what can be asked of it."""

import base64
import json
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import libvirt
import libvirt_qemu
from lxml import etree

from tests import domains
from tests.guest.image import micro_guest
from tests.hypervisor import Hypervisor

BOOT_LIMIT = 180.0
"""Seconds: it takes seven where nothing else runs."""
FOLDER = "/var/lib/novadev-guest"
AGENT_PORT = "org.qemu.guest_agent.0"
RELAY_PORT = "novadev.relay"
QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"


def channel(name: str = AGENT_PORT, path: str | None = None) -> str:
    """A virtio port, at PATH of the host or wherever libvirt puts the agent's."""
    source = f"<source mode='bind' path='{path}'/>" if path else ""
    return f"<channel type='unix'>{source}<target type='virtio' name='{name}'/></channel>"


def definition(
    disks: Iterable[str] = (),
    devices: Iterable[str] = (),
    *,
    agent: str = "real",
    arguments: Iterable[str] = (),
    **more: Any,
) -> str:
    """A domain that boots the image; AGENT is what `init.sh` makes of the agent's port.

    ARGUMENTS are QEMU's own, for devices that libvirt does not know.
    """
    uuid = str(uuid4())
    console = f"<serial type='file'><source path='{FOLDER}/{uuid}.log'/></serial>"
    text = domains.domain(uuid, disks=disks, devices=[*devices, console], **more)
    root = etree.fromstring(text)
    _of(root, "memory").text = "192"
    system = _of(root, "os")
    system.remove(_of(system, "boot"))
    for tag, value in (
        ("kernel", f"{FOLDER}/vmlinux"),
        ("initrd", f"{FOLDER}/initramfs"),
        ("cmdline", f"console=ttyS0 quiet panic=-1 tsc=unstable agent={agent}"),
    ):
        etree.SubElement(system, tag).text = value
    line = etree.SubElement(root, f"{{{QEMU}}}commandline", nsmap={"qemu": QEMU})
    for argument in arguments:
        etree.SubElement(line, f"{{{QEMU}}}arg", value=argument)
    return domains.text(root)


class Agent:
    """The agent of a running guest; `domain` is libvirt's handle of the guest."""

    def __init__(self, domain: Any) -> None:
        self.domain = domain

    @property
    def answers(self) -> bool:
        """Whether it answers within a second."""
        try:
            libvirt_qemu.qemuAgentCommand(self.domain, '{"execute": "guest-ping"}', 1, 0)
        except libvirt.libvirtError:
            return False
        return True

    def ask(self, command: str, **arguments: Any) -> Any:
        """What the agent returns of a command of its own."""
        text = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(libvirt_qemu.qemuAgentCommand(self.domain, text, 10, 0))["return"]

    def begin(self, script: str) -> int:
        """Begin a shell script in the guest; the number of its process comes back."""
        begun = self.ask(
            "guest-exec", path="/bin/sh", arg=["-c", script], **{"capture-output": True}
        )
        return int(begun["pid"])

    def run(self, script: str) -> str:
        """What a shell script in the guest has to say."""
        pid = self.begin(script)
        while not (state := self.ask("guest-exec-status", pid=pid))["exited"]:
            time.sleep(0.05)
        said = {key: base64.b64decode(state.get(key, "")).decode() for key in _OUTPUTS}
        assert state["exitcode"] == 0, said
        return said["out-data"]


class MicroGuest(Agent):
    """A running one, as TEXT defines it."""

    def __init__(self, host: Hypervisor, text: str) -> None:
        """Begin to boot; `wait` or `wait_for` ends it."""
        self.host, self.text = host, text
        _bring_image(host)
        self.uuid: str = host.define(text).UUIDString()
        super().__init__(host.start(self.uuid))

    @property
    def console(self) -> str:
        """What its kernel and first process had to say."""
        path = self.host.folder / f"{FOLDER[1:]}/{self.uuid}.log"
        return path.read_text(errors="replace")

    @property
    def relay(self) -> Path:
        """The socket behind its relay's port."""
        return self.host.folder / f"{FOLDER[1:]}/relay.sock"

    @property
    def has_agent(self) -> bool:
        """Whether something in the guest serves the agent's port."""
        found = etree.fromstring(self.domain.XMLDesc()).find(
            f"devices/channel/target[@name='{AGENT_PORT}'][@state='connected']"
        )
        return found is not None

    @property
    def is_ready(self) -> bool:
        """Whether it has booted."""
        return "init: ready" in self.console

    def restart(self) -> None:
        """Boot it anew."""
        self.domain.destroy()
        self.domain.create()
        self.wait_for(lambda: self.is_ready)

    def wait_for(self, condition: Callable[[], bool], limit: float = BOOT_LIMIT) -> None:
        """Wait until CONDITION comes true; raises TimeoutError after LIMIT seconds."""
        end = time.monotonic() + limit
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {limit:g} s: {self.console}")
            time.sleep(0.05)


_OUTPUTS = ("out-data", "err-data")


def _bring_image(host: Hypervisor) -> None:
    """Put the image where the host sees it."""
    folder = host.folder / FOLDER[1:]
    folder.mkdir(exist_ok=True)
    for path in micro_guest():
        if not (folder / path.name).exists():
            shutil.copy(path, folder)


def _of(element: etree._Element, tag: str) -> etree._Element:
    found = element.find(tag)
    assert found is not None
    return found
