"""The definition that Nova's own libvirt driver makes of a guest, as far as its hardware goes.

What LibvirtDriver._get_guest_config() adds is added here by the same methods, in its order. Left
out is what wants a libvirt to talk to, and what no image property of novadev's concerns. Volumes
are not connected, rows are not saved; the driver is imported in the call, as it takes a second.
"""

import contextlib
import os
import types
from unittest import mock

import nova.conf
import os_vif
from nova import exception, objects
from nova.virt import driver as virt_driver
from nova.virt import hardware
from nova.virt.libvirt import blockinfo

CONF = nova.conf.CONF
RBD = {
    "driver_volume_type": "rbd",
    "data": {"name": "", "hosts": [], "ports": [], "auth_enabled": False},
}


def guest_xml(instance, bdms, vifs, host_arch, whole=False):
    """{"xml": the definition, "rows": name, bus and type of every disk's row as Nova leaves it}.

    WHOLE: with every device that is not the host's, in the order of _get_guest_config().
    """
    with _on_host(host_arch):
        asked = _driver()
        mapped = virt_driver.get_block_device_info(instance, bdms)
        for volume in mapped["block_device_mapping"]:
            volume["connection_info"] = _connection(volume["connection_info"])
        virt_type, meta = CONF.libvirt.virt_type, instance.image_meta
        blockinfo.default_device_names(virt_type, None, instance, mapped, meta)
        disks = blockinfo.get_disk_info(virt_type, instance, meta, mapped)
        guest = _guest(instance)
        add = _add_all_devices if whole else _add_devices
        add(asked, guest, instance, disks, mapped, vifs)
    rows = [[bdm.device_name, bdm.disk_bus, bdm.device_type] for bdm in bdms]
    return {"xml": guest.to_xml(), "rows": rows}


def machine_refusals(instance, host_arch):
    """The errors of Nova's driver about what not every machine type has, on a host that has all."""
    with _on_host(host_arch):
        asked, guest, found = _driver(), _guest(instance), []
        asked._host = types.SimpleNamespace(
            supports_secure_boot=True, has_min_version=lambda *_, **__: True
        )
        meta, flavor, machine = instance.image_meta, instance.flavor, guest.os_mach_type
        try:
            asked._get_iommu_model(guest, meta, flavor)
        except exception.NovaException as error:
            found.append(type(error).__name__)
        try:
            hardware.get_mem_encryption_constraint(flavor, meta, machine)
        except exception.NovaException as error:
            found.append(type(error).__name__)
        firmware = meta.properties.get("hw_firmware_type")
        required = hardware.get_secure_boot_constraint(flavor, meta) == "required"
        able = asked._check_secure_boot_support(host_arch, machine, firmware)
        if firmware == "uefi" and required and not able:
            found.append("SecureBootNotSupported")
    return found


def _guest(instance):
    from nova.virt.libvirt import config, utils

    guest = config.LibvirtConfigGuest()
    guest.virt_type, guest.os_type = CONF.libvirt.virt_type, "hvm"
    guest.uuid, guest.name = instance.uuid, f"instance-{instance.uuid[:8]}"
    guest.memory, guest.vcpus = 65536, 1
    guest.os_mach_type = utils.get_machine_type(instance.image_meta)
    return guest


def _add_devices(asked, guest, instance, disks, mapped, vifs):
    meta, flavor = instance.image_meta, instance.flavor
    _add_disks_and_interfaces(asked, guest, instance, disks, mapped, vifs)
    _add_display(asked, guest, meta, flavor)
    asked._add_rng_device(guest, flavor, meta)
    _add_usb_controller(asked, guest, flavor, meta)


def _add_all_devices(asked, guest, instance, disks, mapped, vifs):
    meta, flavor = instance.image_meta, instance.flavor
    _add_disks_and_interfaces(asked, guest, instance, disks, mapped, vifs)
    asked._create_consoles(guest, instance, flavor, meta)
    asked._guest_add_spice_channel(guest)
    if hasattr(asked, "_add_sound_device"):  # since release 32
        asked._add_sound_device(guest, flavor, instance, meta)
    _add_display(asked, guest, meta, flavor)
    asked._set_qemu_guest_agent(guest, flavor, instance, meta)
    asked._add_rng_device(guest, flavor, meta)
    if CONF.libvirt.num_pcie_ports and "q35" in (guest.os_mach_type or ""):
        asked._guest_add_pcie_root_ports(guest)
    _add_usb_controller(asked, guest, flavor, meta)
    if hasattr(asked, "_add_redirected_usb_ports"):
        asked._add_redirected_usb_ports(guest, flavor, instance, meta)
    asked._guest_add_watchdog_action(guest, flavor, meta)
    asked._guest_add_memory_balloon(guest)


def _add_usb_controller(asked, guest, flavor, meta):
    if hasattr(asked, "_add_sound_device"):
        asked._guest_add_usb_root_controller(guest, flavor, meta)
    else:
        asked._guest_add_usb_root_controller(guest, meta)


def _add_disks_and_interfaces(asked, guest, instance, disks, mapped, vifs):
    meta, flavor = instance.image_meta, instance.flavor
    storage = asked._get_guest_storage_config(
        None, instance, meta, disks, None, mapped, flavor, guest.os_type
    )
    for device in storage:
        guest.add_device(device)
    for vif in vifs:
        virt_type = CONF.libvirt.virt_type
        guest.add_device(asked.vif_driver.get_config(instance, vif, meta, flavor, virt_type))


def _add_display(asked, guest, meta, flavor):
    if asked._guest_add_video_device(guest):
        asked._add_video_driver(guest, meta, flavor)
        asked._guest_add_pointer_device(guest, meta)
        asked._guest_add_keyboard_device(guest, meta)


def _connection(given):
    return {**RBD, "data": {**RBD["data"], "name": f"volumes/{given['serial']}"}, **given}


def _driver():
    os_vif.initialize()
    from nova.virt.libvirt import driver, imagebackend, vif
    from nova.virt.libvirt.volume import net

    asked = driver.LibvirtDriver.__new__(driver.LibvirtDriver)
    asked.vif_driver = vif.LibvirtGenericVIFDriver()
    asked.image_backend = imagebackend.Backend(False)
    asked.disk_cachemodes, asked._disk_cachemode = {}, "none"
    secrets = types.SimpleNamespace(find_secret=lambda *_: None)
    asked._get_volume_driver = lambda _: net.LibvirtNetVolumeDriver(secrets)
    asked._connect_volume = lambda *_, **__: None
    asked._host = types.SimpleNamespace(
        has_min_version=lambda *_, **__: True, supports_amd_sev=False
    )
    return asked


@contextlib.contextmanager
def _on_host(host_arch):
    uname = types.SimpleNamespace(machine=host_arch, release="6.1.0")
    with (
        mock.patch.object(os, "uname", return_value=uname),
        mock.patch.object(objects.BlockDeviceMapping, "save", return_value=None),
    ):
        yield
