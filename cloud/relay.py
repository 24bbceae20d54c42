"""TCP ports of the machine's loopback, made to listen on a compute host's loopback too."""

import asyncio
import ctypes
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000


def relay(pid: int, ports: Iterable[int]) -> None:
    """Listen on PORTS in the network namespace of a process; end with this process."""
    with _network_of(pid):
        listeners = [socket.create_server(("127.0.0.1", port)) for port in ports]
    threading.Thread(target=asyncio.run, args=(_serve(listeners),), daemon=True).start()


async def _serve(listeners: list[socket.socket]) -> None:
    servers = [await asyncio.start_server(_join, sock=listener) for listener in listeners]
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join a connection to one of the same port outside."""
    port = writer.get_extra_info("sockname")[1]
    try:
        outside = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_copy(reader, outside[1]), _copy(outside[0], writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other direction ends with it
    finally:
        writer.close()


@contextmanager
def _network_of(pid: int) -> Iterator[None]:
    """Let the calling thread be in the network namespace of a process for a while."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(Path(f"/proc/{pid}/ns/net"))
        yield
    finally:
        _setns(own)
        os.close(own)


def _enter(path: Path) -> None:
    with path.open("rb") as file:
        _setns(file.fileno())


def _setns(handle: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
