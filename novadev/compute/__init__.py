"""nova-compute with a wrapper that keeps recorded addresses: ``novadev-nova-compute``.

``start`` is the script: it finds Nova's interpreter and becomes it. ``inside`` runs there, with
``wrapping`` and ``asking``, and imports nothing of novadev, which may be installed elsewhere.
``keeper`` is a process of novadev's own beside it that has the records.
"""
