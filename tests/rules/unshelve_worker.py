"""What a real Nova makes of the disks of a server that it unshelves; lines of JSON in and out.

Run by a Nova environment's Python. A line is the arguments of ``disk_info_of`` in
tests/nova/worker.py, an answer what ``disk_info_many`` there gives for one case.
"""

import json
import os
import sys
from pathlib import Path
from types import ModuleType

WORKER = Path(__file__).resolve().parent.parent / "nova" / "worker.py"


def load_worker():
    """Return the other worker, which makes Nova's objects of plain values, without its loop."""
    sys.path.insert(0, str(WORKER.parent))
    module = ModuleType("worker")
    source = WORKER.read_text().rstrip().removesuffix("main()")
    exec(compile(source, str(WORKER), "exec"), module.__dict__)
    return module


def manager_class():
    """Return the part of Nova's compute manager that names disks, on the libvirt driver's rule."""
    from nova.compute.manager import ComputeManager
    from nova.virt.libvirt.driver import LibvirtDriver

    class Manager:
        driver = LibvirtDriver.__new__(LibvirtDriver)
        add_missing_dev_names = ComputeManager._add_missing_dev_names
        _get_device_name_for_instance = ComputeManager._get_device_name_for_instance

    return Manager


def unshelved(worker, manager, instance, bdms, image_properties, virt_type, config):
    """Return the disks as ComputeManager._unshelve_instance() comes to them."""
    made = worker._instance_of(instance, image_properties)
    disks = [worker._bdm({"id": number, **values}) for number, values in enumerate(bdms, 1)]
    rows = worker.objects.BlockDeviceMappingList(objects=disks)
    given = {**config, "libvirt": {**config["libvirt"], "virt_type": virt_type}}
    with worker._overridden(given):
        manager.add_missing_dev_names(rows, made)
        info = worker.driver.get_block_device_info(made, rows)
        return worker.blockinfo.get_disk_info(virt_type, made, made.image_meta, info)


def main():
    """Answer until standard input ends; whatever Nova prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker, manager = load_worker(), manager_class()()
    worker.objects.register_all()
    worker.objects.BlockDeviceMapping.save = lambda self: None
    for line in sys.stdin:
        try:
            answer = unshelved(worker, manager, **json.loads(line))
        except Exception as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer, default=str) + "\n")
        answers.flush()
    os._exit(0)


main()
