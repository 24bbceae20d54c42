"""A real libvirt that defines domains, in a process of its own: `python -m` with a folder.

Reads one JSON string (a domain's XML) a line, and answers each with a JSON string: empty when
libvirt defined it, else why it refused. qemu:///embed needs an event loop in its process, and as
root a user that need not exist, so it runs as nobody then.
"""

import json
import os
import sys
import threading

import libvirt

NOBODY = 65534


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _open(folder: str) -> libvirt.virConnect:
    if os.getuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    os.environ["HOME"] = folder
    libvirt.registerErrorHandler(lambda *_: None, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_run_events, daemon=True).start()
    return libvirt.open(f"qemu:///embed?root={folder}")


def _refusal(connection: libvirt.virConnect, xml: str) -> str:
    try:
        connection.defineXML(xml).undefine()
    except libvirt.libvirtError as error:
        return str(error.get_error_message())
    return ""


def main() -> None:
    """Answer until standard input ends."""
    connection = _open(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(_refusal(connection, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
