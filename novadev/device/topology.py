"""The topology of one guest: its buses, the devices on them and the free ports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from novadev.device.show_on_host import ShownDevice
from novadev.virt.pci import SLOTS

Bus = tuple[str, int]
"""A bus by the type of its controller and the controller's index: ``("pci", 0)``."""
_PCI = re.compile(r"0000:(?P<bus>[0-9a-f]{2}):(?P<place>(?P<slot>[0-9a-f]{2})\.[0-9a-f])")
_CONTROLLER = re.compile(r"controller (?P<kind>\S+) (?P<index>\d+)\b")
_PORT = "pcie-root-port"
_BEHIND = {"usb": "usb", "channel": "virtio-serial", "console": "virtio-serial"}
_DRIVES = {"sata": "sata", "ide": "ide", "scsi": "scsi", "fdc": "fdc"}
_FEW = 3
"""So many free ports are shown one by one."""


@dataclass(frozen=True)
class Node:
    """A device, a bus or a free place; what hangs on it below.

    ``place`` is where it is on the bus above it (``03.0``, ``unit 1``), empty where it has none.
    ``owner`` is ``port UUID`` or the like, ``alias`` the alias that was set (``ua-…``).
    ``has_fault``: Nova, the definition and the running guest disagree about it. ``ports`` are the
    free root ports that it stands for.
    """

    name: str
    place: str = ""
    owner: str = ""
    alias: str = ""
    is_free: bool = False
    has_fault: bool = False
    children: tuple[Node, ...] = ()
    ports: tuple[Node, ...] = ()


@dataclass(frozen=True)
class PlacedDevice:
    """A device with its address in the short form; where it is from does not matter.

    ``owner`` and ``alias`` are those of its node. ``ghost`` is what an attachment without a device
    is called elsewhere; it has no address.
    """

    label: str
    type: str = ""
    bus: str | None = None
    model: str | None = None
    address: str | None = None
    owner: str = ""
    alias: str = ""
    has_fault: bool = False
    ghost: str = ""


def placed(record: ShownDevice, is_running: bool) -> PlacedDevice:
    """Return RECORD of ``device show``, with what the guest has where it IS_RUNNING."""
    alias = record.live_alias if is_running else record.alias
    is_ghost = record.definition == "none"
    return PlacedDevice(
        label=f"{record.owner_type}: no device" if is_ghost else record.label,
        type=record.type or "",
        bus=record.bus,
        model=record.model,
        address=(record.live_address if is_running else None) or record.address,
        owner=" ".join(filter(None, (record.owner_type, record.owner_id))),
        alias=alias if alias and alias.startswith("ua-") else "",
        has_fault=bool(record.disagreements),
        ghost=record.label if is_ghost else "",
    )


def topology(devices: Sequence[PlacedDevice]) -> tuple[Node, ...]:
    """Return the roots of a guest's DEVICES: PCI bus 0 first, then what is on no bus."""
    return tuple(_Tree(devices).roots())


class _Tree:
    """Which device is on which bus."""

    def __init__(self, records: Sequence[PlacedDevice]) -> None:
        self._drawn: set[int] = set()
        self._controllers = dict(reversed([*_controllers(records)]))
        self._on: dict[Bus | None, list[tuple[str, PlacedDevice]]] = {}
        for record in records:
            bus, place = self._place(record)
            if bus not in self._controllers or self._controllers[bus] is record:
                bus = None
            self._on.setdefault(bus, []).append((place, record))

    def _place(self, record: PlacedDevice) -> tuple[Bus | None, str]:
        """Return the bus that RECORD is on and where on it; None where it is on none."""
        own = record.address or ""
        if found := _PCI.fullmatch(own.partition(" ")[0]):
            return ("pci", int(found["bus"], 16)), found["place"]
        first, _, rest = own.partition(":")
        kind = _BEHIND.get(record.type) or _DRIVES.get(record.bus or "")
        kind = "usb" if record.bus == "usb" or record.type in ("hub", "redir") else kind
        if kind is None or not first.isdecimal():
            return None, own
        return (kind, int(first)), rest

    def roots(self) -> Iterator[Node]:
        """Yield a node for each device that is on no bus, those with a bus of their own first.

        Then what is left: bridges that are on each other's buses, which no guest can have.
        """
        alone = self._on.get(None, [])
        bridges = [item for item in alone if self._bus_of(item[1]) is not None]
        others = [item for item in alone if item not in bridges]
        rest = (item for members in self._on.values() for item in members)
        for place, record in (*bridges, *others, *rest):
            if id(record) not in self._drawn:
                yield self._node(place, record)

    def _node(self, place: str, record: PlacedDevice) -> Node:
        self._drawn.add(id(record))
        bus = self._bus_of(record)
        return Node(
            name=_name(record, bus),
            place=place,
            owner=record.owner,
            alias=record.alias,
            has_fault=record.has_fault,
            children=() if bus is None else tuple(self._children(bus, record)),
        )

    def _bus_of(self, record: PlacedDevice) -> Bus | None:
        bus = _bus(record)
        return bus if bus is not None and self._controllers.get(bus) is record else None

    def _children(self, bus: Bus, controller: PlacedDevice) -> Iterator[Node]:
        members = sorted(self._on.get(bus, []), key=lambda item: item[0])
        nodes = [self._node(*item) for item in members if id(item[1]) not in self._drawn]
        yield from _gathered(nodes)
        if bus[0] == "pci":
            yield from _free(controller.model or "", [place for place, _ in members])


def _controllers(records: Iterable[PlacedDevice]) -> Iterator[tuple[Bus, PlacedDevice]]:
    """Yield each controller that has a bus; of several with one index libvirt's master comes first.

    The UHCI companions of a USB controller share its index.
    """
    for record in records:
        if (bus := _bus(record)) is not None:
            yield bus, record


def _bus(record: PlacedDevice) -> Bus | None:
    found = _CONTROLLER.match(record.label) if record.type == "controller" else None
    return (found["kind"], int(found["index"])) if found else None


def _name(record: PlacedDevice, bus: Bus | None) -> str:
    if bus and bus[0] == "pci":
        return f"{record.model or 'controller pci'}, PCI bus {bus[1]:02x}"
    name = _CONTROLLER.match(record.label)
    label = name[0] if name else record.label
    model = record.bus or record.model
    return label if not model or model in label.split() else f"{label} ({model})"


def _free(model: str, taken: Sequence[str]) -> Iterator[Node]:
    """Yield the places that a bus of MODEL has left: none on bus 0 of PCI Express."""
    slots = SLOTS.get(model)
    if slots is None or model == "pcie-root":
        return
    used = {int(place.partition(".")[0], 16) for place in taken}
    left = [slot for slot in slots if slot not in used]
    if left and len(slots) > 1:
        yield Node(f"free: {_ranges(left)}", is_free=True)


def _ranges(slots: Sequence[int]) -> str:
    """Return slots as ``08-0a, 0c``, in hexadecimal."""
    runs: list[list[int]] = []
    for slot in slots:
        if runs and runs[-1][-1] == slot - 1:
            runs[-1].append(slot)
        else:
            runs.append([slot])
    return ", ".join(f"{run[0]:02x}" + (f"-{run[-1]:02x}" if run[1:] else "") for run in runs)


def _gathered(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield NODES, many free root ports as one."""
    free = [node for node in nodes if node.name.startswith(_PORT) and not node.children]
    for node in nodes:
        if node not in free:
            yield node
        elif len(free) <= _FEW:
            yield Node(f"{node.name}: free", node.place, is_free=True, ports=(node,))
        elif node is free[0]:
            name = f"{len(free)} {_PORT}s: free"
            yield Node(name, node.place + " …", is_free=True, ports=tuple(free))
