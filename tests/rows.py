"""The rows Nova keeps for an instance, as values, table by table."""

import json
import uuid as uuidlib
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

Row = dict[str, Any]
Properties = Mapping[str, str | None]

PROJECT = "project-1"
USER = "operator"
VERSIONS = {
    "34": {"RequestSpec": "1.15", "ImageMetaProps": "1.44"},
    "28": {"RequestSpec": "1.14", "ImageMetaProps": "1.34"},
}
FLAVOR = {"root_gb": 20, "ephemeral_gb": 0, "swap": 0, "vcpus": 2, "memory_mb": 2048}


def now() -> datetime:
    """The time as Nova stores it: UTC, without a zone, in whole seconds."""
    return datetime.now(timezone.utc).replace(tzinfo=None, microsecond=0)


def instance(uuid: str, name: str, image_ref: str, flavor: Mapping[str, int]) -> Row:
    """A row of `instances` without its states and places."""
    sizes = {key: flavor[key] for key in ("memory_mb", "vcpus", "root_gb", "ephemeral_gb")}
    return {
        **{"created_at": now(), "uuid": uuid, "user_id": USER, "project_id": PROJECT},
        **{"display_name": name, "hostname": name, "image_ref": image_ref, **sizes},
        **{"power_state": 4, "config_drive": "", "launched_at": now(), "compute_id": 1},
        **{"shutdown_terminate": False, "disable_terminate": False, "locked": False},
        **{"cleaned": 0, "hidden": False, "deleted": 0},
    }


def system_metadata(
    uuid: str, image_ref: str, flavor: Mapping[str, int], properties: Properties
) -> list[Row]:
    """The rows of `instance_system_metadata`, the image's base facts first."""
    base = {"base_image_ref": image_ref, "min_ram": "0", "min_disk": str(flavor["root_gb"])}
    base |= {"container_format": "bare", "disk_format": "qcow2"}
    return [
        {"created_at": now(), "instance_uuid": uuid, "key": f"image_{name}", "value": value}
        | {"deleted": 0}
        for name, value in {**base, **properties}.items()
    ]


def instance_extra(uuid: str, flavor: Mapping[str, int]) -> Row:
    """The row of `instance_extra`."""
    kept = {"cur": flavor_object(flavor), "old": None, "new": None}
    return {
        **{"created_at": now(), "instance_uuid": uuid, "flavor": json.dumps(kept), "deleted": 0},
        **{"pci_requests": "[]", "device_metadata": None, "numa_topology": None},
    }


def instance_info_cache(uuid: str) -> Row:
    """The row of `instance_info_caches`: no ports."""
    return {"created_at": now(), "instance_uuid": uuid, "network_info": "[]", "deleted": 0}


def instance_mapping(uuid: str, cell_id: int | None) -> Row:
    """The row of `instance_mappings`."""
    return {
        **{"created_at": now(), "instance_uuid": uuid, "cell_id": cell_id},
        **{"project_id": PROJECT, "user_id": USER, "queued_for_delete": False},
    }


def request_spec(uuid: str, text: str) -> Row:
    """The row of `request_specs`."""
    return {"created_at": now(), "instance_uuid": uuid, "spec": text}


def block_device_mapping(instance_uuid: str, **columns: Any) -> Row:
    """A row of `block_device_mapping`."""
    return {
        **{"created_at": now(), "instance_uuid": instance_uuid, "deleted": 0, "no_device": False},
        **{"delete_on_termination": False, "encrypted": False, "image_id": None, **columns},
    }


def connection_info(volume_id: str) -> str:
    """What Nova keeps of an attached iSCSI volume, as JSON."""
    data = {"target_iqn": f"iqn.2010-10.org.openstack:volume-{volume_id}", "target_lun": 1}
    data |= {"target_portal": "192.0.2.10:3260", "volume_id": volume_id, "access_mode": "rw"}
    return json.dumps(
        {"driver_volume_type": "iscsi", "data": data, "serial": volume_id, "status": "attached"}
    )


def vif(port: str, mac: str, **fields: Any) -> Row:
    """A port as Nova caches it: its VIF as JSON, of Open vSwitch unless `fields` say otherwise."""
    ip: Row = {"address": "192.0.2.20", "type": "fixed", "version": 4, "meta": {}}
    gateway = {"address": "192.0.2.1", "type": "gateway", "version": 4, "meta": {}}
    subnet = {"cidr": "192.0.2.0/24", "dns": [], "gateway": gateway, "routes": [], "version": 4}
    subnet |= {"ips": [{**ip, "floating_ips": []}], "meta": {}}
    network = {"id": "88888888-8888-4888-8888-888888888888", "bridge": "br-int", "label": "lan"}
    network |= {"subnets": [subnet], "meta": {"injected": False, "tenant_id": PROJECT, "mtu": 1442}}
    return {
        **{"id": port, "address": mac, "network": network, "type": "ovs", "details": {}},
        **{"devname": f"tap{port}"[:14], "ovs_interfaceid": port, "qbh_params": None},
        **{"qbg_params": None, "active": True, "vnic_type": "normal", "profile": {}},
        **{"preserve_on_delete": False, "delegate_create": True, "meta": {}, **fields},
    }


def compute_node(host: str) -> Row:
    """A row of `compute_nodes`."""
    return {
        **{"created_at": now(), "host": host, "hypervisor_hostname": host, "deleted": 0},
        **{"vcpus": 8, "memory_mb": 16384, "local_gb": 100, "cpu_info": "{}", "stats": "{}"},
        **{"vcpus_used": 0, "memory_mb_used": 512, "local_gb_used": 0, "mapped": 1},
        **{"hypervisor_type": "QEMU", "hypervisor_version": 8002000},
    }


def pci_device(compute_node_id: int, address: str, status: str) -> Row:
    """A row of `pci_devices`: a virtual function of a network card."""
    return {
        **{"created_at": now(), "compute_node_id": compute_node_id, "address": address},
        **{"vendor_id": "8086", "product_id": "1520", "dev_type": "type-VF", "status": status},
        **{"dev_id": f"pci_{address}".replace(":", "_").replace(".", "_"), "extra_info": "{}"},
        **{"label": "label_8086_1520", "numa_node": 0, "parent_addr": None, "deleted": 0},
    }


def share_mapping(instance_uuid: str, share_id: str, status: str) -> Row:
    """A row of `share_mapping`; the tag is the share's id unless the user says otherwise."""
    return {
        **{"created_at": now(), "uuid": str(uuidlib.uuid4()), "instance_uuid": instance_uuid},
        **{"share_id": share_id, "status": status, "tag": share_id, "share_proto": "NFS"},
        **{"export_location": f"192.0.2.30:/shares/{share_id}"},
    }


def migration(instance_uuid: str, status: str, migration_type: str) -> Row:
    """A row of `migrations`: from cmp1 to cmp2."""
    return {
        **{"created_at": now(), "uuid": str(uuidlib.uuid4()), "instance_uuid": instance_uuid},
        **{"source_compute": "cmp1", "source_node": "cmp1", "dest_compute": "cmp2"},
        **{"dest_node": "cmp2", "status": status, "migration_type": migration_type},
        **{"hidden": False, "cross_cell_move": False, "deleted": 0, "user_id": USER},
        **{"project_id": PROJECT, "old_instance_type_id": 1, "new_instance_type_id": 1},
    }


def spec_text(
    release: str, uuid: str, image_ref: str, flavor: Mapping[str, int], properties: Properties
) -> str:
    """The JSON text Nova of `release` writes into a request spec when an instance is created."""
    given = {name: value for name, value in properties.items() if value is not None}
    versions = VERSIONS[release]
    data: Row = {
        "image": _image(image_ref, _object("ImageMetaProps", versions["ImageMetaProps"], given)),
        "numa_topology": None,
        "pci_requests": _object("InstancePCIRequests", "1.1", _no_pci_requests(uuid)),
        **{"project_id": PROJECT, "user_id": USER, "availability_zone": None},
        **{"flavor": flavor_object(flavor), "num_instances": 1, "ignore_hosts": None},
        **{"force_hosts": None, "force_nodes": None, "requested_destination": None},
        **{"retry": None, "limits": _limits(), "instance_group": None, "scheduler_hints": {}},
        **{"instance_uuid": uuid, "security_groups": _security_groups()},
        **{"is_bfv": not image_ref, "requested_resources": []},
    }
    return json.dumps(_object("RequestSpec", versions["RequestSpec"], data))


def flavor_object(flavor: Mapping[str, Any]) -> Row:
    """A Flavor as Nova serialises it."""
    data = {"id": 1, "name": "m1.small", "flavorid": "1", "rxtx_factor": 1.0, "vcpu_weight": 0}
    data |= {"disabled": False, "is_public": True, "extra_specs": {}, "description": None}
    data |= {"created_at": None, "updated_at": None, "deleted_at": None, "deleted": False}
    return _object("Flavor", "1.2", data | dict(flavor))


def _object(name: str, version: str, data: Row) -> Row:
    made: Row = {"nova_object.name": name, "nova_object.namespace": "nova"}
    made |= {"nova_object.version": version, "nova_object.data": data}
    return made | ({"nova_object.changes": list(data)} if data else {})


def _image(image_ref: str, properties: Row) -> Row:
    data: Row = {"container_format": "bare", "disk_format": "qcow2", "min_ram": 0, "min_disk": 0}
    data |= {"size": 1073741824, "status": "active", "properties": properties}
    if image_ref:
        data |= {"id": image_ref, "name": "debian-12", "owner": PROJECT}
        data |= {"checksum": "d41d8cd98f00b204e9800998ecf8427e"}
        data |= {"created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z"}
    return _object("ImageMeta", "1.8", data)


def _no_pci_requests(uuid: str) -> Row:
    return {"instance_uuid": uuid, "requests": []}


def _limits() -> Row:
    unlimited = {"numa_topology": None, "vcpu": None, "disk_gb": None, "memory_mb": None}
    return _object("SchedulerLimits", "1.0", unlimited)


def _security_groups() -> Row:
    made = _object("SecurityGroupList", "1.1", {"objects": []})
    return {key: value for key, value in made.items() if key != "nova_object.changes"}
