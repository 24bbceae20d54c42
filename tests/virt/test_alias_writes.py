"""Aliases written one after the other on a real libvirt, while another writes too."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import libvirt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from novadev.errors import NotAsNeeded, StalePlan
from novadev.virt.alias import Alias
from novadev.virt.alias_writes import AliasWriter, _differs_by_alias, can_update
from novadev.virt.domain import Domain
from novadev.virt.host import Host
from tests import domains
from tests.hypervisor import Hypervisor

SERIAL = str(UUID(int=1))
ONE, TWO = Alias("ua-1"), Alias("ua-2")
LINES = st.lists(
    st.sampled_from(["<a/>", "<b>", f"  <alias name='{ONE}'/>", f"<alias name='{TWO}'/>"])
)


@given(LINES, LINES, st.sampled_from([None, ONE, TWO]), st.sampled_from([None, ONE, TWO]))
def test_a_difference_by_an_alias(
    before: list[str], after: list[str], old: Alias | None, new: Alias | None
) -> None:
    assume(old != new)
    found = _differs_by_alias("\n".join(before), "\n".join(after), old, new)
    assert found == any(_is_at(place, before, after, old, new) for place in range(len(before) + 1))


@given(LINES, LINES, st.sampled_from([None, ONE]), st.sampled_from([None, TWO]))
def test_the_alias_that_was_written_is_recognised(
    head: list[str], tail: list[str], old: Alias | None, new: Alias | None
) -> None:
    before, after = ([*head, *_line(alias), *tail] for alias in (old, new))
    assert _differs_by_alias("\n".join(before), "\n".join(after), old, new)


def _is_at(
    place: int, before: list[str], after: list[str], old: Alias | None, new: Alias | None
) -> bool:
    gone, come = _line(old), _line(new)
    there = [line.strip() for line in before[place : place + len(gone)]]
    here = [line.strip() for line in after[place : place + len(come)]]
    rest = before[place + len(gone) :] == after[place + len(come) :]
    return before[:place] == after[:place] and (there, here) == (gone, come) and rest


def _line(alias: Alias | None) -> list[str]:
    return [] if alias is None else [f"<alias name='{alias}'/>"]


class Reader(Host):
    """A host that counts the definitions it parses, and is interrupted before it reads one."""

    parses = 0
    meanwhile: Callable[[], object] | None = None

    def parsed(self, text: str, uuid: str) -> Domain:
        """Count."""
        self.parses += 1
        return super().parsed(text, uuid)

    def read_back_text(self, uuid: str) -> str:
        """Let the other write first, once."""
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()
        return super().read_back_text(uuid)


@pytest.fixture
def host(hypervisor: Hypervisor) -> Iterator[Reader]:
    with Reader(hypervisor.name, hypervisor.uri) as host:
        yield host


@pytest.fixture
def three(hypervisor: Hypervisor) -> libvirt.virDomain:
    """A guest of three disks, as another connection has it."""
    disks = [domains.disk(f"vd{letter}", serial=SERIAL) for letter in "abc"]
    uuid = hypervisor.define(domains.domain(disks=disks)).UUIDString()
    return hypervisor.connect().lookupByUUIDString(uuid)


@pytest.mark.slow
@pytest.mark.parametrize("path", domains.samples(), ids=lambda path: path.stem)
def test_each_alias_is_read_back_and_parsed_once(
    path: Path, host: Reader, hypervisor: Hypervisor
) -> None:
    before = host.persistent(hypervisor.define(path.read_text()).UUIDString())
    labels = [device.label for device in before.devices if can_update(device)]
    for step in (1, 2):
        writer = AliasWriter(host, host.persistent(before.uuid))
        host.parses = 0
        for number, label in enumerate(labels):
            writer.write(label, Alias(f"ua-{step}-{number}"))
            assert writer.domain.device(label).alias == Alias(f"ua-{step}-{number}")
            assert host.parses == 0
        after = writer.read()
        assert host.parses == bool(labels)
        assert after.canonical == host.persistent(before.uuid).canonical
        assert after.canonical_without_aliases == before.canonical_without_aliases
        assert [after.device(label).alias for label in labels] == [
            Alias(f"ua-{step}-{number}") for number in range(len(labels))
        ]


def _changes(
    target: str, alias: str | None = None, serial: str = SERIAL
) -> Callable[[libvirt.virDomain], None]:
    text = domains.disk(target, alias=alias, serial=serial)
    return lambda other: other.updateDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_CONFIG)


@pytest.mark.slow
@pytest.mark.parametrize("when", [0, 1])
def test_what_another_writes_in_between_is_seen(
    host: Reader, three: libvirt.virDomain, when: int
) -> None:
    """A device that comes or changes is in the definition at once, for the next alias."""
    writer = AliasWriter(host, host.persistent(three.UUIDString()))
    new = domains.disk("vdd", serial=str(UUID(int=4)))

    def attach() -> None:
        three.attachDeviceFlags(new, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
        _changes("vdc", serial=str(UUID(int=3)))(three)

    for number, label in enumerate(["disk vda", "disk vdb"]):
        host.meanwhile = attach if number == when else None
        writer.write(label, Alias(f"ua-{number}"))
        assert _has_vdd(writer.domain) == (number >= when)
    writer.write("disk vdc", TWO)
    after = writer.read()
    assert after.canonical == host.persistent(after.uuid).canonical
    assert [after.device(f"disk vd{letter}").alias for letter in "abc"] == [
        Alias("ua-0"),
        Alias("ua-1"),
        TWO,
    ]
    assert "00000003</serial>" in after.text


def _has_vdd(domain: Domain) -> bool:
    return any(device.label == "disk vdd" for device in domain.devices)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("meanwhile", "error"),
    [
        (_changes("vdb", alias="ua-1"), NotAsNeeded),
        (_changes("vda", alias="ua-9"), StalePlan),
        (_changes("vda"), StalePlan),
        (_changes("vda", alias="ua-1", serial=str(UUID(int=5))), StalePlan),
        (
            lambda other: other.detachDeviceFlags(
                domains.disk("vda", source="/x"), libvirt.VIR_DOMAIN_AFFECT_CONFIG
            ),
            StalePlan,
        ),
    ],
    ids=["same-alias", "other-alias", "no-alias", "other-device", "gone"],
)
def test_another_takes_what_was_written(
    host: Reader,
    three: libvirt.virDomain,
    meanwhile: Callable[[libvirt.virDomain], object],
    error: type[Exception],
) -> None:
    writer = AliasWriter(host, host.persistent(three.UUIDString()))
    host.meanwhile = lambda: meanwhile(three)
    with pytest.raises(error):
        writer.write("disk vda", ONE)


@pytest.mark.slow
def test_another_takes_what_was_written_first(host: Reader, three: libvirt.virDomain) -> None:
    """The second alias shows that the first is gone; after the last, `read` does."""
    writer = AliasWriter(host, host.persistent(three.UUIDString()))
    writer.write("disk vda", ONE)
    host.meanwhile = lambda: _changes("vda")(three)
    with pytest.raises(StalePlan, match="disk vda"):
        writer.write("disk vdb", TWO)
