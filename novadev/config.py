"""The options of nova.conf that novadev reads, and its own in ``[novadev]``.

Nova's options keep Nova's names, types and defaults (``nova/conf/*.py``); only those that a
rule or a connection needs are registered, so any release's nova.conf is read.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from oslo_config import cfg

from novadev.errors import BadInput

DEFAULT_FILES = ("/etc/nova/nova.conf", "/etc/novadev/novadev.conf")
DEFAULT_DIRS = ("/etc/nova/nova.conf.d",)
SPECIAL_MANAGED_DEVICES = (
    *("*:usb", "mdev:*", "sound:*", "console:console", "smartcard:smartcard", "redir:spicevmc"),
    *("balloon:memballoon", "watchdog:watchdog", "rng:virtio"),
    *("controller:virtio-serial", "controller:virtio-scsi"),
)
"""``OvfReaderWriterUtils.isSpecialDevice`` of ovirt-engine."""
T = TypeVar("T")


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
    cfg.StrOpt(
        "state_connection",
        secret=True,
        help="SQLAlchemy URL of novadev's own database, which holds the journal of all runs and "
        "the recorded devices. The default is a SQLite file in /var/lib/novadev for root, and "
        "in $XDG_STATE_HOME/novadev for other users. Several controllers can share one "
        "MariaDB database.",
    ),
    cfg.StrOpt(
        "libvirt_uri",
        help="URI of the libvirt on a compute host. {host} is replaced by the name that Nova "
        "gives the host, for example qemu+ssh://root@{host}/system or "
        "qemu+tls://{host}/system. The default is [libvirt] connection_uri or qemu:///system, "
        "with which novadev reaches only the local host.",
    ),
    cfg.IntOpt(
        "host_timeout",
        default=30,
        min=1,
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
        choices=["off", "log", "on"],
        help="What novadev-nova-compute does with the definition of a guest that Nova is about "
        "to start: nothing (off), write to Nova's log what it would change (log), or put the "
        "recorded addresses into the definition (on). The option is read when nova-compute "
        "starts, and at a SIGHUP if nova-compute runs with eventlet.",
    ),
    cfg.BoolOpt(
        "keep_aliases",
        default=False,
        help="Let novadev-nova-compute also give ports, PCI devices, mediated devices and shares "
        "the alias of their UUID. It needs keep_addresses.",
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


@dataclass(frozen=True)
class DatabaseOptions:
    """The options of a database group other than the URL (``oslo_db/options.py``).

    Nova opens every cell with those of ``[database]`` (``nova/db/main/api.py``
    ``create_context_manager``), and the API database with those of ``[api_database]``.
    """

    connection_parameters: str = field(default="", repr=False)
    mysql_sql_mode: str | None = None
    mysql_wsrep_sync_wait: int | None = None
    connection_recycle_time: int = 3600


@dataclass(frozen=True)
class DriverOptions:
    """The options of Nova's libvirt driver that decide which devices a guest gets.

    They are those of the compute host the configuration was written for. Names and defaults are
    those of :class:`novadev.rules.guest.DriverRules`.
    """

    virt_type: str = "kvm"
    hw_machine_type: tuple[str, ...] = ()
    disk_prefix: str | None = None
    config_drive_format: str = "iso9660"
    max_disk_devices: int = -1
    use_virtio_for_bridges: bool = True
    pointer_model: str | None = "usbtablet"
    vnc_enabled: bool = True
    spice_enabled: bool = False
    spice_agent_enabled: bool = True
    num_pcie_ports: int = 0
    mem_stats_period_seconds: int = 10


@dataclass(frozen=True, kw_only=True)
class Config(DriverOptions):
    """What novadev reads of its configuration; connection URLs never show in its repr.

    ``api_database_connection`` is None on a compute host, which reaches no database of Nova's;
    ``database_options`` hold for every cell;
    ``files`` are those that were read. ``host`` is Nova's name of this machine.
    ``compute_config_dir`` is a folder with a file for each compute host,
    ``special_managed_devices`` are kinds of devices (:mod:`novadev.device.managed`); ``syslog``
    says whether runs are told to the system's log; ``log_file`` is where all
    that novadev does is logged; ``cloud_name`` is the title of reports; ``start_check_delay`` is in
    seconds. ``keep_addresses`` (off, log,
    on) and ``keep_aliases`` are for nova-compute (:mod:`novadev.compute`).
    """

    api_database_connection: str | None = field(repr=False)
    database_connection: str | None = field(repr=False)
    state_connection: str = field(repr=False)
    api_database_options: DatabaseOptions = field(default_factory=DatabaseOptions)
    database_options: DatabaseOptions = field(default_factory=DatabaseOptions)
    files: tuple[str, ...] = ()
    host: str = ""
    libvirt_uri: str = "qemu:///system"
    host_timeout: int = 30
    workers: int = 4
    compute_config_dir: str | None = None
    special_managed_devices: tuple[str, ...] = SPECIAL_MANAGED_DEVICES
    syslog: bool = False
    keep_addresses: str = "off"
    keep_aliases: bool = False
    start_check_delay: int = 2
    log_file: str | None = None
    cloud_name: str | None = None
    instance_name_template: str = "instance-%08x"
    image_metadata_prefilter: bool = False

    @property
    def driver_options(self) -> DriverOptions:
        """The driver's options alone."""
        return DriverOptions(**{item.name: getattr(self, item.name) for item in _OF_DRIVER})


_OF_DRIVER = fields(DriverOptions)


def list_opts() -> list[tuple[str, list[Any]]]:
    """Return novadev's own options for ``oslo-config-generator --namespace novadev``."""
    return [("novadev", NOVADEV_OPTS)]


def load(files: Sequence[str] = (), directories: Sequence[str] = ()) -> Config:
    """Return the configuration of FILES and DIRECTORIES, or of what nova-manage would read.

    Without any file everything has its default. Raises BadInput for a file that is missing,
    cannot be read or does not parse.
    """
    files, directories = _sources(files, directories)
    options = _parse(files, directories)
    return _read("configuration", lambda: _to_config(options, (*files, *directories)))


def load_driver_options(name: str) -> tuple[str | None, DriverOptions]:
    """Return what the nova.conf NAME of a compute host says: which host, and the driver's options.

    The host is None where the file does not name it. What is set in the environment of this
    process does not count. Raises BadInput as :func:`load`.
    """
    files, _ = _sources([name], ())
    options = _parse(files, [], use_env=False)
    return _read(name, lambda: (options.host, DriverOptions(**_driver_values(options))))


@dataclass(frozen=True)
class UnknownOption:
    """An unknown option in ``[novadev]``, its file, and a similar name."""

    file: str
    option: str
    near: str | None


def find_unknown(files: Sequence[str], directories: Sequence[str]) -> list[UnknownOption]:
    """Return what novadev does not know in ``[novadev]`` of the files that `load` reads.

    A group whose name is nearly ``novadev`` is unknown as a whole, and so is a variable of the
    environment that oslo.config would take for an option of this group. Raises as `load`.
    """
    files, directories = _sources(files, directories)
    found = [item for name in _every_file(files, directories) for item in _unknown_in(name)]
    for variable in sorted(os.environ):
        option = variable.removeprefix(_ENVIRONMENT).lower()
        if variable.startswith(_ENVIRONMENT) and option not in _OWN:
            found.append(UnknownOption("environment", variable, None))
    return found


_ENVIRONMENT = "OS_NOVADEV__"
_OWN = frozenset(option.name for option in NOVADEV_OPTS)


def _every_file(files: Sequence[str], directories: Sequence[str]) -> list[str]:
    inside = (sorted(Path(name).glob("*.conf")) for name in directories)
    return [*files, *(str(path) for found in inside for path in found)]


def _unknown_in(name: str) -> list[UnknownOption]:
    sections: dict[str, dict[str, list[str]]] = {}
    try:
        cfg.ConfigParser(name, sections).parse()
    except (cfg.ConfigFileParseError, OSError, UnicodeDecodeError):
        raise BadInput(f"{name} cannot be parsed as an INI file") from None
    found = []
    for section, options in sections.items():
        if section == "novadev":
            wrong = [option for option in options if option not in _OWN]
            found += [
                UnknownOption(name, f"[novadev] {option}", _nearest(option, _OWN))
                for option in wrong
            ]
        elif get_close_matches(section.lower(), ["novadev"], 1, 0.85):
            found.append(UnknownOption(name, f"group [{section}]", "[novadev]"))
    return found


def _nearest(name: str, known: Iterable[str]) -> str | None:
    near = get_close_matches(name.replace("-", "_"), sorted(known), 1, 0.7)
    return near[0] if near else None


def _sources(files: Sequence[str], directories: Sequence[str]) -> tuple[list[str], list[str]]:
    if not files and not directories:
        files = [name for name in DEFAULT_FILES if Path(name).exists()]
        directories = [name for name in DEFAULT_DIRS if Path(name).is_dir()]
    for name in files:
        if not os.access(name, os.R_OK) or Path(name).is_dir():
            raise BadInput(f"configuration file {name} is missing or cannot be read")
    for name in directories:
        if not Path(name).is_dir():
            raise BadInput(f"configuration folder {name} is missing")
    return list(files), list(directories)


def _parse(files: list[str], directories: list[str], use_env: bool = True) -> cfg.ConfigOpts:
    options = cfg.ConfigOpts()
    for group, opts in {**NOVA_OPTS, "novadev": NOVADEV_OPTS}.items():
        options.register_opts(opts, group=None if group == "DEFAULT" else group)
    try:
        options(
            args=[],
            project="novadev",
            default_config_files=files,
            default_config_dirs=directories,
            use_env=use_env,
        )
    except cfg.Error as error:
        raise BadInput(f"configuration: {_without_values(error)}") from None
    except UnicodeDecodeError:
        raise BadInput(f"configuration: {', '.join(files)}: not text") from None
    return options


def _without_values(error: cfg.Error) -> str:
    """Return the first line of ERROR; a parse error quotes the line it stopped at, so not that."""
    if isinstance(error, cfg.ConfigFileParseError):
        return f"{error.config_file} cannot be parsed as an INI file"
    return str(error).splitlines()[0]


def _read(what: str, values: Callable[[], T]) -> T:
    """Return the values; raises BadInput, naming WHAT, for one that an option cannot have."""
    try:
        return values()
    except (cfg.TemplateSubstitutionError, cfg.NoSuchOptError):
        raise BadInput(f"{what}: a value holds a single $; write it as $$") from None
    except (ValueError, cfg.Error) as error:
        raise BadInput(f"{what}: {str(error).splitlines()[0]}") from None


def _driver_values(options: cfg.ConfigOpts) -> dict[str, Any]:
    found = {}
    for field_name, (group, name) in DRIVER_OPTIONS.items():
        value = options[name] if group == "DEFAULT" else options[group][name]
        found[field_name] = value
    return found | {"hw_machine_type": tuple(found["hw_machine_type"] or ())}


def _to_config(options: cfg.ConfigOpts, files: tuple[str, ...]) -> Config:
    local = options.libvirt.connection_uri or "qemu:///system"
    return Config(
        api_database_connection=options.api_database.connection,
        database_connection=options.database.connection,
        api_database_options=_database_options(options.api_database),
        database_options=_database_options(options.database),
        state_connection=options.novadev.state_connection or default_state_connection(),
        files=files,
        host=options.host or socket.gethostname(),
        libvirt_uri=options.novadev.libvirt_uri or local,
        host_timeout=options.novadev.host_timeout,
        workers=options.novadev.workers,
        compute_config_dir=options.novadev.compute_config_dir,
        special_managed_devices=tuple(options.novadev.special_managed_devices),
        syslog=options.novadev.syslog,
        keep_addresses=options.novadev.keep_addresses,
        keep_aliases=options.novadev.keep_aliases,
        start_check_delay=options.novadev.start_check_delay,
        log_file=options.novadev.log_file,
        cloud_name=options.novadev.cloud_name,
        instance_name_template=options.instance_name_template,
        image_metadata_prefilter=options.scheduler.image_metadata_prefilter,
        **_driver_values(options),
    )


def _database_options(group: Any) -> DatabaseOptions:
    return DatabaseOptions(
        connection_parameters=group.connection_parameters or "",
        mysql_sql_mode=group.mysql_sql_mode,
        mysql_wsrep_sync_wait=group.mysql_wsrep_sync_wait,
        connection_recycle_time=group.connection_recycle_time,
    )


def default_state_connection() -> str:
    """Return the URL of the SQLite file that holds the journal where nothing is configured."""
    if os.geteuid() == 0:
        return "sqlite:////var/lib/novadev/state.sqlite"
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return f"sqlite:///{Path(home) / 'novadev' / 'state.sqlite'}"
