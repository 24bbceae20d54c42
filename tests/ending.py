"""SIGTERM and SIGHUP end a test session as Ctrl-C does: fixtures are torn down, nothing is left."""

import signal
from types import FrameType

import pytest

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def heed(session: pytest.Session) -> None:
    """Let the SIGNALS end SESSION from now on.

    The first one interrupts the test. More of them change nothing: make passes on the one that its
    whole process group has got already, and a second interrupt would end the tearing down.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        if session.shouldstop:
            return
        name = signal.Signals(number).name
        session.shouldstop = f"ended by {name}"  # even if the test swallows the interrupt
        raise KeyboardInterrupt(name)

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, end)
