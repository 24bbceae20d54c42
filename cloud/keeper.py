"""The first process of the cloud: it begins all others, and the kernel ends them with it.

keeper.py PROGRESS LOCK: two open files, one for a line at each step, one that holds the lock.
It runs in mount and pid namespaces of its own, begun by `run.py`.
"""

import os
import subprocess
import sys
import time
from contextlib import suppress

import libvirt

from cloud import broker, client, compute, databases, keeping, servers, services, settings
from cloud.places import HOSTS, LOGS, RUN, Site, free_ports
from cloud.relay import relay

COMPUTE = "nova-compute-"
ENDPOINTS = ("keystone", "placement", "glance", "nova", "neutron", "cinder")


def main() -> None:
    """Bring the cloud up, and live until it is killed."""
    progress = os.fdopen(int(sys.argv[1]), "w", buffering=1)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    libvirt.registerErrorHandler(lambda *_: None, None)
    if not databases.are_made():
        print("step the databases, which are made once", file=progress)
    with databases.serve() as (urls, password):
        site = Site(free_ports(), password, urls)
        print(
            "step the message queue, keystone, placement, glance, Nova's controller", file=progress
        )
        running = services.Services()
        _begin_controller(site, running)
        print("step two compute hosts", file=progress)
        hosts = _begin_hosts(site, running)
        client.write(site)
        for name in ENDPOINTS:
            running.wait_for_port(name, site.ports[name])
        api = client.connect()
        servers.wait_for_hosts(api)
        print("step two servers", file=progress)
        servers.create(api)
        print("ready", file=progress)
        progress.close()
        _watch(running, hosts)


def _begin_controller(site: Site, running: services.Services) -> None:
    databases.fill_in(site)
    keeping.make_database(site)
    settings.write(site)
    for folder in ("volumes", "nova", "glance"):
        (RUN / folder).mkdir()
    queue = broker.commands(site)
    running.begin("epmd", *queue["epmd"])
    running.wait_for_port("epmd", site.ports["epmd"])
    running.begin("rabbitmq", *queue["rabbitmq"])
    for name, command in services.commands(site).items():
        running.begin(name, *command)


def _begin_hosts(site: Site, running: services.Services) -> list[compute.ComputeHost]:
    hosts = [compute.ComputeHost(name) for name in HOSTS]
    for host in hosts:
        host.wait()
        relay(host.pid, site.ports.values())
    compute.link(hosts)
    running.wait_for_port("rabbitmq", site.ports["rabbitmq"])
    running.wait_for_port("keystone", site.ports["keystone"])
    for host in hosts:
        config = settings.write_compute(site, host.name, compute.ADDRESSES[host.name])
        running.begin(f"{COMPUTE}{host.name}", *host.nova(config))
    return hosts


def _watch(running: services.Services, hosts: list[compute.ComputeHost]) -> None:
    """Say in a log which service ended, and begin a nova-compute again, as systemd would.

    As the first process, free what is left of others.

    The files of HOSTS live as long as these objects.
    """
    with (LOGS / "ended.log").open("w", buffering=1) as log:
        while True:
            with suppress(ChildProcessError):
                pid, status = os.wait()
                if name := running.name_of(pid):
                    code = os.waitstatus_to_exitcode(status)
                    print(f"{time.ctime()} {name} ended with {code}", file=log)
                    if name.startswith(COMPUTE):
                        running.begin_again(name)


if __name__ == "__main__":
    main()
