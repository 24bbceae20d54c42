"""What the next start of a guest will change in its hardware.

``decided.py``, ``wanted.py`` and ``guest.py`` run in the process of a host.
"""
