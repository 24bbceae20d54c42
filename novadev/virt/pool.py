"""Many hosts, each in a process of its own, so that a time limit holds whatever libvirt does.

``virConnectOpen`` cannot be bounded from inside a process: keepalive begins after it, and no
Python signal handler runs in it. So every host gets a child, which is killed when an answer is
overdue. A child is a new interpreter, not a fork: neither libvirt's threads nor the parent's
databases are in it. multiprocessing would import the parent's ``__main__`` into each (all of the
command line); this imports libvirt and lxml only: 0.15 s of processor time and 26 MB of its own. A
question to a running child costs 0.04 ms more than a call. Children are kept for the next question,
at most as many as may work at a time. One that has answered all that its host was asked speaks to
the next host: to start another would cost more than to ask it. When no more hosts wait, one with
much to do is asked by two children.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from novadev.errors import BadInput, NovadevError
from novadev.virt.asking import Answer, Arguments, Lane, Run
from novadev.virt.host import Host
from novadev.virt.process import Process
from novadev.virt.refusals import of_host

if TYPE_CHECKING:
    from typing_extensions import Self

_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_LOG = logging.getLogger("novadev.hosts")
T = TypeVar("T")
P = ParamSpec("P")


def host_uri(template: str, host: str) -> str:
    """Return TEMPLATE with ``{host}`` filled in; raises BadInput for a name no host can have.

    A name with other characters could turn into another URI.
    """
    if "{host}" in template and not _HOST.fullmatch(host):
        raise BadInput(
            f"{host!r} cannot be put into a URI as the name of a host: give the full name of one "
            "host, not a pattern"
        )
    return template.replace("{host}", host)


class Pool:
    """Asks hosts, at most WORKERS at a time; URI gives a host's address from its name.

    To be used in a ``with``: at its end every child is killed, whatever it does. One run at a
    time: a caller that takes the answers of one asks nothing else of the pool until it is done.

    A host that is lost before its child has given any answer is given up: what the pool is asked
    of it later is answered by the same error at once, so that a host that hangs costs its time
    limit once. One that had answered (its libvirtd was restarted) gets another child, and so it
    does where it owes one answer: that may be one guest's fault, and the others are asked.
    """

    def __init__(self, uri: Callable[[str], str], timeout: float = 30, workers: int = 4) -> None:
        self._uri, self.timeout, self.workers = uri, timeout, workers
        self._processes: dict[Lane, Process] = {}
        self._given_up: dict[str, NovadevError] = {}
        self._alone: set[str] = set()
        self._spare: Process | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill every child."""
        for lane in list(self._processes):
            self.drop(lane)
        if self._spare is not None:
            self._spare.kill()
            self._spare = None

    def warm(self) -> None:
        """Start a child now, for whatever host is asked first: it takes as long as a query."""
        self._spare = self._spare or Process()

    def call(
        self,
        host: str,
        function: Callable[Concatenate[Host, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what ``function(host, *args)`` returns in the host's child, or raise its error.

        FUNCTION is a module's own, without keyword arguments; its arguments and value can be
        pickled. Raises Unreachable for a host that is down or does not answer in time.
        """
        assert not kwargs, "arguments go by position"
        (answer,) = self.run(function, {host: [args]})
        return answer.result()

    def run(
        self,
        function: Callable[Concatenate[Host, ...], T],
        work: Mapping[str, Iterable[Arguments]],
        timeout: float | None = None,
    ) -> Iterator[Answer[T]]:
        """Yield an answer for each tuple of arguments in WORK, host by host, as they come.

        Those of one host come in order, and a tuple is taken only when a child is idle. A host with
        much to do gets a second child while fewer than WORKERS are at work, so FUNCTION must not
        depend on what it did for the tuple before. A call may take TIMEOUT seconds, by default the
        pool's. When a host is unreachable, the rest of its work is answered so without trying it,
        as is all its work once it was given up. A call that is overdue, or kills its child, after
        others were answered raises Busy, and costs itself alone.
        """
        limit = self.timeout if timeout is None else timeout
        yield from Run(self, function, limit).answers(work)

    def process(self, lane: Lane, busy: Collection[Lane]) -> tuple[Process, bool]:
        """Return the lane's child and whether it is starting; it may be another's until now.

        Raises what the host's URI raises, and the error of a host that was given up.
        """
        host = lane.host
        if host in self._given_up:
            raise self._given_up[host]
        process = self._processes.get(lane)
        if process is not None and process.is_alive():
            return process, False
        self.drop(lane)
        uri = self._uri(host)
        process = self._free(busy)
        if process is None:
            process, self._spare = self._spare or Process(), None
        process.speak_to(host, uri, self.timeout)
        text = "host %s: a child process connects to it; each call may take %g s"
        _LOG.info(text, host, self.timeout)
        self._processes[lane] = process
        return process, True

    def _free(self, busy: Collection[Lane]) -> Process | None:
        """Return the child of a host that is done with, where no other may be started beside it."""
        idle = [lane for lane in self._processes if lane not in busy]
        if len(self._processes) < self.workers or not idle:
            return None
        process = self._processes.pop(idle[0])
        if process.has_answered and process.is_alive() and self._spare is None:
            return process
        process.kill()
        return None

    def lose(self, lane: Lane, error: NovadevError) -> None:
        """Kill the child lost by ERROR; give its host up if it is the first and never answered."""
        _LOG.info("host %s: lost: %s", lane.host, error)
        process = self._processes.get(lane)
        if process is not None and not process.has_answered and lane.number == 0:
            self._given_up[lane.host] = of_host(error)
        self.drop(lane)

    def is_there(self, lane: Lane) -> bool:
        """Whether the lane has a child that waits for a question, or works."""
        return lane in self._processes and self._processes[lane].is_alive()

    def may_be_beside(self, lane: Lane) -> bool:
        """Whether a second child may speak to the host: none has failed there."""
        return lane.host not in self._alone | self._given_up.keys()

    def leave_alone(self, lane: Lane) -> None:
        """Kill a second child that has failed, and start no other for its host."""
        _LOG.info("host %s: no second child speaks to it any more", lane.host)
        self._alone.add(lane.host)
        self.drop(lane)

    def try_again(self, host: str) -> None:
        """Ask a host that was given up once more when the next question comes."""
        self._given_up.pop(host, None)

    def drop(self, lane: Lane) -> None:
        """Kill the lane's child, if it has one."""
        process = self._processes.pop(lane, None)
        if process is not None:
            process.kill()
