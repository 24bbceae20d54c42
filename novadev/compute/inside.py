"""The wrapper around nova-compute: the code that runs in Nova's own interpreter.

It has the standard library and Nova alone: novadev may live in another environment, with
other versions of the libraries that Nova has. The records are with a process of novadev's
(:mod:`novadev.compute.keeper`), which is asked through a socket: with eventlet a green one, that
lets other green threads run, and with Nova's native threads an ordinary one. So nothing of what a
database or a large definition costs is in this process, and a time limit ends what takes too long.
Whatever goes wrong, Nova goes on with its own text.
"""

from __future__ import annotations

import functools
import inspect
import json
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIMIT = 0.2
"""Seconds that one definition may wait."""
PATIENCE = 120.0
"""Seconds that the process may take to start; then it is started again."""
XML_PARAMETERS = ("self", "context", "instance", "network_info", "disk_info", "image_meta")
RECORDING = ("_hard_reboot", "destroy", "migrate_disk_and_power_off")
"""What Nova does to a guest before its definition is gone, or made elsewhere
(``nova/virt/libvirt/driver.py``)."""


DEFINED = 32
"""Kept definitions that are remembered with Nova's own text, until they are defined."""


class Refused(Exception):
    """The keeper has nothing for this definition; the text says why."""


class Keeper:
    """The process that has the records; started, and started again, when it is needed."""

    def __init__(self, command: Sequence[str], log: Any) -> None:

        self._command, self._log = command, log
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._started = 0.0
        self._mode: str | None = None

    def start(self) -> None:
        """Start the process; it says when it is ready."""
        ours, theirs = socket.socketpair()
        number = theirs.fileno()
        self._process = subprocess.Popen(  # noqa: S603 - novadev's own interpreter
            [part.format(number) if part == "{}" else part for part in self._command],
            pass_fds=[number],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._socket, self._buffer, self._mode = ours, b"", None
        self._started = time.monotonic()

    def stop(self) -> None:
        """End the process, whatever it does."""
        process, self._process = self._process, None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if process is not None:
            process.kill()
            process.wait()

    def ask(self, message: dict[str, Any], answers: bool = True) -> Any:
        """Return the answer to MESSAGE, within the limit; raises Refused."""
        until = time.monotonic() + LIMIT
        if not self._lock.acquire(timeout=LIMIT):
            raise Refused("another definition is waited for")
        try:
            self._be_ready(until)
            if self.is_off and message["do"] != "load":
                return None
            return self._exchange(message, until, answers)
        finally:
            self._lock.release()

    @property
    def is_off(self) -> bool:
        """Whether the process has said that nothing is to be kept."""
        return self._mode == "off"

    def _be_ready(self, until: float) -> None:
        """Have a process that has said that it is ready."""
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self.start()
        if self._mode is None:
            try:
                self._told(self._read(until))
            except OSError:
                if time.monotonic() - self._started > PATIENCE:
                    self.stop()
                raise Refused("novadev's process is not ready yet") from None

    def _told(self, answer: dict[str, Any]) -> None:
        self._mode = answer["mode"]
        if answer.get("told"):
            self._log.warning("novadev: %s", answer["told"])
        self._log.info("novadev: keep_addresses is %s", self._mode)

    def _exchange(self, message: dict[str, Any], until: float, answers: bool) -> Any:

        done = False
        try:
            self._wait(until)
            self._channel.sendall(json.dumps(message).encode() + b"\n")
            answer = self._read(until) if answers else None
            done = True
            if answer is not None and message["do"] == "load":
                self._told(answer)
            return answer
        except OSError:
            raise Refused(f"no answer within {LIMIT * 1000:.0f} ms") from None
        finally:
            if not done:  # its answer would be taken for that to the next question
                self.stop()

    def _read(self, until: float) -> Any:

        while b"\n" not in self._buffer:
            self._wait(until)
            part = self._channel.recv(1 << 16)
            if not part:
                self.stop()
                raise Refused("novadev's process has ended")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    @property
    def _channel(self) -> socket.socket:
        if self._socket is None:
            raise Refused("novadev's process has ended")
        return self._socket

    def _wait(self, until: float) -> None:

        self._channel.settimeout(max(until - time.monotonic(), 0.001))


class Wrapper:
    """What the driver's functions do beside what Nova wrote."""

    def __init__(self, keeper: Keeper, log: Any) -> None:
        self._keeper, self._log = keeper, log
        self._again: set[str] = set()
        self._own: dict[str, str] = {}

    def kept(self, text: Any, uuid: str, rescue: object) -> Any:
        """Return what libvirt is to be given instead of Nova's TEXT: the same where in doubt."""
        if not isinstance(text, str) or rescue is not None:
            return text
        message = {"do": "keep", "uuid": uuid, "xml": text, "again": uuid in self._again}
        try:
            answer = self._keeper.ask(message)
        except Exception as error:
            self._tell("nothing is kept: %s", uuid, error)
            return text
        if answer is None:
            return text
        for line in answer["told"]:
            self._tell("%s", uuid, line)
        kept = answer["text"] or text
        if kept != text:
            self._own[kept] = text
            while len(self._own) > DEFINED:
                del self._own[next(iter(self._own))]
        return str(kept)

    def define(self, original: Callable[..., Any], host: Any, xml: Any) -> Any:
        """Define XML; where libvirt refuses what is kept, Nova's own text in its place."""
        own = self._own.pop(xml, None)
        try:
            return original(host, xml)
        except Exception as error:
            if own is None:
                raise
            self._log.warning("novadev: libvirt refuses what is kept, so nothing is: %s", error)
            return original(host, own)

    def record(self, driver: Any, instance: Any) -> None:
        """Have what the guest has now recorded, and nothing else: Nova goes on in any case."""
        uuid = getattr(instance, "uuid", None)
        if uuid is None or uuid in self._again or self._keeper.is_off:
            return
        try:
            xml = driver._host.get_guest(instance).get_xml_desc()
        except Exception:  # no domain: nothing to record
            return
        try:
            message = {"do": "seen", "uuid": uuid, "xml": xml, "host": driver._host.get_hostname()}
            self._keeper.ask(message, answers=False)
        except Exception as error:
            self._tell("what it has is not recorded: %s", uuid, error)

    def begin(self, uuid: str) -> None:
        """Note that UUID is made anew on this host."""
        self._again.add(uuid)

    def end(self, uuid: str) -> None:
        """Forget what was seen of UUID."""
        self._again.discard(uuid)
        try:
            self._keeper.ask({"do": "left", "uuid": uuid}, answers=False)
        except Exception as error:
            self._log.debug("novadev: %s", error)

    def load(self, *_: object) -> None:
        """Have the configuration read again, as Nova does at SIGHUP."""
        try:
            self._keeper.ask({"do": "load"})
        except Exception as error:
            self._log.warning("novadev: the configuration is not read again: %s", error)

    def _tell(self, text: str, uuid: str, *values: object) -> None:
        self._log.info("[instance: %s] novadev: " + text, uuid, *values)


def wrap(driver: Any, host: Any, wrapper: Wrapper) -> None:
    """Wrap functions of the classes DRIVER and HOST; raises Refused where one has another shape."""
    _check(driver)
    if list(inspect.signature(host.write_instance_config).parameters) != ["self", "xml"]:
        raise Refused("this release of Nova has another write_instance_config")
    host.write_instance_config = _defined(host.write_instance_config, wrapper)
    driver._get_guest_xml = _kept(driver._get_guest_xml, wrapper)
    for name in RECORDING:
        around = _around_reboot if name == "_hard_reboot" else _before
        setattr(driver, name, around(getattr(driver, name), wrapper))


def _check(driver: Any) -> None:

    expected = {"_get_guest_xml": XML_PARAMETERS, **dict.fromkeys(RECORDING, XML_PARAMETERS[:3])}
    for name, parameters in expected.items():
        function = getattr(driver, name, None)
        found = list(inspect.signature(function).parameters) if callable(function) else []
        if tuple(found[: len(parameters)]) != parameters:
            raise Refused(f"this release of Nova has another {name}")
    if "rescue" not in inspect.signature(driver._get_guest_xml).parameters:
        raise Refused("this release of Nova has another _get_guest_xml")


def _kept(original: Callable[..., Any], wrapper: Wrapper) -> Callable[..., Any]:

    signature = inspect.signature(original)

    @functools.wraps(original)
    def _get_guest_xml(self: Any, context: Any, instance: Any, *args: Any, **kwargs: Any) -> Any:
        text = original(self, context, instance, *args, **kwargs)
        bound = signature.bind(self, context, instance, *args, **kwargs)
        return wrapper.kept(text, instance.uuid, bound.arguments.get("rescue"))

    return _get_guest_xml


def _defined(original: Callable[..., Any], wrapper: Wrapper) -> Callable[..., Any]:
    @functools.wraps(original)
    def write_instance_config(self: Any, xml: Any) -> Any:
        return wrapper.define(original, self, xml)

    return write_instance_config


def _before(original: Callable[..., Any], wrapper: Wrapper) -> Callable[..., Any]:

    @functools.wraps(original)
    def recorded(self: Any, context: Any, instance: Any, *args: Any, **kwargs: Any) -> Any:
        wrapper.record(self, instance)
        return original(self, context, instance, *args, **kwargs)

    return recorded


def _around_reboot(original: Callable[..., Any], wrapper: Wrapper) -> Callable[..., Any]:

    @functools.wraps(original)
    def _hard_reboot(self: Any, context: Any, instance: Any, *args: Any, **kwargs: Any) -> Any:
        wrapper.record(self, instance)
        wrapper.begin(instance.uuid)
        try:
            return original(self, context, instance, *args, **kwargs)
        finally:
            wrapper.end(instance.uuid)

    return _hard_reboot


def config_arguments(arguments: Sequence[str]) -> list[str]:
    """Return those of nova-compute's ARGUMENTS that name configuration files and folders."""
    found, words = [], iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name in ("--config-file", "--config-dir"):
            found += [name, value if equals else next(words, "")]
    return found


def main() -> None:
    """Run Nova's own main, wrapped where that can be."""
    python, program = sys.argv[1:3]
    sys.argv[:] = [program, *sys.argv[3:]]  # its name says which configuration Nova reads
    del sys.path[0]  # the folder of this file
    try:
        import nova.cmd.compute  # before all else: it patches what is imported after it
    except ModuleNotFoundError as error:
        if error.name != "nova":
            raise
        sys.stderr.write(f"Error: Nova is not in the environment of {program}\n")
        sys.exit(2)

    try:
        _install([python, "-m", "novadev.compute.keeper", "{}", *config_arguments(sys.argv[1:])])
    except Exception as error:
        _log().warning("novadev: nova-compute runs without novadev: %s", error)
    sys.exit(nova.cmd.compute.main())


def _install(command: Sequence[str]) -> None:
    import nova.conf
    from nova.virt.libvirt import driver, host

    keeper = Keeper(command, _log())
    wrapper = Wrapper(keeper, _log())
    wrap(driver.LibvirtDriver, host.Host, wrapper)
    nova.conf.CONF.register_mutate_hook(wrapper.load)
    keeper.start()


def _log() -> Any:
    from oslo_log import log

    return log.getLogger("nova.novadev")


if __name__ == "__main__":
    main()
