"""The configuration: what nova.conf and novadev's own files say, as values."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from oslo_config import cfg

from novadev.config.options import DRIVER_OPTIONS, NOVA_OPTS, NOVADEV_OPTS, SPECIAL_MANAGED_DEVICES
from novadev.config.values import WrongValue, every_file, find_wrong, place
from novadev.errors import BadInput

DEFAULT_FILES = ("/etc/nova/nova.conf", "/etc/novadev/novadev.conf")
DEFAULT_DIRS = ("/etc/nova/nova.conf.d",)


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

    @cached_property
    def driver_options(self) -> DriverOptions:
        """The driver's options alone."""
        return DriverOptions(**{item.name: getattr(self, item.name) for item in _OF_DRIVER})


_OF_DRIVER = fields(DriverOptions)


def load(
    files: Sequence[str] = (),
    directories: Sequence[str] = (),
    wrong: list[WrongValue] | None = None,
) -> Config:
    """Return the configuration of FILES and DIRECTORIES, or of what nova-manage would read.

    Without any file everything has its default. Raises BadInput for a file that is missing,
    cannot be read or does not parse, and for values that options cannot have. If there is a list
    WRONG, such values are added to it instead, and their options have their defaults.
    """
    files, directories = read_files(files, directories)
    options = _parse(files, directories, wrong)
    return _to_config(options, (*files, *directories))


def load_driver_options(name: str) -> tuple[str | None, DriverOptions]:
    """Return what the nova.conf NAME of a compute host says: which host, and the driver's options.

    The host is None where the file does not name it. What is set in the environment of this
    process does not count. Raises BadInput as :func:`load`.
    """
    files, _ = read_files([name], ())
    options = _parse(files, [], use_env=False)
    return options.host, DriverOptions(**_driver_values(options))


def usual_files() -> tuple[list[str], list[str]]:
    """Return those of the usual files and folders that are there, as far as this user may see."""
    files = [name for name in DEFAULT_FILES if os.path.exists(name)]
    return files, [name for name in DEFAULT_DIRS if os.path.isdir(name)]


def read_files(files: Sequence[str], directories: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the files and folders that are read: FILES and DIRECTORIES, else the usual ones.

    Raises BadInput for one that is missing or cannot be read.
    """
    if not files and not directories:
        files, directories = usual_files()
    for name in files:
        if not os.access(name, os.R_OK) or Path(name).is_dir():
            raise BadInput(f"configuration file {name} is missing or cannot be read")
    for name in directories:
        if not Path(name).is_dir():
            raise BadInput(f"configuration folder {name} is missing")
    return list(files), list(directories)


def _parse(
    files: list[str],
    directories: list[str],
    wrong: list[WrongValue] | None = None,
    use_env: bool = True,
) -> cfg.ConfigOpts:
    options = cfg.ConfigOpts()
    for group, opts in _KNOWN.items():
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
    found = [*find_wrong(options, _KNOWN, every_file(files, directories), use_env)]
    if found and wrong is None:
        raise BadInput("; ".join(map(str, found)))
    for item in found:
        default = next(opt.default for opt in _KNOWN[item.group] if opt.name == item.name)
        options.set_override(item.name, default, None if item.group == "DEFAULT" else item.group)
    if wrong is not None:
        wrong += found
    return options


_KNOWN = {**NOVA_OPTS, "novadev": NOVADEV_OPTS}


def place_of(group: str, name: str, read: Sequence[str]) -> str:
    """Return where the option NAME of GROUP has its value, of the files and folders READ."""
    [opt] = (opt for opt in _KNOWN[group] if opt.name == name)
    folders = [item for item in read if Path(item).is_dir()]
    files = [item for item in read if item not in folders]
    return place(group, opt, every_file(files, folders), use_env=True)


def _without_values(error: cfg.Error) -> str:
    """Return the first line of ERROR; a parse error quotes the line it stopped at, so not that."""
    if isinstance(error, cfg.ConfigFileParseError):
        return f"{error.config_file} cannot be parsed as an INI file"
    return str(error).splitlines()[0]


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
