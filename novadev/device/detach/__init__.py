"""Detaching a device that nobody owns."""

ACTION = "device detach"
