"""How a server is stopped, or gets the stored hardware, from each state that Nova may have it in.

This is the one home of these hints. Source: nova/compute/api.py, the ``check_instance_state`` of
``stop``, ``reboot``, ``start``, ``confirm_resize``, ``revert_resize``, ``unrescue``, ``unpause``,
``resume`` and ``restore``. Stop takes a server that is active or in error, and no other. A hard
reboot also takes one that is stopped, paused or suspended.
"""

from __future__ import annotations

from collections.abc import Mapping

_STOP = "openstack server stop"
_FIRST: Mapping[str, str] = {
    "paused": "openstack server unpause",
    "rescued": "openstack server unrescue",
    "resized": "openstack server resize confirm or resize revert",
    "soft-delete": "openstack server restore",
    "suspended": "openstack server resume",
}
"""What brings a server out of a state that Nova stops none from."""
_POWER_ON: Mapping[str, str] = {
    "stopped": "openstack server start",
    "shelved": "openstack server unshelve",
    "shelved_offloaded": "openstack server unshelve",
    "soft-delete": "openstack server restore",
}
"""What starts a guest that Nova has ended."""
_REBOOT = "openstack server reboot --hard"
_STATE_AFTER: Mapping[str, str] = {
    "rescuing": "rescued",
    **dict.fromkeys(
        ("resize_prep", "resize_migrating", "resize_migrated", "resize_finish"), "resized"
    ),
}
"""The state that a task leads to where it is not ``active`` (nova/compute/manager.py)."""
_NOTHING_TO_RUN: Mapping[str, str] = {
    "building": "wait until Nova has built it",
    "deleted": "it is deleted",
}


_LOST = "first get it out of ERROR: it is on no host, and Nova can neither stop nor start it"
"""Stop and unshelve are refused, and a hard reboot is an error of the API that leaves a task."""


def way_to_stopped(vm_state: str | None, is_on_host: bool = True) -> str:
    """Return the commands that stop a server in this VM_STATE, in order and without its name.

    A server that was resized or is restored may be stopped by the first of them already.
    """
    state = vm_state or ""
    if state == "error" and not is_on_host:
        return _LOST
    if state in _NOTHING_TO_RUN:
        return _NOTHING_TO_RUN[state]
    first = _FIRST.get(state)
    return _STOP if first is None else f"{first}; then {_STOP}"


def way_to_stored_hardware(vm_state: str | None, is_on_host: bool = True) -> str:
    """Return the commands after which the guest has what is stored, in order, without its name."""
    state = vm_state or ""
    if state == "error" and not is_on_host:
        return _LOST
    if state in _NOTHING_TO_RUN:
        return _NOTHING_TO_RUN[state]
    if state in _POWER_ON:
        return _POWER_ON[state]
    first = _FIRST.get(state) if state in ("rescued", "resized") else None
    return _REBOOT if first is None else f"{first}; then {_REBOOT}"


def way_after(vm_state: str | None, task_state: str | None) -> str:
    """Return what `way_to_stored_hardware` does, for a server that has a task, for when it is over.

    An unshelve may take the properties of the snapshot, so a hard reboot follows it.
    """
    if task_state is None:
        return way_to_stored_hardware(vm_state)
    if task_state.startswith("shelving"):
        return f"{_POWER_ON['shelved']}; then {_REBOOT}"
    return way_to_stored_hardware(_STATE_AFTER.get(task_state, "active"))
