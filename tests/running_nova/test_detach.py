"""`device detach` of a volume that Nova has forgotten, against what libvirt and the guest have."""

import pytest

from tests.running_nova.findings import findings
from tests.running_nova.forecast import devices
from tests.running_nova.nova import Server

pytestmark = [pytest.mark.slow, pytest.mark.cloud]

WHERE = "in the definition and the running guest"


def test_a_forgotten_volume_leaves_as_the_plan_says(server: Server) -> None:
    nova, (volume,) = server.nova, server.volumes
    words = ("device", "detach", server.uuid, volume)
    refused = nova.novadev(*words, "--dry-run", code=3)
    assert f"it is volume {volume}" in refused.err
    server.forget_volume(volume)
    assert "disk vdb" in findings(server, code=3)["orphan"]["details"]
    definitions, shown = server.guest.definitions(), devices(server)
    said = nova.novadev(*words, "--dry-run", "-f", "json").json["plans"]
    assert [(item["before"], item["after"]) for item in said[0]["changes"]] == [
        (WHERE, {"absent": True})
    ]
    assert all(volume in text for text in definitions)
    assert server.guest.definitions() == definitions
    assert server.guest.nodes() == ["vda", "vdb"]
    done = nova.write(*words)["plans"]
    assert [item["changes"] for item in done] == [item["changes"] for item in said]
    assert not any(volume in text for text in server.guest.definitions())
    assert server.guest.nodes() == ["vda"]
    del shown["disk vdb"]
    assert devices(server) == shown
    assert not {"orphan", "ghost"} & set(findings(server))
    server.reboot()
    assert server.guest.disks() == {"vda": "virtio"}
    assert server.failures() == []
