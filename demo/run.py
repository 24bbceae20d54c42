"""Build the demo deployment and walk through novadev's jobs on it."""

import signal
import sys
from pathlib import Path
from types import FrameType

import libvirt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from demo import addresses, auditing, defaults, devices, image_properties  # noqa: E402 - the path is set above
from demo.deployment import Deployment  # noqa: E402
from demo.hosts import private_hosts, why_not  # noqa: E402
from demo.servers import build  # noqa: E402
from demo.shell import Unexpected, prepare, say  # noqa: E402
from tests.hypervisor import NoHost  # noqa: E402

FOLDER = ROOT / ".demo"
NOT_SHOWN = (
    "The parts about devices, defaults, addresses and the audit need such hosts and were not "
    "shown. Run the demo on a machine or virtual machine of your own, or in a container that may "
    "create namespaces (docker run --privileged)."
)
AGAIN = (
    "Run it once more; if it stops again, report the output above as a bug, with the versions of "
    "Debian, libvirt and QEMU."
)


def main() -> None:
    """Build the deployment, walk through every part, and say what is left.

    Ends with 1 and one line that says what to do where a part could not be shown or went wrong.
    Ctrl-C, SIGTERM and SIGHUP end it with one line, too, and leave no compute host behind.
    """
    _heed_signals()
    try:
        _walk()
    except KeyboardInterrupt as error:
        sys.stdout.flush()
        print("The demo was interrupted: its compute hosts have ended.", file=sys.stderr)
        sys.exit(128 + (error.args or (signal.SIGINT,))[0])
    except NoHost as error:
        _stop(f"the demo cannot start private compute hosts: {_line(error)}. {NOT_SHOWN}")
    except (Unexpected, libvirt.libvirtError, OSError) as error:
        _stop(f"the demo stopped: {_line(error)}. {AGAIN}")


def _heed_signals() -> None:
    """Let the first of these signals end the demo; no second one ends its tidying up."""
    heeded = [number for number in _ENDS if signal.getsignal(number) != signal.SIG_IGN]

    def end(number: int, _frame: FrameType | None) -> None:
        for each in heeded:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    for number in heeded:
        signal.signal(number, end)


_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _walk() -> None:
    cloud = build(FOLDER)
    print("An embedded deployment: two cells, seven servers. To go on by yourself, first type:\n")
    prepare(cloud.config_file)
    image_properties.walk()
    if reason := why_not():
        raise NoHost(reason)
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


def _stop(why: str) -> None:
    sys.stdout.flush()
    sys.exit(f"Error: {why}")


def _line(error: Exception) -> str:
    """Return the text of ERROR as one line without a full stop."""
    return " ".join(str(error).split()).removesuffix(".")


if __name__ == "__main__":
    main()
