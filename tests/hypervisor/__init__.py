"""Simulated compute hosts: each a private libvirtd with QEMU under software emulation.

A host lives in mount, uts, pid and network namespaces of its own: it has its own hostname, host
UUID, /dev (without kvm), /run, /var, /etc/libvirt and bridge, and cannot see or touch the machine's
libvirt. The kernel ends every process of a host with the host's first one, and that one with the
process that started the host; the mounts go with them. As root libvirtd is the system daemon; for
an ordinary user it is a session daemon in a user namespace, whose guests have only interfaces of
type 'user' and no virtiofs. Both need a kernel that allows such namespaces: see `unsupported`.

A program called ovs-vsctl that does nothing stands in for Open vSwitch, so that guests with Nova's
OVS interfaces start; the guests have no operating system.

A host of another generation of libvirt and QEMU (`GENERATIONS`) lives in a tree of that release of
Debian, which `tools/generation` makes and no host changes. The machine's own libvirt client speaks
to its daemon like to any other.
"""

import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import libvirt
from lxml import etree

from tests.cached import CACHE

HOST_SCRIPT = Path(__file__).with_name("host.sh")
GENERATIONS = ("bullseye", "bookworm", "trixie")
"""Releases of Debian, oldest first: libvirt 7.0, 9.0, 11.3 with QEMU 5.2, 7.2, 10.0."""
PRIVILEGED = os.getuid() == 0
NAMESPACES = ("--mount", "--uts", "--pid", "--net", "--fork", "--kill-child")
CAPABILITIES = Path("var/cache/libvirt/qemu/capabilities")
FOLDERS = ("bin", "dev", "etc/libvirt", "run", CAPABILITIES, "var/lib/libvirt", "var/log/libvirt")
IMAGE_SIZE = 1 << 20

DAEMON_SETTINGS = """\
host_uuid = "{uuid}"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
"""
QEMU_SETTINGS = """\
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
dynamic_ownership = 0
"""
ROOT_SETTINGS = """\
user = "root"
group = "root"
"""


class NoHost(Exception):
    """A simulated host cannot be started on this machine."""


class Hypervisor:
    """One compute host, begun here and there after `wait`; `name` is its hostname.

    `folder` holds what the host sees as /run, /var and /etc/libvirt: a file at /var/x in the host
    is `folder / "var/x"`.

    >>> domain = hypervisor.define(domains.domain(disks=[domains.disk("vda")]))
    >>> hypervisor.start(domain.UUIDString())
    """

    def __init__(
        self, name: str, capabilities: Path | None = None, generation: str | None = None
    ) -> None:
        """Begin to start; `wait` ends it. The calling thread must outlive the host.

        Without a GENERATION it has the machine's own programs.
        """
        self.name = name
        self._tree = _tree(generation) if generation else None
        self._temporary = tempfile.TemporaryDirectory(prefix="novadev-host-")
        self.folder = Path(self._temporary.name)
        self._connection: Any = None
        self._daemon = 0
        self._first = 0
        self._prepare(capabilities)
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", *_user_namespace(), *NAMESPACES]
        command += ["sh", str(HOST_SCRIPT), str(self.folder), name, tempfile.gettempdir()]
        command += [str(self._tree)] if self._tree else []
        with (self.folder / "errors").open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # an interrupt is for the tests; they stop the host
                text=True,
            )

    @property
    def pid(self) -> int:
        """The host's first process, in whose namespaces all others live."""
        return self._first

    @property
    def uri(self) -> str:
        """The libvirt URI by which processes outside the host reach it."""
        kind = "system" if PRIVILEGED else "session"
        return f"qemu+unix:///{kind}?socket={self._socket}"

    @property
    def connection(self) -> Any:
        """A libvirt connection that is kept, and opened again when it broke."""
        if self._connection is None or not self._connection.isAlive():
            self._connection = self.connect()
        return self._connection

    def wait(self) -> None:
        """Wait until the host is there, then start its daemon."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise NoHost(f"no host {self.name}: {(self.folder / 'errors').read_text()}")
        self._first = int(line)
        self._start_daemon()

    def enter(self, *namespaces: str) -> list[str]:
        """What runs a command in some of its namespaces: `--net` to reach its daemon by TCP."""
        user = [] if PRIVILEGED else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={self._first}", *namespaces, *user]

    def connect(self) -> Any:
        """A new libvirt connection."""
        return libvirt.open(self.uri)

    def define(self, xml: str) -> Any:
        """Define a domain, and make the image files it names under /var."""
        self.make_files(xml)
        return self.connection.defineXML(xml)

    def start(self, uuid: str) -> Any:
        """Start a defined domain."""
        domain = self.connection.lookupByUUIDString(uuid)
        domain.create()
        return domain

    def make_files(self, xml: str) -> None:
        """Make the image files of a domain or a disk that lie under /var and are not there yet."""
        for source in etree.fromstring(xml).iter("source"):
            name = str(source.get("file", ""))
            path = self.folder / name.removeprefix("/")
            if name.startswith("/var/") and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    file.truncate(IMAGE_SIZE)

    def pause(self) -> None:
        """Make the host hang: its daemon takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused host go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the daemon at once; the guests live on."""
        if self._daemon:
            _kill(self._daemon)
            self._daemon = 0
            self._connection = None  # it would call itself alive until it is used

    def restart(self) -> None:
        """Start the daemon again, after killing it if it runs."""
        self.kill()
        self._start_daemon()

    def empty(self) -> None:
        """Have no domains; the daemon runs afterwards, whatever was done to it."""
        try:
            self.resume()
        except ProcessLookupError:
            self.restart()
        for domain in self.connection.listAllDomains():
            _remove(domain)
        shutil.rmtree(self.folder / "var/lib/nova", ignore_errors=True)

    def stop(self) -> None:
        """End everything in the host, and remove its folder."""
        self._connection = None
        if self._first:
            _kill(self._first)  # the kernel ends all others before it
        self._process.kill()
        self._process.communicate()
        self._temporary.cleanup()

    def _signal(self, number: signal.Signals) -> None:
        if not self._daemon:
            raise ProcessLookupError(f"{self.name} has no daemon")
        os.kill(self._daemon, number)

    @property
    def _socket(self) -> Path:
        return self.folder / "run/libvirt/libvirt-sock"

    def _prepare(self, capabilities: Path | None) -> None:
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True)
        for path in capabilities.iterdir() if capabilities else ():
            shutil.copy(path, self.folder / CAPABILITIES)
        uuid = uuid5(NAMESPACE_DNS, self.name)
        settings = self.folder / "etc/libvirt"
        (settings / "libvirtd.conf").write_text(DAEMON_SETTINGS.format(uuid=uuid))
        (settings / "qemu.conf").write_text(QEMU_SETTINGS + (ROOT_SETTINGS if PRIVILEGED else ""))
        stand_in = self.folder / "bin/ovs-vsctl"
        stand_in.write_text("#!/bin/sh\n")
        stand_in.chmod(0o755)

    def _start_daemon(self) -> None:
        enter = self.enter("--mount", "--uts", "--pid", "--net")
        program = _program("libvirtd")
        if self._tree:
            enter += ["--root", "--wd"]
            program = "/usr/sbin/libvirtd"
        command = [*enter, program, "--daemon", "--pid-file=/run/libvirtd.pid"]
        command += ["--config=/etc/libvirt/libvirtd.conf"]
        settings = self.folder / "etc/libvirt/libvirtd.conf"
        command += ["--listen"] * ("listen_" in settings.read_text())
        result = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, cwd="/", timeout=60
        )
        if result.returncode:
            raise NoHost(f"no libvirtd in {self.name}: {result.stderr}")
        self._daemon = listener(self._socket)

    def _environment(self) -> dict[str, str]:
        environment = {"SASL_CONF_PATH": str(self.folder / "etc/libvirt/sasl")}
        environment |= {"PATH": f"{self.folder}/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"}
        if not PRIVILEGED:
            place = "" if self._tree else str(self.folder)  # a tree has no other /run
            environment["HOME"] = f"{place}/"
            environment["XDG_CONFIG_HOME"] = f"{place}/etc"
            environment["XDG_CACHE_HOME"] = f"{place}/var/cache"
            environment["XDG_DATA_HOME"] = f"{place}/var/lib"
            environment["XDG_RUNTIME_DIR"] = f"{place}/run"
        return environment


class Hypervisors:
    """Hosts cmp1, cmp2, ..., started when first asked for and given again, empty.

    Those of a GENERATION are called after it: trixie1, trixie2.
    """

    def __init__(self, generation: str | None = None) -> None:
        self._generation = generation
        self._hosts: list[Hypervisor] = []
        libvirt.registerErrorHandler(lambda *_: None, None)  # else it prints what it also raises

    def take(self, count: int = 1) -> list[Hypervisor]:
        """The first `count` hosts, each running and without domains."""
        for host in self._hosts[:count]:
            host.empty()
        if not self._hosts:
            self._start([1], None)
            self._hosts[0].connection.getCapabilities()  # asks QEMU once, and keeps the answer
        missing = range(len(self._hosts) + 1, count + 1)
        self._start(missing, self._hosts[0].folder / CAPABILITIES)
        return self._hosts[:count]

    def empty(self) -> None:
        """Leave no domain on any host."""
        for host in self._hosts:
            host.empty()

    def stop(self) -> None:
        """Stop every host."""
        while self._hosts:
            self._hosts.pop().stop()

    def _start(self, numbers: Iterable[int], capabilities: Path | None) -> None:
        """Start hosts beside each other; each is ours to stop as soon as it begins."""
        begun = []
        for number in numbers:
            name = f"{self._generation or 'cmp'}{number}"
            begun.append(Hypervisor(name, capabilities, self._generation))
            self._hosts.append(begun[-1])
        for host in begun:
            host.wait()


@contextmanager
def pool(generation: str | None = None) -> Iterator[Hypervisors]:
    """A pool of hosts, stopped at the end."""
    hypervisors = Hypervisors(generation)
    try:
        yield hypervisors
    finally:
        hypervisors.stop()


def unsupported() -> str:
    """Why this machine cannot have simulated hosts, empty if it can."""
    command = ["unshare", *_user_namespace(), *NAMESPACES, "hostname", "probe"]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.stderr.strip()


def _user_namespace() -> Sequence[str]:
    return () if PRIVILEGED else ("--user", "--map-current-user", "--keep-caps")


def _tree(generation: str) -> Path:
    """The root of a compute host of that generation."""
    tree = CACHE / f"generation-{generation}"
    if not (tree / "made").exists():
        raise FileNotFoundError(f"no tree of {generation}; run tools/setup test")
    return tree


def _program(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise NoHost(f"{name} is not installed; run tools/setup test")
    return path


def listener(path: Path) -> int:
    """The process that listens on a socket, by its number outside of its namespace."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        answer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", answer)[0])


def _kill(pid: int) -> None:
    """Kill a process that need not be a child of ours, and wait until it is gone."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [])
        finally:
            os.close(handle)


def _remove(domain: Any) -> None:
    """Destroy and undefine a domain with all that libvirt keeps for it."""
    persistent = domain.isPersistent()
    with suppress(libvirt.libvirtError):  # it is not running
        domain.destroy()
    if persistent:
        domain.undefineFlags(
            libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        )
