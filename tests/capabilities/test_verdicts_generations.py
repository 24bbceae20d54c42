"""Verdicts on three generations of libvirt and QEMU, and what really happens there.

`tools/verdict_matrix.py` tries every kind of guest; here are those that were once judged wrong.
"""

from itertools import product

import libvirt
import pytest

from novadev.capabilities.facts import facts_of_domain
from novadev.capabilities.verdicts import check, worst
from novadev.virt.domain import Domain
from novadev.virt.host import Host
from tests.capabilities.kinds import (
    Kind,
    capabilities_of,
    domain_of,
    is_wrong,
    kinds,
    tried,
    with_parts,
)
from tests.hypervisor import Hypervisor
from tests.nova_process import NovaProcess

pytestmark = pytest.mark.slow

KINDS = (
    *("q35 plain", "q35 watchdog ib700", "q35 tpm tpm-tis 1.2", "q35 tpm tpm-crb 2.0"),
    *("q35 loader OVMF_CODE.fd", "q35 loader OVMF_CODE_4M.fd with a template"),
    *("q35 firmware efi", "q35 secure boot", "pc secure boot", "q35 cpu EPYC-Genoa"),
    *("q35 cpu Icelake-Client", "q35 cpu NoSuchModel", "q35 cpu host-passthrough"),
    *("q35 channel tcp", "q35 channel qemu-vdagent", "q35 input evdev", "q35 disk sd"),
    *("pc iommu virtio", "q35 panic pvpanic", "q35 500 vcpus", "q35 nic igb"),
)


DEVICES = (
    *(
        "<video><model type='vga' heads='2'/></video>",
        "<video><model type='qxl' heads='2'/></video>",
    ),
    *(
        "<video><model type='cirrus' heads='0'/></video>",
        "<graphics type='vnc' passwd='12345678'/>",
    ),
    *("<graphics type='vnc' passwd='123456789'/>", "<graphics type='spice' passwd='123456789'/>"),
    *("<graphics type='spice' tlsPort='5902'/>", "<graphics type='spice' tlsPort='-1'/>"),
    "<graphics type='spice' autoport='yes' tlsPort='5902'/>",
    "<graphics type='spice' autoport='yes' defaultMode='secure'/>",
    "<memballoon model='virtio' autodeflate='on' freePageReporting='on'/>",
    *(f"<sound model='ich6'><audio id='{number}'/></sound>" for number in (1, 7)),
    *("<audio id='1' type='none'/>", "<audio id='1' type='none'/><audio id='2' type='none'/>"),
    *(
        f"<serial type='pty'><target type='isa-serial' port='{number}'/></serial>"
        for number in (3, 4)
    ),
    "<serial type='pty'><target type='pci-serial' port='4'/></serial>",
    *(
        "<interface type='user'><mac address='fa:16:3e:00:00:02'/><model type='virtio'/>"
        f"<address {address}/></interface>"
        for address in ("type='unassigned'", "type='ccw' cssid='0xfe' ssid='0' devno='0x0005'")
    ),
    *(
        f"<controller type='scsi' index='0' model='virtio-scsi'><driver max_sectors='{number}'/>"
        "</controller>"
        for number in (-1, 512)
    ),
    *(f"<video><driver iommu='on'/><model type='{model}'/></video>" for model in ("vga", "virtio")),
)
PARTS = (
    *("<features><acpi/><hyperv mode='host-model'/></features>",),
    *("<features><acpi/><hyperv mode='custom'/></features>",),
    *(
        f"<cputune><shares>{number}</shares></cputune>"
        for number in (0, 1, 2, 10_000, 16_384, 262_145)
    ),
    *("<blkiotune><weight>500</weight></blkiotune>",),
    *(f"<resource><partition>{name}</partition></resource>" for name in ("/machine", "/x", "x")),
    *(
        f"<seclabel type='{kind}' model='{model}'/>"
        for kind in ("dynamic", "none")
        for model in ("dac", "none", "selinux", "apparmor")
    ),
    "<seclabel type='none'/>",
    "<seclabel type='static' model='dac' relabel='no'><label>nosuch:nosuch</label></seclabel>",
    "<seclabel type='dynamic' model='selinux'><label>a</label></seclabel>",
    "<launchSecurity type='sev' kernelHashes='yes'><policy>0x0007</policy></launchSecurity>",
)
"""Values and elements that not every generation takes, and neighbours that each takes."""


@pytest.fixture(scope="module")
def by_name() -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds()}


def test_the_verdict_is_what_happens(any_generation: Hypervisor, by_name: dict[str, Kind]) -> None:
    host, checked, wrong = capabilities_of(any_generation), 0, []
    for name in KINDS:
        kind = by_name[name]
        verdict, found = worst(check(kind.facts, host)), tried(any_generation, kind.xml)
        checked += verdict != "not checked"
        if is_wrong(verdict, found.outcome):
            wrong.append(f"{name}: {verdict}, but {found.outcome} {found.why}")
    assert not wrong, "\n".join(wrong)
    assert checked >= len(KINDS) - 6


def test_a_value_that_is_not_taken_everywhere(any_generation: Hypervisor) -> None:
    """Each is judged as the definition that a live migration sends, which has to be taken whole."""
    texts = {part: domain_of("q35", part) for part in DEVICES}
    texts |= {part: with_parts(domain_of("q35", ""), part) for part in PARTS}
    host, checked, wrong = capabilities_of(any_generation), 0, []
    for part, xml in texts.items():
        facts = facts_of_domain(Domain.from_xml(xml), is_carried=True)
        verdict, found = worst(check(facts, host)), tried(any_generation, xml)
        checked += verdict != "not checked"
        if is_wrong(verdict, found.outcome):
            wrong.append(f"{part}: {verdict}, but {found.outcome} {found.why}")
    assert not wrong, "\n".join(wrong)
    assert checked >= 20


def test_a_processor_of_which_nothing_may_be_extra(any_generation: Hypervisor) -> None:
    """QEMU adds ``hypervisor`` to every model, and more to some."""
    host, outcomes = capabilities_of(any_generation), set()
    features = ("hypervisor", "lahf_lm")
    for model in ("qemu64", "kvm64", "Nehalem", "EPYC"):
        for count, number in product(range(3), (1, 2)):
            named = "".join(f"<feature name='{one}' policy='require'/>" for one in features[:count])
            cores = f"<topology sockets='1' dies='1' cores='{number}' threads='1'/>"
            part = (
                f"<vcpu>{number}</vcpu><cpu mode='custom' match='exact' check='full'>"
                f"<model>{model}</model>{cores}{named}</cpu>"
            )
            xml = with_parts(domain_of("q35", ""), part)
            verdict = worst(check(facts_of_domain(Domain.from_xml(xml)), host))
            found = tried(any_generation, xml)
            outcomes.add((verdict, found.outcome))
            assert not is_wrong(verdict, found.outcome), (part, verdict, found.why)
    assert {("not checked", "fine"), ("not checked", "would not start")} <= outcomes
    assert ("would not start", "would not start") in outcomes


def test_a_quota_of_processor_time(any_generation: Hypervisor) -> None:
    """Whether it is defined; nothing here starts with a quota, for lack of a cgroup."""
    host = capabilities_of(any_generation)
    for name in ("quota", "emulator_quota", "global_quota", "iothread_quota"):
        for number in (-1, 0, 1000, 17_592_186_044_415, 17_592_186_044_416):
            part = f"<cputune><{name}>{number}</{name}></cputune>"
            xml = with_parts(domain_of("q35", ""), part)
            verdict = worst(check(facts_of_domain(Domain.from_xml(xml)), host))
            is_refused = tried(any_generation, xml).outcome == "cannot be defined"
            assert (verdict == "cannot be defined") is is_refused, (part, verdict)


def test_a_migration_sends_the_labels_of_a_libvirtd_that_was_restarted(
    any_generation: Hypervisor,
) -> None:
    """They name each driver of the host, though nobody has asked for one."""
    flags = libvirt.VIR_DOMAIN_XML_MIGRATABLE
    domain = any_generation.define(domain_of("q35", ""))
    domain.create()
    identity, before = domain.UUIDString(), domain.XMLDesc(flags)
    any_generation.restart()
    after = any_generation.connection.lookupByUUIDString(identity).XMLDesc(flags)
    assert ("<seclabel" in before, "<seclabel type='dynamic' model='dac'" in after) == (False, True)
    host = capabilities_of(any_generation)
    assert worst(check(facts_of_domain(Domain.from_xml(after), is_carried=True), host)) == "fine"
    elsewhere = Domain.from_xml(after.replace("model='dac'", "model='selinux'"))
    assert worst(check(facts_of_domain(elsewhere, is_carried=True), host)) == "would not start"


PROCESSORS = (
    *(("<cpu mode='host-model'/>", name) for name in ("bullseye", "bookworm", "trixie")),
    ("<cpu mode='custom' match='exact'><model>EPYC</model></cpu>", "trixie"),
    ("<cpu mode='custom' match='exact'><model>Nehalem</model></cpu>", "trixie"),
    ("<cpu mode='custom' match='exact'><model>Cascadelake-Server-noTSX</model></cpu>", "bookworm"),
    *(
        (
            f"<vcpu>4</vcpu><cpu mode='custom' match='exact'><model>{model}</model>"
            "<topology sockets='1' dies='1' cores='2' threads='2'/></cpu>",
            source,
        )
        for model, source in (("Nehalem", "bookworm"), ("EPYC", "trixie"))
    ),
    ("", "trixie"),
)


def test_the_processor_of_a_running_guest_goes_with_a_migration(
    generations: dict[str, Hypervisor],
) -> None:
    """The other host has to take the features that the guest runs with, as the cookie has them.

    What the files say is enough to tell for each, also for the host that the guest is on.
    """
    known = {name: capabilities_of(host) for name, host in generations.items()}
    for cpu, source in PROCESSORS:
        carried, taken = sent_by(generations[source], cpu)
        facts = facts_of_domain(carried, is_carried=True)
        verdicts = {name: worst(check(facts, host)) for name, host in known.items()}
        outcomes = {name: tried(host, taken.text).outcome for name, host in generations.items()}
        wrong = [name for name in known if is_wrong(verdicts[name], outcomes[name])]
        assert not wrong, (cpu, source, verdicts, outcomes)
        assert "not checked" not in verdicts.values(), verdicts
        assert verdicts[source] in ("fine", "deprecated"), verdicts


def sent_by(source: Hypervisor, cpu: str) -> tuple[Domain, Domain]:
    """What is judged of a guest that runs with this processor, and what the other host starts."""
    domain = source.define(with_parts(domain_of("pc-q35-5.2", ""), cpu))
    domain.create()
    carried = Host(source.name, source.uri).migratable(domain.UUIDString())
    taken, running = Domain.from_xml(carried.text), Domain.from_xml(domain.XMLDesc(0))
    source.empty()
    written, expanded = (one.root.find("cpu") for one in (taken, running))
    assert written is not None
    assert expanded is not None
    taken.root.replace(written, expanded)
    return carried, taken


@pytest.mark.parametrize("release", ["28", "34"])
def test_what_nova_writes_is_fine_on_its_own_host(
    any_generation: Hypervisor, nova_processes: dict[str, NovaProcess], release: str
) -> None:
    """Every attribute that Nova writes for each guest has been looked at."""
    nova = nova_processes.setdefault(release, NovaProcess(release))
    card = {"port": "11111111-1111-4111-8111-111111111111", "mac": "fa:16:3e:00:00:01"}
    host = capabilities_of(any_generation)
    for machine in ("pc-i440fx-5.2", "pc-q35-5.2"):
        answer = nova.call(
            "guest_xml_of",
            vifs=[card],
            image_properties={"hw_machine_type": machine},
            config={"libvirt": {"virt_type": "qemu"}},
            whole=True,
        )
        domain = any_generation.define(answer["xml"])
        text = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        domain.undefine()
        assert ("freePageReporting" in text) is (release == "34")
        found = check(facts_of_domain(Domain.from_xml(text)), host)
        wrong = [one for one in found if one.outcome not in ("fine", "deprecated")]
        assert not wrong


def test_what_a_newer_libvirt_adds_is_no_need_of_the_guest(
    generations: dict[str, Hypervisor], by_name: dict[str, Kind]
) -> None:
    """The watchdog of q35 and the sound of SPICE go with no migration, and are not judged."""
    new, old = generations["trixie"], generations["bookworm"]
    xml = by_name["q35 graphics spice"].xml.replace('"q35"', '"pc-q35-7.2"')
    assert "pc-q35-7.2" in xml
    domain = new.define(xml)
    text = domain.XMLDesc(0)
    assert "itco" in text
    assert "<audio" in text
    domain.undefine()
    for host in (new, old):
        verdicts = check(facts_of_domain(Domain.from_xml(text)), capabilities_of(host))
        assert worst(verdicts) == "fine", [one for one in verdicts if one.outcome != "fine"]
    assert tried(old, tried(new, xml).moved).outcome == "fine"
