"""The fourth part of the demo: addresses are recorded, compared, and put back."""

from demo.hosts import Hosts
from demo.shell import newest_run, run, say


def walk(hosts: Hosts) -> None:
    """Walk through a record, a drift, a forecast, putting addresses back, and an export."""
    say("Every device of every guest with its address; of an unchanged guest nothing is written.")
    run("novadev device record --all")
    run("novadev device record --all")
    say("mail-1 gets the volume that it lacked. Is it as recorded?")
    hosts.plug("mail-1")
    run("novadev device drift mail-1", 3, "there is drift")
    run("novadev device record mail-1")
    say("What the next power-on will move, told beforehand:")
    run("novadev device forecast mail-1")
    say("Nova powers it on: it defines the guest anew, and libvirt counts addresses up again.")
    hosts.power_on("mail-1")
    run("novadev device drift mail-1", 3, "there is drift")
    say("Put back, for Nova's soft reboot to start from:")
    run("novadev device restore mail-1 --yes")
    run("novadev device drift mail-1")
    run("novadev device history mail-1 -c label -c field -c before -c after")
    run(f"novadev history {newest_run()}")
