"""The configuration files of the services."""

from pathlib import Path

from cloud import keeping
from cloud.places import ENVIRONMENT, RUN, Site
from cloud.release import NOVA

ETC = RUN / "etc"
NOVA_CONF = ETC / "nova.conf"
"""The controller's; novadev reads it too."""
COMPUTE_CONFIGS = RUN / "hosts"
"""The nova.conf of each compute host, as HOST.conf: novadev's compute_config_dir."""
HELPER = NOVA.environment / "bin/privsep-helper"


def write(site: Site) -> None:
    """Write the files of the services on the controller."""
    ETC.mkdir()
    COMPUTE_CONFIGS.mkdir()
    _write(ETC / "keystone.conf", _keystone(site))
    _write(ETC / "placement.conf", _placement(site))
    _write(ETC / "glance-api.conf", _glance(site))
    _write(NOVA_CONF, _nova(site) + _controller(site) + _novadev(site))
    _copy(NOVA.environment / "etc/nova/api-paste.ini")
    _copy(ENVIRONMENT / "etc/glance/glance-api-paste.ini")


def write_compute(site: Site, host: str, address: str) -> Path:
    """Write the nova.conf of a compute host, whose address for live migration is ADDRESS."""
    path = COMPUTE_CONFIGS / f"{host}.conf"
    _write(path, _nova(site) + _compute(host, address) + keeping.options(site))
    return path


def _copy(path: Path) -> None:
    _write(ETC / path.name, path.read_text())


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _auth(site: Site, group: str) -> str:
    return f"""
[{group}]
auth_type = password
auth_url = {site.url("keystone", "/v3")}
username = admin
password = {site.password}
project_name = admin
user_domain_id = default
project_domain_id = default
region_name = RegionOne
"""


def _keystone(site: Site) -> str:
    return f"""\
[database]
connection = {site.urls["keystone"]}
[fernet_tokens]
key_repository = {RUN}/mariadb/fernet-keys
[token]
expiration = 86400
"""


def _placement(site: Site) -> str:
    return f"""\
[placement_database]
connection = {site.urls["placement"]}
sync_on_startup = false
[api]
auth_strategy = keystone
{_auth(site, "keystone_authtoken")}"""


def _glance(site: Site) -> str:
    return f"""\
[DEFAULT]
enabled_backends = files:file
node_staging_uri = file://{RUN}/glance/staging
[database]
connection = {site.urls["glance"]}
[glance_store]
default_backend = files
[files]
filesystem_store_datadir = {RUN}/glance/images
[os_glance_staging_store]
filesystem_store_datadir = {RUN}/glance/staging
[os_glance_tasks_store]
filesystem_store_datadir = {RUN}/glance/tasks
[paste_deploy]
flavor = keystone
{_auth(site, "keystone_authtoken")}"""


def _nova(site: Site) -> str:
    """Return what every Nova service is told."""
    groups = ("keystone_authtoken", "placement", "neutron", "cinder")
    return f"""\
[DEFAULT]
transport_url = {site.transport_url}
rpc_response_timeout = 120
vif_plugging_is_fatal = false
vif_plugging_timeout = 0
[api]
auth_strategy = keystone
[compute]
live_migration_wait_for_vif_plug = false
[scheduler]
discover_hosts_in_cells_interval = 2
workers = 1
[conductor]
workers = 1
{"".join(_auth(site, group) for group in groups)}"""


def _controller(site: Site) -> str:
    return f"""
[DEFAULT]
state_path = {RUN}/nova
[oslo_concurrency]
lock_path = {RUN}/nova/lock
[api_database]
connection = {site.urls["nova_api"]}
[database]
connection = {site.urls["nova_cell1"]}
"""


def _novadev(site: Site) -> str:
    socket = f"{RUN}/{{host}}/run/libvirt/libvirt-sock"
    return f"""
[novadev]
state_connection = {keeping.state_connection(site, f"sqlite:///{RUN}/novadev.sqlite")}
libvirt_uri = qemu+unix:///system?socket={socket}
compute_config_dir = {COMPUTE_CONFIGS}
"""


def _compute(host: str, address: str) -> str:
    return f"""
[DEFAULT]
host = {host}
compute_driver = libvirt.LibvirtDriver
state_path = /var/lib/nova
my_ip = {address}
running_deleted_instance_action = log
shelved_offload_time = -1
default_ephemeral_format = ext4
reserved_host_memory_mb = 0
mkisofs_cmd = genisoimage
[oslo_concurrency]
lock_path = /var/lib/nova/lock
[libvirt]
virt_type = qemu
cpu_mode = none
live_migration_uri = qemu+tcp://%s/system
live_migration_inbound_addr = {host}
[vnc]
enabled = true
server_listen = 0.0.0.0
server_proxyclient_address = {address}
[os_vif_ovs]
ovsdb_connection = unix:/run/openvswitch/db.sock
[workarounds]
disable_rootwrap = true
[privsep_osbrick]
helper_command = {HELPER} --config-file {COMPUTE_CONFIGS}/{host}.conf
[nova_sys_admin]
helper_command = {HELPER} --config-file {COMPUTE_CONFIGS}/{host}.conf
[vif_plug_ovs_privileged]
helper_command = {HELPER} --config-file {COMPUTE_CONFIGS}/{host}.conf
"""
