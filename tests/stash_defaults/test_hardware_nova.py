"""What Nova's own driver made a guest with is what its definition says of it."""

from collections.abc import Callable, Iterator
from typing import Any

import libvirt
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from novadev.nova.image_properties import PROPERTIES
from novadev.rules.defaults import keyboard_bus
from novadev.rules.guest import DriverRules
from novadev.stash_defaults.hardware import Hardware, hardware_of, read_hardware
from novadev.stash_defaults.observed import VALUES
from novadev.virt.devices import Input
from novadev.virt.domain import Definitions, Domain
from novadev.virt.host import Host
from tests.hypervisor import Hypervisor, Hypervisors
from tests.nova_process import NovaError, NovaProcess
from tests.rules.guests import guest
from tests.stash_defaults.guests_of_nova import DISTRIBUTIONS, UUID, Case, cases, configs

Build = Callable[[Case], dict[str, Any]]

many = settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much])


@pytest.fixture(scope="module")
def build(nova_processes: dict[str, NovaProcess]) -> Build:
    """`build(case)`: the definition and the rows; a case that Nova refuses is none."""
    if "34" not in nova_processes:
        nova_processes["34"] = NovaProcess("34")

    def ask(case: Case) -> dict[str, Any]:
        try:
            return dict(nova_processes["34"].call("guest_xml_of", **case))
        except NovaError:
            assume(False)
            raise

    return ask


@pytest.fixture(scope="module")
def hypervisor(hypervisors: Hypervisors) -> Iterator[Hypervisor]:
    yield hypervisors.take()[0]
    hypervisors.empty()


def test_the_values_are_those_of_the_properties() -> None:
    assert {k: v.values for k, v in PROPERTIES.items() if k != "hw_rescue_bus"} == VALUES


def hardware(xml: str, root: str | None) -> Hardware:
    definitions = Definitions(UUID, "guest", Domain.from_xml(xml), None, False, ())
    return hardware_of(definitions, root)


@many
@given(case=cases())
@pytest.mark.slow
def test_the_properties_a_guest_was_built_with(build: Build, case: Case) -> None:
    made = build(case)
    found = hardware(made["xml"], made["rows"][0][0])
    for name, value in case["image_properties"].items():
        if name in found.values and not is_told_by_rows_alone(name, case):
            assert found.values[name] == value, name
        elif name == "hw_scsi_model" and name in found.doubts:
            assert value in ("lsilogic", "ibmvscsi")
            assert "no disk uses the SCSI controller" in found.doubts[name]
    assert found.values["hw_rng_model"] == "virtio"
    assert set(found.doubts) <= {"hw_scsi_model", "hw_vif_model"}, "which libvirt chooses"


@many
@given(case=cases(), cpu=st.sampled_from(("x86_64", "aarch64", "ppc64le")))
@pytest.mark.slow
def test_the_keyboard_is_that_of_the_rules(build: Build, case: Case, cpu: str) -> None:
    vnc, spice = (case["config"][name]["enabled"] for name in ("vnc", "spice"))
    rules = DriverRules(virt_type="qemu", vnc_enabled=vnc, spice_enabled=spice, host_arch=cpu)
    made = Domain.from_xml(build({**case, "host_arch": cpu})["xml"])
    there = [item.bus for item in made.of_class(Input) if item.device == "keyboard"]
    expected = keyboard_bus(guest(**case["image_properties"]), rules)
    assert there == ([] if expected is None else [expected])


def is_told_by_rows_alone(name: str, case: Case) -> bool:
    """Whether each disk or cdrom has a row, which may have a bus of its own."""
    rows = case["bdms"]
    return name == "hw_disk_bus" and any(row.get("disk_bus") for row in rows)


@pytest.mark.slow
@settings(many, max_examples=300)
@given(case=cases(), other=configs(), distro=st.none() | st.sampled_from(DISTRIBUTIONS))
def test_what_is_recorded_keeps_the_guest_whatever_becomes_of_the_defaults(
    build: Build,
    hypervisor: Hypervisor,
    case: Case,
    other: dict[str, Any],
    distro: str | None,
) -> None:
    """Built again from its rows and what was recorded, on a host of another configuration.

    Another os_distro stands for a libosinfo that recommends other devices.
    """
    first = build(case)
    before = defined(hypervisor, first["xml"])
    with Host(hypervisor.name, hypervisor.uri) as host:
        found = read_hardware(host, UUID, first["rows"][0][0])
    values = recorded(found, case) | ({"os_distro": distro} if distro else {})
    second = build(again(case, first["rows"], other, values))
    assert defined(hypervisor, second["xml"]) == before, (found, first["xml"], second["xml"])


def recorded(found: Hardware, case: Case) -> dict[str, str]:
    """What is stored afterwards; a bus that would add a keyboard is left out.

    A SCSI model that no disk tells of can only stay what it was.
    """
    values = dict(found.values)
    if found.keyboard_would_appear:
        del values["hw_input_bus"]
    if "hw_scsi_model" in found.doubts:
        values["hw_scsi_model"] = case["image_properties"]["hw_scsi_model"]
    return values


def again(case: Case, rows: list[Any], other: dict[str, Any], values: dict[str, str]) -> Case:
    """The case with the rows as Nova left them; only what no property overrules stays.

    Nor can one say that there is no pointer.
    """
    columns = ("device_name", "disk_bus", "device_type")
    bdms = [
        {**bdm, **dict(zip(columns, row, strict=True))}
        for bdm, row in zip(case["bdms"], rows, strict=True)
    ]
    first = case["config"]
    kept = ["config_drive_format", *(() if "hw_pointer_model" in values else ("pointer_model",))]
    config = {**other, "DEFAULT": {**other["DEFAULT"], **{k: first["DEFAULT"][k] for k in kept}}}
    config |= {"vnc": first["vnc"], "spice": first["spice"]}
    instance = {**case["instance"], "root_device_name": rows[0][0]}
    new = {"instance": instance, "bdms": bdms, "image_properties": values, "config": config}
    return {**case, **new}


def defined(hypervisor: Hypervisor, xml: str) -> bytes:
    """The devices as libvirt keeps them, without their PCI slots and what is the host's of NICs."""
    try:
        domain = hypervisor.connection.defineXML(xml)
    except libvirt.libvirtError:
        assume(False)
        raise
    root = etree.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    devices = list(root.iterfind("devices/*"))
    for device in devices:
        for part in (*device.findall("address[@type='pci']"), *device.findall("driver")):
            if part.tag == "address" or device.tag == "interface":
                device.remove(part)
    return b"".join(sorted(etree.tostring(device, method="c14n") for device in devices))
