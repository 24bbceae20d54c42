"""Play random histories of servers on the running Nova, whose nova-compute keeps addresses.

Start the cloud with ``make cloud KEEP=on`` and run ``.venv/bin/python -m tools.keep_histories``.
Each history is a few random steps (``keep_steps``) on one server by Nova's API, or by what befalls
its host. After each step: the guest runs and its agent answers, every device that was there before
and still is has its address, and the guest finds the same on its PCI bus and the same network
cards under the same names. At the end, all that Nova's logs say of kept definitions: each differs
from Nova's own in addresses, aliases and controllers alone. Each history ends with a line of its
own, and an interrupt ends the play when those that are being played are over.

With ``--mode off`` or ``log`` the hosts do that, and every definition that libvirt is given has to
be one that Nova has logged, byte for byte; addresses may change then.

What is moved because an answer came too late for the time limit is counted apart: that is what the
limit is for, and busy machines pass it. So is what a later start puts back where it was. A step
that Nova itself refuses is told; where it gives up on a server, the server is replaced.
"""

import argparse
import signal
import sys
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from threading import Event

from openstack.exceptions import BadRequestException, ConflictException

from cloud.places import HOSTS
from tests.running_nova.nova import NotResized, Nova, Server
from tools import keep_logs
from tools.keep_hosts import Turns, switch
from tools.keep_steps import STEPS, attach_port, draw
from tools.keep_view import View

LENGTH = 4
"""Steps of a history."""
HARDWARE = (
    {},
    {"hw_vif_model": "e1000"},
    {"hw_disk_bus": "scsi", "hw_scsi_model": "virtio-scsi"},
    {"hw_rng_model": "virtio", "hw_watchdog_action": "reset"},
    {"hw_video_model": "virtio", "hw_pointer_model": "usbtablet"},
)
"""Properties of images, beside the machine type."""


@dataclass
class Player:
    """Plays histories on servers of its own; `faults` are novadev's, `given_up` what Nova's are."""

    number: int
    random: Random
    turns: Turns
    over: Event
    keeps: bool = True
    histories: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    late: int = 0
    returned: int = 0
    refused: int = 0
    given_up: list[str] = field(default_factory=list)

    def play(self) -> None:
        """Play until it is over."""
        self.nova = Nova()
        self.last: View | None = None
        self.owed: View | None = None
        server: Server | None = None
        while not self.over.is_set():
            try:
                if server is None or self.random.random() < 0.15:
                    server = self._replaced(server)
                before = len(self.faults)
                names = self._history(server)
                self.histories += 1
                result = self.faults[before:] or "same"
                self._say(f"history of {server.uuid}: {', '.join(names)}: {result}")
            except Exception as error:
                place = traceback.extract_tb(error.__traceback__)[-1].name
                self.given_up.append(f"{type(error).__name__} in {place}: {error}"[:300])
                self._say(f"given up: {self.given_up[-1]}")
                with suppress(Exception), self.turns.take(alone=False):
                    self.server.delete()
                server = None

    def _replaced(self, server: Server | None) -> Server:
        """Return a new server with holes, of other hardware than the last one perhaps."""
        with self.turns.take(alone=False):
            if server is not None:
                server.delete()
            kind = {"hw_machine_type": self.random.choice(("pc", "q35"))}
            kind |= self.random.choice(HARDWARE)
            more = {"config_drive": True} if self.random.random() < 0.3 else {}
            image, host = self.nova.image(**kind), self.random.choice(HOSTS)
            self.last = self.owed = None
            made = self.server = self.nova.create_server(
                name="history", host=host, image_id=image, **more
            )
            self._say(f"{made.uuid[:8]} is made on {host} with {kind} {more}")
            made.wait_for_guest()
            volumes = [made.attach_volume() for _ in range(3)]
            attach_port(made, self.random)
            made.detach_volume(volumes[1])  # a hole
            return made

    def _history(self, server: Server) -> list[str]:
        names: list[str] = []
        with self.turns.take(alone=False):
            before = View.of(server, self.last)
        for _ in range(LENGTH):
            name = draw(self.random, before.runs, self.turns.will_be_alone)
            with self.turns.take(STEPS[name].alone):
                try:
                    before = self._step(server, name, before)
                    names.append(name)
                except (BadRequestException, ConflictException, NotResized) as error:
                    self.refused += 1
                    self._say(f"{server.uuid[:8]} {name}: Nova refuses: {error!r}"[:300])
                    server.wait_for("ACTIVE", "SHUTOFF")
        return names

    def _step(self, server: Server, name: str, before: View) -> View:
        began, marks = time.time(), keep_logs.marks()
        if STEPS[name].of_record:
            before, self.owed = View.recorded(server), None
        how = STEPS[name].run(server, self.random)
        after = self.last = View.of(server, before)
        faults = self._faults(server, before, after, marks)
        self.faults += [f"{server.uuid} {name}: {fault}" for fault in faults]
        told = f"{name} ({how})" if how else name
        self.steps[told] += 1
        self._say(f"{server.uuid[:8]} {told} {time.time() - began:.0f} s {faults or 'same'}")
        return after

    def _faults(
        self, server: Server, before: View, after: View, marks: keep_logs.Marks
    ) -> list[str]:
        faults = before.lost(after) + before.unseen(after)
        if not self.keeps or not faults:
            return []
        if keep_logs.is_late(server.uuid, marks):
            self.late, self.owed = self.late + 1, self.owed or before
            self._say(f"{server.uuid[:8]} an answer came too late: {faults[0]}")
            return []
        if self.owed and self.owed.is_back(before, after):
            self.returned, self.owed = self.returned + 1, None
            self._say(f"{server.uuid[:8]} has back what it lost: {faults[0]}")
            return []
        return faults

    def _say(self, text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {self.number}: {text}", flush=True)


def judge(players: list[Player], mode: str, since: keep_logs.Marks) -> list[str]:
    """Return all faults of PLAYERS and of definitions SINCE; prints how many there were."""
    faults = [fault for player in players for fault in player.faults]
    number, wrong = keep_logs.differing(since) if mode == "on" else keep_logs.foreign(since)
    kind = "kept definitions" if mode == "on" else "definitions"
    print(f"{number} {kind} compared with Nova's own, {len(wrong)} differ")
    return faults + wrong


def tell(players: list[Player]) -> None:
    """Print what PLAYERS have played."""
    print("given up:", *(text for player in players for text in player.given_up), sep="\n  ")
    steps = sum((player.steps for player in players), Counter[str]())
    print(*(f"{count:4} {name}" for name, count in sorted(steps.items())), sep="\n")
    histories, refused = (
        sum(getattr(player, name) for player in players) for name in ("histories", "refused")
    )
    print(f"{histories} histories, {sum(steps.values())} steps, {refused} refused by Nova")


def main() -> int:
    """Play, and print what came of it; 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--players", type=int, default=2, help="servers at a time")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--mode", choices=("on", "log", "off"), default="on")
    asked = parser.parse_args()
    nova = Nova()
    for host in HOSTS:
        keep_logs.follow_definitions(host)
        switch(nova, host, asked.mode)
    since, over, turns = keep_logs.marks(), Event(), Turns()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda *_: over.set())
    signal.setitimer(signal.ITIMER_REAL, asked.minutes * 60)
    players = [
        Player(one, Random(asked.seed + one), turns, over, asked.mode == "on")  # noqa: S311 - no secret
        for one in range(asked.players)
    ]
    with ThreadPoolExecutor(len(players)) as threads:
        list(threads.map(Player.play, players))
    tell(players)
    faults = judge(players, asked.mode, since)
    print(*faults, sep="\n")
    late, returned = (sum(getattr(one, name) for one in players) for name in ("late", "returned"))
    print(f"{len(faults)} faults, {late} steps moved devices as an answer came too late")
    print(f"{returned} steps put them back")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
