"""A domain's XML: what is read, and that setting aliases changes nothing else."""

import difflib
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novadev.errors import BadInput, NotAsNeeded, NotFound
from novadev.virt import xml
from novadev.virt.alias import Alias
from novadev.virt.device import Device
from novadev.virt.devices import Disk, Hostdev, Interface
from novadev.virt.domain import Domain
from tests import domains

PORT = "a3bb189e-8bf9-4c8c-9b3e-6e1f0f2f5d10"
SAMPLES = {path.stem: path.read_text() for path in domains.samples()}


def names() -> st.SearchStrategy[str]:
    alphabet = "abcXYZ019_-"
    return st.text(alphabet, max_size=40).map(lambda text: f"ua-{text}")


@st.composite
def choices(draw: st.DrawFn) -> tuple[str, Domain, dict[Device, Alias | None]]:
    text = SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))]
    domain = Domain.from_xml(text)
    chosen = draw(st.lists(st.sampled_from(domain.devices), unique=True, min_size=1))
    aliases = draw(st.lists(names(), unique=True, min_size=len(chosen), max_size=len(chosen)))
    taken = {str(device.alias) for device in domain.devices}
    values = [None if name in taken else Alias(name) for name in aliases]
    return text, domain, dict(zip(chosen, values, strict=True))


@given(choices())
@settings(deadline=None)
def test_aliases_alone_differ(case: tuple[str, Domain, dict[Device, Alias | None]]) -> None:
    text, domain, aliases = case
    written = Domain.from_xml(domain.with_aliases(aliases))
    assert domain.text == xml.serialise(xml.parse(text))
    assert written.canonical_without_aliases == domain.canonical_without_aliases
    expected = [aliases.get(device, device.alias) for device in domain.devices]
    assert [device.alias for device in written.devices] == expected
    changed = [
        line
        for line in difflib.unified_diff(domain.text.split("\n"), written.text.split("\n"), n=0)
        if line[0] in "+-" and line[:3] not in ("+++", "---")
    ]
    changed = [line for line in changed if "<alias name=" not in line]
    opened = [line for line in changed if not line.strip("+- ").startswith("</")]
    assert [line.replace("/>", ">").strip("+- ") for line in opened if line[0] == "-"] == [
        line.strip("+- ") for line in opened if line[0] == "+"
    ]


@pytest.mark.parametrize("text", SAMPLES.values(), ids=SAMPLES)
def test_samples_are_read_and_written_as_they_are(text: str) -> None:
    domain = Domain.from_xml(text)
    assert xml.canonical(domain.text) == xml.canonical(text)
    assert Domain.from_xml(domain.text).text == domain.text
    labels = [device.label for device in domain.devices]
    assert len(labels) == len(set(labels))
    assert [domain.device(label) for label in labels] == list(domain.devices)
    again = pickle.loads(pickle.dumps(domain))
    assert again.text == domain.text
    assert again.uuid == domain.uuid != ""


def test_nova_metadata() -> None:
    domain = Domain.from_xml(SAMPLES["q35-uefi-rbd"])
    assert domain.nova
    assert domain.nova.ports
    assert Domain.from_xml(SAMPLES["lun"]).nova is None
    assert Domain.from_xml("<domain><metadata><instance/></metadata></domain>").nova is None


def test_made_by_the_builder() -> None:
    text = domains.domain(
        name="instance-00000001", interfaces=[domains.interface("fa:16:3e:00:00:01", port=PORT)]
    )
    domain = Domain.from_xml(text)
    assert (domain.name, domain.is_live) == ("instance-00000001", False)
    assert domain.nova
    assert (domain.nova.name, domain.nova.flavor) == ("instance-00000001", "m1.tiny")
    assert (domain.nova.version, domain.nova.ports) == ("32.0.0", (PORT,))
    (interface,) = domain.of_class(Interface)
    assert interface.label == "interface tapa3bb189e-8b"
    assert Domain.from_xml(text.replace("<domain ", "<domain id='7' ")).is_live


def test_look_ups() -> None:
    domain = Domain.from_xml(SAMPLES["lun"])
    alias = Alias.for_uuid("701e0002-4444-4a04-8b04-0a0b0c0d0e04")
    assert domain.find_by_alias(alias) is domain.device("disk sdb")
    assert domain.find_by_alias(Alias("ua-other")) is None
    assert [disk.target for disk in domain.of_class(Disk) if disk.is_lun] == ["sda", "sdb"]
    assert domain.of_class(Hostdev) == ()
    with pytest.raises(NotFound, match="has no disk vdz"):
        domain.device("disk vdz")


def test_who_names_a_device_by_its_alias() -> None:
    domain = Domain.from_xml(
        "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><devices>"
        "<interface><teaming type='transient' persistent='ua-net'/></interface>"
        "<hostdev type='pci'><teaming type='transient' persistent='ua-other'/></hostdev></devices>"
        "<q:commandline><q:arg value='-set'/><q:arg value='device.virtio-disk0.x=1'/>"
        "</q:commandline><q:override><q:device alias='ua-root'/></q:override></domain>"
    )
    assert domain.alias_references == {"ua-net", "ua-other", "virtio-disk0", "ua-root"}
    assert Domain.from_xml(SAMPLES["extras"]).alias_references == {"ua-local"}
    assert Domain.from_xml(SAMPLES["lun"]).alias_references == frozenset()


def test_one_alias_for_two_devices_is_refused() -> None:
    domain = Domain.from_xml(SAMPLES["lun"])
    disk = domain.device("disk sda")
    with pytest.raises(NotAsNeeded, match="two devices"):
        domain.with_aliases({disk: Alias.for_uuid("701e0002-4444-4a04-8b04-0a0b0c0d0e04")})
    with pytest.raises(BadInput, match="libvirt would drop"):
        domain.with_aliases({disk: Alias("sda")})
    assert disk.alias is None


@given(choices())
@settings(deadline=None)
def test_a_device_alone_is_as_in_the_whole_definition(
    case: tuple[str, Domain, dict[Device, Alias | None]],
) -> None:
    _, domain, aliases = case
    for device, alias in aliases.items():
        whole = Domain.from_xml(domain.with_aliases({device: alias}))
        found = whole.devices[domain.devices.index(device)].copy()
        alone = domain.device_with_alias(device, alias)
        texts = [xml.serialise(view.element) for view in (alone, found)]
        assert xml.canonical(texts[0]) == xml.canonical(texts[1])
        assert (alone.element.getparent(), alone.identity) == (None, device.identity)
        assert type(alone) is type(device)


def test_a_device_alone_is_refused_what_the_whole_definition_is() -> None:
    domain = Domain.from_xml(SAMPLES["lun"])
    disk, taken = domain.device("disk sda"), Alias.for_uuid("701e0002-4444-4a04-8b04-0a0b0c0d0e04")
    with pytest.raises(NotAsNeeded, match="two devices"):
        domain.device_with_alias(disk, taken)
    with pytest.raises(BadInput, match="libvirt would drop"):
        domain.device_with_alias(disk, Alias("sda"))
    with pytest.raises(ValueError, match="is not of"):
        Domain.from_xml(SAMPLES["lun"]).device_with_alias(disk, None)
    sdb = domain.device("disk sdb")
    assert domain.device_with_alias(sdb, taken).alias == taken
    assert (disk.alias, sdb.alias) == (None, taken)


def test_namespaces_of_the_domain_are_not_sent_with_a_device() -> None:
    domain = Domain.from_xml(
        "<domain xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'><devices>"
        "<disk><target dev='vda'/></disk></devices></domain>"
    )
    alone = domain.device_with_alias(domain.devices[0], Alias("ua-1"))
    assert xml.serialise(alone.element) == ('<disk><target dev="vda"/><alias name="ua-1"/></disk>')


def test_a_console_shares_the_alias_of_its_serial_port() -> None:
    domain = Domain.from_xml(
        "<domain><devices><serial><alias name='ua-s'/></serial>"
        "<console><alias name='ua-s'/></console></devices></domain>"
    )
    assert domain.find_by_alias(Alias("ua-s")) is domain.devices[0]
    assert "ua-s" in domain.with_aliases({domain.devices[0]: Alias("ua-s")})


@pytest.mark.parametrize("text", ["<network/>", "<domain>&e;</domain>", "<!DOCTYPE d><domain/>"])
def test_what_is_no_domain(text: str) -> None:
    with pytest.raises(BadInput, match=r"^host cmp1: the XML"):
        Domain.from_xml(text, "host cmp1: the XML")


def test_a_domain_without_devices() -> None:
    domain = Domain.from_xml("<domain><name>d</name></domain>")
    assert (domain.devices, domain.uuid, domain.text) == ((), "", domain.text)
