"""RabbitMQ, from Debian's package, unpacked and not installed."""

import os

from cloud.places import PROGRAMS, RUN, Site

FOLDER = RUN / "rabbitmq"
QUIET = "+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2"
"""Erlang's schedulers would wait for work in busy loops."""


def commands(site: Site) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return each process's command and environment, by its name in the log."""
    _write_settings(site)
    environment = os.environ | _environment(site)
    (epmd,) = (PROGRAMS / "usr/lib/erlang").glob("erts-*/bin/epmd")
    return {
        "epmd": ([str(epmd), "-address", "127.0.0.1"], environment),
        "rabbitmq": ([str(PROGRAMS / "usr/lib/rabbitmq/bin/rabbitmq-server")], environment),
    }


def _write_settings(site: Site) -> None:
    FOLDER.mkdir()
    settings = FOLDER / "rabbitmq.conf"
    settings.touch(mode=0o600)
    settings.write_text(
        f"listeners.tcp.1 = 127.0.0.1:{site.ports['rabbitmq']}\n"
        f"default_user = nova\ndefault_pass = {site.password}\n"
        "log.file.level = warning\n"
    )
    (FOLDER / "plugins").write_text("[].\n")
    (FOLDER / "env.conf").write_text("")


def _environment(site: Site) -> dict[str, str]:
    interface = "-kernel inet_dist_use_interface {127,0,0,1}"
    return {
        "PATH": f"{PROGRAMS}/usr/lib/erlang/bin:{os.environ['PATH']}",
        "HOME": str(FOLDER),
        "ERL_EPMD_PORT": str(site.ports["epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP": "/dev/null",
        "RABBITMQ_NODENAME": "novadev@localhost",
        "RABBITMQ_DIST_PORT": str(site.ports["distribution"]),
        "RABBITMQ_CONF_ENV_FILE": str(FOLDER / "env.conf"),
        "RABBITMQ_CONFIG_FILE": str(FOLDER / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(FOLDER / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(FOLDER / "data"),
        "RABBITMQ_LOG_BASE": str(FOLDER / "log"),
        "RABBITMQ_PID_FILE": str(FOLDER / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{QUIET} {interface}",
    }
