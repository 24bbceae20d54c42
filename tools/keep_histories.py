"""Play random histories of servers on the running Nova, whose nova-compute keeps addresses.

Start the cloud with ``make cloud KEEP=on`` and run ``.venv/bin/python -m tools.keep_histories``.
Each history is a few random steps by Nova's API on one server. After each step: the guest runs and
its agent answers, every device that was there before and still is has its address, and the guest
finds the same on its PCI bus and the same network cards. At the end, all that Nova's logs say of
kept definitions: each differs from Nova's own in addresses, aliases and controllers alone.

With ``--mode off`` or ``log`` the hosts do that, and every definition that libvirt is given has to
be one that Nova has logged, byte for byte; addresses may change then.

What is moved because an answer came too late for the time limit is counted apart: that is what the
limit is for, and busy machines pass it. A step that Nova itself refuses is told; where it gives up
on a server, the server is replaced.
"""

import argparse
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from openstack.exceptions import BadRequestException, ConflictException

from cloud.places import HOSTS
from cloud.settings import COMPUTE_CONFIGS
from novadev.keep.definition import Record
from tests.keep.guests import record_of
from tests.running_nova.nova import Nova, Server, end_compute, until
from tools import keep_logs

STEPS = 4
"""Steps of a history."""
CARDS = "cat /sys/class/net/*/address | sort | tr '\\n' ' '; ls /sys/class/net | tr '\\n' ' '"


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
    keeps: bool = True
    histories: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    late: int = 0
    refused: int = 0
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
                place = traceback.extract_tb(error.__traceback__)[-1].name
                self.given_up.append(f"{type(error).__name__} in {place}: {error}"[:300])
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
            began, marks = time.time(), keep_logs.marks()
            try:
                dict(_steps())[name].run(server, self.random)
            except (BadRequestException, ConflictException) as error:
                self.refused += 1
                self._say(f"{server.uuid[:8]} {name}: Nova refuses: {error}"[:300])
                server.wait_for("ACTIVE", "SHUTOFF")
                continue
            after = View.of(server, before)
            faults = self._faults(server, before, after, marks)
            self.faults += [f"{server.uuid} {name}: {fault}" for fault in faults]
            self.steps[name] += 1
            self._say(f"{server.uuid[:8]} {name} {time.time() - began:.0f} s {faults or 'same'}")
            before = View(after.record, after.pci or before.pci, after.cards or before.cards)

    def _faults(
        self, server: Server, before: View, after: View, marks: keep_logs.Marks
    ) -> list[str]:
        faults = before.lost(after) + before.unseen(after)
        if not self.keeps or not faults:
            return []
        if keep_logs.is_late(server.uuid, marks):
            self.late += 1
            self._say(f"{server.uuid[:8]} an answer came too late: {faults[0]}")
            return []
        return faults

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


def switch(host: str, mode: str) -> None:
    """Have a host do MODE: its nova.conf is changed, and its nova-compute begins again.

    A SIGHUP would not do: with native threads nova-compute reads nothing then, and a second one
    ends it (oslo.service, ``backend/_threading/service.py`` _reload_service).
    """
    config, marks = COMPUTE_CONFIGS / f"{host}.conf", keep_logs.marks()
    text, said = config.read_text(), f"keep_addresses is {mode}"
    config.write_text(re.sub(r"keep_addresses = \w+", f"keep_addresses = {mode}", text))
    end_compute(host)
    until(lambda: keep_logs.is_said(host, said, marks), f"{host}: {said}")


def judge(players: list[Player], mode: str, since: keep_logs.Marks) -> list[str]:
    """Return all faults of PLAYERS and of definitions SINCE; prints how many there were."""
    faults = [fault for player in players for fault in player.faults]
    number, wrong = keep_logs.differing() if mode == "on" else keep_logs.foreign(since)
    kind = "kept definitions" if mode == "on" else "definitions"
    print(f"{number} {kind} compared with Nova's own, {len(wrong)} differ")
    return faults + wrong


def main() -> int:
    """Play, and print what came of it; 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--players", type=int, default=2, help="servers at a time")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--mode", choices=("on", "log", "off"), default="on")
    asked = parser.parse_args()
    keep_logs.follow_definitions()
    for host in HOSTS:
        switch(host, asked.mode)
    end, since = time.time() + asked.minutes * 60, keep_logs.marks()
    players = [
        Player(one, end, Random(asked.seed + one), asked.mode == "on")  # noqa: S311 - no secret
        for one in range(asked.players)
    ]
    with ThreadPoolExecutor(len(players)) as threads:
        list(threads.map(Player.play, players))
    print("given up:", *(text for player in players for text in player.given_up), sep="\n  ")
    steps = sum((player.steps for player in players), Counter[str]())
    print(", ".join(f"{name} {count}" for name, count in sorted(steps.items())))
    histories, late, refused = (
        sum(getattr(player, name) for player in players)
        for name in ("histories", "late", "refused")
    )
    print(f"{histories} histories, {sum(steps.values())} steps, {refused} refused by Nova")
    faults = judge(players, asked.mode, since)
    print(*faults, sep="\n")
    print(f"{len(faults)} faults, {late} steps with an answer that came too late")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
