"""A guest that does not start with what is kept starts with what Nova wrote."""

import time
from typing import Any

import libvirt
import pytest

from novadev.compute import driver_wrapper
from tests import domains
from tests.compute.test_disturbed import Answering
from tests.compute.test_keeper import Log, broken_connection
from tests.hypervisor import Hypervisor

UUID = "11111111-2222-3333-4444-555555555555"
OWN, KEPT = "<own/>", "<own/><kept/>"


class Launching:
    """A wrapper, and what libvirt was given and started; a start with the text BAD fails."""

    def __init__(self, bad: str = KEPT, error: type[Exception] = RuntimeError) -> None:
        self.log = Log()
        self.keeper = Answering([], self.log)
        self.wrapper = driver_wrapper.Wrapper(self.keeper, self.log, lambda: "cmp7")
        self.given: list[str] = []
        self.bad, self.error = bad, error

    def define(self, text: str) -> None:
        self.wrapper.define(lambda _, xml: self.given.append(xml), None, text)

    def start(self) -> str:
        def start() -> str:
            if self.bad in self.given[-1]:
                raise self.error(f"QEMU ends with {self.given[-1]}")
            return self.given[-1]

        return str(self.wrapper.launch(start, UUID))

    def keep(self) -> None:
        self.define(self.wrapper.kept(OWN, UUID, None))


def test_it_starts_as_nova_wrote_it_and_is_owed_what_was_kept() -> None:
    made = Launching()
    made.keep()
    assert made.start() == OWN
    assert made.given == [KEPT, OWN]
    assert [guest[0] for guest in made.keeper.lost] == [UUID]
    assert made.keeper.missed[("passed", "refused")] == 1
    assert any(UUID in line and "does not start" in line for line in made.log)


def test_one_that_starts_with_neither_has_the_error_of_novas_own() -> None:
    made = Launching(bad="<own/>")
    made.keep()
    with pytest.raises(RuntimeError, match=f"ends with {OWN}$"):
        made.start()
    assert made.given == [KEPT, OWN]


def test_a_guest_of_which_nothing_is_kept_is_started_once() -> None:
    made = Launching(bad="<own/>")
    made.define(OWN)
    with pytest.raises(RuntimeError):
        made.start()
    assert made.given == [OWN]


def test_a_connection_that_breaks_says_nothing_of_the_guest() -> None:
    made = Launching(error=lambda _: broken_connection())  # type: ignore[arg-type]
    made.keep()
    with pytest.raises(libvirt.libvirtError):
        made.start()
    assert made.given == [KEPT]
    assert made.keeper.lost == []


def test_a_start_long_after_the_definition_is_novas_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume may have been attached since: Nova's text of then would lose it."""
    made = Launching()
    made.keep()
    later = time.monotonic() + driver_wrapper.STARTED + 1
    monkeypatch.setattr(driver_wrapper.time, "monotonic", lambda: later)
    with pytest.raises(RuntimeError, match="kept"):
        made.start()
    assert made.given == [KEPT]


def test_a_start_counts_for_the_definition_before_it_alone() -> None:
    made = Launching(bad="never")
    made.keep()
    assert made.start() == KEPT
    made.bad = KEPT
    with pytest.raises(RuntimeError):
        made.start()
    assert made.given == [KEPT]


def test_novas_own_that_libvirt_no_longer_takes_leaves_the_first_error() -> None:
    made = Launching()
    given: list[str] = []

    def define(_: Any, text: str) -> None:
        given.append(text)
        if len(given) > 1:
            raise ValueError("no room")

    made.wrapper.define(define, None, made.wrapper.kept(OWN, UUID, None))
    made.given = given
    with pytest.raises(RuntimeError, match="kept"):
        made.start()


@pytest.mark.slow
def test_on_libvirt_that_takes_what_qemu_does_not(hypervisor: Hypervisor) -> None:
    """A card at a USB address: libvirt defines it, and QEMU ends."""
    card = "<interface type='user'><model type='e1000'/>{}</interface>"
    usb = "<controller type='usb' index='0' model='piix3-uhci'/>"
    own, kept = (
        domains.domain(UUID, devices=[usb, card.format(place)])
        for place in ("", "<address type='usb' bus='0' port='1'/>")
    )
    made = Launching()
    made.wrapper._own[kept] = own, UUID
    connection = hypervisor.connection
    domain = made.wrapper.define(lambda _, text: connection.defineXML(text), None, kept)
    try:
        with pytest.raises(libvirt.libvirtError):
            domain.create()
        made.wrapper.launch(domain.create, UUID)
        assert domain.isActive()
        assert "<address type='usb' bus='0' port='1'/>" not in domain.XMLDesc()
    finally:
        domain.destroy()
        domain.undefine()
