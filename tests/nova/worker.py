"""Real Nova behind JSON lines: run by a Nova environment's Python, asked by tests/nova_process.py.

A request is {"name": ..., "arguments": {...}}, an answer {"result": ...} or
{"error": class name, "message": ...}. Every public function below `CALLS` is a call.
"""

import contextlib
import io
import json
import os
import sys
import uuid as uuidlib

# nova.cmd.manage decides between eventlet and threads, so it must come before the rest of Nova.
from nova.cmd.manage import ImagePropertyCommands

# isort: split
import defaults_worker
import hardware_worker
import libvirt_worker
import nova.conf
import sqlalchemy as sa
from nova import config, context, exception, objects
from nova.db.api import api as api_db
from nova.db.main import api as main_db
from nova.network import model as network_model
from nova.network import os_vif_util
from nova.virt import block_device, driver
from nova.virt.libvirt import blockinfo, machine_type_utils
from nova.virt.libvirt.volume import iscsi, net, nfs, quobyte
from oslo_db.sqlalchemy import enginefacade
from oslo_serialization import jsonutils

CONF = nova.conf.CONF
VOLUME_DRIVERS = {
    "rbd": net.LibvirtNetVolumeDriver,
    "iscsi": iscsi.LibvirtISCSIVolumeDriver,
    "nfs": nfs.LibvirtNFSVolumeDriver,
    "quobyte": quobyte.LibvirtQuobyteVolumeDriver,
}
FLAVOR = {"root_gb": 20, "ephemeral_gb": 0, "swap": 0, "vcpus": 2, "memory_mb": 2048}


def use(config_file):
    """Work on the deployment of this nova.conf from now on."""
    CONF.clear()
    config.parse_args(
        ["worker"], default_config_files=[config_file], configure_db=False, init_rpc=not use.called
    )
    use.called = True
    context.CELL_CACHE.clear()
    context.CELLS.clear()
    _connect(main_db, CONF.database)
    _connect(api_db, CONF.api_database)


use.called = False


def _connect(module, options):
    module.context_manager.dispose_pool()
    fresh = enginefacade.transaction_context()
    fresh.configure(**dict(options.items()))
    module.context_manager.patch_factory(fresh)


def create_instance(
    cell="cell1",
    uuid=None,
    vm_state="stopped",
    task_state=None,
    name="web-1",
    host="cmp1",
    image_ref=None,
    image_properties=None,
    bdms=(),
    flavor=None,
    config_drive="",
    root_device_name="/dev/vda",
):
    """Write an instance with its mapping, request spec and disks; its UUID comes back."""
    uuid = uuid or str(uuidlib.uuid4())
    admin, image = _admin(), _image(image_ref, image_properties or {})
    flavor = _flavor(flavor or {})
    mapping = _cell(admin, cell)
    objects.InstanceMapping(
        admin,
        instance_uuid=uuid,
        project_id=admin.project_id,
        user_id=admin.user_id,
        cell_mapping=mapping,
        queued_for_delete=False,
    ).create()
    _request_spec(admin, uuid, image, flavor, is_bfv=not image_ref).create()
    with context.target_cell(admin, mapping) as ctxt:
        instance = _instance(uuid, image, image_properties or {}, flavor, image_ref=image_ref or "")
        instance.update(
            {
                "vm_state": vm_state,
                "task_state": task_state,
                "display_name": name,
                "hostname": name,
                "host": host,
                "node": host,
                "compute_id": 1,
                "config_drive": config_drive,
                "root_device_name": root_device_name,
            }
        )
        instance._context = ctxt
        instance.create()
        for values in bdms:
            _bdm({**values, "instance_uuid": uuid}, ctxt).create()
    return uuid


def sessions():
    """How Nova's sessions with the API database and with cell1 are set: variables by name."""
    admin = _admin()
    with api_db.context_manager.reader.using(admin):
        found = {"api": _session(admin.session)}
    with (
        context.target_cell(admin, _cell(admin, "cell1")) as ctxt,
        main_db.get_context_manager(ctxt).reader.using(ctxt),
    ):
        found["cell1"] = _session(ctxt.session)
    return found


def _session(session):
    names = ("sql_mode", "wsrep_sync_wait", "sort_buffer_size")
    row = session.execute(sa.text(f"SELECT {', '.join('@@' + name for name in names)}")).one()
    cipher = session.execute(sa.text("SHOW STATUS LIKE 'Ssl_cipher'")).one()[1]
    return {**dict(zip(names, row, strict=True)), "is_encrypted": bool(cipher)}


def read(uuid):
    """What Nova makes of an instance's records."""
    with _target(uuid) as (admin, ctxt):
        instance = _get_instance(ctxt, uuid)
        actions = objects.InstanceActionList.get_by_instance_uuid(ctxt, uuid)
        bdms = objects.BlockDeviceMappingList.get_by_instance_uuid(ctxt, uuid)
        return {
            "uuid": instance.uuid,
            "vm_state": instance.vm_state,
            "task_state": instance.task_state,
            "host": instance.host,
            "system_metadata": dict(instance.system_metadata),
            "flavor": _plain(instance.flavor),
            "image_properties": _plain(instance.image_meta.properties),
            "request_spec": _spec_properties(admin, uuid),
            "actions": [_action(ctxt, action) for action in actions],
            "bdms": [_plain(bdm) for bdm in bdms],
        }


def machine_type(uuid):
    """What nova-manage libvirt get_machine_type finds."""
    return machine_type_utils.get_machine_type(_admin(), uuid)


def disk_info(uuid, virt_type="kvm", config=None):
    """blockinfo.get_disk_info() for an instance's real rows."""
    with _target(uuid) as (_, ctxt), _overridden(config or {}):
        instance = _get_instance(ctxt, uuid)
        bdms = objects.BlockDeviceMappingList.get_by_instance_uuid(ctxt, uuid)
        return _disk_info(virt_type, instance, bdms)


def disk_info_of(instance=None, bdms=(), image_properties=None, virt_type="kvm", config=None):
    """The same from values: `instance` may hold `flavor` and any field of Nova's Instance."""
    made = _instance_of(instance or {}, image_properties or {})
    disks = [_bdm({"id": number, **values}) for number, values in enumerate(bdms, 1)]
    with _overridden(config or {}):
        return _disk_info(virt_type, made, objects.BlockDeviceMappingList(objects=disks))


def disk_info_many(cases):
    """A list with disk_info_of() of every case, {"error": ..., "message": ...} where it fails."""
    return [_answer_or_error(disk_info_of, case) for case in cases]


def registered_of(
    host_arch, instance=None, bdms=(), image_properties=None, os_type=None, config=None
):
    """The defaults the libvirt driver of a host registers, in order, for what disk_info_of() takes.

    os_type is the domain's; without one it is what Nova would have defined the domain with.
    """
    made = _instance_of(instance or {}, image_properties or {})
    disks = [_bdm({"id": number, **values}) for number, values in enumerate(bdms, 1)]
    with _overridden(config or {}):
        found = objects.BlockDeviceMappingList(objects=disks)
        return defaults_worker.registered(made, found, host_arch, os_type)


def registered_many(cases):
    """A list with registered_of() of every case, {"error": ..., "message": ...} where it fails."""
    return [_answer_or_error(registered_of, case) for case in cases]


def defaults_of(host_arch, names, instance=None, image_properties=None, os_type=None, config=None):
    """What the driver finds for each of these properties by itself, stored or not, by its name.

    {"value": ...}, or {"error": ..., "message": ...} where it fails.
    """
    made = _instance_of(instance or {}, image_properties or {})
    with _overridden(config or {}):
        ask = defaults_worker.asker(made, host_arch, os_type)
        return {name: _answer_or_error(ask, {"name": name}) for name in names}


def defaults_many(cases):
    """A list with defaults_of() of every case."""
    return [defaults_of(**case) for case in cases]


def guest_xml_of(
    instance=None,
    bdms=(),
    image_properties=None,
    vifs=(),
    host_arch="x86_64",
    config=None,
    whole=False,
):
    """The definition of a guest, and its disks' rows afterwards, from what disk_info_of() takes.

    The instance may hold its `uuid`; a VIF is its port, its MAC and fields of Nova's VIF.
    """
    fields = dict(instance or {})
    uuid = fields.pop("uuid", None) or str(uuidlib.uuid4())
    made = _instance_of(fields, image_properties or {})
    made.uuid = uuid
    disks = [_bdm({"id": number, **values}) for number, values in enumerate(bdms, 1)]
    with _overridden(config or {}):
        found = objects.BlockDeviceMappingList(objects=disks)
        vifs = [_vif(**vif) for vif in vifs]
        return hardware_worker.guest_xml(made, found, vifs, host_arch, whole)


def guest_xml_many(cases):
    """A list with guest_xml_of() of every case, {"error": ..., "message": ...} where it fails."""
    return [_answer_or_error(guest_xml_of, case) for case in cases]


def machine_refusals_of(instance=None, image_properties=None, host_arch="x86_64"):
    """The errors of Nova's driver about what not every machine type has, by their names."""
    made = _instance_of(instance or {}, image_properties or {})
    return hardware_worker.machine_refusals(made, host_arch)


def update_instance(uuid, **fields):
    """Set fields through Nova's Instance.save()."""
    with _target(uuid) as (_, ctxt):
        instance = _get_instance(ctxt, uuid)
        instance.update(fields)
        instance.save()


HELD = {}


def hold_instance(uuid):
    """Read an instance, as nova-api does at the beginning of a request."""
    with _target(uuid) as (_, ctxt):
        HELD[uuid] = _get_instance(ctxt, uuid)


def lock_held(uuid, reason):
    """Lock it with a reason, as nova-api does with what it has read (compute/api.py lock)."""
    instance = HELD.pop(uuid)
    instance.locked, instance.locked_by = True, "admin"
    instance.system_metadata["locked_reason"] = reason
    with _target(uuid):
        instance.save()


def add_port(uuid, port, mac, **fields):
    """Append a port of Open vSwitch to the instance's network info, as Nova caches it."""
    with _target(uuid) as (_, ctxt):
        cache = objects.InstanceInfoCache.get_by_instance_uuid(ctxt, uuid)
        vifs = [*(cache.network_info or ()), _vif(port, mac, **fields)]
        cache.network_info = network_model.NetworkInfo(vifs)
        cache.save()


def read_ports(uuid):
    """Of every VIF of the network info: its id, MAC and PCI slot, and the name it is plugged by."""
    with _target(uuid) as (_, ctxt):
        cache = objects.InstanceInfoCache.get_by_instance_uuid(ctxt, uuid)
        return [
            {"id": vif["id"], "mac": vif["address"], "pci_slot": vif["profile"].get("pci_slot")}
            | {"tap": os_vif_util._get_vif_name(vif)}
            for vif in cache.network_info
        ]


def add_pci_device(uuid, address, host="cmp1", request_id=None, allocate=True):
    """Give a new device of the host's compute node to the instance; its UUID comes back."""
    with _target(uuid) as (_, ctxt):
        instance = _get_instance(ctxt, uuid)
        instance.pci_devices = objects.PciDeviceList(objects=[])
        node = _compute_node(ctxt, host).id
        values = {"compute_node_id": node, "address": address, "dev_type": "type-VF"}
        values |= {"vendor_id": "8086", "product_id": "1520", "label": "label_8086_1520"}
        device = objects.PciDevice.create(ctxt, {**values, "request_id": request_id})
        device.claim(uuid)
        if allocate:
            device.allocate(instance)
        device.save()
        return device.uuid


def add_share(uuid, share_id, tag, export_location, status="active"):
    """Write a share mapping, as the API does when a share is attached."""
    with _target(uuid) as (_, ctxt):
        objects.ShareMapping(
            ctxt,
            uuid=str(uuidlib.uuid4()),
            instance_uuid=uuid,
            share_id=share_id,
            status=status,
            tag=tag,
            export_location=export_location,
            share_proto="NFS",
        ).create()


def add_migration(uuid, status, migration_type="live-migration"):
    """Write a migration of the instance from cmp1 to cmp2; its id comes back."""
    with _target(uuid) as (_, ctxt):
        migration = objects.Migration(
            ctxt,
            instance_uuid=uuid,
            status=status,
            migration_type=migration_type,
            source_compute="cmp1",
            source_node="cmp1",
            dest_compute="cmp2",
            dest_node="cmp2",
            dest_compute_id=_compute_node(ctxt, "cmp2").id,
        )
        migration.create()
        return migration.id


def migrations_in_progress(uuid):
    """The ids of the instance's migrations that the resource tracker of cmp1 counts."""
    with _target(uuid) as (_, ctxt):
        found = objects.MigrationList.get_in_progress_by_host_and_node(ctxt, "cmp1", "cmp1")
        return [migration.id for migration in found if migration.instance_uuid == uuid]


def volume_of(connection_info):
    """What the libvirt driver makes of a connected volume: its id, and what <source> says."""
    kind = connection_info["driver_volume_type"]
    volume_driver = VOLUME_DRIVERS[kind](_NoSecrets())
    if hasattr(volume_driver, "_get_device_path"):
        path = volume_driver._get_device_path(connection_info)
        connection_info["data"].setdefault("device_path", path)
    place = {"type": "disk", "dev": "vdb", "bus": "virtio"}
    made = volume_driver.get_config(connection_info, place)
    volume_id = block_device.get_volume_id(connection_info)
    return {"id": volume_id, "source": made.source_path or made.source_name}


def destroy_instance(uuid):
    """Delete an instance as Nova does: softly, its mapping and request spec stay."""
    with _target(uuid) as (_, ctxt):
        _get_instance(ctxt, uuid).destroy()


def image_property_set(uuid, properties):
    """nova-manage image_property set: {"code": ..., "output": ...}."""
    return _command("set", uuid, [f"{name}={value}" for name, value in properties.items()])


def image_property_show(uuid, name):
    """nova-manage image_property show: {"code": ..., "output": ...}."""
    return _command("show", uuid, name)


CALLS = {
    call.__name__: call
    for call in (
        use,
        sessions,
        create_instance,
        read,
        machine_type,
        disk_info,
        disk_info_of,
        disk_info_many,
        registered_of,
        registered_many,
        defaults_of,
        defaults_many,
        guest_xml_of,
        guest_xml_many,
        machine_refusals_of,
        update_instance,
        hold_instance,
        lock_held,
        add_port,
        read_ports,
        add_pci_device,
        add_share,
        add_migration,
        migrations_in_progress,
        volume_of,
        destroy_instance,
        image_property_set,
        image_property_show,
    )
}
CALLS |= defaults_worker.CALLS | libvirt_worker.CALLS


def _admin():
    return context.RequestContext(user_id="operator", project_id="project-1", is_admin=True)


def _cell(admin, name):
    cells = objects.CellMappingList.get_all(admin)
    return next(cell for cell in cells if cell.name == name)


@contextlib.contextmanager
def _target(uuid):
    admin = _admin()
    mapping = objects.InstanceMapping.get_by_instance_uuid(admin, uuid)
    with context.target_cell(admin, mapping.cell_mapping) as ctxt:
        yield admin, ctxt


def _get_instance(ctxt, uuid):
    wanted = ["system_metadata", "flavor"]
    return objects.Instance.get_by_uuid(ctxt, uuid, expected_attrs=wanted)


def _image(image_ref, properties):
    """An image as Glance describes it; empty for a guest that boots from a volume."""
    given = {name: value for name, value in properties.items() if value is not None}
    image = {"container_format": "bare", "disk_format": "qcow2", "min_ram": 0, "min_disk": 0}
    image |= {"size": 1073741824, "status": "active"}
    if image_ref:
        image |= {"id": image_ref, "name": "debian-12"}
        image |= {"checksum": "d41d8cd98f00b204e9800998ecf8427e", "owner": "project-1"}
        image |= {"created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z"}
    return {**image, "properties": given}


def _flavor(values):
    numbers = {**FLAVOR, **values}
    return objects.Flavor(
        id=1,
        name="m1.small",
        flavorid="1",
        rxtx_factor=1.0,
        vcpu_weight=0,
        disabled=False,
        is_public=True,
        extra_specs=numbers.pop("extra_specs", {}),
        description=None,
        created_at=None,
        updated_at=None,
        deleted_at=None,
        deleted=False,
        **numbers,
    )


def _request_spec(admin, uuid, image, flavor, is_bfv):
    spec = objects.RequestSpec.from_components(
        admin,
        uuid,
        objects.ImageMeta.from_dict(image),
        flavor,
        None,
        objects.InstancePCIRequests(instance_uuid=uuid, requests=[]),
        {},
        None,
        None,
        security_groups=objects.SecurityGroupList(objects=[]),
    )
    spec.is_bfv = is_bfv
    spec.num_instances = 1
    return spec


def _instance(uuid, image, image_properties, flavor, image_ref="", **fields):
    base = {"base_image_ref": image_ref, "min_ram": image.get("min_ram", 0)}
    base |= {"min_disk": flavor.root_gb}
    base |= {name: image[name] for name in ("container_format", "disk_format") if name in image}
    metadata = {f"image_{name}": value for name, value in (base | image_properties).items()}
    return objects.Instance(
        uuid=uuid,
        user_id="operator",
        project_id="project-1",
        image_ref=image_ref,
        flavor=flavor,
        old_flavor=None,
        new_flavor=None,
        memory_mb=flavor.memory_mb,
        vcpus=flavor.vcpus,
        root_gb=flavor.root_gb,
        ephemeral_gb=flavor.ephemeral_gb,
        system_metadata={name: _text(value) for name, value in metadata.items()},
        numa_topology=None,
        **{"default_ephemeral_device": None, "default_swap_device": None, **fields},
    )


def _instance_of(fields, image_properties):
    fields = {"root_device_name": "/dev/vda", "config_drive": "", **fields}
    flavor = _flavor(fields.pop("flavor", {}))
    return _instance(str(uuidlib.uuid4()), {}, image_properties, flavor, **fields)


def _text(value):
    return None if value is None else str(value)


def _bdm(values, ctxt=None):
    blank = dict.fromkeys(("snapshot_id", "volume_id", "image_id", "guest_format"))
    blank |= {"delete_on_termination": False, "no_device": False, "boot_index": None}
    blank |= {"encrypted": False, "connection_info": None, "attachment_id": None}
    blank |= dict.fromkeys(("volume_size", "volume_type", "tag", "device_name"))
    blank |= dict.fromkeys(("disk_bus", "device_type"))
    blank |= {"encryption_secret_uuid": None, "encryption_format": None}
    return objects.BlockDeviceMapping(ctxt, **{**blank, "encryption_options": None, **values})


def _vif(port, mac, **fields):
    address = network_model.FixedIP(address="192.0.2.20")
    subnet = network_model.Subnet(
        cidr="192.0.2.0/24", gateway=network_model.IP("192.0.2.1", "gateway"), ips=[address]
    )
    network = network_model.Network(
        "88888888-8888-4888-8888-888888888888",
        bridge="br-int",
        label="lan",
        subnets=[subnet],
        injected=False,
        tenant_id="project-1",
        mtu=1442,
    )
    given = {"type": "ovs", "devname": f"tap{port}"[: network_model.NIC_NAME_LEN]}
    given |= {"ovs_interfaceid": port, "active": True, "delegate_create": True, "profile": {}}
    return network_model.VIF(id=port, address=mac, network=network, **{**given, **fields})


def _compute_node(ctxt, host):
    try:
        return objects.ComputeNode.get_by_host_and_nodename(ctxt, host, host)
    except exception.ComputeHostNotFound:
        used = dict.fromkeys(("vcpus_used", "memory_mb_used", "local_gb_used"), 0)
        node = objects.ComputeNode(
            ctxt,
            uuid=str(uuidlib.uuid4()),
            host=host,
            hypervisor_hostname=host,
            hypervisor_type="QEMU",
            hypervisor_version=8002000,
            cpu_info="{}",
            vcpus=8,
            memory_mb=16384,
            local_gb=100,
            **used,
        )
        node.create()
        return node


class _NoSecrets:
    """A host that keeps no libvirt secret: all that a volume driver asks of its host."""

    def find_secret(self, usage_type, usage_id):
        return None


def _disk_info(virt_type, instance, bdms):
    """As ComputeManager._get_instance_block_device_info() and LibvirtDriver put it together."""
    info = driver.get_block_device_info(instance, bdms)
    volumes = driver.block_device_info_get_mapping(info)
    info["block_device_mapping"] = [bdm for bdm in volumes if bdm.get("connection_info")]
    return blockinfo.get_disk_info(virt_type, instance, instance.image_meta, info)


@contextlib.contextmanager
def _overridden(config):
    for group, options in config.items():
        for name, value in options.items():
            CONF.set_override(name, value, None if group == "DEFAULT" else group)
    try:
        yield
    finally:
        for group, options in config.items():
            for name in options:
                CONF.clear_override(name, None if group == "DEFAULT" else group)


def _spec_properties(admin, uuid):
    spec = objects.RequestSpec.get_by_instance_uuid(admin, uuid)
    return _plain(spec.image.properties) if spec.image else None


def _action(ctxt, action):
    events = objects.InstanceActionEventList.get_by_action(ctxt, action.id)
    return {**_plain(action), "events": [_plain(event) for event in events]}


def _plain(thing):
    """A Nova object's fields that are set and not None, as JSON values."""
    values = {name: getattr(thing, name) for name in thing.fields if thing.obj_attr_is_set(name)}
    return {k: jsonutils.to_primitive(v) for k, v in values.items() if v is not None}


def _command(name, *arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = getattr(ImagePropertyCommands(), name)(*arguments)
    return {"code": code, "output": output.getvalue()}


def _answer_or_error(call, arguments):
    try:
        return call(**arguments)
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


def _answer(request):
    try:
        return {"result": CALLS[request["name"]](**request["arguments"])}
    except Exception as error:
        return {"error": type(error).__name__, "message": str(error)}


def main():
    """Answer requests until standard input ends; whatever Nova prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    objects.register_all()
    for line in sys.stdin:
        answer = _answer(json.loads(line))
        answers.write(json.dumps(answer, default=str) + "\n")
        answers.flush()
    os._exit(0)  # to take all of Nova down in good order takes seconds


main()
