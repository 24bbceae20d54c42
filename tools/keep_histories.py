"""Play random histories of servers on the running Nova, whose nova-compute keeps addresses.

Start the cloud with ``make cloud KEEP=on`` and run ``.venv/bin/python -m tools.keep_histories``.
Each history is a few random steps by Nova's API on one server. After each step: the guest runs and
its agent answers, every device that was there before and still is has its address, and the guest
finds the same on its PCI bus and the same network cards. At the end, all that Nova's logs say of
kept definitions: each differs from Nova's own in addresses, aliases and controllers alone. A step
that Nova itself refuses or gives up is told, and its server is replaced.
"""

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from cloud.places import LOGS
from novadev.keep.definition import Record
from tests.keep.guests import record_of
from tests.running_nova.nova import Nova, Server, end_compute, until

STEPS = 4
"""Steps of a history."""
CARDS = "cat /sys/class/net/*/address | sort | tr '\\n' ' '; ls /sys/class/net | tr '\\n' ' '"
_HARMLESS = re.compile(
    r"</?(address|alias|controller|target chassis|model name=.(pcie?-|ioh|i82801|x3130))"
)


@dataclass(frozen=True)
class View:
    """What a guest has: its record by its definition, and its PCI bus and cards by its agent."""

    record: Record
    pci: dict[str, str] | None
    cards: str | None

    @classmethod
    def of(cls, server: Server, before: "View | None" = None) -> "View":
        """Look at SERVER; devices that it had BEFORE keep their ids."""
        guest = server.guest
        record = record_of(guest.text, before.record if before else None)
        if guest.number < 0:
            return cls(record, None, None)
        return cls(record, guest.pci(), guest.agent.run(CARDS))

    def lost(self, after: "View") -> list[str]:
        """Return what is elsewhere AFTER, of devices that are still there."""
        now = {row.device_id: row for row in after.record.devices}
        return [
            f"{row.label} was at {row.address}, is at {now[row.device_id].address}"
            for row in self.record.devices
            if row.address and row.device_id in now and now[row.device_id].address != row.address
        ]

    def unseen(self, after: "View") -> list[str]:
        """Return what the guest finds otherwise AFTER."""
        if self.pci is None or after.pci is None:
            return []
        found = [
            f"the guest had {what} at {place}, has {after.pci[place]}"
            for place, what in self.pci.items()
            if after.pci.get(place, what) != what
        ]
        same = {row.device_id for row in self.record.devices if row.address} == {
            row.device_id for row in after.record.devices if row.address
        }
        if same and (self.pci.keys() != after.pci.keys() or self.cards != after.cards):
            found.append(f"the guest has {after.pci} {after.cards}, had {self.pci} {self.cards}")
        return found


@dataclass
class Player:
    """Plays histories on servers of its own; `faults` are novadev's, `given_up` what Nova's are."""

    number: int
    until: float
    random: Random
    histories: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)

    def play(self) -> None:
        """Play until the time is over."""
        self.nova = Nova()
        image = self.nova.image(hw_machine_type="q35") if self.number % 2 else self.nova.image()
        server: Server | None = None
        while time.time() < self.until:
            try:
                if server is None:
                    server = self._made(image)
                self._history(server)
                self.histories += 1
            except Exception as error:
                self.given_up.append(f"{type(error).__name__}: {error}"[:300])
                self._say(self.given_up[-1])
                server = None
                with suppress(Exception):
                    self.server.delete()

    def _made(self, image: str) -> Server:
        host = f"cmp{1 + self.number % 2}"
        server = self.server = self.nova.create_server(name="history", host=host, image_id=image)
        server.wait_for_guest()
        volumes = [server.attach_volume() for _ in range(3)]
        attach_port(server, self.random)
        server.detach_volume(volumes[1])  # a hole
        return server

    def _history(self, server: Server) -> None:
        before = View.of(server)
        for _ in range(STEPS):
            names = [name for name, step in _steps() if step.is_for(server)]
            name = self.random.choice(names)
            began = time.time()
            dict(_steps())[name].run(server, self.random)
            after = View.of(server, before)
            faults = before.lost(after) + before.unseen(after)
            self.faults += [f"{server.uuid} {name}: {fault}" for fault in faults]
            self.steps[name] += 1
            self._say(f"{server.uuid[:8]} {name} {time.time() - began:.0f} s {faults or 'same'}")
            before = View(after.record, after.pci or before.pci, after.cards or before.cards)

    def _say(self, text: str) -> None:
        print(f"{self.number}: {text}", flush=True)


@dataclass(frozen=True)
class Step:
    """What is done to a server, by whether it must run; None where either will do."""

    run: Callable[[Server, Random], Any]
    running: bool | None = True

    def is_for(self, server: Server) -> bool:
        """Whether it can be done to SERVER now."""
        return self.running is None or self.running == (server.guest.number >= 0)


def attach_port(server: Server, _random: Random) -> None:
    """Attach a new port."""
    network = next(iter(server.nova.api.network.networks()))
    before = len(server.guest.models("interface"))
    server.nova.api.compute.create_server_interface(server.uuid, net_id=network.id)
    until(lambda: len(server.guest.models("interface")) > before, "a port is attached")


def detach_port(server: Server, random: Random) -> None:
    """Detach a port, as long as there is another."""
    compute = server.nova.api.compute
    ports = list(compute.server_interfaces(server.uuid))
    if len(ports) > 1:
        port = random.choice(ports)
        compute.delete_server_interface(port, server=server.uuid)
        mac = str(port.mac_addr)
        until(lambda: mac not in server.guest.text, "a port is detached")


def change_volumes(server: Server, random: Random) -> None:
    """Attach a volume, or detach one."""
    there = [one for one in server.volumes if one in server.guest.text]
    if len(there) > 1 and random.random() < 0.6:
        server.detach_volume(random.choice(there))
    else:
        server.attach_volume()


def rescue(server: Server, _random: Random) -> None:
    """Rescue it and back."""
    server.rescue()
    server.unrescue()


def shelve(server: Server, random: Random) -> None:
    """Shelve it, take it off its host or not, and bring it back."""
    server.shelve()
    if random.random() < 0.5:
        server.offload()
    server.unshelve()


def resize_and_revert(server: Server, _random: Random) -> None:
    """Resize it, and take that back."""
    compute = server.nova.api.compute
    compute.resize_server(server.uuid, compute.find_flavor("small"))
    server.wait_for("VERIFY_RESIZE")
    compute.revert_server_resize(server.uuid)
    if server.wait_for("ACTIVE", "SHUTOFF") == "ACTIVE":
        server.wait_for_guest()


def snapshot(server: Server, _random: Random) -> None:
    """Make an image of it."""
    image = server.nova.api.compute.create_server_image(server.uuid, f"of-{server.uuid}")
    until(lambda: server.nova.api.image.get_image(image.id).status == "active", "an image is made")
    server.wait_for("ACTIVE", "SHUTOFF")
    server.nova.api.image.delete_image(image)


def die_in_reboot(server: Server, random: Random) -> None:
    """Kill nova-compute somewhere in a hard reboot; it goes on with it when it is back."""
    host, number = server.host, server.guest.number
    server.nova.api.compute.reboot_server(server.uuid, "HARD")
    time.sleep(random.uniform(0.5, 4.0))
    end_compute(host)
    until(lambda: _has_started_anew(server, number), "it is rebooted after all")
    server.wait_for_guest()


def _has_started_anew(server: Server, number: int) -> bool:
    try:
        return server.guest.number not in (number, -1)
    except Exception:  # it is undefined just now
        return False


def _steps() -> Iterator[tuple[str, Step]]:
    yield "stop", Step(lambda server, _: server.stop())
    yield "start", Step(lambda server, _: server.start(), running=False)
    yield "hard reboot", Step(lambda server, _: server.reboot())
    yield "soft reboot", Step(lambda server, _: server.reboot("SOFT"))
    yield "rescue and unrescue", Step(rescue)
    yield "volumes", Step(change_volumes, running=None)
    yield "attach port", Step(attach_port, running=None)
    yield "detach port", Step(detach_port, running=None)
    yield "snapshot", Step(snapshot, running=None)
    yield "rebuild", Step(lambda server, _: server.rebuild())
    yield "resize and revert", Step(resize_and_revert, running=None)
    yield "cold migration", Step(lambda server, _: server.cold_migrate(), running=None)
    yield "live migration", Step(lambda server, _: server.live_migrate())
    yield "shelve and unshelve", Step(shelve)
    yield "nova-compute dies in a hard reboot", Step(die_in_reboot)


def differing() -> tuple[int, list[str]]:
    """Return of how many definitions the logs say what differs, and each line that may not."""
    number, wrong = 0, Counter[str]()
    for path in LOGS.glob("nova-compute*"):
        inside = False
        for line in path.read_text(errors="replace").splitlines():
            if "what differs from Nova's own definition" in line:
                number, inside = number + 1, True
            elif re.match(r"\d{4}-\d\d-\d\d ", line):
                inside = False
            elif inside and line[:1] in "+-" and line[:3] not in ("+++", "---"):
                text = line[1:].strip().replace("/>", ">")  # an address in it opens an element
                if not _HARMLESS.match(text) and not text.startswith("</"):
                    wrong[text] += 1 if line[0] == "+" else -1
    return number, [f"{count:+} {text}" for text, count in wrong.items() if count]


def main() -> int:
    """Play, and print what came of it; 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--players", type=int, default=2, help="servers at a time")
    parser.add_argument("--seed", type=int, default=17)
    asked = parser.parse_args()
    end = time.time() + asked.minutes * 60
    players = [
        Player(one, end, Random(asked.seed + one))  # noqa: S311 - no secret
        for one in range(asked.players)
    ]
    with ThreadPoolExecutor(len(players)) as threads:
        list(threads.map(Player.play, players))
    number, wrong = differing()
    faults = [fault for player in players for fault in player.faults] + wrong
    print(*faults, sep="\n")
    print("given up:", *(text for player in players for text in player.given_up), sep="\n  ")
    steps = sum((player.steps for player in players), Counter[str]())
    print(", ".join(f"{name} {count}" for name, count in sorted(steps.items())))
    histories = sum(player.histories for player in players)
    print(f"{histories} histories, {sum(steps.values())} steps, {number} kept definitions compared")
    print(f"{len(faults)} faults")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
