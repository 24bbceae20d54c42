"""Compute hosts, each by its URI: whether it answers, what runs there, and its guests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from novadev.deployment import Deployment
from novadev.doctor.result import Result, failure
from novadev.errors import NotFound, NovadevError
from novadev.nova import known_names
from novadev.nova.exact import WILD, in_full
from novadev.text import many
from novadev.virt.answers import Answers, ask

_LOGINS = {
    "ssh": "an ssh key",
    "libssh": "an ssh key",
    "libssh2": "an ssh key",
    "tls": "TLS certificates",
    "tcp": "SASL, or no login at all",
}
"""How the transport of a URI logs in."""


def list_hosts(deployment: Deployment) -> tuple[list[str], bool]:
    """Return the compute hosts of Nova's cells, by services and servers; and whether that is all.

    Without databases it is this machine, and there may be others. A cell that cannot be read has
    a result of its own.
    """
    if not deployment.has_databases:
        return [deployment.config.host], False
    found: set[str] = set()
    try:
        cells = deployment.cells
    except NovadevError:
        return [], False
    is_all = True
    for cell in cells:
        try:
            with deployment.cell_database(cell).reading() as connection:
                found |= known_names.list_hosts(connection)
        except NovadevError:
            is_all = False
    return sorted(found), is_all


def choose(
    known: Sequence[str], is_all: bool, wanted: Sequence[str]
) -> tuple[list[str], list[Result]]:
    """Return the WANTED hosts (names or patterns), all that are KNOWN if none is named.

    With it a failure for each of WANTED that there is not. IS_ALL: there are no others than KNOWN.
    """
    missing = [word for word in wanted if not _is_found(word, known, is_all)]
    hosts = [host for host in in_full(wanted or known, known) if host not in missing]
    return hosts, [failure("host", word, _no_host(word, is_all)) for word in missing]


def _is_found(word: str, known: Sequence[str], is_all: bool) -> bool:
    """Return whether WORD stands for a host, or may: a cell that cannot be read may have it."""
    is_pattern = bool(WILD & {*word})
    return any(host in known for host in in_full([word], known)) or not (is_all or is_pattern)


def _no_host(word: str, is_all: bool) -> NotFound:
    text = "no cell has a compute host" if is_all else "of the known hosts none is like"
    return NotFound(f"{text} {word!r:.80}")


def examine(
    deployment: Deployment, hosts: Sequence[str], missing: Sequence[Result]
) -> Iterator[Result | tuple[str, Answers]]:
    """Yield what is MISSING, and a result for each of HOSTS.

    Beside it, for a host that answers, its name with what it says.
    """
    yield from missing
    if hosts:
        yield from _asked(deployment, hosts)
    elif not missing:
        yield Result("host", "compute hosts", "skipped", "no cell has a compute host")


def _asked(deployment: Deployment, hosts: Iterable[str]) -> Iterator[Result | tuple[str, Answers]]:
    for answer in deployment.hosts.run(ask, {host: [()] for host in hosts}):
        if answer.error is not None:
            yield failure("host", answer.host, answer.error)
            continue
        found = answer.result()
        yield answer.host, found
        yield _answered(answer.host, found)


def _answered(host: str, found: Answers) -> Result:
    qemu = f"QEMU {found.qemu}" if found.qemu else "no QEMU"
    text = (
        f"{found.uri}: libvirt {found.libvirt}, {qemu}, {many(found.defined, 'guest')} "
        f"({found.running} running), login by {login(found.uri)}, answered in {found.seconds:.2f} s"
    )
    if found.is_secure:
        return Result("host", host, "ok", text)
    unsafe = f"{text}. The connection is not encrypted: use qemu+tls or qemu+ssh"
    return Result("host", host, "warning", unsafe)


def login(uri: str) -> str:
    """Return how libvirt lets somebody in who comes by URI."""
    scheme, _, rest = uri.partition("://")
    transport = scheme.partition("+")[2]
    is_remote = not rest.startswith("/")
    if not transport:
        transport = "tls" if is_remote else "unix"
    return _LOGINS.get(transport, "the rights of the socket")
