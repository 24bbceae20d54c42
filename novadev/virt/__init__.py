"""The hypervisor: hosts, their domains, and the devices in a domain's XML."""
