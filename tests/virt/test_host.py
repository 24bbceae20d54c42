"""A host on libvirt's own test driver."""

import logging
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from novadev.errors import BadInput, NotAsNeeded, NotFound, StalePlan, Unreachable
from novadev.virt import events, writes
from novadev.virt.alias import Alias
from novadev.virt.devices import Disk
from novadev.virt.domain import Domain
from novadev.virt.host import Host
from tests import domains
from tests.virt.writing import update_alias

UUID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
MISSING = "00000000-0000-4000-8000-000000000000"
VOLUME = "0f8fad5b-d9cb-469f-a165-70867728950e"
NODE = """<node><cpu><mhz>6000</mhz><model>x</model><active>2</active><nodes>1</nodes>
<sockets>1</sockets><cores>2</cores><threads>1</threads></cpu><memory>8000000</memory></node>"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """cmp1, where one domain is defined."""
    node = tmp_path / "node.xml"
    node.write_text(NODE)
    with Host("cmp1", f"test://{node}") as host:
        host.connection.defineXML(as_test(domains.domain(UUID, disks=[domains.disk("vda")])))
        yield host


def as_test(text: str) -> str:
    return text.replace('type="qemu"', 'type="test"', 1)


def test_lists_domains(host: Host) -> None:
    (found,) = host.list_domains()
    assert (found.uuid, found.name, found.is_active) == (UUID, "instance-7c9e6679", False)


def test_reads_definitions(host: Host) -> None:
    found = host.definitions(UUID)
    assert found.persistent
    assert found.persistent.uuid == UUID
    assert (found.live, found.is_active, found.is_persistent) == (None, False, True)
    assert (found.has_managed_save, found.jobs, found.name) == (False, (), "instance-7c9e6679")
    assert (host.live(UUID), host.persistent(UUID).text) == (None, found.persistent.text)


def test_keeps_a_password(host: Host) -> None:
    text = domains.domain(MISSING, name="secret", graphics_password="s3cret")
    host.connection.defineXML(as_test(text))
    assert "s3cret" in host.persistent(MISSING).text


def test_a_running_and_a_transient_domain(host: Host) -> None:
    handle = host.handle(UUID)
    handle.create()
    found = host.definitions(UUID)
    assert found.live
    assert found.live.is_live
    assert found.is_active
    handle.undefine()
    assert host.definitions(UUID).persistent is None
    with pytest.raises(NotAsNeeded, match="is transient"):
        host.persistent(UUID)


@pytest.mark.parametrize("method", ["handle", "persistent", "live", "definitions"])
def test_no_such_domain(host: Host, method: str) -> None:
    with pytest.raises(NotFound, match=rf"^host cmp1: domain {MISSING}: ") as caught:
        getattr(host, method)(MISSING)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "uri", ["qemu+unix:///system?socket=/nowhere/socket", "nothing:///x", "qemu+what://x/system"]
)
def test_unreachable(uri: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unreachable, match=r"^host cmp9 could not be reached: ") as caught:
        Host("cmp9", uri).list_domains()
    assert caught.value.exit_code == 8
    assert capfd.readouterr().err == ""


def test_libvirts_chatter_goes_to_the_log(
    host: Host, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    libvirt.registerErrorHandler(events.log_error, None)  # other tests put theirs in its place
    with pytest.raises(NotFound):
        host.handle(MISSING)
    assert capfd.readouterr().err == ""
    assert "libvirt: " in caplog.text


def test_opened_again_after_a_loss(host: Host) -> None:
    host.connection.close()
    assert not host.is_alive()
    host.close()
    host.close()
    assert host.list_domains() == ()


def test_redefines(host: Host) -> None:
    before = host.persistent(UUID)
    disk = before.device("disk vda")
    after = writes.redefine(host, before, before.with_aliases({disk: Alias.for_uuid(VOLUME)}))
    assert after.device("disk vda").alias == Alias.for_uuid(VOLUME)
    assert after.canonical_without_aliases == before.canonical_without_aliases
    again = host.persistent(UUID)
    assert again.canonical == after.canonical
    back = writes.redefine(host, again, again.with_aliases({again.device("disk vda"): None}))
    assert back.canonical == before.canonical


def test_a_stale_definition_is_not_written(host: Host) -> None:
    before = host.persistent(UUID)
    text = before.with_aliases({before.device("disk vda"): Alias("ua-1")})
    host.connection.defineXML(
        before.text.replace("<vcpu>1<", "<vcpu>2<").replace(">1</vcpu", ">2</vcpu")
    )
    changed = host.persistent(UUID).canonical
    with pytest.raises(StalePlan, match="has changed"):
        writes.redefine(host, before, text)
    assert host.persistent(UUID).canonical == changed


def test_what_libvirt_does_not_keep_is_told(host: Host) -> None:
    before = host.persistent(UUID)
    text = before.with_aliases({before.device("disk vda"): Alias("ua-1")}).replace("ua-1", "a.b")
    with pytest.raises(StalePlan, match="does not have what was written"):
        writes.redefine(host, before, text)


def test_what_libvirt_refuses(host: Host) -> None:
    before = host.persistent(UUID)
    with pytest.raises(NotAsNeeded):
        writes.redefine(host, before, before.text.replace('bus="virtio"', 'bus="nonsense"'))


def test_a_domain_undefined_before_is_not_found(host: Host) -> None:
    before = host.persistent(UUID)
    host.handle(UUID).undefine()
    with pytest.raises(NotFound):
        writes.redefine(host, before, before.text)
    assert host.list_domains() == ()


@pytest.mark.slow
def test_a_domain_undefined_meanwhile_stays_undefined(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other writer comes in right after the comparison."""
    before = host.persistent(UUID)
    define = host.connection.defineXML

    class Meanwhile:
        def __getattr__(self, name: str) -> object:
            return getattr(connection, name)

        def defineXML(self, text: str) -> object:
            connection.lookupByUUIDString(UUID).undefine()
            return define(text)

    connection = host.connection
    monkeypatch.setattr(Host, "connection", Meanwhile())
    with pytest.raises(StalePlan, match="undefined meanwhile"):
        writes.redefine(host, before, before.text)
    assert host.list_domains() == ()


def test_the_test_driver_updates_no_device(host: Host) -> None:
    domain = host.persistent(UUID)
    with pytest.raises(NotAsNeeded, match="not supported"):
        update_alias(host, domain, domain.device("disk vda"), Alias("ua-1"))


def test_a_bad_alias_is_refused_before_libvirt_is_asked(host: Host) -> None:
    domain = host.persistent(UUID)
    with pytest.raises(BadInput, match="libvirt would drop"):
        update_alias(host, domain, domain.of_class(Disk)[0], Alias("ua-a.b"))


def test_an_entity_in_a_definition(host: Host) -> None:
    with pytest.raises(BadInput, match=f"^host cmp1: the XML of domain {UUID} cannot be parsed"):
        host.parsed("<domain><metadata>&e;</metadata></domain>", UUID)


def test_repr_shows_no_xml(host: Host) -> None:
    assert repr(host.persistent(UUID)) == f"Domain('instance-7c9e6679', '{UUID}')"
    assert isinstance(host.persistent(UUID), Domain)
