"""The work behind ``device export`` and ``device import``: recorded addresses, carried along."""

ACTION = "device import"
"""What an import changes of a device, as the end of a change's ``what``."""
