"""Whether an interface is an orphan where Nova's info cache names no port."""

from uuid import uuid4

import pytest

from novadev.audit.guest import _CHECKS
from novadev.device.orphans import why_no_orphan
from novadev.nova.attachments import Attachments
from tests import domains
from tests.device.attached import entry, inventory, port

P, Q = str(uuid4()), str(uuid4())
CARD = domains.interface("fa:16:3e:00:00:01", port=P, kind="bridge")
EMPTY = Attachments()
FILLED = Attachments(ports=(port(Q, "fa:16:3e:00:00:02"),))
UNREAD = Attachments(cache_fault="its network info cache cannot be read")


@pytest.mark.parametrize(
    ("attached", "metadata", "is_orphan"),
    [
        (EMPTY, {"ports": ()}, True),
        (EMPTY, {"ports": (P,)}, False),
        (EMPTY, {"metadata": False}, False),
        (UNREAD, {"ports": ()}, False),
        (UNREAD, {"metadata": False}, False),
    ],
)
def test_an_interface_beside_a_cache_that_names_no_port(
    attached: Attachments, metadata: dict[str, object], is_orphan: bool
) -> None:
    text = domains.domain(disks=[domains.disk()], interfaces=[CARD], **metadata)  # type: ignore[arg-type]
    found = inventory(text, attached)
    card = entry(found, f"interface tap{P[:11]}")
    reason = why_no_orphan(card, found)
    assert (reason is None) == is_orphan
    (trouble,) = (item for item in _CHECKS["orphan"](found) if card.label in item.details)
    assert ("it is not known whether Nova has a port" in trouble.details) != is_orphan


def test_metadata_of_a_nova_that_wrote_no_ports_say_nothing() -> None:
    text = domains.domain(interfaces=[CARD], ports=())
    assert "<nova:ports/>" in text
    text = text.replace("<nova:ports/>", "")
    found = inventory(text, EMPTY)
    assert why_no_orphan(entry(found, f"interface tap{P[:11]}"), found) == (
        "it may belong to a port: its network info cache is empty"
    )


def test_a_cache_with_other_ports_and_disks_are_no_reason() -> None:
    text = domains.domain(disks=[domains.disk(serial=Q)], interfaces=[CARD], ports=())
    found = inventory(text, FILLED)
    assert "info cache" not in str(why_no_orphan(entry(found, f"interface tap{P[:11]}"), found))
    bare = inventory(text, UNREAD)
    assert "info cache" not in str(why_no_orphan(entry(bare, "disk vda"), bare))
