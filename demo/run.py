"""Build the demo deployment and walk through novadev's jobs on it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from demo import addresses, auditing, defaults, devices, image_properties  # noqa: E402 - the path is set above
from demo.deployment import Deployment  # noqa: E402
from demo.hosts import private_hosts, why_not  # noqa: E402
from demo.servers import build  # noqa: E402
from demo.shell import prepare, say  # noqa: E402

FOLDER = ROOT / ".demo"


def main() -> None:
    """Build, walk through every part, and say what is left."""
    cloud = build(FOLDER)
    print("An embedded deployment: two cells, seven servers. To go on by yourself, first type:\n")
    prepare(cloud.config_file)
    image_properties.walk()
    reason = why_not()
    if reason:
        say(f"Devices and defaults are left out: this machine allows no private hosts ({reason}).")
    else:
        _show_hosts(cloud)
    print(f"\nThe databases stay in {FOLDER}. Go on typing.")


def _show_hosts(cloud: Deployment) -> None:
    say("Three compute hosts, each a private libvirtd with QEMU in software emulation.")
    with private_hosts(cloud) as hosts:
        devices.walk(hosts)
        defaults.walk(cloud)
        addresses.walk(hosts)
        auditing.walk()
    print("\nThe compute hosts and their guests have ended with this: for the commands that ask")
    print("them they are down from now on.")


if __name__ == "__main__":
    main()
