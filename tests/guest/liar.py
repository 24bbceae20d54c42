"""An agent that answers what a test wants, on the host's end of a micro guest's relay."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Reply = Callable[[socket.socket], object]


def returning(value: Any) -> Reply:
    """A reply in due form."""
    return sending(json.dumps({"return": value}).encode() + b"\n")


def refusing(kind: str, text: str) -> Reply:
    """The reply of an agent that cannot."""
    return sending(json.dumps({"error": {"class": kind, "desc": text}}).encode() + b"\n")


def sending(data: bytes) -> Reply:
    """A reply of any bytes."""
    return lambda connection: connection.sendall(data)


def silent(_connection: socket.socket) -> None:
    """No reply."""


@contextmanager
def answering(path: Path, replies: Mapping[str, Reply]) -> Iterator[list[str]]:
    """Be the agent whose port leads to PATH; the commands that came are given.

    What is not in REPLIES is refused as an agent does that does not know it.
    """
    asked: list[str] = []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"here\n")
        thread = threading.Thread(target=_serve, args=(connection, replies, asked), daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            connection.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(connection: socket.socket, replies: Mapping[str, Reply], asked: list[str]) -> None:
    try:
        with connection.makefile("rb") as lines:
            for line in lines:
                _reply(connection, line.lstrip(b"\xff"), replies, asked)
    except OSError:
        return


def _reply(
    connection: socket.socket, line: bytes, replies: Mapping[str, Reply], asked: list[str]
) -> None:
    request = json.loads(line)
    command = request["execute"]
    asked.append(command)
    if command in replies:
        replies[command](connection)
    elif command == "guest-sync":
        returning(request["arguments"]["id"])(connection)
    else:
        refusing("CommandNotFound", f"The command {command} has not been found")(connection)
