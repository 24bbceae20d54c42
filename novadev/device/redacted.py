"""A definition without its secrets, to show it and to compute its digest."""

from __future__ import annotations

import difflib
import hashlib

from novadev.virt.domain import Domain

HIDDEN = "hidden"
_SECRET_ATTRIBUTES = ("passwd", "passwdValidTo", "query")
"""Of ``<graphics>``, and of a disk's ``<source>`` at a URL; other passwords are libvirt secrets."""
_SECRET_TEXTS = ("cookie",)
"""What a disk's ``<source>`` sends to a web server; read only because of SECURE."""

_DIGESTS: dict[bytes, str] = {}
"""Digests by the SHA-256 of the whole text, for as long as this process speaks to its host."""
_MOST_DIGESTS = 20_000


def redacted(domain: Domain) -> str:
    """Return the XML of DOMAIN with its secrets written as ``hidden``."""
    return _without_secrets(domain).text


def difference(before: Domain, after: str) -> str:
    """Return in what the XML AFTER differs from BEFORE, as a unified diff without secrets."""
    old, new = redacted(before).splitlines(), redacted(Domain.from_xml(after)).splitlines()
    return "\n".join(difflib.unified_diff(old, new, "persistent", "planned", lineterm="", n=4))


def digest(domain: Domain) -> str:
    """Return the SHA-256 of the canonical XML without aliases and secrets, in hexadecimal.

    Equal for two definitions that differ in aliases, spelling or passwords alone. That of a text is
    kept: the same one is asked for when a guest is planned, and again before it is written.
    """
    text = domain.text
    key = hashlib.sha256(text.encode()).digest()
    if key not in _DIGESTS:
        if len(_DIGESTS) >= _MOST_DIGESTS:
            _DIGESTS.clear()
        canonical = _without_secrets(domain).canonical_without_aliases
        _DIGESTS[key] = hashlib.sha256(canonical).hexdigest()
    return _DIGESTS[key]


def _without_secrets(domain: Domain) -> Domain:
    copied = Domain.from_xml(domain.text)
    for element in copied.root.iter("*"):
        for name in _SECRET_ATTRIBUTES:
            if name in element.attrib:
                element.set(name, HIDDEN)
        if element.tag in _SECRET_TEXTS:
            element.text = HIDDEN
    return copied
