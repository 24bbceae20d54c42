"""A running guest asked for its disks, through QEMU's guest agent; never for long.

The agent's own command is sent, by ``virDomainQemuAgentCommand``, and its reply read here.
``virDomainGetGuestInfo`` is not used, for two reasons. libvirtd 9.0 dies of a reply that has a disk
without a name (``qemuAgentGetDisks``), so that one guest could end the libvirtd of its host. And it
has no time limit but one that is kept for the domain and holds for all who speak to the agent
(``virDomainAgentSetResponseTimeout``): Nova's freezing of file systems would be given up too.

libvirt notes in the log of the domain, once, that its agent was sent a command (``tainted:
custom-ga-command``); nothing else comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from novadev.virt.binding import libvirt, libvirt_qemu
from novadev.virt.guest_answer import GuestAnswer, read_disks, read_filesystems
from novadev.virt.host import Host

LIMIT = 6.0
"""Seconds that one guest may take to answer: libvirt finds in 5 that an agent hangs."""
_UNHEARD = {
    libvirt.VIR_ERR_OPERATION_INVALID: "the guest is not running",
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED: "the guest has no channel for a guest agent",
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE: "the guest's agent does not answer",
    libvirt.VIR_ERR_AGENT_UNSYNCED: "the guest's agent does not answer",
    libvirt.VIR_ERR_OPERATION_TIMEOUT: "the guest's agent is busy",
}
"""Errors after which nothing else needs to be asked."""
_PARTIAL = (
    "the guest's agent failed to list the disks: only those with a mounted file system are known"
)
_UNKNOWN = "The command guest-get-disks has not been found"
_NOT_TEXT = (SystemError, UnicodeError)
"""What libvirt's binding raises for a text of the guest that is not UTF-8."""
T = TypeVar("T")


def ask_disks(host: Host, uuid: str, limit: float = LIMIT) -> GuestAnswer:
    """Return what the agent of a guest says of its disks, or a note why nothing is known.

    It takes LIMIT seconds at most, and no more than half of the host's own time, whatever the
    guest does. Raises NotFound for the domain and Unreachable for the host.
    """
    handle, limit = host.handle(uuid), min(limit, host.timeout / 2)
    try:
        return _within(limit, lambda: _ask(handle, max(1, int(limit / 2))))
    except Empty:
        return GuestAnswer(None, (f"the guest's agent did not answer within {limit:g} s",))
    except _NOT_TEXT:
        return GuestAnswer(None, ("the guest's agent sent an answer that is not text",))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN or not host.is_alive():
            with host.translated(uuid):
                raise
        return GuestAnswer(None, (_reason(error),))


def _within(limit: float, question: Callable[[], T]) -> T:
    """Return or raise what QUESTION does; raises Empty when it takes longer than LIMIT seconds.

    The limit of a command does not hold for what comes before it: five seconds until libvirt takes
    an agent for hung, half a minute for another caller's command. A question that is overdue is
    left behind in its thread.
    """
    answers: SimpleQueue[T | Exception] = SimpleQueue()

    def answer() -> None:
        try:
            answers.put(question())
        except (libvirt.libvirtError, *_NOT_TEXT) as error:
            answers.put(error)

    Thread(target=answer, name="guest agent", daemon=True).start()
    found = answers.get(timeout=limit)
    if isinstance(found, Exception):
        raise found
    return found


def _ask(handle: Any, seconds: int) -> GuestAnswer:
    """Ask for the disks, and for the file systems where the agent does not tell the disks.

    An agent before 5.2 has no ``guest-get-disks``, and nothing else to say. Where the command is
    there and fails, a note says that only a part of the disks may be known.
    """
    try:
        return read_disks(_command(handle, "guest-get-disks", seconds))
    except libvirt.libvirtError as error:
        if error.get_error_code() in _UNHEARD:
            raise
        refused = error
    try:
        answer = read_filesystems(_command(handle, "guest-get-fsinfo", seconds))
    except libvirt.libvirtError:
        raise refused from None
    if _is_unknown(refused):
        return answer
    return replace(answer, notes=(*answer.notes, _PARTIAL), is_partial=True)


def _is_unknown(error: libvirt.libvirtError) -> bool:
    """Whether the agent has no such command, in its own words (``qmp-dispatch.c`` of QEMU)."""
    return (error.get_error_message() or "").endswith(_UNKNOWN)


def _command(handle: Any, name: str, seconds: int) -> str:
    return str(libvirt_qemu.qemuAgentCommand(handle, f'{{"execute": "{name}"}}', seconds, 0))


def _reason(error: libvirt.libvirtError) -> str:
    """Return why there is no answer; of the words in an error, the guest may have put some."""
    text = error.get_error_message() or "no reason given"
    return (
        _UNHEARD.get(error.get_error_code()) or f"the guest's agent gave no answer: {text!r:.150}"
    )
