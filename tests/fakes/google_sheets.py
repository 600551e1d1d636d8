"""A Google Sheets on loopback: real HTTPS under Google's host names, with scripted answers."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme

from digest.tables import Web

HOSTS = ("docs.google.com", "*.googleusercontent.com", "*.google.com")
KEY = "1aBcDeFgHiJkLmNoPqRsTuVwXyZ-0123456789_abcd"
LINK = f"https://docs.google.com/spreadsheets/d/{KEY}/edit?gid=7#gid=7"
EXPORT = f"/spreadsheets/d/{KEY}/export?format=csv&gid=7"


@dataclass(frozen=True)
class Reply:
    """One answer; `promised` is a Content-Length that differs from the body's."""

    body: bytes = b""
    status: int = 200
    content_type: str = "text/csv"
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: int | None = None
    seconds: float = 0.0


@dataclass
class GoogleSheets:
    """Answers by "host path"; anything else is 404, as Google answers for a deleted sheet."""

    web: Web
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)

    def share(self, reply: Reply, path: str = EXPORT, host: str = "docs.google.com") -> None:
        """Answer a path of a host with a reply."""
        self.replies[f"{host} {path}"] = reply

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Send the scripted reply."""
        where = f"{handler.headers['Host']} {handler.path}"
        self.asked.append(where)
        self.headers.append(dict(handler.headers))
        reply = self.replies.get(where, Reply(status=404, content_type="text/html"))
        handler.send_response_only(reply.status)
        handler.send_header("Content-Type", reply.content_type)
        length = len(reply.body) if reply.promised is None else reply.promised
        handler.send_header("Content-Length", str(length))
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        time.sleep(reply.seconds)
        handler.wfile.write(reply.body)


@contextmanager
def google_sheets(*, seconds: float = 5.0, largest: int = 10_000_000) -> Iterator[GoogleSheets]:
    """Serve until the context ends; `web` reaches it."""
    authority = trustme.CA()
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*HOSTS).configure_cert(ours)
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sheets.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that refuses our certificate or hangs up is what the tests are about

    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = ours.wrap_socket(server.socket, server_side=True)
        address = ("127.0.0.1", server.server_port)
        sheets = GoogleSheets(
            Web(
                reach=lambda _host, _port: address, context=theirs, seconds=seconds, largest=largest
            )
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield sheets
        finally:
            server.shutdown()
            thread.join()
