"""Calls of the worker about defaults: those of Nova's own libvirt driver, and libosinfo's.

LibvirtDriver's own constructor is not run, for it wants a libvirt to talk to. What is patched:
its host (it gives the domain's os_type), the host's architecture, and the two calls of
_register_undefined_instance_details() that go to the database. The driver is imported in the
call: it takes a second, and most tests never ask it.
"""

import contextlib
import os
import sys
import types
from unittest import mock

import nova.conf
from nova import objects
from nova.objects import fields
from nova.virt import osinfo
from nova.virt.libvirt import blockinfo

CONF = nova.conf.CONF


def image_property_values():
    """The values of every image property that has an enumeration."""
    types_by_name = {
        name: getattr(field, "_type", None) for name, field in objects.ImageMetaProps.fields.items()
    }
    return {
        name: list(kind.valid_values)
        for name, kind in types_by_name.items()
        if hasattr(kind, "valid_values")
    }


def image_property_names():
    """The names of every image property that Nova has a field for."""
    return sorted(objects.ImageMetaProps.fields)


def osinfo_models(names, available=True, local_dir=None):
    """Of every os_distro: the disk bus and the interface model that libosinfo gives Nova.

    Its database is the system's, and what a local_dir adds.
    """
    with _fresh_libosinfo(available, {"OSINFO_LOCAL_DIR": local_dir} if local_dir else {}):
        found = [osinfo.OsInfo(name) for name in names]
        return [[info.disk_model, info.network_model] for info in found]


CALLS = {
    call.__name__: call for call in (image_property_names, image_property_values, osinfo_models)
}


def registered(instance, bdms, host_arch, os_type):
    """What the driver adds to the instance's image properties, in its order."""
    driver = _driver(os_type)
    before = set(instance.system_metadata)
    with _on_host(host_arch, bdms):
        driver._register_undefined_instance_details(None, instance)
    return {
        name.removeprefix("image_"): value
        for name, value in instance.system_metadata.items()
        if name not in before
    }


def asker(instance, host_arch, os_type):
    """A function that gives what the driver finds for one property: {"value": ...}.

    Of get_disk_info() it is given the bus it asks for alone: the disks do not matter here.
    """
    driver = _driver(os_type)
    guest_config = driver._host.get_guest(instance).get_config()

    def ask(name):
        with _on_host(host_arch, []):
            disks = _bus(instance, name) if name in ("hw_disk_bus", "hw_cdrom_bus") else None
            found = driver._find_default_for_image_property(instance, name, disks, guest_config)
            return {"value": found}

    return ask


def _bus(instance, name):
    kind = name.split("_")[1]
    bus = blockinfo.get_disk_bus_for_device_type(
        instance, CONF.libvirt.virt_type, instance.image_meta, kind
    )
    return {f"{kind}_bus": bus}


def _driver(os_type):
    from nova.virt.libvirt.driver import LibvirtDriver
    from nova.virt.libvirt.vif import LibvirtGenericVIFDriver

    driver = LibvirtDriver.__new__(LibvirtDriver)
    driver._host = _Host(driver, os_type)
    driver.vif_driver = LibvirtGenericVIFDriver(driver._host)
    return driver


class _Host:
    """A host with one domain, of which only the os_type is known."""

    def __init__(self, driver, os_type):
        self._driver = driver
        self._os_type = os_type

    def get_guest(self, instance):
        from nova.virt.libvirt.config import LibvirtConfigGuest

        config = LibvirtConfigGuest()
        config.os_type = self._os_type or (
            fields.VMMode.get_from_instance(instance) or self._driver._get_guest_os_type()
        )
        return types.SimpleNamespace(get_config=lambda: config)


@contextlib.contextmanager
def _on_host(host_arch, bdms):
    uname = types.SimpleNamespace(machine=host_arch)
    rows = objects.BlockDeviceMappingList
    with (
        mock.patch.object(os, "uname", return_value=uname),
        mock.patch.object(rows, "get_by_instance_uuid", return_value=bdms),
        mock.patch.object(objects.Instance, "save", return_value=None),
    ):
        yield


@contextlib.contextmanager
def _fresh_libosinfo(available, environment):
    with (
        contextlib.nullcontext() if available else _hidden("gi.repository.Libosinfo"),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(osinfo._OsInfoDatabase, "_instance", None),
        mock.patch.object(osinfo, "libosinfo", None),
    ):
        yield


@contextlib.contextmanager
def _hidden(module):
    """Not mock.patch.dict: it would also forget the parts of gi, which cannot be loaded twice."""
    before = sys.modules.get(module)
    sys.modules[module] = None
    try:
        yield
    finally:
        del sys.modules[module]
        if before is not None:
            sys.modules[module] = before
