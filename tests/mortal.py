"""Processes that live longer than one question, which the kernel ends with whoever started them.

A test session that is killed cannot end what it has started, and what waits for an answer, a lock
or a thread of its own does not notice. See prctl(2), PR_SET_PDEATHSIG: the signal comes when the
*thread* that started the process ends, so start such a process from one that stays.
"""

MORTAL = ("setpriv", "--pdeathsig", "KILL")
"""The words before those of a command."""
