"""Any recorded devices come back whole from our JSON, and as far as it goes from an OVF."""

import string
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novadev.records import json_file
from novadev.records.baseline import RecordedInstance
from novadev.records.device import VmDevice, VmDynamic, hash_of
from novadev.records.drift import compare
from novadev.records.file_contents import ExportedInstance
from novadev.records.import_ import plan_recorded
from novadev.records.ovf import reader, words, writer
from novadev.virt.address import Address
from novadev.virt.address_syntax import normal_text, read_address
from tests.exchange.recorded import VM, disk, pci

UUIDS = st.uuids().map(str)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\t\n\r")
).filter(lambda text: "\ufffe" not in text and "\uffff" not in text)
WORDS = st.text(string.ascii_letters + string.digits + "-_. ", min_size=1, max_size=20).map(
    lambda text: text.strip() or "x"
)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
KEYS = st.one_of(
    st.sampled_from(["bus", "model", "target", "serial", "mac", "lun_id"]),
    st.lists(NAMES.map(lambda name: f"z{name}"), min_size=1, max_size=3).map("/".join),
)


def number(highest: int) -> st.SearchStrategy[str]:
    return st.integers(0, highest).map(str)


ADDRESSES = st.one_of(
    st.just(""),
    st.fixed_dictionaries(
        {
            "type": st.just("pci"),
            "slot": st.integers(1, 31).map(lambda value: f"0x{value:02x}"),
            "bus": st.integers(0, 255).map(lambda value: f"0x{value:02x}"),
            "domain": st.just("0x0000"),
            "function": st.integers(0, 7).map(lambda value: f"0x{value:x}"),
        },
        optional={"multifunction": st.sampled_from(["on", "off"])},
    ),
    st.fixed_dictionaries(
        {"type": st.just("drive"), "unit": number(9)},
        optional={"bus": number(3), "controller": number(3), "target": number(9)},
    ),
    st.fixed_dictionaries({"type": st.just("usb"), "bus": number(3), "port": st.just("1.2")}),
    st.fixed_dictionaries({"type": st.just("virtio-serial"), "port": number(9)}),
    st.fixed_dictionaries(
        {
            "type": st.just("ccw"),
            **dict.fromkeys(("cssid", "ssid"), number(3)),
            "devno": st.just("0x0001"),
        }
    ),
    st.fixed_dictionaries(
        {"type": st.just("dimm"), "slot": number(9), "base": st.just("0x100000000")}
    ),
).map(lambda values: normal_text(Address.of(values, "").ovirt_text) if values else "")
KINDS = st.one_of(
    st.sampled_from(
        [
            ("disk", "disk"),
            ("disk", "lun"),
            ("disk", "cdrom"),
            ("disk", "floppy"),
            ("interface", "bridge"),
            ("interface", "hostdev"),
            ("video", "vga"),
            ("graphics", "vnc"),
            ("controller", "virtio-scsi"),
            ("controller", "pci"),
            ("balloon", "memballoon"),
            ("sound", "ich6"),
            ("channel", "unix"),
        ]
    ),
    st.tuples(WORDS, WORDS),
)


@st.composite
def devices(draw: st.DrawFn) -> VmDevice:
    kind, name = draw(KINDS)
    return VmDevice(
        device_id=draw(UUIDS),
        vm_id=VM,
        type=kind,
        device=name,
        address=draw(ADDRESSES),
        boot_order=draw(st.none() | st.integers(1, 2**31 - 1)),
        spec_params=draw(st.dictionaries(KEYS, TEXTS | st.integers(), max_size=4).filter(no_clash)),
        is_managed=draw(st.booleans()),
        is_plugged=draw(st.booleans()),
        is_readonly=draw(st.booleans()),
        is_optional=draw(st.booleans()),
        alias=draw(st.just("") | WORDS),
        custom_properties=draw(TEXTS),
        snapshot_id=draw(st.none() | UUIDS),
        logical_name=draw(st.none() | TEXTS.map(lambda text: text[:255])),
        host=draw(WORDS),
        label=f"{kind} {draw(WORDS)}",
    )


def no_clash(params: dict[str, object]) -> bool:
    """No key names both a value and a map."""
    return not any(one.startswith(f"{other}/") for one in params for other in params)


GUESTS = st.lists(devices(), max_size=8, unique_by=lambda item: item.device_id)
INSTANCES = st.builds(
    ExportedInstance,
    st.just(VM),
    WORDS,
    st.text("0123456789abcdef", max_size=64),
    GUESTS.map(tuple),
)
few = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(st.lists(INSTANCES, min_size=1, max_size=1))
@few
@pytest.mark.slow
def test_json_gives_back_everything(instances: list[ExportedInstance]) -> None:
    text = json_file.dumps(instances)
    assert list(json_file.loads(text, "file")) == instances
    assert json_file.dumps(json_file.loads(text, "file")) == text


def as_an_ovf_has_it(device: VmDevice) -> VmDevice:
    """What of a device an OVF can say: no runtime data, and texts for numbers."""
    kind = writer.resource_type(device)
    has_label = kind in (words.DISK, words.NIC)
    told = device.type if device.type == device.device else f"{device.type} {device.device}"
    params = {name: str(value) for name, value in device.spec_params.items()}
    return replace(
        device,
        spec_params=params,
        is_managed=kind != words.OTHER or words.is_special(device.type, device.device),
        is_optional=False,
        logical_name=None,
        host="",
        label=device.label if has_label else told,
    )


def without_hints(device: VmDevice) -> VmDevice:
    """Without what an item says of a device in its own words beside the spec params."""
    hints = ("bus", "model", "mac", "lun_id")
    rest = {name: value for name, value in device.spec_params.items() if name not in hints}
    return replace(device, spec_params=rest)


@given(INSTANCES)
@few
@pytest.mark.slow
def test_an_ovf_gives_back_the_device_part(exported: ExportedInstance) -> None:
    text = writer.dumps(exported)
    found = reader.loads(text, "file")
    assert (found.instance, found.name) == (exported.instance, exported.name)
    expected = {item.device_id: as_an_ovf_has_it(item) for item in exported.devices}
    read = {item.device_id: item for item in found.devices}
    assert {key: without_hints(item) for key, item in read.items()} == {
        key: without_hints(item) for key, item in expected.items()
    }
    for key, item in expected.items():
        assert item.spec_params.items() <= read[key].spec_params.items()


@given(INSTANCES)
@few
@pytest.mark.slow
def test_an_ovf_that_was_read_and_written_stays_as_it_is(exported: ExportedInstance) -> None:
    once = reader.loads(writer.dumps(exported), "file")
    text = writer.dumps(once)
    again = reader.loads(text, "file")
    assert {item.device_id: item for item in again.devices} == {
        item.device_id: item for item in once.devices
    }
    assert writer.dumps(again) == text


WORDS_OF_A_PLACE = {
    "{type=pci, slot=0x08, bus=0x00, domain=0x0000}": pci(8),
    "{type=pci, slot=8, bus=0}": pci(8),
    "{type=drive, unit=0x1}": "{type=drive, bus=0, controller=0, target=0, unit=1}",
    "{unit=01, bus=0}": "{type=drive, bus=0, controller=0, target=0, unit=1}",
    "{type=usb, port=01.0x2}": "{type=usb, bus=0, port=1.2}",
    "{type=virtio-serial, port=1}": "{type=virtio-serial, bus=0, controller=0, port=1}",
}


@pytest.mark.parametrize("text", WORDS_OF_A_PLACE)
@pytest.mark.slow
def test_a_place_in_other_words_is_the_same_place(text: str) -> None:
    """What is stored is libvirt's own text; what an earlier release stored is no drift."""
    libvirts = WORDS_OF_A_PLACE[text]
    assert read_address(text, "it") == libvirts
    old, new = (disk("vda", address) for address in (text, libvirts))
    assert hash_of([old]) == hash_of([new])
    assert list(compare([old], [new])) == []
    if "pci" in text:
        target = RecordedInstance(VM, "web-1", "", VmDynamic(VM, "", "", "cmp1"), (old,))
        assert plan_recorded(ExportedInstance(VM, "", "", (new,)), target).changes == ()


@given(ADDRESSES, st.randoms(use_true_random=False), st.sampled_from(["", " ", "  "]))
@few
@pytest.mark.slow
def test_an_address_is_read_in_any_order_with_any_blanks(
    address: str, random: object, blank: str
) -> None:
    parts = address[1:-1].split(", ") if address else []
    random.shuffle(parts)  # type: ignore[attr-defined]
    text = (
        "{" + f",{blank}{blank}".join(part.replace("=", f"{blank}={blank}") for part in parts) + "}"
    )
    assert read_address(text, "it") == address
    assert read_address(f" {text} ", "it") == address
