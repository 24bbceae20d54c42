"""The second part of the demo: devices, on compute hosts with guests."""

from demo import guests
from demo.hosts import Hosts
from demo.shell import newest_run, run, say


def walk(hosts: Hosts) -> None:
    """Walk through showing, aliases on one server, on a host and on all, undo and a detach."""
    _show()
    _migrate_a_host(hosts)
    _migrate_all(hosts)
    _take_back()
    _detach()
    run("novadev history")


def _show() -> None:
    say("What Nova has attached to busy-1, what its guest has, and by what they were matched:")
    run("novadev device show busy-1")
    say("One device, by any of its names. Here by its MAC address:")
    run(f"novadev device show busy-1 {guests.MAC.format(1)}")


def _migrate_a_host(hosts: Hosts) -> None:
    run("novadev device alias-migrate busy-1 --dry-run --diff")
    run("novadev device alias-migrate --host cmp1 --yes")
    say("Once more: it plans nothing. What it leaves alone is told again.")
    run("novadev device alias-migrate --host cmp1 --yes")
    say("busy-1 runs on, as it was; its definition has the aliases.")
    run("novadev device show busy-1 vdb -c label -c alias -c live_alias")
    say("What Nova's soft reboot does: the guest ends, and starts from its definition.")
    hosts.soft_reboot("busy-1")
    run("novadev device show busy-1")


def _migrate_all(hosts: Hosts) -> None:
    say("All hosts, while cmp7 hangs: it costs its own time limit, and the others are done.")
    hosts.pause("cmp7")
    run("novadev device alias-migrate --all --yes", 8, "a host could not be reached")
    say("cmp7 answers again. db-1 has a LUN, and two ports with one MAC address.")
    hosts.resume("cmp7")
    run("novadev device alias-migrate --host cmp7 --yes")
    run("novadev device show db-1")


def _take_back() -> None:
    say("The PCI device of db-1 can be given an alias only with the whole definition.")
    run("novadev device alias-migrate db-1 --whole-definition --yes")
    say("A mistake?")
    run(f"novadev undo {newest_run()} --yes")


def _detach() -> None:
    say("web-1 has a disk, vdc, that Nova knows nothing of: an orphan.")
    run("novadev device show web-1")
    run("novadev device detach web-1 vdc --yes")
    say("mail-1 is the other way round: a volume that no device is there for, a ghost.")
    run("novadev device show mail-1")
