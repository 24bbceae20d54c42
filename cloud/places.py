"""Where the parts of the cloud are: its folders, its ports and its secrets."""

import socket
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cloud"
ENVIRONMENT = FOLDER / "nova"
"""The Python environment of Nova and its companions, which `tools/setup cloud` makes."""
PROGRAMS = FOLDER / "programs"
"""RabbitMQ, Open vSwitch and genisoimage: Debian's packages, unpacked and not installed."""
RUN = FOLDER / "run"
"""All that a running cloud writes; it goes with the cloud."""
CLOUDS = RUN / "clouds.yaml"
"""The configuration of an `openstack` client."""
RC = FOLDER / "rc"
"""A file for the shell to read, to type along."""
LOGS = FOLDER / "log"
"""What its processes say; kept when it did not come up."""
LOCK = FOLDER / "lock"
"""Held by the cloud's first process as long as anything of the cloud lives."""
STARTING = FOLDER / "starting"
"""Held by who starts the cloud, until it is up."""

HOSTS = ("cmp1", "cmp2")
PORTS = {
    "keystone": 5000,
    "nova": 8774,
    "placement": 8778,
    "glance": 9292,
    "neutron": 9696,
    "cinder": 8776,
    "rabbitmq": 5672,
    "distribution": 25672,
    "epmd": 4369,
}
"""What listens on loopback, and where by custom; another port is taken where that one is in use."""


@dataclass(frozen=True)
class Site:
    """One run of the cloud: `urls` are those of its databases by their names."""

    ports: dict[str, int]
    password: str
    urls: dict[str, str]

    def url(self, service: str, path: str = "") -> str:
        """Return the address of a service."""
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    @property
    def transport_url(self) -> str:
        """Where the message queue is."""
        return f"rabbit://nova:{self.password}@127.0.0.1:{self.ports['rabbitmq']}/"

    @property
    def endpoints(self) -> dict[str, str]:
        """The address of each service by its type in keystone's catalog."""
        return {
            "identity": self.url("keystone", "/v3"),
            "compute": self.url("nova", "/v2.1"),
            "placement": self.url("placement"),
            "image": self.url("glance"),
            "network": self.url("neutron"),
            "volumev3": self.url("cinder", "/v3/$(project_id)s"),
        }


def free_ports() -> dict[str, int]:
    """Return a port for each of PORTS: the customary one, or a free one where that is in use."""
    return {name: _free(port) for name, port in PORTS.items()}


def _free(wanted: int) -> int:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
