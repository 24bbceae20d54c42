"""Nova's own way: what a compute service registers for its instances when it starts.

Run by a Nova environment's Python as ``stash_by_nova.py NOVA_CONF HOST``; prints the number of
instances of HOST and the seconds as JSON. The libvirt driver's method runs as it is and saves to
the database directly, where a compute service would ask its conductor. Only the domain's
definition comes from no libvirt.
"""

import json
import sys
import time
import types

import nova.conf
from nova import config, context, objects
from nova.virt import osinfo
from nova.virt.libvirt.config import LibvirtConfigGuest
from nova.virt.libvirt.driver import LibvirtDriver
from nova.virt.libvirt.vif import LibvirtGenericVIFDriver

LOADED = ["info_cache", "metadata", "system_metadata", "numa_topology", "flavor"]
"""What nova/compute/manager.py, init_host, reads of every instance."""


def main(config_file, host):
    """Register what the instances of HOST lack, as the service of that host does."""
    config.parse_args(["benchmark"], default_config_files=[config_file], init_rpc=False)
    nova.conf.CONF.set_override("host", host)
    objects.register_all()
    driver, admin = _driver(), context.get_admin_context()
    osinfo.OsInfo("")  # reads libosinfo's database, once a process
    started = time.perf_counter()
    instances = objects.InstanceList.get_by_host(admin, host, expected_attrs=LOADED)
    for instance in instances:
        driver._register_undefined_instance_details(admin, instance)
    print(json.dumps({"number": len(instances), "wall": time.perf_counter() - started}))


def _driver():
    guest = LibvirtConfigGuest()
    guest.os_type = "hvm"
    found = types.SimpleNamespace(get_config=lambda: guest)
    driver = LibvirtDriver.__new__(LibvirtDriver)
    driver._host = types.SimpleNamespace(get_guest=lambda _: found)
    driver.vif_driver = LibvirtGenericVIFDriver(driver._host)
    return driver


if __name__ == "__main__":
    main(*sys.argv[1:])
