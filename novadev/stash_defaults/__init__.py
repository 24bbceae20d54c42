"""Freezing what each guest has, before a new default changes it."""

ACTION = "stash-defaults"
