"""A real browser without a window: Chromium, driven over its DevTools pipe.

The protocol is JSON, a NUL after each message, on the file descriptors 3 (in) and 4 (out):
https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


from tests.mortal import MORTAL

PROGRAM = "chromium-headless-shell"
_FLAGS = (
    "--remote-debugging-pipe",
    "--no-sandbox",  # the pages are our own, and root has no other way
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
)
_DEADLINE_S = 60
_COMPLAINTS = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")


def _pipe() -> tuple[int, int]:
    """Return a pipe whose ends are neither 3 nor 4, where they are to go."""
    low = os.pipe()
    high = (
        fcntl.fcntl(low[0], fcntl.F_DUPFD_CLOEXEC, 10),
        fcntl.fcntl(low[1], fcntl.F_DUPFD_CLOEXEC, 10),
    )
    for end in low:
        os.close(end)
    return high


class Browser:
    """A browser of its own, with a profile in FOLDER, ended with the block."""

    def __init__(self, folder: Path) -> None:
        commands, self._commands = _pipe()
        self._answers, answers = _pipe()
        words = [PROGRAM, *_FLAGS, f"--user-data-dir={folder}"]
        self._process = subprocess.Popen(
            [*MORTAL, "bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "bash", *words],
            pass_fds=(commands, answers),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(commands)
        os.close(answers)
        self._received = b""
        self._sent = 0
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _traceback: TracebackType | None
    ) -> None:
        os.close(self._commands)
        os.close(self._answers)
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result; what happens meanwhile goes to `events`."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters}
        message |= {"sessionId": session} if session else {}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._sent:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def await_event(self, session: str, method: str) -> None:
        """Return when the page has said METHOD."""
        while not any(
            event.get("sessionId") == session and event["method"] == method for event in self.events
        ):
            self.events.append(self._receive())

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            piece = os.read(self._answers, 1 << 20)
            assert piece, "the browser has ended"
            self._received += piece
        line, _, self._received = self._received.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    @contextmanager
    def page(self, url: str, **wanted: Any) -> Iterator["Page"]:
        """Give the page at URL, loaded; see `Page.open` for what can be WANTED."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        allowed = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        self.call("Browser.grantPermissions", permissions=allowed, browserContextId=context)
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, attached["sessionId"])
        try:
            page.open(url, **wanted)
            yield page
        finally:
            self.call("Target.disposeBrowserContext", browserContextId=context)


class Page:
    """One page in the browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command about this page."""
        return self._browser.call(method, self._session, **parameters)

    def open(
        self, url: str, *, scripts: bool = True, width: int = 1280, dark: bool = False
    ) -> None:
        """Load URL in a window of WIDTH pixels and return when it is there."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._browser.events.clear()
        self.call("Page.navigate", url=url)
        self._browser.await_event(self._session, "Page.loadEventFired")

    def _events(self, *methods: str) -> list[dict[str, Any]]:
        return [
            event["params"]
            for event in self._browser.events
            if event.get("sessionId") == self._session and event["method"] in methods
        ]

    def requests(self) -> list[str]:
        """The addresses of everything the page has asked for, its own first.

        What its policy refused was not asked for: that is among the complaints.
        """
        failed = self._events("Network.loadingFailed")
        refused = {item["requestId"] for item in failed if item.get("blockedReason") == "csp"}
        sent = self._events("Network.requestWillBeSent")
        return [item["request"]["url"] for item in sent if item["requestId"] not in refused]

    def complaints(self) -> list[dict[str, Any]]:
        """Everything on the console: errors, refusals of the policy, exceptions, messages."""
        return self._events(*_COMPLAINTS)

    def run(self, expression: str) -> Any:
        """Return what the expression gives, which may be a promise, as a plain value."""
        answer = self.call(
            "Runtime.evaluate",
            **{"expression": expression, "awaitPromise": True, "returnByValue": True},
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def await_true(self, expression: str) -> None:
        """Return when the expression is true."""
        _await(lambda: bool(self.run(expression)), expression)

    def texts(self, selector: str) -> list[str]:
        """The texts of the elements, whether or not the page may run scripts."""
        chosen = f"document.querySelectorAll({json.dumps(selector)})"
        found: list[str] = self.run(f"Array.from({chosen}, (element) => element.textContent)")
        return found

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def printed(self) -> bytes:
        """The page as PDF, as a printer would get it."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])


def _await(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not within {_DEADLINE_S} s: {what}"
        time.sleep(0.05)
