"""The compute hosts: those of the tests, with a real Open vSwitch and a link to each other."""

import os
import subprocess
from pathlib import Path

from cloud import keeping
from cloud.places import HOSTS, PROGRAMS, RUN
from cloud.release import NOVA
from tests.hypervisor import Hypervisor

INSIDE = ("--mount", "--uts", "--pid", "--net")
ADDRESSES = {name: f"198.51.100.{number}" for number, name in enumerate(HOSTS, start=1)}
"""Of the link over which guests migrate live."""
UNPACKED = ("ovs-vsctl", "ovs-appctl", "ovs-ofctl", "ovsdb-tool", "genisoimage")
LISTEN = 'listen_tls = 0\nlisten_tcp = 1\nauth_tcp = "none"\nlisten_addr = "0.0.0.0"\n'
OTHER_HOST = {
    "ssh": """while case $1 in -*) true ;; *) false ;; esac; do
    [ "$1" != -o ] || shift
    shift
done
host=$(getent hosts "$1" | tr -s " " | cut -d" " -f2)
shift
for word; do
    shift
    case $word in /var/*) word={run}/$host$word ;; esac
    set -- "$@" "$word"
done
exec "$@"
""",
    "scp": """while [ $# -gt 2 ]; do shift; done
for word; do
    shift
    case $word in
        *:/var/*)
            host=$(getent hosts "${{word%%:*}}" | tr -s " " | cut -d" " -f2)
            word={run}/$host${{word#*:}}
            ;;
    esac
    set -- "$@" "$word"
done
exec cp --recursive --sparse=always "$@"
""",
}
"""What reaches the other host for a cold migration: its files, for Nova's few commands on them."""
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
OVS = "/var/lib/openvswitch"


class ComputeHost(Hypervisor):
    """A compute host, begun here; `wait`, `link` and `set_up` end it in this order."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        (RUN / name).symlink_to(self.folder)

    def _prepare(self, capabilities: Path | None) -> None:
        super()._prepare(capabilities)
        for name in ("var/lib/nova/instances", OVS[1:], "run/openvswitch", "var/log/openvswitch"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "var/run").symlink_to("/run")
        settings = self.folder / "etc/libvirt/libvirtd.conf"
        settings.write_text(settings.read_text() + LISTEN)
        names = "".join(f"{address} {name}\n" for name, address in ADDRESSES.items())
        (self.folder / "etc/hosts").write_text(f"127.0.0.1 localhost\n{names}")
        _write_program(self.folder / "bin/sudo", 'exec "$@"')
        for name, text in OTHER_HOST.items():
            _write_program(self.folder / "bin" / name, text.format(run=RUN))
        path = f"LD_LIBRARY_PATH={':'.join(f'{PROGRAMS}/{folder}' for folder in LIBRARIES)}"
        for name in UNPACKED:
            _write_program(self.folder / "bin" / name, f'{path} exec {_unpacked(name)} "$@"')
        for name in ("ovsdb-server", "ovs-vswitchd"):
            _write_program(self.folder / "bin" / name, f'{path} exec {_unpacked(name)} "$@"')

    def _environment(self) -> dict[str, str]:
        found = super()._environment()
        found["PATH"] = (
            f"{self.folder}/bin:{NOVA.environment}/bin:{found['PATH'].partition(':')[2]}"
        )
        return found | {"OVS_PKGDATADIR": f"{PROGRAMS}/usr/share/openvswitch"}

    def _start_daemon(self) -> None:
        """Bring up the network before libvirtd, which runs Open vSwitch's programs."""
        if not self._daemon:
            self._finish_files()
            self._start_switch()
        super()._start_daemon()

    def _finish_files(self) -> None:
        self.run("mount", "--bind", str(self.folder / "etc/hosts"), "/etc/hosts")
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            self.run("ln", "-s", f"/proc/self/fd/{number}", f"/dev/{name}")

    def _start_switch(self) -> None:
        """Replace the bridge `br-int` of the tests' hosts by one of Open vSwitch."""
        self.run("ip", "link", "delete", "br-int")
        database, socket = f"{OVS}/conf.db", "/run/openvswitch/db.sock"
        schema = f"{PROGRAMS}/usr/share/openvswitch/vswitch.ovsschema"
        daemon = ("--pidfile", "--detach", "--no-chdir", "--log-file")
        self.run("ovsdb-tool", "create", database, schema)
        self.run("ovsdb-server", database, f"--remote=punix:{socket}", *daemon)
        self.run("ovs-vsctl", "--no-wait", "init")
        self.run("ovs-vswitchd", f"unix:{socket}", *daemon)
        self.run("ovs-vsctl", "add-br", "br-int", "--", "set", "bridge", "br-int", NETDEV)

    def join(self) -> None:
        """Give its end of the link an address."""
        self.run("ip", "address", "add", f"{ADDRESSES[self.name]}/24", "dev", "link0")
        self.run("ip", "link", "set", "link0", "up")

    def run(self, *command: str) -> None:
        """Run a command in the host; raises RuntimeError with what it said when it fails."""
        result = subprocess.run(
            self.command(*command), env=self._environment(), capture_output=True, text=True, cwd="/"
        )
        if result.returncode:
            said = f"{result.stdout}{result.stderr}".strip()
            raise RuntimeError(f"{command[0]} on {self.name}: {said}")

    def command(self, *command: str) -> list[str]:
        """Return what runs a command in the host."""
        return [*self.enter(*INSIDE), "env", *command]

    def nova(self, config: Path) -> tuple[list[str], dict[str, str]]:
        """Return the command and the environment of its nova-compute."""
        program = str(NOVA.environment / "bin/nova-compute")
        locale = {"LANG": "C.UTF-8", "PYTHONWARNINGS": "ignore", "HOME": "/root"}
        command = self.command(*keeping.command(program), "--config-file", str(config))
        return command, os.environ | self._environment() | locale


NETDEV = "datapath_type=netdev"


def link(hosts: list[ComputeHost]) -> None:
    """Join two hosts by a pair of devices that exist in their networks alone."""
    one, other = (str(host.pid) for host in hosts)
    ends = ["link0", "netns", one, "type", "veth", "peer", "name", "link0", "netns", other]
    subprocess.run(["ip", "link", "add", *ends], check=True, capture_output=True, text=True)
    for host in hosts:
        host.join()


def _unpacked(name: str) -> Path:
    for folder in ("usr/bin", "usr/sbin", "usr/lib/openvswitch-switch"):
        if (path := PROGRAMS / folder / name).exists():
            return path
    raise FileNotFoundError(f"{name} is not there; run tools/setup cloud")


def _write_program(path: Path, line: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
