"""After every change that novadev makes, until Nova builds the guest again: what is said is true.

Rows then describe the next definition, and the host has the one before. Guests of Nova's own driver
are changed, undone and changed again. No device of theirs may become an orphan, no attachment a
ghost, and what is forecast is what Nova builds then.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import libvirt
import pytest

from tests.cloud import Cloud
from tests.command import novadev
from tests.device.bed import reach
from tests.forecast import drifting, judging
from tests.forecast.drifting import Guest
from tests.hypervisor import Hypervisor
from tests.nova_process import NovaProcess

pytestmark = pytest.mark.slow

HOSTS, GUESTS, SHOWN = 2, 10, 2
SEED = 13
INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
CHANGES = (
    (
        "image-property",
        "set",
        "--property=hw_disk_bus=scsi",
        "--property=hw_scsi_model=virtio-scsi",
    ),
    ("image-property", "set", "--property=hw_cdrom_bus=scsi", "--property=hw_disk_bus=sata"),
    ("machine-type", "set", "q35"),
    ("machine-type", "set", "pc"),
)


class Fleet:
    """Guests that Nova built, shut off on one host that Nova knows by many names."""

    def __init__(self, cloud: Cloud, hypervisor: Hypervisor, nova: NovaProcess) -> None:
        self.cloud, self.hypervisor, self.nova = cloud, hypervisor, nova
        folder = cloud.folder / "hosts"
        folder.mkdir()
        reach(cloud, [hypervisor], timeout=30)
        with cloud.config_file.open("a") as file:
            file.write(f"compute_config_dir = {folder}\n")
        random = Random(SEED)
        self.guests: list[Guest] = []
        self.before: dict[str, str] = {}
        for number in range(HOSTS):
            link = cloud.folder / f"cmp{number}.sock"
            link.unlink(missing_ok=True)
            link.symlink_to(hypervisor.uri.partition("socket=")[2])
            settings = drifting.config(random)
            (folder / f"cmp{number}.conf").write_text(drifting.as_text(settings))
            numbers = range(number * GUESTS, (number + 1) * GUESTS)
            self._fill(f"cmp{number}", [drifting.guest(random, n, settings) for n in numbers])

    def _fill(self, host: str, made: Sequence[Guest]) -> None:
        for guest, built in zip(made, self._built(made), strict=True):
            text = self.define(built)
            if text:
                drifting.name_rows(guest, built["rows"])
                drifting.place(guest, self.cloud, host)
                self.guests.append(guest)
                self.before[guest.uuid] = text

    def _built(self, guests: Sequence[Guest]) -> list[dict[str, Any]]:
        return list(self.nova.call("guest_xml_many", cases=[guest.case for guest in guests]))

    def define(self, built: dict[str, Any]) -> str:
        """Define what Nova built; nothing where Nova or libvirt refuses."""
        if "xml" not in built:
            return ""
        try:
            return str(self.hypervisor.connection.defineXML(built["xml"]).XMLDesc(INACTIVE))
        except libvirt.libvirtError:
            return ""

    def happens(self) -> Iterator[tuple[Guest, str]]:
        """Yield what becomes of each guest that Nova builds again; all is as before after it."""
        for guest in self.guests:
            drifting.look_again(guest, self.cloud)
        for guest, built in zip(self.guests, self._built(self.guests), strict=True):
            self.hypervisor.connection.lookupByUUIDString(guest.uuid).undefine()
            after = self.define(built)
            self.hypervisor.connection.defineXML(self.before[guest.uuid])
            if after:
                yield guest, after


@pytest.fixture
def fleet(
    sqlite_cloud: Cloud, hypervisor: Hypervisor, nova: Callable[[Cloud], NovaProcess]
) -> Fleet:
    return Fleet(sqlite_cloud, hypervisor, nova(sqlite_cloud))


def test_what_is_said_of_changed_guests_is_true(fleet: Fleet) -> None:
    assert_true(fleet, ("nothing",))
    changed = Counter[str]()
    for command in CHANGES:
        result = novadev(fleet.cloud, *command, "--all", "--yes", "-f", "json")
        assert result.code == 0, result.err
        changed[" ".join(command)] = len(result.json["plans"])
        assert_true(fleet, command)
        assert novadev(fleet.cloud, "undo", str(result.json["run"]), "--yes").code == 0
        assert_true(fleet, ("undo", *command))
    assert min(changed.values()) > 5, changed


def assert_true(fleet: Fleet, command: tuple[str, ...]) -> None:
    """Audit, show and forecast after COMMAND."""
    audit = novadev(
        fleet.cloud, "audit", "--all", "-f", "json", "--check", "ghost", "--check", "orphan"
    )
    assert [(item["check"], item["details"]) for item in audit.json] == [], command
    for guest in fleet.guests[:SHOWN]:
        shown = novadev(fleet.cloud, "device", "show", guest.uuid)
        assert (shown.code, "detach" in shown.out) == (0, False), (command, shown.out)
        assert "no device" not in shown.out, (command, shown.out)
    told = forecast(fleet)
    for guest, after in fleet.happens():
        before = fleet.before[guest.uuid]
        real = {
            (kind, *change)
            for (kind, _), *change in judging.changes(before, after)
            if kind in ("disk", "interface")
        }
        assert told[guest.uuid] == real, (command, guest.uuid)


def forecast(fleet: Fleet) -> dict[str, set[tuple[str, ...]]]:
    """What is forecast of the disks and interfaces of each guest."""
    result = novadev(fleet.cloud, "device", "forecast", "--all", "-f", "json")
    found: dict[str, set[tuple[str, ...]]] = {guest.uuid: set() for guest in fleet.guests}
    for record in result.json:
        kind = record["label"].partition(" ")[0]
        values = judging.present(record["field"], record["now"], record["after"])
        if kind in ("disk", "interface"):
            found[record["instance"]].add((kind, record["field"], *values))
    return found
