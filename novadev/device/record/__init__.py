"""The work behind ``device record``, ``list``, ``drift`` and ``history``."""
