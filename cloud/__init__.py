"""A real Nova on this machine: services from PyPI and Debian, on loopback and in namespaces."""
