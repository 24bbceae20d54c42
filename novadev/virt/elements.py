"""One line per attribute: how a device class names what stands in its element.

A path is an element path below the device, an attribute after ``@`` or both: ``serial``,
``@type``, ``target/@dev``. The first of several paths that is there counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, overload

from lxml import etree

if TYPE_CHECKING:
    from typing_extensions import Self


class HasElement(Protocol):
    """A view of an element."""

    @property
    def element(self) -> etree._Element:
        """The element itself."""


class Text:
    """A text of the element, read again each time; None if none of the paths exists."""

    def __init__(self, *paths: str) -> None:
        self._paths = [_split(path) for path in paths]

    @overload
    def __get__(self, view: None, owner: type) -> Self: ...

    @overload
    def __get__(self, view: HasElement, owner: type) -> str | None: ...

    def __get__(self, view: HasElement | None, owner: type) -> Self | str | None:
        """Return the text."""
        return self if view is None else self._read(view.element)

    def _read(self, element: etree._Element) -> str | None:
        for where, attribute in self._paths:
            found = element.find(where) if where else element
            text = None if found is None else _text(found, attribute)
            if text is not None:
                return text
        return None


class Flag:
    """Whether a child element is there."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __get__(self, view: HasElement, owner: type) -> bool:
        """Return whether it is there."""
        return view.element.find(self._path) is not None


def _split(path: str) -> tuple[str, str]:
    where, at, attribute = path.partition("@")
    return (where.rstrip("/"), attribute) if at else (path, "")


def _text(element: etree._Element, attribute: str) -> str | None:
    return element.get(attribute) if attribute else (element.text or "").strip()


def insert_before(parent: etree._Element, names: tuple[str, ...], child: etree._Element) -> None:
    """Put CHILD before the first of PARENT's children with one of NAMES, else at the end.

    The blanks around it are those of its new siblings.
    """
    follower = next((item for item in parent if item.tag in names), None)
    if follower is not None:
        child.tail = _blank_before(follower)
        follower.addprevious(child)
    elif len(parent):
        last = parent[-1]
        child.tail, last.tail = last.tail, parent.text
        parent.append(child)
    else:
        _insert_first(parent, child)


def remove(child: etree._Element) -> None:
    """Take CHILD out of its parent, with the blanks that `insert_before` gave it."""
    parent, before = child.getparent(), child.getprevious()
    assert parent is not None
    if child.getnext() is None and before is not None:
        before.tail = child.tail
    elif before is None and child.getnext() is None and not (parent.text or "").strip():
        parent.text = None
    parent.remove(child)


def _insert_first(parent: etree._Element, child: etree._Element) -> None:
    blank = _blank_before(parent)
    if blank is not None and blank.startswith("\n"):
        parent.text, child.tail = f"{blank}  ", blank
    parent.append(child)


def _blank_before(element: etree._Element) -> str | None:
    before, parent = element.getprevious(), element.getparent()
    if before is not None:
        return before.tail
    return None if parent is None else parent.text
