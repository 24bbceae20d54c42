"""Aliases: a name that stays, for every device that Nova attaches and detaches."""

ACTION = "device alias-migrate"
