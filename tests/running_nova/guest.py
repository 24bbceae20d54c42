"""The guest of a server: libvirt's live definition of it, and what it sees itself."""

import re
from typing import Any

import libvirt
from lxml import etree

from tests.guest.micro import Agent

NODES = "ls /sys/block | grep -E '^(vd|sd|sr)' | tr '\\n' ' '"
PCI = (
    "for one in /sys/bus/pci/devices/*; do "
    "echo ${one##*/} $(cat $one/vendor) $(cat $one/device); done"
)
_VIRTIO = re.compile(r"/virtio\d+$")
"""The end of a virtio card's path: the guest counts those devices in no fixed order."""
CARDS = (
    "udevadm settle; for one in /sys/class/net/*; do "
    "[ ! -e $one/device ] || echo $(cat $one/address) ${one##*/} $(readlink -f $one/device); done"
)


class Guest:
    """A guest by libvirt's handle of it, on the host where its server is now."""

    def __init__(self, domain: Any) -> None:
        self.domain = domain
        self.agent = Agent(domain)

    @property
    def number(self) -> int:
        """Its number on its host, another one after each start; -1 where it does not run."""
        return int(self.domain.ID())

    @property
    def text(self) -> str:
        """Its live definition, or the persistent one where it does not run."""
        return str(self.domain.XMLDesc())

    def definitions(self) -> tuple[str, str]:
        """Its live definition, and the persistent one."""
        return self.text, str(self.domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))

    def disks(self) -> dict[str, str]:
        """The bus of each of its disks by target."""
        targets = self._find("disk/target")
        return {str(target.get("dev")): str(target.get("bus")) for target in targets}

    def models(self, tag: str) -> list[str]:
        """The model of each of its devices of a kind: interface, video, rng."""
        found = self._find(tag)
        return [str(item.get("model") or item.xpath("string(model/@type)")) for item in found]

    def hardware(self) -> tuple[set[str], list[str]]:
        """The buses of its disks, and the models of its cards."""
        return set(self.disks().values()), self.models("interface")

    def controllers(self, kind: str) -> list[str]:
        """The model of each of its controllers of a kind: scsi, pci."""
        return [str(item.get("model")) for item in self._find(f"controller[@type='{kind}']")]

    def inputs(self) -> set[tuple[str, str]]:
        """The type and the bus of each of its input devices."""
        return {(str(item.get("type")), str(item.get("bus"))) for item in self._find("input")}

    def machine(self) -> str:
        """Its machine type, as QEMU names it."""
        return str(etree.fromstring(self.text).xpath("string(os/type/@machine)"))

    def aliases(self) -> set[str]:
        """The aliases that its volumes and ports have by novadev."""
        names = {str(alias.get("name")) for alias in self._find("*/alias")}
        return {name for name in names if name.startswith("ua-")}

    def nodes(self) -> list[str]:
        """What the guest calls its disks."""
        return self.agent.run(NODES).split()

    def pci(self) -> dict[str, str]:
        """What the guest has on its PCI bus: VENDOR:DEVICE by address."""
        rows = (line.split() for line in self.agent.run(PCI).splitlines())
        return {row[0]: f"{row[1][2:]}:{row[2][2:]}" for row in rows}

    def cards(self) -> dict[str, tuple[str, str]]:
        """What the guest calls each network card, and its place on the PCI bus, by its MAC."""
        rows = (line.split() for line in self.agent.run(CARDS).splitlines())
        return {row[0]: (row[1], _VIRTIO.sub("", row[2])) for row in rows}

    def _find(self, path: str) -> list[etree._Element]:
        return etree.fromstring(self.text).findall(f"devices/{path}")
