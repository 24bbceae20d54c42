"""Keeps the virtual hardware of OpenStack Nova's libvirt guests known, stable and changeable."""

__version__ = "0.1.0"
