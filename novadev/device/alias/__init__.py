"""Aliases: a name that stays, for every device that Nova attaches and detaches."""

ACTION = "device alias-migrate"
SUFFIX = " alias"
"""A change's address is the label of a device and this."""
