"""Recorded addresses put back: a guest's devices where it had them."""

ACTION = "device restore"
SUFFIX = " address"
"""A change's address is the name of a device (:mod:`novadev.device.restore.naming`) and this."""
