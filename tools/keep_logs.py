"""What the hosts of the running cloud have logged of definitions: Nova's own, and those of libvirt.

Nova logs each definition that it has written (``driver.py`` _get_guest_xml), before it is wrapped;
libvirtd, asked for that, each that it is given (``virDomainDefineXML``).
"""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from cloud.places import HOSTS, LOGS, RUN

_HARMLESS = re.compile(
    r"</?(address|alias|controller|target chassis|model name=.(pcie?-|ioh|i82801|x3130))"
)
_LATE = re.compile(
    r"nothing is kept: (no answer within|another definition is|novadev's process is not ready"
    r"|the state database (does not answer within|has not answered))"
)
"""Lines that say that a time limit has passed: then libvirt gets Nova's own text."""
_OWN = re.compile(r"End _get_guest_xml xml=(<domain.*?</domain>)", re.DOTALL)
_GIVEN = re.compile(r'virDomainDefineXML\S* : conn=\S+ xml=(<domain type=".*?</domain>)', re.DOTALL)
_COLOUR = re.compile(r"\x1b\[\d*m")
"""What Nova 28 puts at the end of what it says."""
Marks = Mapping[Path, int]


def follow_definitions(host: str) -> None:
    """Have the libvirtd of a HOST log what it is asked to define, until it ends."""
    socket = f"{RUN}/{host}/run/libvirt/libvirt-admin-sock"
    admin = ["virt-admin", "-c", f"libvirtd:///system?socket={socket}"]
    for command in (
        ("daemon-log-outputs", f"1:file:{LOGS}/libvirtd-{host}.log"),
        ("daemon-log-filters", "1:libvirt.domain"),
    ):
        subprocess.run([*admin, *command], check=True, capture_output=True)


def marks() -> Marks:
    """Return how long each log is now."""
    return {path: path.stat().st_size for path in (*_logs(), *LOGS.glob("libvirtd-*"))}


def is_late(uuid: str, since: Marks) -> bool:
    """Whether a definition of the guest UUID was passed through SINCE as its time was over."""
    lines = (line for path in _logs() for line in _text(path, since).splitlines() if uuid in line)
    return any(map(_LATE.search, lines))


def is_said(host: str, text: str, since: Marks) -> bool:
    """Whether the nova-compute of a host has logged a TEXT since."""
    return text in _text(LOGS / f"nova-compute-{host}.log", since)


def foreign(since: Marks) -> tuple[int, list[str]]:
    """Return how many definitions libvirt was given SINCE, and those that Nova has not written.

    What libvirt itself wrote, such as what a guest had before it was rescued, is neither: there a
    quotation mark is a single one, in Nova's a double one.
    """
    own = {text for path in _logs() for text in _OWN.findall(_text(path, {}))}
    given = [
        text
        for host in HOSTS
        for text in _GIVEN.findall(_text(LOGS / f"libvirtd-{host}.log", since))
    ]
    return len(given), [text for text in given if text not in own]


def differing(since: Marks) -> tuple[int, list[str]]:
    """Return of how many definitions the logs say SINCE what differs, and lines that may not."""
    number, wrong = 0, Counter[str]()
    for path in _logs():
        inside = False
        for line in _text(path, since).splitlines():
            if "what differs from Nova's own definition" in line:
                number, inside = number + 1, True
            elif re.match(r"\d{4}-\d\d-\d\d ", line):
                inside = False
            elif inside and line[:1] in "+-" and line[:3] not in ("+++", "---"):
                text = line[1:].strip().replace("/>", ">")  # an address in it opens an element
                if not _HARMLESS.match(text) and not text.startswith("</"):
                    wrong[text] += 1 if line[0] == "+" else -1
    return number, [f"{count:+} {text}" for text, count in wrong.items() if count]


def _logs() -> Iterator[Path]:
    yield from LOGS.glob("nova-compute*")


def _text(path: Path, since: Marks) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(since.get(path, 0))
        return _COLOUR.sub("", file.read().decode(errors="replace"))
