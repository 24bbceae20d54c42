"""Run by Nova's own interpreter: its driver wrapped as nova-compute's is, and asked for a guest.

Arguments: novadev's python, its folder, a nova.conf, a definition as Nova writes it, and the one
that the guest has. Prints a JSON.
"""

import contextlib
import importlib.util
import json
import os
import signal
import sys
import threading
import time
import types
from pathlib import Path

PYTHON, ROOT, CONFIG, UUID, NOVA, SEEN = sys.argv[1:7]
sys.argv[:] = ["nova-compute"]

import nova.cmd.compute  # noqa: E402 - it patches
import nova.conf  # noqa: E402
import nova.context  # noqa: E402
import nova.exception  # noqa: E402
from nova.virt.libvirt import driver, guest, host  # noqa: E402

spec = importlib.util.spec_from_file_location("inside", f"{ROOT}/novadev/compute/nova_main.py")
inside = importlib.util.module_from_spec(spec)
spec.loader.exec_module(inside)
asking, wrapping = inside.beside("keeper_client"), inside.beside("driver_wrapper")
asking.LIMIT = 20.0  # the machine of a test may be busy


class Log(list):
    """Nova's log."""

    def info(self, text, *values):
        self.append(text % values)

    warning = debug = info

    def isEnabledFor(self, level):
        return level > 10


def main():
    log = Log()
    command = [PYTHON, "-m", "novadev.compute.keeper", "{}", "--config-file", CONFIG]
    keeper = asking.Keeper(command, log)
    wrapper = wrapping.Wrapper(keeper, log, lambda: "cmp7")
    wrapping.wrap(driver.LibvirtDriver, host.Host, guest.Guest, wrapper)
    nova.conf.CONF([], project="nova", default_config_files=[CONFIG])
    nova.conf.CONF.register_mutate_hook(wrapper.load)
    keeper.start()
    until = time.monotonic() + 60
    while keeper._mode is None and time.monotonic() < until:
        with contextlib.suppress(asking.Refused):
            keeper._be_ready(time.monotonic() + 0.5)
    made = driver.LibvirtDriver.__new__(driver.LibvirtDriver)
    found = {"kept": _rebooted(made), "rebuilt": _rebuilt(made), "given": _defined()}
    found["is_lost"] = wrapping.is_connection_lost(nova.exception.HypervisorUnavailable())
    found["ticks"] = _ticks(made, keeper)
    keeper.stop()
    config = Path(CONFIG)
    config.write_text(config.read_text().replace("keep_addresses = on", "keep_addresses = off"))
    nova.conf.CONF.mutate_config_files()
    print(json.dumps({**found, "off": _rebooted(made), "log": log}))
    keeper.stop()


def _rebooted(made):
    """The definition that Nova's hard reboot would give libvirt, and why it ends there."""
    text, seen, given = Path(NOVA).read_text(), Path(SEEN).read_text(), []
    guest = types.SimpleNamespace(get_xml_desc=lambda: seen)
    made._host = types.SimpleNamespace(get_guest=lambda _: guest)
    config = types.SimpleNamespace(to_xml=lambda: text)
    made._get_guest_config = lambda *_: config
    instance = types.SimpleNamespace(uuid=UUID, name="instance", id=1)
    # Where the hard reboot itself begins, Nova asks for the definition.
    made._get_all_assigned_mediated_devices = lambda _: given.append(
        made._get_guest_xml(None, instance, [], {}, None)
    )
    with contextlib.suppress(AttributeError):
        made._hard_reboot(None, instance, [], None)
    _rebooted.text = given[0]
    return given[0]


def _rebuilt(made):
    """The definition after a rebuild, which detaches the volumes before it destroys the guest."""
    text, seen = Path(NOVA).read_text(), Path(SEEN).read_text()
    made._host = types.SimpleNamespace(get_guest=lambda _: guest)
    made._destroy = made.cleanup = lambda *_, **__: None
    made._device_event_handler = types.SimpleNamespace(cleanup_waiters=lambda _: None)
    made._get_guest_config = lambda *_: types.SimpleNamespace(to_xml=lambda: text)
    instance = types.SimpleNamespace(uuid=UUID, name="instance", id=1)
    context = nova.context.RequestContext(request_id="req-5eed")  # that of this thread from now on
    guest = types.SimpleNamespace(get_xml_desc=lambda: seen)
    made.power_off(instance)
    guest = types.SimpleNamespace(get_xml_desc=lambda: text)
    made.destroy(context.elevated(), instance, [])
    return made._get_guest_xml(context, instance, [], {}, None)


def _defined():
    """What libvirt is given of the definition that it refuses, one after the other."""
    given = []

    def refuse_first(text):
        given.append(text)
        if len(given) == 1:
            raise RuntimeError("refused")

    asked = host.Host.__new__(host.Host)
    asked.get_connection = lambda: types.SimpleNamespace(defineXML=refuse_first)
    kept = _rebooted.text
    with contextlib.suppress(AttributeError, ImportError):  # what Nova makes of the domain
        asked.write_instance_config(kept)
    return given


def _ticks(made, keeper):
    """How often other work came to its turn while the keeper hung."""
    asking.LIMIT, ticks, ended = 2.0, [], []

    def tick():
        while not ended:
            ticks.append(1)
            time.sleep(0.05)

    thread = threading.Thread(target=tick)
    thread.start()
    os.kill(keeper._process.pid, signal.SIGSTOP)
    _rebooted(made)
    ended.append(1)
    thread.join()
    asking.LIMIT = 20.0
    return len(ticks)


main()
