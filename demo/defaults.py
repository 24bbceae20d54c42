"""The third part of the demo: what guests have is recorded, before a new default changes it."""

from demo.deployment import Deployment
from demo.shell import newest_run, run, say


def walk(cloud: Deployment) -> None:
    """Walk through a capability file, the three sources, recording for all, and undo."""
    _save(cloud)
    _look()
    _record_all()
    say("A mistake? What was absent is absent again.")
    run(f"novadev undo {newest_run()} --yes")


def _save(cloud: Deployment) -> None:
    say("What cmp1 is, and how Nova is configured there; saved on the host, with its nova.conf:")
    file = cloud.capability_files / "cmp1.json"
    run(f"novadev --config-file {cloud.config_of('cmp1')} capabilities save -o {file}")


def _look() -> None:
    say("busy-1 has cirrus, today's rule is virtio. What it has is what would be recorded:")
    run("novadev stash-defaults busy-1 --dry-run")
    say("attic-1 is on no host: it goes by the rules of the one it was on.")
    run("novadev stash-defaults attic-1 --dry-run")


def _record_all() -> None:
    say("All servers; they may run. The e1000e that the first part stored is told, and left.")
    run("novadev stash-defaults --all --yes")
    say("Once more: only what is missing is touched.")
    run("novadev stash-defaults --all --yes")
    run("novadev image-property list busy-1")
