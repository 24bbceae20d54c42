"""Pairs of devices: of definitions made up, and of guests that run."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novadev.virt.domain import Domain
from novadev.virt.host import Host
from novadev.virt.pairing import pair
from tests import domains
from tests.hypervisor import PRIVILEGED, Hypervisor

VOLUME = "0f8fad5b-d9cb-469f-a165-70867728950e"
MAC = "fa:16:3e:00:00:01"
NAMES = ("a", "b")
SLOTS = (None, "1", "2", "3")


def made_of(*devices: str) -> Domain:
    return Domain.from_xml(f"<domain><devices>{''.join(devices)}</devices></domain>")


def shown(persistent: Domain | None, live: Domain | None) -> list[list[str | None]]:
    """Pairs by what each device has as comment."""
    return [
        [device.element.get("what") if device else None for device in both]
        for both in pair(persistent, live)
    ]


def nic(what: str, slot: str | None = None, mac: str = MAC, target: str = "") -> str:
    inside = f"<mac address='{mac}'/>"
    inside += f"<target dev='{target}'/>" if target else ""
    inside += f"<address type='pci' slot='{slot}'/>" if slot else ""
    return f"<interface type='bridge' what='{what}'>{inside}</interface>"


def rng(what: str, slot: str | None = None) -> str:
    address = f"<address type='pci' slot='{slot}'/>" if slot else ""
    return f"<rng model='virtio' what='{what}'>{address}</rng>"


def test_an_interface_is_told_by_its_mac() -> None:
    live = made_of(nic("1 live", "3", target="vnet0"), nic("2 live", "4", mac="m", target="vnet1"))
    assert shown(made_of(nic("2", mac="m"), nic("1")), live) == [["2", "2 live"], ["1", "1 live"]]


def test_interfaces_of_one_mac_are_told_by_their_address() -> None:
    live = made_of(nic("1 live", "3"), nic("2 live", "4"))
    assert shown(made_of(nic("2", "4"), nic("1", "3")), live) == [["2", "2 live"], ["1", "1 live"]]


def test_those_without_an_equal_address_follow_in_order() -> None:
    live = made_of(rng("1 live", "1"), rng("2 live", "2"), rng("3 live", "3"), rng("4 live", "4"))
    assert shown(made_of(rng("1"), rng("2", "9"), rng("3", "1")), live) == [
        ["1", "2 live"],
        ["2", "3 live"],
        ["3", "1 live"],
        [None, "4 live"],
    ]


def test_another_tag_or_identity_is_another_device() -> None:
    one, other = domains.disk("vda"), domains.disk("vdb")
    pairs = pair(made_of(one, nic("1")), made_of(other))
    assert [(bool(ours), bool(theirs)) for ours, theirs in pairs] == [
        (True, False),
        (True, False),
        (False, True),
    ]


def test_a_disk_is_told_by_its_serial_or_file_before_its_target() -> None:
    """Another volume at the same target is another disk; the same one may have another target."""
    own, other = (f"{domains.IMAGES}/{VOLUME}/{name}" for name in ("disk.eph0", "disk.swap"))
    first, second = VOLUME, VOLUME.replace("0", "1")
    for one, two in (({"serial": first}, {"serial": second}), ({"source": own}, {"source": other})):
        b, c = domains.disk("vdb", **one), domains.disk("vdc", **two)
        swapped = domains.disk("vdb", **two), domains.disk("vdc", **one)
        assert [
            (ours.element.find("target").get("dev"), theirs.element.find("target").get("dev"))
            for ours, theirs in pair(made_of(b, c), made_of(*swapped))
        ] == [("vdb", "vdc"), ("vdc", "vdb")]
        alone = pair(made_of(b), made_of(swapped[0]))
        assert [(bool(ours), bool(theirs)) for ours, theirs in alone] == [
            (True, False),
            (False, True),
        ]


def test_a_disk_of_one_source_is_one_whatever_its_serial() -> None:
    source = f"{domains.IMAGES}/x"
    given, lacking = (domains.disk("vdb", serial=text, source=source) for text in (VOLUME, None))
    other = domains.disk("vdb", serial="another", source=source)
    for live in (other, lacking):
        ((ours, theirs),) = pair(made_of(given), made_of(live))
        assert ours
        assert theirs


def test_a_usb_device_found_by_vendor_and_product() -> None:
    text = "<hostdev type='usb' what='{}'><source><vendor id='1'/><product id='2'/>{}</source>"
    text += "</hostdev>"
    live = text.format("1 live", "<address bus='1' device='4'/>")
    assert shown(made_of(text.format("1", "")), made_of(live)) == [["1", "1 live"]]


def test_a_console_is_paired_with_a_console() -> None:
    text = "<serial><target port='0'/></serial><console><target type='serial' port='0'/></console>"
    domain = made_of(text)
    assert pair(domain, made_of(text.replace("<console>", "<console tty='/dev/pts/1'>")))[1][1]
    assert [ours.type for ours, theirs in pair(domain, domain) if ours is theirs and ours] == [
        "serial",
        "console",
    ]


def test_one_definition_alone() -> None:
    domain = made_of(nic("1"))
    assert shown(domain, None) == [["1", None]]
    assert shown(None, domain) == [[None, "1"]]
    assert pair(None, None) == []


def definitions() -> st.SearchStrategy[Domain]:
    place = st.sampled_from(SLOTS)
    nics = st.builds(nic, st.just(""), place, st.sampled_from(NAMES))
    return st.lists(st.one_of(nics, st.builds(rng, st.just(""), place)), max_size=8).map(
        lambda devices: made_of(*devices)
    )


@given(st.one_of(st.none(), definitions()), st.one_of(st.none(), definitions()))
@settings(deadline=None)
def test_every_device_once(persistent: Domain | None, live: Domain | None) -> None:
    pairs = pair(persistent, live)
    assert [ours for ours, _ in pairs if ours] == list(persistent.devices if persistent else ())
    theirs = [device for _, device in pairs if device]
    assert len(theirs) == len(set(theirs))
    assert set(theirs) == set(live.devices if live else ())
    assert all(ours or device for ours, device in pairs)
    for ours, device in pairs:
        if ours and device:
            assert (type(ours), ours.identity) == (type(device), device.identity)
    left = [{(d.type, d.identity) for d in side if d} for side in alone(pairs)]
    assert not left[0] & left[1]
    for ours, device in pairs:
        places = {d.address for d in theirs if ours and d.identity == ours.identity}
        if ours and device and ours.address and ours.address in places - {device.address}:
            taken = [o for o, d in pairs if o and d and d.address == ours.address]
            assert any((o.type, o.identity) == (ours.type, ours.identity) for o in taken)


def alone(pairs: list) -> tuple[list, list]:  # type: ignore[type-arg]
    return [o for o, d in pairs if d is None], [d for o, d in pairs if o is None]


@given(definitions())
@settings(deadline=None)
def test_a_definition_with_itself(domain: Domain) -> None:
    again = Domain.from_xml(domain.text)
    where = {device: place for place, device in enumerate(again.devices)}
    addresses = [(ours.address, theirs.address) for ours, theirs in pair(domain, again)]  # type: ignore[union-attr]
    assert all(one == other for one, other in addresses)
    assert sorted(where[theirs] for _, theirs in pair(domain, again) if theirs) == list(
        range(len(where))
    )


def running() -> list[str]:
    """Guests that start anywhere: of both machine types, with devices of many kinds."""
    disks = [domains.disk("vda"), domains.disk("vdb", serial=VOLUME), domains.disk("sda", "usb")]
    kind = "ovs" if PRIVILEGED else "user"
    nics = [domains.interface(f"fa:16:3e:00:00:0{number}", kind=kind) for number in range(3)]
    others = [
        *("<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>",) * 2,
        "<serial type='pty'/>",
        "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>",
        "<interface type='user'><mac address='fa:16:3e:00:00:09'/></interface>",
        "<input type='tablet' bus='usb'/>",
    ]
    return [
        domains.domain(machine=machine, disks=disks, interfaces=nics, devices=others)
        for machine in ("pc", "q35")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1], ids=["pc", "q35"])
def test_a_guest_that_runs(hypervisor: Hypervisor, number: int) -> None:
    check(hypervisor, running()[number])


@pytest.mark.slow
@pytest.mark.skipif(not PRIVILEGED, reason="its interface needs a bridge")
def test_the_sample_with_everything(hypervisor: Hypervisor) -> None:
    (path,) = [path for path in domains.samples() if path.stem == "extras"]
    check(hypervisor, path.read_text())


def check(hypervisor: Hypervisor, text: str) -> None:
    uuid = hypervisor.define(text).UUIDString()
    hypervisor.start(uuid)
    with Host(hypervisor.name, hypervisor.uri) as host:
        found = host.definitions(uuid)
    assert found.persistent
    assert found.live
    pairs = pair(found.persistent, found.live)
    assert [(ours, theirs) for ours, theirs in pairs if not (ours and theirs)] == []
    assert len(pairs) == len(found.persistent.devices) == len(found.live.devices)
    for ours, theirs in pairs:
        assert ours
        assert theirs
        assert (ours.type, ours.address) == (theirs.type, theirs.address)
