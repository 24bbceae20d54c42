"""Hosts that want to know who comes: SASL and TLS on real libvirtds, as Nova reaches them; ssh."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
import trustme

from novadev.errors import Unreachable
from novadev.virt.host import Host
from tests import domains
from tests.hypervisor import PRIVILEGED, Hypervisor, unsupported

PAST = datetime(2020, 1, 1, tzinfo=timezone.utc)
ADDRESS = "127.0.0.1"
PASSWORD = "s3cret"
PATH = "system" if PRIVILEGED else "session"
SETTINGS = """
listen_tcp = 1
listen_tls = 1
listen_addr = "127.0.0.1"
auth_tcp = "sasl"
auth_tls = "sasl"
ca_file = "{0}/cacert.pem"
cert_file = "{0}/servercert.pem"
key_file = "{0}/serverkey.pem"
"""
SASL = "mech_list: scram-sha-256 digest-md5\nsasldb_path: {}/passwd.db\n"
CREDENTIALS = """\
[credentials-nova]
authname=nova
password={password}
[auth-libvirt-127.0.0.1]
credentials=nova
"""


class Guarded:
    """A host with SASL on TCP, as kolla-ansible sets it up, and SASL and certificates on TLS."""

    def __init__(self, host: Hypervisor) -> None:
        self.host, self.folder = host, host.folder / "etc/libvirt"
        self._authority = trustme.CA()
        self._serve()
        host.restart()
        self.uuid = str(host.define(domains.domain()).UUIDString())

    def _serve(self) -> None:
        write_pki(self.folder, "server", self._authority, self._authority)
        with (self.folder / "libvirtd.conf").open("a") as file:
            file.write(SETTINGS.format(self.folder))
        (self.folder / "sasl").mkdir()
        (self.folder / "sasl/libvirt.conf").write_text(SASL.format(self.folder))
        command = ["saslpasswd2", "-p", "-c", "-a", "libvirt", "-u", self.host.name]
        command += ["-f", str(self.folder / "passwd.db"), "nova"]
        subprocess.run(command, input=PASSWORD, text=True, check=True)

    def credentials(self, folder: Path, password: str = PASSWORD) -> Path:
        """An auth.conf in a folder."""
        path = folder / "auth.conf"
        path.write_text(CREDENTIALS.format(password=password))
        return path

    def pki(self, folder: Path, kind: str) -> Path:
        """A folder with the CA and a client's certificate that is good, expired or foreign."""
        issuer = trustme.CA() if kind == "foreign" else self._authority
        place = folder / kind
        place.mkdir()
        write_pki(place, "client", self._authority, issuer, PAST if kind == "expired" else None)
        return place

    def show(self, uri: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `novadev device show` of the host's guest, from the host's own loopback."""
        config = self.folder / "novadev.conf"
        config.write_text(f"[DEFAULT]\nhost = cmp1\n[novadev]\nlibvirt_uri = {uri}\n")
        command = [*self.host.enter("--net"), sys.executable, "-m", "novadev"]
        command += ["--config-file", str(config), "device", "show", "-f", "json", self.uuid]
        kept = {key: text for key, text in os.environ.items() if key != "LIBVIRT_AUTH_FILE"}
        return subprocess.run(
            command,
            env={**kept, "XDG_CONFIG_HOME": str(self.folder), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )


def write_pki(
    folder: Path, role: str, trusted: trustme.CA, issuer: trustme.CA, end: datetime | None = None
) -> None:
    trusted.cert_pem.write_to_path(str(folder / "cacert.pem"))
    begin = {} if end is None else {"not_before": datetime(2019, 1, 1, tzinfo=timezone.utc)}
    pair = issuer.issue_cert(ADDRESS, not_after=end, **begin)  # type: ignore[arg-type]
    pair.private_key_pem.write_to_path(str(folder / f"{role}key.pem"))
    pair.cert_chain_pems[0].write_to_path(str(folder / f"{role}cert.pem"))


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    if reason := unsupported():
        pytest.skip(f"no namespaces for simulated hosts: {reason}")
    host = Hypervisor("cmp1")
    try:
        host.wait()
        yield Guarded(host)
    finally:
        host.stop()


@pytest.mark.slow
def test_sasl_with_credentials_from_either_place(guarded: Guarded, tmp_path: Path) -> None:
    named = guarded.credentials(tmp_path)
    uri = f"qemu+tcp://{ADDRESS}/{PATH}"
    assert "authentication failed" in refused(guarded.show(uri))
    assert guarded.show(uri, LIBVIRT_AUTH_FILE=str(named)).returncode == 0
    (tmp_path / "libvirt").mkdir()
    guarded.credentials(tmp_path / "libvirt")
    result = guarded.show(uri, XDG_CONFIG_HOME=str(tmp_path))
    assert (result.returncode, guarded.uuid in result.stdout) == (0, True)


@pytest.mark.slow
def test_a_wrong_password_is_refused_and_stays_secret(guarded: Guarded, tmp_path: Path) -> None:
    wrong = guarded.credentials(tmp_path, "wr0ng")
    uri = f"qemu+tcp://{ADDRESS}/{PATH}"
    told = refused(guarded.show(uri, LIBVIRT_AUTH_FILE=str(wrong)))
    assert "authentication failed" in told
    assert "wr0ng" not in told


@pytest.mark.slow
def test_tls_with_certificates_on_both_sides(guarded: Guarded, tmp_path: Path) -> None:
    credentials = {"LIBVIRT_AUTH_FILE": str(guarded.credentials(tmp_path))}
    told = {}
    for kind in ("good", "expired", "foreign"):
        uri = f"qemu+tls://{ADDRESS}/{PATH}?pkipath={guarded.pki(tmp_path, kind)}"
        result = guarded.show(uri, **credentials)
        told[kind] = result.stdout if kind == "good" else refused(result)
    assert guarded.uuid in told["good"]
    assert "has expired" in told["expired"]
    assert "certificate" in told["foreign"].lower()


def refused(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 8, result.stdout + result.stderr
    assert result.stderr.startswith("Error: host cmp1 could not be reached: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_an_ssh_that_dies_at_once_is_told_in_its_own_words(tmp_path: Path) -> None:
    """libvirt loses them in one opening of some forty."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho Host key verification failed. >&2\nexit 255\n")
    ssh.chmod(0o755)
    for _ in range(40):
        with pytest.raises(Unreachable, match="Host key verification failed"):
            Host("cmp1", f"qemu+ssh://root@cmp1/system?command={ssh}").list_domains()
