"""The functions of Nova's driver that are wrapped, and what is done around each.

Runs in Nova's own interpreter with the standard library alone. Whatever goes wrong, Nova goes on
with its own text.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from novadev.compute.keeper_client import Keeper

XML_PARAMETERS = ("self", "context", "instance", "network_info", "disk_info", "image_meta")
RECORDING = {
    "_hard_reboot": ("self", "context", "instance"),
    "destroy": ("self", "context", "instance"),
    "migrate_disk_and_power_off": ("self", "context", "instance"),
    "power_off": ("self", "instance"),
}
"""What Nova does to a guest before its definition is gone, or made elsewhere, and the parameters
of each (``nova/virt/libvirt/driver.py``). A rebuild powers the guest off, detaches its volumes, and
destroys it only then (``nova/compute/manager.py`` _rebuild_default_impl)."""
REMEMBERED = 256
"""Guests whose last request is remembered."""
DEFINED = 256
"""Kept definitions that are remembered with Nova's own text until they are defined, one of a guest:
more than Nova works on at a time (``rpc_executor_thread_pool_size`` is 64)."""
STARTED = 60.0
"""Seconds from a definition to its start, which Nova does at once (``driver.py`` _create_guest): a
later one may be of what was attached since."""
_TRANSPORT = (7, 13)
"""``VIR_FROM_RPC`` and ``VIR_FROM_REMOTE``."""
_BROKEN = (1, 38)
"""``VIR_ERR_INTERNAL_ERROR`` and ``VIR_ERR_SYSTEM_ERROR``."""
_NONE = (5, 6)
"""``VIR_ERR_NO_CONNECT`` and ``VIR_ERR_INVALID_CONN``."""


class OtherShape(Exception):
    """A function of this release of Nova is not the one that is wrapped; the text names it."""


class Wrapper:
    """What the driver's functions do beside what Nova wrote; HOST gives the name of this host."""

    def __init__(self, keeper: Keeper, log: Any, host: Callable[[], str]) -> None:
        self._keeper, self._log, self._host = keeper, log, host
        self._lock = threading.Lock()  # several guests are made at a time
        self._again: set[str] = set()
        self._requests: dict[str, str] = {}
        self._own: dict[str, tuple[str, str]] = {}
        self._to_start: dict[str, tuple[float, Callable[[], Any]]] = {}

    def kept(self, text: Any, uuid: str, rescue: object, request: str | None = None) -> Any:
        """Return what libvirt is to be given instead of Nova's TEXT: the same where in doubt.

        REQUEST is the number of Nova's request that makes the guest.
        """
        if not isinstance(text, str) or rescue is not None:
            return text
        is_again = uuid in self._again
        message = {"do": "keep", "uuid": uuid, "xml": text, "again": is_again, "request": request}
        try:
            if self._log.isEnabledFor(logging.DEBUG):
                message["diff"] = True
            answer = self._keeper.ask(message)
            told, kept = ([], None) if answer is None else (answer["told"], answer["text"])
            if not isinstance(told, list) or not (kept is None or isinstance(kept, str)):
                raise TypeError("the answer is of another novadev")
        except Exception as error:
            self._keeper.miss("passed", "no-answer")
            is_seen = request is not None and self._requests.get(uuid) == request
            self._keeper.lose(uuid, is_again or is_seen)
            self._tell("nothing is kept: %s", uuid, _in_words(error))
            return text
        for line in told:
            self._tell("%s", uuid, line)
        kept = kept or text
        if kept != text:
            with self._lock:
                self._forget_own(uuid)
                self._own[kept] = text, uuid
                _shorten(self._own, DEFINED)
        return kept

    def _forget_own(self, uuid: str) -> None:
        """Forget what was kept of UUID before, and never defined."""
        for kept in [kept for kept, (_, theirs) in self._own.items() if theirs == uuid]:
            del self._own[kept]

    def define(self, original: Callable[..., Any], host: Any, xml: Any) -> Any:
        """Define XML; where libvirt refuses what is kept, Nova's own text in its place.

        Without a connection libvirt has refused nothing, and Nova gives up as it always did: at a
        second try libvirtd may be back, and would get a definition without addresses.
        """
        with self._lock:
            own, uuid = self._own.pop(xml, (None, ""))
        if own is None:
            return original(host, xml)
        try:
            found = original(host, xml)
        except Exception as error:
            if is_connection_lost(error):
                raise
            self._keeper.lose(uuid, again=True)  # it is still owed what was given
            self._count("passed", "refused")
            told = "[instance: %s] novadev: libvirt refuses what is kept, so nothing is: %s"
            self._log.warning(told, uuid, error)
            return original(host, own)
        self._count("kept", "")
        with self._lock:
            self._to_start.pop(uuid, None)
            self._to_start[uuid] = time.monotonic(), lambda: original(host, own)
            _shorten(self._to_start, DEFINED)
        return found

    def launch(self, start: Callable[[], Any], uuid: Any) -> Any:
        """Start the guest UUID; where it cannot be with what is kept, with Nova's own definition.

        libvirt takes definitions with which QEMU then ends. Nova sees the error of its own
        definition, where there is one.
        """
        with self._lock:
            defined, define_own = self._to_start.pop(uuid, (-STARTED, None))
        try:
            return start()
        except Exception as error:
            is_late = time.monotonic() - defined > STARTED
            if define_own is None or is_late or is_connection_lost(error):
                raise
            self._keeper.lose(uuid, again=True)  # it is still owed what was given
            self._count("passed", "refused")
            told = "[instance: %s] novadev: it does not start with what is kept: %s"
            self._log.warning(told, uuid, error)
            try:
                define_own()
            except Exception:
                raise error from None
        return start()

    def _count(self, outcome: str, reason: str) -> None:
        """Have counted what became of a definition; where that fails, with what comes later."""
        self._keeper.miss(outcome, reason)
        try:
            self._keeper.ask({"do": "count"}, answers=False)
        except Exception as error:
            self._log.debug("novadev: %s", error)

    def record(self, driver: Any, instance: Any, request: str | None) -> bool:
        """Have what the guest has now recorded, and nothing else; return whether that was asked.

        Of all that one REQUEST does only the first counts: after it the guest may have lost
        devices that it gets again. What a host still has of a guest that is elsewhere, as after an
        evacuation (``compute/manager.py`` _destroy_evacuated_instances), counts for nothing. Nova
        goes on in any case.
        """
        uuid = getattr(instance, "uuid", None)
        if uuid is None or uuid in self._again or self._keeper.is_off:
            return False
        if getattr(instance, "host", None) not in (None, self._host()):
            return False
        if request is not None and self._requests.get(uuid) == request:
            return False
        try:
            xml = driver._host.get_guest(instance).get_xml_desc()
        except Exception:  # no domain: nothing to record
            return False
        message = {"do": "seen", "uuid": uuid, "xml": xml, "request": request}
        message["at"] = time.monotonic()
        try:
            self._keeper.ask(message, answers=False)
        except Exception as error:
            self._keeper.miss("unrecorded", "no-answer")
            self._tell("what it has is not recorded: %s", uuid, error)
            return False
        self._note(uuid, request)
        return True

    def _note(self, uuid: str, request: str | None) -> None:
        with self._lock:
            self._requests.pop(uuid, None)
            if request is not None:
                self._requests[uuid] = request
            _shorten(self._requests, REMEMBERED)

    def safely(self, call: Callable[[], Any], otherwise: Any) -> Any:
        """Return what CALL does; OTHERWISE, and say so, where it raises: Nova is to go on."""
        try:
            return call()
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            told = "novadev: an unexpected %s in %s:%s"
            self._log.warning(told, type(error).__name__, place.filename, place.lineno)
            return otherwise

    def wait(self, instance: Any) -> None:
        """Wait, as long as a definition may, until what the guest had is recorded.

        The host that makes it next reads that.
        """
        uuid = instance.uuid
        try:
            answer = self._keeper.ask({"do": "written", "uuid": uuid})
            if answer is not None and not answer["is_written"]:
                self._tell("what it had is not recorded yet: the state database is slow", uuid)
        except Exception as error:
            self._tell("whether what it had is recorded is not known: %s", uuid, error)

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
            self._keeper.load()
        except Exception as error:
            told = "novadev: the configuration is read again before the next definition: %s"
            self._log.warning(told, _in_words(error))

    def _tell(self, text: str, uuid: str, *values: object) -> None:
        self._log.info("[instance: %s] novadev: " + text, uuid, *values)


def _shorten(items: dict[str, Any], most: int) -> None:
    """Take the oldest of ITEMS out until there are no more than MOST."""
    while len(items) > most:
        del items[next(iter(items))]


def _in_words(error: Exception) -> str:
    """Return what to say of ERROR: a field that an answer lacks says nothing by its name alone."""
    if isinstance(error, KeyError):
        return "the answer is of another novadev"
    return str(error)


def is_connection_lost(error: Any) -> bool:
    """Whether ERROR is that of a connection to libvirt that broke, or that there is none.

    As Nova tells it (``nova/virt/libvirt/host.py`` _test_connection and get_connection).
    """
    if any(kind.__name__ == "HypervisorUnavailable" for kind in type(error).__mro__):
        return True
    try:
        where = error.get_error_domain(), error.get_error_code()
    except AttributeError:  # it is not libvirt's
        return False
    return where[1] in _NONE or (where[0] in _TRANSPORT and where[1] in _BROKEN)


def request_of(context: Any) -> str | None:
    """Return the number of the request of CONTEXT; of the one that this thread is at without it."""
    try:
        if context is None:
            from oslo_context.context import get_current

            context = get_current()
        return str(context.request_id)
    except Exception:  # there is none
        return None


def wrap(driver: Any, host: Any, guest: Any, wrapper: Wrapper) -> None:
    """Wrap functions of the classes DRIVER, HOST and GUEST; raises OtherShape where one differs."""
    _check(driver, "_get_guest_xml", XML_PARAMETERS)
    if "rescue" not in inspect.signature(driver._get_guest_xml).parameters:
        raise OtherShape("this release of Nova has another _get_guest_xml")
    for name, parameters in RECORDING.items():
        _check(driver, name, parameters)
    _check(host, "write_instance_config", ("self", "xml"), is_all=True)
    _check(guest, "launch", ("self", "pause"), is_all=True)
    guest.launch = _launched(guest.launch, wrapper)
    host.write_instance_config = _defined(host.write_instance_config, wrapper)
    driver._get_guest_xml = _kept(driver._get_guest_xml, wrapper)
    for name in RECORDING:
        around = _around_reboot if name == "_hard_reboot" else _before
        setattr(driver, name, around(getattr(driver, name), wrapper))


def _check(owner: Any, name: str, parameters: tuple[str, ...], is_all: bool = False) -> None:
    """Raise OtherShape unless OWNER's function NAME begins with these PARAMETERS, or has all."""
    function = getattr(owner, name, None)
    found = tuple(inspect.signature(function).parameters) if callable(function) else ()
    if (found if is_all else found[: len(parameters)]) != parameters:
        raise OtherShape(f"this release of Nova has another {name}")


def _kept(original: Callable[..., Any], wrapper: Wrapper) -> Callable[..., Any]:

    signature = inspect.signature(original)

    @functools.wraps(original)
    def _get_guest_xml(self: Any, context: Any, instance: Any, *args: Any, **kwargs: Any) -> Any:
        text = original(self, context, instance, *args, **kwargs)

        def kept() -> Any:
            bound = signature.bind(self, context, instance, *args, **kwargs)
            rescue = bound.arguments.get("rescue")
            return wrapper.kept(text, instance.uuid, rescue, request_of(context))

        return wrapper.safely(kept, otherwise=text)

    return _get_guest_xml


def _defined(original: Callable[..., Any], wrapper: Wrapper) -> Callable[..., Any]:
    @functools.wraps(original)
    def write_instance_config(self: Any, xml: Any) -> Any:
        return wrapper.define(original, self, xml)

    return write_instance_config


def _launched(original: Callable[..., Any], wrapper: Wrapper) -> Callable[..., Any]:
    @functools.wraps(original)
    def launch(self: Any, *args: Any, **kwargs: Any) -> Any:
        uuid = wrapper.safely(lambda: self.uuid, otherwise=None)
        return wrapper.launch(lambda: original(self, *args, **kwargs), uuid)

    return launch


def _before(original: Callable[..., Any], wrapper: Wrapper) -> Callable[..., Any]:

    signature = inspect.signature(original)

    @functools.wraps(original)
    def recorded(self: Any, *args: Any, **kwargs: Any) -> Any:
        def record() -> Any:
            given = signature.bind(self, *args, **kwargs).arguments
            instance = given["instance"]
            is_asked = wrapper.record(self, instance, request_of(given.get("context")))
            return instance if is_asked else None

        asked = wrapper.safely(record, otherwise=None)
        found = original(self, *args, **kwargs)
        if asked is not None:
            wrapper.safely(lambda: wrapper.wait(asked), otherwise=None)
        return found

    return recorded


def _around_reboot(original: Callable[..., Any], wrapper: Wrapper) -> Callable[..., Any]:

    @functools.wraps(original)
    def _hard_reboot(self: Any, context: Any, instance: Any, *args: Any, **kwargs: Any) -> Any:
        def begin() -> None:
            wrapper.record(self, instance, request_of(context))
            wrapper.begin(instance.uuid)

        wrapper.safely(begin, otherwise=None)
        try:
            return original(self, context, instance, *args, **kwargs)
        finally:
            wrapper.safely(lambda: wrapper.end(instance.uuid), otherwise=None)

    return _hard_reboot
