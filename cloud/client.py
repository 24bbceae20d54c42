"""What a user types with: an `openstack` client and a novadev that know this cloud."""

import sys
from pathlib import Path

import openstack

from cloud.places import CLOUDS, ENVIRONMENT, RC, RUN, Site
from cloud.settings import NOVA_CONF

NAME = "novadev"


def write(site: Site) -> None:
    """Write the configuration of the client, and RC."""
    CLOUDS.touch(mode=0o600)
    CLOUDS.write_text(
        f"clouds:\n  {NAME}:\n"
        f"    auth:\n      auth_url: {site.url('keystone', '/v3')}\n"
        f"      username: admin\n      password: {site.password}\n      project_name: admin\n"
        "      user_domain_id: default\n      project_domain_id: default\n"
        "    region_name: RegionOne\n    interface: public\n    identity_api_version: 3\n"
    )
    programs = RUN / "bin"
    programs.mkdir()
    (programs / "openstack").symlink_to(ENVIRONMENT / "bin/openstack")
    (programs / "novadev").symlink_to(Path(sys.executable).parent / "novadev")
    RC.write_text(
        f"export PATH={programs}:$PATH\n"
        f"export OS_CLIENT_CONFIG_FILE={CLOUDS} OS_CLOUD={NAME}\n"
        f"export NOVADEV_CONFIG_FILE={NOVA_CONF}\n"
    )


def connect() -> openstack.connection.Connection:
    """Return a connection to the cloud that runs."""
    config = openstack.config.OpenStackConfig(config_files=[str(CLOUDS)])
    return openstack.connection.Connection(config=config.get_one(NAME), compute_api_version="2.95")
