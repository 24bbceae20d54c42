"""The options of nova.conf that novadev reads, and its own in ``[novadev]``, for oslo.config.

Nova's options keep Nova's names, types and defaults (``nova/conf/*.py``); only those that a
rule or a connection needs are here, so any release's nova.conf is read.
"""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

from novadev.config.kinds import DATABASE_URL, DEVICE_KIND, LIBVIRT_URI

SPECIAL_MANAGED_DEVICES = (
    *("*:usb", "mdev:*", "sound:*", "console:console", "smartcard:smartcard", "redir:spicevmc"),
    *("balloon:memballoon", "watchdog:watchdog", "rng:virtio"),
    *("controller:virtio-serial", "controller:virtio-scsi"),
)
"""``OvfReaderWriterUtils.isSpecialDevice`` of ovirt-engine."""


def _database_opts() -> list[Any]:
    """Return new options: oslo.config keeps in an option the group it was registered in."""
    return [
        cfg.StrOpt("connection", secret=True),
        cfg.StrOpt("connection_parameters", default="", secret=True),
        cfg.StrOpt("mysql_sql_mode", default="TRADITIONAL"),
        cfg.IntOpt("mysql_wsrep_sync_wait"),
        cfg.IntOpt("connection_recycle_time", default=3600),
    ]


NOVADEV_OPTS = [
    cfg.Opt(
        "state_connection",
        type=DATABASE_URL,
        secret=True,
        help="SQLAlchemy URL of novadev's own database, which holds the journal of all runs and "
        "the recorded devices. The default is a SQLite file in /var/lib/novadev for root, and "
        "in $XDG_STATE_HOME/novadev for other users. Several controllers can share one "
        "MariaDB database.",
    ),
    cfg.Opt(
        "libvirt_uri",
        type=LIBVIRT_URI,
        help="URI of the libvirt on a compute host. {host} is replaced by the name that Nova "
        "gives the host, for example qemu+ssh://root@{host}/system or "
        "qemu+tls://{host}/system. The default is [libvirt] connection_uri or qemu:///system, "
        "with which novadev reaches only the local host.",
    ),
    cfg.IntOpt(
        "host_timeout",
        default=30,
        min=1,
        max=86400,
        help="How many seconds a hypervisor may take to answer one call.",
    ),
    cfg.IntOpt(
        "workers",
        default=4,
        min=1,
        max=64,
        help="Number of hypervisors that novadev contacts at the same time.",
    ),
    cfg.StrOpt(
        "compute_config_dir",
        help="Folder that describes the compute hosts. It has for each host its capability file "
        "as HOST.json (novadev capabilities save) or its nova.conf as HOST.conf. There is no "
        "default: without the folder, novadev does not know the rules of the hosts.",
    ),
    cfg.StrOpt(
        "keep_addresses",
        default="off",
        choices=[
            ("off", "Leave the definition as Nova wrote it."),
            ("log", "Leave it, and write to Nova's log what would be changed."),
            ("on", "Put the recorded addresses into the definition."),
        ],
        help="What novadev-nova-compute does with the definition of a guest that Nova is about "
        "to start. The option is read when nova-compute starts, and at a SIGHUP if "
        "nova-compute runs with eventlet.",
    ),
    cfg.BoolOpt(
        "keep_aliases",
        default=False,
        help="Let novadev-nova-compute also give ports and mediated devices the alias of their "
        "UUID, and PCI devices, shares and SR-IOV ports the alias that they had. It needs "
        "keep_addresses.",
    ),
    cfg.IntOpt(
        "start_check_delay",
        default=2,
        min=0,
        max=60,
        help="How many seconds after its last write novadev checks the servers again, because "
        "Nova may have been starting one of them with the old values. A run waits for this "
        "time once, at its end. Raise it if nova-api is slow to answer.",
    ),
    cfg.BoolOpt(
        "syslog",
        default=False,
        help="Write a line to the system log when a run begins and when it ends. The line has "
        "the user, the action, the number of plans and the text of --message.",
    ),
    cfg.StrOpt(
        "cloud_name",
        help="Name of the deployment in the title of reports. The default is the name of the "
        "host on which novadev runs.",
    ),
    cfg.StrOpt(
        "log_file",
        help="File to which novadev appends a log of what it does and prints. Only its owner can "
        "read it. The option --log-file overrides this setting. By default there is no log "
        "file.",
    ),
    cfg.ListOpt(
        "special_managed_devices",
        item_type=DEVICE_KIND,
        default=list(SPECIAL_MANAGED_DEVICES),
        help="Devices without an owner that count as managed, written as type:device in oVirt's "
        "terms; * stands for any device. When such a device is gone, a record keeps it as "
        "unplugged.",
    ),
]
NOVA_OPTS: dict[str, list[Any]] = {
    "DEFAULT": [
        cfg.StrOpt("instance_name_template", default="instance-%08x"),
        cfg.StrOpt("config_drive_format", default="iso9660"),
        cfg.StrOpt("host"),
        cfg.StrOpt("pointer_model", default="usbtablet", choices=["ps2mouse", "usbtablet", None]),
    ],
    "database": _database_opts(),
    "api_database": _database_opts(),
    "libvirt": [
        cfg.StrOpt("virt_type", default="kvm", choices=["kvm", "lxc", "qemu", "parallels"]),
        cfg.StrOpt("connection_uri"),
        cfg.ListOpt("hw_machine_type"),
        cfg.StrOpt("disk_prefix"),
        cfg.BoolOpt("use_virtio_for_bridges", default=True),
        cfg.IntOpt("num_pcie_ports", default=0, min=0, max=28),
        cfg.IntOpt("mem_stats_period_seconds", default=10),
    ],
    "compute": [cfg.IntOpt("max_disk_devices_to_attach", default=-1, min=-1)],
    "vnc": [
        cfg.BoolOpt(
            "enabled", default=True, deprecated_group="DEFAULT", deprecated_name="vnc_enabled"
        ),
    ],
    "spice": [
        cfg.BoolOpt("enabled", default=False),
        cfg.BoolOpt("agent_enabled", default=True),
    ],
    "scheduler": [cfg.BoolOpt("image_metadata_prefilter", default=False)],
}
DRIVER_OPTIONS = {
    "virt_type": ("libvirt", "virt_type"),
    "hw_machine_type": ("libvirt", "hw_machine_type"),
    "disk_prefix": ("libvirt", "disk_prefix"),
    "use_virtio_for_bridges": ("libvirt", "use_virtio_for_bridges"),
    "num_pcie_ports": ("libvirt", "num_pcie_ports"),
    "mem_stats_period_seconds": ("libvirt", "mem_stats_period_seconds"),
    "config_drive_format": ("DEFAULT", "config_drive_format"),
    "pointer_model": ("DEFAULT", "pointer_model"),
    "max_disk_devices": ("compute", "max_disk_devices_to_attach"),
    "vnc_enabled": ("vnc", "enabled"),
    "spice_enabled": ("spice", "enabled"),
    "spice_agent_enabled": ("spice", "agent_enabled"),
}
"""Where nova.conf has each of DriverOptions: its group and its name there."""


def list_opts() -> list[tuple[str, list[Any]]]:
    """Return novadev's own options for ``oslo-config-generator --namespace novadev``."""
    return [("novadev", NOVADEV_OPTS)]
