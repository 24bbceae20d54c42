"""The rows and JSON texts that Nova writes, as far as novadev reads them."""

import json
import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

PROJECT = "9b7d2f6c41aa4c0f8d2233445566aabb"

Row = dict[str, Any]


class Port(NamedTuple):
    """A Neutron port of a server."""

    uuid: str
    mac: str

    @property
    def tap(self) -> str:
        """The name of its device on the host."""
        return f"tap{self.uuid[:11]}"


def instance(identity: str, name: str, vm_state: str, host: str | None) -> Row:
    """Return the row of the server itself."""
    return {
        "uuid": identity,
        "display_name": name,
        "host": host,
        "vm_state": vm_state,
        "project_id": PROJECT,
        "image_ref": str(uuid.uuid4()),
        "root_device_name": "/dev/vda",
        "config_drive": "True",
        "ephemeral_gb": 0,
        "hidden": False,
        "deleted": 0,
    }


def metadata(
    identity: str, properties: dict[str, str | None], shelved_host: str | None
) -> list[Row]:
    """Return the rows of the stored image properties; None is a stored null.

    SHELVED_HOST is where the server was before it was offloaded, if it was.
    """
    stored: dict[str, str | None] = {"disk_format": "qcow2", "min_ram": "0", **properties}
    found = {f"image_{name}": value for name, value in stored.items()}
    if shelved_host is not None:
        found["shelved_host"] = shelved_host
    return [
        {"instance_uuid": identity, "key": key, "value": value, "deleted": 0}
        for key, value in found.items()
    ]


def flavor(identity: str) -> Row:
    """Return the row with the flavor that the server was made with."""
    text = {"cur": {"nova_object.name": "Flavor", "nova_object.data": {"swap": 0}}}
    return {"instance_uuid": identity, "flavor": json.dumps(text), "deleted": 0}


def disk(identity: str, name: str, bus: str, kind: str, volume: str | None, **data: str) -> Row:
    """Return the row of the image's disk, or of a VOLUME, which libvirt has as DATA say."""
    info = {"driver_volume_type": "iscsi" if data else "rbd", "serial": volume}
    known = data or {"name": f"volumes/volume-{volume}"}
    return {
        "instance_uuid": identity,
        "source_type": "volume" if volume else "image",
        "destination_type": "volume" if volume else "local",
        "volume_id": volume,
        "device_type": kind,
        "disk_bus": bus,
        "device_name": f"/dev/{name}",
        "boot_index": None if volume else 0,
        "volume_size": 10,
        "no_device": False,
        "connection_info": json.dumps(info | {"data": known}) if volume else None,
        "deleted": 0,
    }


def info_cache(identity: str, ports: Iterable[Port]) -> Row:
    """Return the row of the ports, as Nova keeps what Neutron says of them."""
    vifs = [
        {
            "id": port.uuid,
            "address": port.mac,
            "devname": port.tap,
            "ovs_interfaceid": port.uuid,
            "type": "ovs",
            "vnic_type": "normal",
            "profile": {},
        }
        for port in ports
    ]
    return {"instance_uuid": identity, "network_info": json.dumps(vifs), "deleted": 0}


def pci_device(identity: str, address: str, device: str) -> Row:
    """Return the row of a PCI device of the host that is the server's by its flavor."""
    return {
        "instance_uuid": identity,
        "uuid": device,
        "address": address,
        "status": "allocated",
        "deleted": 0,
    }


def share(identity: str, number: int, share_id: str) -> Row:
    """Return the row of a Manila share."""
    return {"id": number, "instance_uuid": identity, "share_id": share_id, "tag": share_id}


def request_spec(identity: str, properties: dict[str, str]) -> str:
    """Return the text of the request spec."""
    image = {
        "id": str(uuid.uuid4()),
        "name": "debian-12",
        "disk_format": "qcow2",
        "properties": _object("ImageMetaProps", "1.44", dict(properties)),
    }
    spec = {"instance_uuid": identity, "image": _object("ImageMeta", "1.8", image)}
    return json.dumps(_object("RequestSpec", "1.15", spec))


def _object(name: str, version: str, data: Row) -> Row:
    return {
        "nova_object.name": name,
        "nova_object.namespace": "nova",
        "nova_object.version": version,
        "nova_object.data": data,
        "nova_object.changes": sorted(data),
    }
