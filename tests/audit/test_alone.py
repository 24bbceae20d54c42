"""``not-stashed`` alone and within a whole audit: they agree, or what was not read is said."""

from collections import defaultdict
from typing import Any

import pytest

from novadev.audit.stashing import INPUT
from tests import domains
from tests.audit.auditing import audit
from tests.audit.test_hosts import OBSERVED
from tests.audit.test_remedies import fill, site
from tests.command import novadev
from tests.device.site import Site

__all__ = ["site"]
pytestmark = pytest.mark.slow

Findings = dict[str, set[tuple[str, str | None]]]
UNREAD = ("; what the guest has was not read", "the guest may have it")


def _add(site: Site, number: int, name: str, *more: str, **stored: Any) -> str:
    """A guest with a network card; INPUT devices as libvirt gives them, and MORE."""
    card = domains.interface(f"fa:16:3e:00:01:{number:02x}", kind="bridge")
    disks = [domains.disk("vda")]
    return site.add(
        domains.domain(disks=disks, interfaces=[card], devices=more), name=name, **stored
    )


def _take_out(site: Site, uuid: str, name: str) -> None:
    assert (
        novadev(site.cloud, "image-property", "unset", "--yes", "--property", name, uuid).code == 0
    )


def _fill(site: Site) -> None:
    """The sample cloud, a guest without each property, and what runs have taken out."""
    fill(site)
    for number, left_out in enumerate(OBSERVED):
        stored = {name: value for name, value in OBSERVED.items() if name != left_out}
        _add(site, number, f"without-{left_out}", **stored)
    tablet = "<input type='tablet' bus='usb'/>"
    stored = {name: value for name, value in OBSERVED.items() if name != "hw_pointer_model"}
    _add(site, 20, "tablet", tablet, **stored)
    for number, model in enumerate(("virtio", "e1000"), 30):
        uuid = _add(site, number, f"took-{model}-out", **{**OBSERVED, "hw_vif_model": model})
        _take_out(site, uuid, "hw_vif_model")
    uuid = _add(site, 32, "took-cirrus-out", **OBSERVED)
    _take_out(site, uuid, "hw_video_model")
    site.cloud.add_instance(name="no-domain")
    site.cloud.add_instance(name="shelved", vm_state="shelved_offloaded", host=None)


def _found(items: list[dict[str, Any]]) -> Findings:
    found: Findings = defaultdict(set)
    for item in items:
        if item["check"] == "not-stashed":
            found[item["name"]].add((item["details"], item["remedy"]))
    return found


def test_they_agree_or_what_was_not_read_is_said(site: Site) -> None:
    _fill(site)
    alone = _found(audit(site.cloud, "--all", "--check", "not-stashed"))
    whole = _found(audit(site.cloud, "--all", code=3))
    assert set(alone) <= set(whole)
    for name in set(whole) - set(alone):
        ((details, _),) = whole[name]
        assert INPUT.issuperset(details.split(" is ")[0].split(" are ")[0].split(", "))
    differs = {name for name in alone if alone[name] != whole[name]}
    for name in differs:
        assert all(any(text in details for text in UNREAD) for details, _ in alone[name])
    assert {"took-e1000-out", "no-domain"} <= differs
    assert "shelved" not in differs, "it has no guest that could be read"
    assert alone["took-virtio-out"] != set()
    assert not any("took" in details for details, _ in alone["took-virtio-out"]), "a default"
