"""The switch KEEP of ``make cloud``: nova-compute begins through ``novadev-nova-compute``.

Its values are those of ``[novadev] keep_addresses``. The hosts share a state database.
"""

import os

import sqlalchemy as sa

from cloud.places import ROOT, Site

MODE = os.environ.get("NOVADEV_CLOUD_KEEP", "")
"""What the hosts do: off, log or on; empty where they begin Nova's own program."""
MODES = ("", "off", "log", "on")
_NAME = "novadev"
_SCRIPT = ROOT / ".venv/bin/novadev-nova-compute"


def command(program: str) -> list[str]:
    """Return what begins nova-compute, whose PROGRAM that is, in a host's environment."""
    return [f"NOVADEV_NOVA_COMPUTE={program}", str(_SCRIPT)] if MODE else [program]


def make_database(site: Site) -> None:
    """Make the state database that the hosts share."""
    if MODE:
        engine = sa.create_engine(site.urls["nova_api"], poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {_NAME}"))


def state_connection(site: Site, otherwise: str) -> str:
    """Return the URL of the state database: OTHERWISE where the hosts have none."""
    if not MODE:
        return otherwise
    url = sa.make_url(site.urls["nova_api"]).set(database=_NAME)
    return url.render_as_string(hide_password=False)


def options(site: Site) -> str:
    """Return what the nova.conf of a compute host says of it.

    With ports for a Q35 guest that gets several devices while it runs: libvirt has one to spare.
    """
    if not MODE:
        return ""
    url = state_connection(site, "").replace("$", "$$")
    return f"""
[DEFAULT]
debug = true
[novadev]
state_connection = {url}
keep_addresses = {MODE}
keep_aliases = true
[libvirt]
num_pcie_ports = 24
"""
