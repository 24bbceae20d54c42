"""The wrapper around nova-compute: the code that runs in Nova's own interpreter.

It has the standard library and Nova alone: novadev may live in another environment, with
other versions of the libraries that Nova has. The records are with a process of novadev's
(:mod:`novadev.compute.keeper`), which ``asking`` asks. So nothing of what a database or a large
definition costs is in this process, and a time limit ends what takes too long. ``wrapping`` has
what is done around Nova's functions.
"""

from __future__ import annotations

import importlib.util
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_READY = 10.0
"""Seconds that the process beside may take before Nova begins: it starts guests at once then."""


def config_arguments(arguments: Sequence[str]) -> list[str]:
    """Return those of nova-compute's ARGUMENTS that name configuration files and folders."""
    found, words = [], iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name in ("--config-file", "--config-dir"):
            found += [name, value if equals else next(words, "")]
    return found


def beside(name: str) -> Any:
    """Return the module NAME of this folder: novadev itself may not be in Nova's environment."""
    file = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"novadev_{name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Run Nova's own main, wrapped where that can be."""
    python, program = sys.argv[1:3]
    sys.argv[:] = [program, *sys.argv[3:]]  # its name says which configuration Nova reads
    if sys.path and Path(sys.path[0]) == Path(__file__).parent:  # not so with "python -P"
        del sys.path[0]
    try:
        import nova.cmd.compute  # before all else: it patches what is imported after it
    except ModuleNotFoundError as error:
        if error.name != "nova":
            raise
        sys.stderr.write(f"Error: Nova is not in the environment of {program}\n")
        sys.exit(2)

    try:
        _install([python, "-m", "novadev.compute.keeper", "{}", *config_arguments(sys.argv[1:])])
        _be_named(program)
    except Exception as error:
        _tell(f"novadev: nova-compute runs without novadev: {error}")
    sys.exit(nova.cmd.compute.main())


def _tell(text: str) -> None:
    """Say TEXT in Nova's log, once that is open where this can be known."""
    import nova.cmd.compute

    service = getattr(nova.cmd.compute, "service", None)
    if callable(getattr(service, "serve", None)):
        _before_serving(service, lambda: _log().warning("%s", text))
    else:
        with suppress(Exception):
            _log().warning("%s", text)


def _be_named(program: str) -> None:
    """Be called as PROGRAM in lists of processes, as Nova's own script is, and not after Python."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(Path(program).name)


def _before_serving(service: Any, call: Callable[[], None]) -> None:
    """Have CALL called once when Nova has opened its log, and has not begun its SERVICE yet."""
    serve = service.serve

    def called_before(*args: Any, **kwargs: Any) -> Any:
        call()
        return serve(*args, **kwargs)

    service.serve = called_before


def _after_arguments(config: Any, call: Callable[[], None]) -> None:
    """Have CALL called once when Nova has read its arguments and files: it may end by these."""
    parse = config.parse_args

    def called_after(*args: Any, **kwargs: Any) -> Any:
        found = parse(*args, **kwargs)
        call()
        return found

    config.parse_args = called_after


def _install(command: Sequence[str]) -> None:
    """Wrap what there is to wrap; raises, with nothing done, where a part of it is missing."""
    import nova.cmd.compute
    import nova.conf
    from nova.virt.libvirt import driver, guest, host

    wrapping = beside("driver_wrapper")
    keeper = beside("keeper_client").Keeper(command, _log())
    wrapper = wrapping.Wrapper(keeper, _log(), lambda: str(nova.conf.CONF.host))
    service, config = nova.cmd.compute.service, nova.cmd.compute.config
    for owner, name in ((service, "serve"), (config, "parse_args")):
        if not callable(getattr(owner, name, None)):
            raise wrapping.OtherShape(f"this release of Nova has no {name}")
    mutates = nova.conf.CONF.register_mutate_hook

    def start() -> None:
        with suppress(OSError):  # Nova needs the same; it is started again when it is asked
            keeper.start()

    wrapping.wrap(driver.LibvirtDriver, host.Host, guest.Guest, wrapper)
    mutates(wrapper.load)
    _after_arguments(config, start)
    _before_serving(service, lambda: keeper.await_ready(_READY))


def _log() -> Any:
    from oslo_log import log

    return log.getLogger("nova.novadev")


if __name__ == "__main__":
    main()
