"""Microsoft Graph's sendMail on loopback: takes mails from who has a token, keeps them, fails as told."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from digest.channels.graph import Graph
from digest.model import Recipient, Secret
from tests.fakes.identity import CLIENT, MAILBOX, SECRET, TENANT, IdentityServer

LARGEST = 4_000_000
REQUEST = "0fb8a1c2-1111-4222-8333-444455556666"
TEAM = ("ana@team.example", "ben@team.example", "cleo@team.example")


@dataclass
class GraphServer:
    """The service; start it with `running`.

    Attributes:
        identity: whose tokens it takes; those in `ended` no longer.
        answers: what happens to the requests to come: "503", "403 ErrorAccessDenied", "drop", "reset" or
            "hang" after the mail was taken, "" for the good answer.
        headers: sent with each of these answers.
        patience: seconds that its channel waits.
    """

    identity: IdentityServer
    answers: list[str] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    mails: list[bytes] = field(default_factory=list)
    patience: float = 5
    requests: int = 0
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    def channel(self, **settings: Any) -> Graph:  # noqa: ANN401 - any setting
        """Return the channel that sends here."""
        port, hosts, seconds = self.port, self.identity.hosts, self.patience

        class OnLoopback(Graph):
            token_hosts = hosts
            host = f"http://127.0.0.1:{port}"
            timeout = seconds

        given: dict[str, Any] = {
            "tenant": TENANT,
            "client_id": CLIENT,
            "client_secret": Secret(SECRET),
            "sender": f"Leads <{MAILBOX}>",
            "recipients": tuple(Recipient(one) for one in TEAM),
        }
        return OnLoopback(**{**given, **settings})

    def judge(self, path: str, headers: Mapping[str, str], body: bytes) -> str:
        """Return status and code of the answer to one request; the mail is kept when it is taken."""
        token = str(headers["Authorization"]).removeprefix("Bearer ")
        if token not in self.identity.issued or token in self.ended:
            return "401 InvalidAuthenticationToken"
        if path != f"/v1.0/users/{MAILBOX}/sendMail":
            return "404 ErrorInvalidUser"
        if len(body) > LARGEST:
            return "413 RequestEntityTooLarge"
        content = mail_in(body) if headers["Content-Type"] == "text/plain" else None
        if content is None:
            return "400 ErrorMimeContentInvalid"
        self.mails.append(content)
        return "202"


def mail_in(body: bytes) -> bytes | None:
    """Return the mail that a request carries, None when it is not one of this mailbox."""
    try:
        content = base64.b64decode(body, validate=True)
    except binascii.Error:
        return None
    mail = BytesParser(policy=default).parsebytes(content)
    good = mail["To"] is not None and mail["From"].addresses[0].addr_spec == MAILBOX
    return content if good and not mail.defects else None


@contextmanager
def running(server: GraphServer) -> Iterator[GraphServer]:
    """Serve on a free port of loopback while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

        def do_POST(self) -> None:
            server.requests += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            planned = server.answers.pop(0) if server.answers else ""
            if planned[:1].isdigit():
                self.answer(planned)
                return
            verdict = server.judge(self.path, dict(self.headers), body)
            if planned in ("drop", "hang"):
                if planned == "hang":
                    server.closing.wait(20)
                self.close_connection = True
                return
            self.answer(verdict)

        def answer(self, verdict: str) -> None:
            status, _, code = verdict.partition(" ")
            words = f"as {MAILBOX} with {SECRET}"
            body = json.dumps({"error": {"code": code, "message": words}}).encode() if code else b""
            self.send_response(int(status))
            self.send_header("Content-Length", str(len(body)))
            self.send_header("request-id", REQUEST)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - what a followed redirect would arrive as

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        server.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, args=(0.005,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            listener.shutdown()
            thread.join()
