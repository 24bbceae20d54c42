"""Rehearsal: each shape of guest is defined and started, paused, on a host of the new release."""
