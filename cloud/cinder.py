"""A stand-in for cinder: cinder.py PORT FOLDER. It says so in its list of versions.

A volume is a sparse file in FOLDER with a block device of it beside it, which every compute host
sees at the same path.
"""

import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

from cloud import loop
from cloud.rest import Refused, Request, Row, chosen, get, serve

GIB = 1 << 30
volumes: dict[str, Row] = {}
attachments: dict[str, Row] = {}
devices: dict[str, int] = {}
"""The open block device of each volume."""


def create_volume(request: Request, project: str) -> Row:
    """Make an empty volume."""
    wanted = request.body["volume"]
    volume = {
        "id": str(uuid4()),
        "name": wanted.get("name") or "",
        "description": wanted.get("description") or "",
        "size": wanted["size"],
        "status": "available",
        "attachments": [],
        "availability_zone": "nova",
        "bootable": "false",
        "encrypted": False,
        "multiattach": False,
        "volume_type": "stand-in",
        "snapshot_id": None,
        "source_volid": None,
        "created_at": datetime.now(timezone.utc).replace(tzinfo=None).isoformat(),
        "metadata": wanted.get("metadata") or {},
        "os-vol-tenant-attr:tenant_id": project,
    }
    with _path(volume["id"]).open("wb") as file:
        file.truncate(volume["size"] * GIB)
    devices[volume["id"]] = loop.make(_path(volume["id"]), _device(volume["id"]))
    volumes[volume["id"]] = volume
    return {"volume": volume}


def delete_volume(request: Request, project: str, key: str) -> None:
    """Remove a volume that nothing has attached."""
    if get(volumes, key)["attachments"]:
        raise Refused(400, f"volume {key} is attached")
    os.close(devices.pop(key))
    _device(key).unlink()
    _path(key).unlink()
    del volumes[key]


def act(request: Request, project: str, key: str) -> None:
    """Change a volume's state, as Nova asks, or what a server that boots from it is made of."""
    ((action, wanted),) = request.body.items()
    volume = get(volumes, key)
    if action == "os-set_bootable":
        volume["bootable"] = str(wanted["bootable"]).lower()
        return
    if action == "os-set_image_metadata":
        volume["volume_image_metadata"] = wanted["metadata"]
        return
    states = {"os-reserve": "reserved", "os-unreserve": "available"}
    states |= {"os-begin_detaching": "detaching", "os-roll_detaching": "in-use"}
    if action not in states:
        raise Refused(400, f"the stand-in has no {action}")
    volume["status"] = states[action]


def create_attachment(request: Request, project: str) -> Row:
    """Reserve a volume for a server, and attach it where the connector is known."""
    wanted = request.body["attachment"]
    volume = get(volumes, wanted["volume_uuid"])
    attachment = {
        "id": str(uuid4()),
        "volume_id": volume["id"],
        "instance": wanted["instance_uuid"],
        "status": "reserved",
        "attach_mode": "rw",
        "connection_info": {},
        "attached_at": "",
        "detached_at": "",
    }
    attachments[attachment["id"]] = attachment
    if wanted.get("connector"):
        _connect(attachment, wanted["connector"])
    _refresh(volume)
    return {"attachment": attachment}


def update_attachment(request: Request, project: str, key: str) -> Row:
    """Tell a host how to connect."""
    attachment = get(attachments, key)
    _connect(attachment, request.body["attachment"]["connector"])
    return {"attachment": attachment}


def complete_attachment(request: Request, project: str, key: str) -> None:
    """Note that the host has connected."""
    attachment = get(attachments, key)
    attachment["status"] = "attached"
    _refresh(volumes[attachment["volume_id"]])


def delete_attachment(request: Request, project: str, key: str) -> Row:
    """Free the volume."""
    volume = volumes[get(attachments, key)["volume_id"]]
    del attachments[key]
    _refresh(volume)
    return {"attachments": []}


def list_attachments(request: Request, project: str) -> Row:
    """Return the attachments of a server or a volume; Nova deletes those that it does not know."""
    names = {"instance_id": "instance"}
    query = {names.get(name, name): values for name, values in request.query.items()}
    return {"attachments": chosen(attachments, query)}


def _connect(attachment: Row, connector: Row) -> None:
    """Say how to connect: `local` is Nova's driver for a block device that the host has."""
    attachment["connection_info"] = {
        "driver_volume_type": "local",
        "device_path": str(_device(attachment["volume_id"])),
        "attachment_id": attachment["id"],
        "volume_id": attachment["volume_id"],
    }
    attachment |= {"status": "attaching", "host": connector.get("host")}
    attachment["mountpoint"] = connector.get("mountpoint")


def _refresh(volume: Row) -> None:
    """Make a volume's state that of its attachments."""
    own = [a for a in attachments.values() if a["volume_id"] == volume["id"]]
    attached = [a for a in own if a["status"] == "attached"]
    volume["status"] = "in-use" if attached else "reserved" if own else "available"
    volume["attachments"] = [
        {
            "id": volume["id"],
            "attachment_id": a["id"],
            "volume_id": volume["id"],
            "server_id": a["instance"],
            "host_name": a.get("host"),
            "device": a.get("mountpoint"),
        }
        for a in attached
    ]


def _path(key: str) -> Path:
    return FOLDER / f"volume-{key}"


def _device(key: str) -> Path:
    return FOLDER / f"device-{key}"


def versions(request: Request) -> Row:
    """Return cinder's versions, and whose they are."""
    port = int(sys.argv[1])
    links = [{"rel": "self", "href": f"http://127.0.0.1:{port}/v3/"}]
    version = {"id": "v3.0", "status": "CURRENT", "links": links, "updated": "2026-01-01T00:00:00Z"}
    return {
        "stand-in": "This is no cinder, but a stand-in for it in novadev's test cloud.",
        "versions": [version | {"version": "3.70", "min_version": "3.0"}],
    }


_V3 = "/v3/([^/]+)"
ROUTES = {
    ("GET", "/"): versions,
    ("GET", "/v3"): versions,
    ("POST", f"{_V3}/volumes"): create_volume,
    ("GET", f"{_V3}/volumes(?:/detail)?"): lambda request, project: {
        "volumes": chosen(volumes, request.query)
    },
    ("GET", f"{_V3}/volumes/([^/]+)"): lambda request, project, key: {"volume": get(volumes, key)},
    ("DELETE", f"{_V3}/volumes/([^/]+)"): delete_volume,
    ("POST", f"{_V3}/volumes/([^/]+)/action"): act,
    ("GET", f"{_V3}/volumes/([^/]+)/encryption"): lambda request, project, key: {
        "encryption_key_id": None
    },
    ("POST", f"{_V3}/attachments"): create_attachment,
    ("GET", f"{_V3}/attachments(?:/detail)?"): list_attachments,
    ("GET", f"{_V3}/attachments/([^/]+)"): lambda request, project, key: {
        "attachment": get(attachments, key)
    },
    ("PUT", f"{_V3}/attachments/([^/]+)"): update_attachment,
    ("DELETE", f"{_V3}/attachments/([^/]+)"): delete_attachment,
    ("POST", f"{_V3}/attachments/([^/]+)/action"): complete_attachment,
    ("GET", f"{_V3}/snapshots(?:/detail)?"): lambda request, project: {"snapshots": []},
}

if __name__ == "__main__":
    FOLDER = Path(sys.argv[2])
    serve(int(sys.argv[1]), ROUTES)
