"""The steps of the histories: each does one thing to a server, and waits until Nova is done."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import libvirt

from tests.running_nova.nova import LIMIT, Server, end_compute, until
from tools.keep_hosts import recover, restart_libvirtd

RARELY = 0.04
"""How often a step is drawn for which all others wait, beside one that runs with others."""
_ENDS = {"kill -9": signal.SIGKILL, "clean": signal.SIGTERM}
Run = Callable[[Server, Random], str | None]
"""Does something to a server; says how it came, where that is counted apart."""


@dataclass(frozen=True)
class Step:
    """What is done to a server, by whether it must run; None where either will do.

    ALONE: it ends something that other servers need, so no other step runs meanwhile. OF_RECORD:
    nobody can ask its host what it has, so it gets what was recorded last.
    """

    run: Run
    running: bool | None = True
    alone: bool = False
    of_record: bool = False


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


def shelve(server: Server, random: Random) -> str:
    """Shelve it, take it off its host or not, and bring it back."""
    server.shelve()
    is_offloaded = random.random() < 0.5
    if is_offloaded:
        server.offload()
    server.unshelve()
    return "offloaded" if is_offloaded else "on its host"


def resize_and_revert(server: Server, _random: Random) -> None:
    """Resize it, and take that back."""
    compute = server.nova.api.compute
    compute.resize_server(server.uuid, compute.find_flavor("small"))
    server.wait_for_resize()
    compute.revert_server_resize(server.uuid)
    if server.wait_for("ACTIVE", "SHUTOFF") == "ACTIVE":
        server.wait_for_guest()


def snapshot(server: Server, _random: Random) -> None:
    """Make an image of it."""
    image = server.nova.api.compute.create_server_image(server.uuid, f"of-{server.uuid}")
    until(lambda: server.nova.api.image.get_image(image.id).status == "active", "an image is made")
    server.wait_for("ACTIVE", "SHUTOFF")
    server.nova.api.image.delete_image(image)


def evacuate(server: Server, _random: Random) -> None:
    """Let its host die, with what it runs of it, and make it on the other; the host comes back."""
    host, guest = server.host, server.guest
    was_running = guest.number >= 0
    try:
        end_compute(host, signal.SIGSTOP)
        if was_running:
            guest.domain.destroy()
        server.evacuate()
    finally:
        server.nova.revive(host)
    _run_on(server, was_running)


def die_in_reboot(server: Server, random: Random) -> str:
    """Kill nova-compute somewhere in a hard reboot; it goes on with it when it is back."""
    host, number = server.host, server.guest.number
    server.nova.api.compute.reboot_server(server.uuid, "HARD")
    time.sleep(random.uniform(0.5, 4.0))
    return _kill_compute(server, host, number)


def die_undefined(server: Server, _random: Random) -> str:
    """Kill nova-compute in a hard reboot between Nova's undefine and its define."""
    host, number = server.host, server.guest.number
    connection, end = server.nova.libvirt(host), time.monotonic() + LIMIT
    server.nova.api.compute.reboot_server(server.uuid, "HARD")
    while time.monotonic() < end and _is_defined(connection, server.uuid):
        time.sleep(0.01)
    return _kill_compute(server, host, number)


def _kill_compute(server: Server, host: str, number: int) -> str:
    end_compute(host)
    is_defined = _is_defined(server.nova.libvirt(host), server.uuid)
    given_up = _finish_reboot(server, number)
    return ("while it was defined" if is_defined else "while it was not defined") + given_up


def _finish_reboot(server: Server, number: int) -> str:
    """Reboot it once more where Nova gave up, and say so; NUMBER is the guest's before.

    Where nova-compute dies before it has begun with the request, the next one takes the server out
    of its task, and refuses the request then (``manager.py`` _init_instance, _reboot_instance).
    """
    server.wait_for("ACTIVE", "SHUTOFF", "ERROR")
    is_done = _has_started_anew(server, number)
    if not is_done:
        server.nova.api.compute.reboot_server(server.uuid, "HARD")
        server.wait_for("ACTIVE", "ERROR")  # it stays in error until it is rebooted
    server.wait_for_guest()
    return "" if is_done else ", Nova gave up"


def _is_defined(connection: libvirt.virConnect, uuid: str) -> bool:
    try:
        connection.lookupByUUIDString(uuid)
    except libvirt.libvirtError:
        return False
    return True


def _has_started_anew(server: Server, number: int) -> bool:
    try:
        return server.guest.number not in (number, -1)
    except libvirt.libvirtError:  # it is undefined just now
        return False


def end_libvirtd(server: Server, random: Random) -> str:
    """Restart libvirtd while guests run."""
    how, host = random.choice(list(_ENDS)), server.host
    restart_libvirtd(host, _ENDS[how])
    return f"{how}{_hung(server, host)}"


def libvirtd_dies_in_reboot(server: Server, random: Random) -> str:
    """Restart libvirtd somewhere in a hard reboot. Where Nova gives up, reboot it once more."""
    how, host, number = random.choice(list(_ENDS)), server.host, server.guest.number
    server.nova.api.compute.reboot_server(server.uuid, "HARD")
    time.sleep(random.uniform(0.3, 4.0))
    restart_libvirtd(host, _ENDS[how])
    hung = _hung(server, host)
    return f"{how}{_finish_reboot(server, number)}{hung}"


def _hung(server: Server, host: str) -> str:
    return ", nova-compute hung" if recover(server, host) else ""


def _runs(server: Server) -> bool:
    try:
        return server.guest.number >= 0
    except libvirt.libvirtError:
        return False


def _run_on(server: Server, runs: bool) -> None:
    """Have it run again if it did: Nova leaves it stopped after an evacuation."""
    if runs and not _runs(server):
        server.begin_to_start()
    if runs:
        server.wait_for_guest()


STEPS = {
    "stop": Step(lambda server, _: server.stop()),
    "start": Step(lambda server, _: server.start(), running=False),
    "hard reboot": Step(lambda server, _: server.reboot()),
    "soft reboot": Step(lambda server, _: server.reboot("SOFT")),
    "rescue and unrescue": Step(rescue),
    "volumes": Step(change_volumes, running=None),
    "attach port": Step(attach_port, running=None),
    "detach port": Step(detach_port, running=None),
    "snapshot": Step(snapshot, running=None),
    "rebuild": Step(lambda server, _: server.rebuild()),
    "resize and revert": Step(resize_and_revert, running=None),
    "cold migration": Step(lambda server, _: server.cold_migrate(), running=None),
    "live migration": Step(lambda server, _: server.live_migrate()),
    "shelve and unshelve": Step(shelve),
    "evacuation": Step(evacuate, running=None, alone=True, of_record=True),
    "nova-compute killed in a hard reboot": Step(die_in_reboot, alone=True),
    "nova-compute killed after Nova's undefine": Step(die_undefined, alone=True),
    "libvirtd restarted": Step(end_libvirtd, alone=True),
    "libvirtd restarted in a hard reboot": Step(libvirtd_dies_in_reboot, alone=True),
}


def draw(random: Random, runs: bool, alone: bool) -> str:
    """Return the name of a step for a server that RUNS or not.

    Where others wait for a turn ALONE anyway, it is one of those.
    """
    fitting = [name for name, step in STEPS.items() if step.running in (None, runs)]
    names = [name for name in fitting if STEPS[name].alone] if alone else fitting
    return random.choices(names, [RARELY if STEPS[name].alone else 1.0 for name in names])[0]
