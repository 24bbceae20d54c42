"""What the stand-ins for neutron and cinder share: JSON over HTTP, tables in memory."""

import json
import re
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

Row = dict[str, Any]


class Request(NamedTuple):
    """A request: its JSON `body`, its query's values by their names, the token of who asks."""

    body: Row
    query: Mapping[str, list[str]]
    token: str = ""


Action = Callable[..., Any]
"""Gets a Request and what the path's groups matched; returns JSON, or None for no content."""


class Refused(Exception):
    """A request that cannot be done: the HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def serve(port: int, routes: Mapping[tuple[str, str], Action]) -> None:
    """Answer requests for ever: by method and path, a regular expression of the whole path."""
    handler = type("Handler", (_Handler,), {"routes": routes, "lock": Lock()})
    ThreadingHTTPServer(("127.0.0.1", port), handler).serve_forever()


def chosen(rows: Mapping[str, Row], query: Mapping[str, list[str]]) -> list[Row]:
    """Return the rows that a query's filters leave; a filter that no row knows is ignored."""
    return [
        row
        for row in rows.values()
        if all(str(row[name]) in values for name, values in query.items() if name in row)
    ]


def get(rows: Mapping[str, Row], key: str) -> Row:
    """Return a row; raises Refused with 404."""
    if key not in rows:
        raise Refused(404, f"{key} could not be found")
    return rows[key]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    routes: Mapping[tuple[str, str], Action]
    lock: Lock

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        url = urlsplit(self.path)
        path = url.path.rstrip("/").removesuffix(".json") or "/"
        try:
            with self.lock:
                token = self.headers.get("X-Auth-Token") or ""
                found = self._do(path, Request(body, parse_qs(url.query), token))
        except Refused as refused:
            error = {"code": refused.status, "message": str(refused), "type": "", "detail": ""}
            self._send(refused.status, {"error": error, "NeutronError": error})
        else:
            created = self.command == "POST" and not path.endswith("/action")
            self._send(204 if found is None else 201 if created else 200, found)

    def _do(self, path: str, request: Request) -> Any:
        for (method, pattern), action in self.routes.items():
            if method == self.command and (found := re.fullmatch(pattern, path)):
                return action(request, *found.groups())
        raise Refused(404, f"the stand-in has no {self.command} {path}")

    def _send(self, status: int, found: Any) -> None:
        text = b"" if found is None else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = _answer
