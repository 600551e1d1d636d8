"""A dead-man's switch on loopback that keeps every call, by the protocol of Healthchecks."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SECRET = "canary-uuid-4b1d"
PATH = f"/ping/{SECRET}"


@dataclass(frozen=True)
class Call:
    """One ping: "start", "success", "fail" or "log", the id of its run, and its body."""

    kind: str
    rid: str
    body: str
    query: dict[str, list[str]] = field(compare=False)


@dataclass
class Checks:
    """The service and what it was told; start it with `running`.

    Attributes:
        answers: status of each answer to come, the last one for ever; 0 answers nothing for `seconds`.
    """

    answers: Sequence[int] = (200,)
    seconds: float = 5.0
    calls: list[Call] = field(default_factory=list)
    asked: int = 0
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """The address of the check."""
        return f"http://127.0.0.1:{self.port}{PATH}"

    def kinds(self) -> list[str]:
        """The pings that were taken, in order."""
        return [call.kind for call in self.calls]

    def answer(self) -> int:
        """Return the status of this answer."""
        with self._lock:
            status = self.answers[min(self.asked, len(self.answers) - 1)]
            self.asked += 1
        return status


@contextmanager
def running(checks: Checks) -> Iterator[Checks]:
    """Serve on a free port of loopback while the block runs."""

    class Handler(_Pings):
        state = checks

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        checks.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, args=(0.005,), daemon=True)
        thread.start()
        try:
            yield checks
        finally:
            checks.closing.set()
            listener.shutdown()
            thread.join()


class _Pings(BaseHTTPRequestHandler):
    state: Checks

    def do_POST(self) -> None:
        status = self.state.answer()
        if not status:
            self.state.closing.wait(self.state.seconds)
            return
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        kind = parts.path.removeprefix(PATH).removeprefix("/") or "success"
        if status == 200:
            query = parse_qs(parts.query)
            assert kind in ("start", "success", "fail", "log"), kind
            self.state.calls.append(Call(kind, query["rid"][0], body, query))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""
