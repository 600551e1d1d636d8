"""A Workflows webhook on loopback: takes Adaptive Cards as a flow does, keeps them, fails as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from digest.channels.teams import Teams
from digest.model import Secret

HOST = "https://default0.11.environment.api.powerplatform.com:443"
PATH = "/powerautomate/automations/direct/workflows/w/triggers/manual/paths/invoke?sig=canary-flow-41de"
LARGEST = 28_000
INNER = {"RichTextBlock": "inlines", "Table": "rows", "TableRow": "cells", "TableCell": "items"}
KNOWN = {*INNER, "TextBlock", "TextRun"}


@dataclass
class Flow:
    """The flow; start it with `running`.

    Attributes:
        answers: what happens to the requests to come: a status, or "drop" after the card was taken.
        headers: sent with each of these answers.
    """

    answers: list[int | str] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    cards: list[bytes] = field(default_factory=list)
    requests: int = 0
    port: int = 0

    def channel(self, **settings: Any) -> Teams:  # noqa: ANN401 - any setting
        """Return the channel that posts here."""
        port = self.port

        class OnLoopback(Teams):
            timeout = 5

            @property
            def url(self) -> str:
                return super().url.replace(HOST, f"http://127.0.0.1:{port}")

        return OnLoopback(webhook=Secret(HOST + PATH), **settings)


@contextmanager
def running(flow: Flow) -> Iterator[Flow]:
    """Serve on a free port of loopback while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

        def do_POST(self) -> None:
            flow.requests += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = flow.answers.pop(0) if flow.answers else 202
            good = self.path == PATH and mistake(body) is None
            if good and (answer in {"drop", 202}):
                flow.cards.append(body)
            if answer == "drop":
                self.close_connection = True
                return
            self.send_response(int(answer) if good else 400)
            self.send_header("Content-Length", "0")
            for name, value in flow.headers.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - what a followed redirect would arrive as

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        flow.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, args=(0.005,), daemon=True)
        thread.start()
        try:
            yield flow
        finally:
            listener.shutdown()
            thread.join()


def mistake(body: bytes) -> str | None:
    """Return why a flow would not show a card, None when it would."""
    if len(body) > LARGEST:
        return "too large"
    message = json.loads(body)
    (attachment,) = message["attachments"]
    card = attachment["content"]
    if message["type"] != "message" or attachment["contentUrl"] is not None:
        return "not a message"
    if attachment["contentType"] != "application/vnd.microsoft.card.adaptive":
        return "not a card"
    if (card["type"], card["version"]) != ("AdaptiveCard", "1.5"):
        return "not version 1.5"
    return next(filter(None, map(_wrong, card["body"])), None)


def _wrong(element: Mapping[str, Any]) -> str | None:
    kind = element["type"]
    if kind not in KNOWN:
        return f"unknown element {kind}"
    inner: Sequence[Mapping[str, Any]] = element[INNER[kind]] if kind in INNER else ()
    if kind == "Table" and any(len(row["cells"]) != len(element["columns"]) for row in inner):
        return "a row has another number of cells than there are columns"
    if kind in ("TextRun", "TextBlock") and not isinstance(element["text"], str):
        return "no text"
    return next(filter(None, map(_wrong, inner)), None)
