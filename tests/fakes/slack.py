"""A Slack workspace on loopback: it keeps the limits of Slack's messages, and misbehaves on request.

What it has accepted is in `posts` before it answers, so the list is the truth whatever happens to the
client. The limits are written down here a second time, in another way than in the product.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from digest.channels.slack import Slack
from digest.model import Secret

CHANNEL = "C0LEADS0001"
TOKEN = "xoxb-canary-5e1f-77aa"
HOOK = "/services/T0TEAM/B0HOOK/canary-hook-93bc"
ALL_SCOPES = (
    "chat:write",
    "files:write",
    "files:read",
    "channels:history",
    "channels:read",
)
Json = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one method.

    Attributes:
        method: as in "chat.postMessage"; "webhook" and "upload" are the addresses that are no methods.
        mode: "drop", "reset", "slow" or "dribble" (a byte of the answer each `detail` seconds) after it was
            accepted; "drop before" it was; "busy" is 429 with
            `detail` as Retry-After (None for none); "status" answers the number in `detail`; "error" is
            ok: false, or 400 of a webhook, with the code in `detail`; "body" answers 200 and `detail`.
        times: so often; None for always.
    """

    method: str
    mode: str
    detail: str | None = None
    times: int | None = None


@dataclass
class Post:
    """A message that the workspace has taken."""

    ts: str
    channel: str
    message: Json


@dataclass
class SlackServer:
    """The workspace and everything a test may ask it; start it with `running`."""

    faults: Sequence[Fault] = ()
    scopes: Sequence[str] = ALL_SCOPES
    member: bool = True
    archived: bool = False
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: TID251 - the server's own clock

    posts: list[Post] = field(default_factory=list)
    updates: list[Json] = field(default_factory=list)
    files: list[Json] = field(default_factory=list)
    calls: list[tuple[str, Json]] = field(default_factory=list)
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    _seen: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bot(self, **settings: Any) -> Slack:  # noqa: ANN401 - any setting
        """Return the channel that posts here with the bot token."""
        return loopback(self.port)(token=Secret(TOKEN), **{"channel": CHANNEL, **settings})

    def hook(self, **settings: Any) -> Slack:  # noqa: ANN401 - any setting
        """Return the channel that posts here through the webhook."""
        secret = Secret(f"https://hooks.slack.com{HOOK}")
        return loopback(self.port)(webhook=secret, **settings)

    def count(self, method: str) -> int:
        """How often a method was called."""
        return sum(name == method for name, _ in self.calls)

    def fault(self, method: str) -> Fault | None:
        """Return the fault that applies now."""
        with self._lock:
            for number, one in enumerate(self.faults):
                seen = self._seen.get(number, 0)
                if one.method == method and (one.times is None or seen < one.times):
                    self._seen[number] = seen + 1
                    return one
        return None

    def post(self, channel: str, message: Json) -> str:
        """Take a message and return its ts, of which no two are the same."""
        with self._lock:
            ts = f"{self.clock().timestamp():.0f}.{len(self.posts) + 100:06d}"
            self.posts.append(Post(ts, channel, message))
        return ts


def loopback(port: int, seconds: int = 5) -> type[Slack]:
    """Return the Slack channel with its two addresses on this machine and less patience."""

    class OnLoopback(Slack):
        timeout = seconds

        @property
        def base_url(self) -> str:
            return f"http://127.0.0.1:{port}/api/"

        @property
        def webhook_url(self) -> str:
            return super().webhook_url.replace(
                "https://hooks.slack.com", f"http://127.0.0.1:{port}"
            )

    return OnLoopback


@contextmanager
def running(server: SlackServer) -> Iterator[SlackServer]:
    """Serve on a free port of loopback while the block runs."""

    class Handler(_Requests):
        state = server

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


class _Requests(BaseHTTPRequestHandler):
    state: SlackServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Stay quiet."""

    def do_POST(self) -> None:
        """Answer a call."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        method = self.path.removeprefix("/api/").partition("?")[0]
        method = {HOOK: "webhook"}.get(method, method).partition("/F")[0]
        fault = self.state.fault(method)
        if fault is not None and fault.mode == "drop before":
            self.state.calls.append((method, {}))
            self.close_connection = True
            return
        if fault is not None and fault.mode in ("busy", "status", "error", "body"):
            self.state.calls.append((method, {}))
            self.refuse(method, fault)
            return
        status, answer = self.answer(method, body)
        if fault is not None and fault.mode in ("drop", "reset"):
            if fault.mode == "reset":
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            return
        if fault is not None and fault.mode == "dribble":
            self.dribble(float(fault.detail or 1))
            return
        if fault is not None:
            self.state.closing.wait(float(fault.detail or 20))
        self.say(status, answer)

    def dribble(self, pause: float) -> None:
        self.close_connection = True
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":
            self.wfile.write(bytes([byte]))
            if self.state.closing.wait(pause):
                return

    def refuse(self, method: str, fault: Fault) -> None:
        detail = fault.detail or ""
        if fault.mode == "busy":
            wait = {} if fault.detail is None else {"Retry-After": detail}
            self.say(429, {"ok": False, "error": "ratelimited"}, wait)
        elif fault.mode == "status":
            self.say(int(detail), "<html>sorry</html>")
        elif fault.mode == "body":
            self.say(200, detail)
        elif method == "webhook":
            code, _, status = detail.partition(" ")
            self.say(int(status or 400), code)
        else:
            self.say(200, {"ok": False, "error": detail})

    def say(
        self, status: int, answer: Json | str, headers: Mapping[str, str] | None = None
    ) -> None:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        self.send_response(status)
        self.send_header(
            "Content-Type", "text/html" if isinstance(answer, str) else "application/json"
        )
        self.send_header("Content-Length", str(len(text.encode())))
        self.send_header("x-oauth-scopes", ", ".join(self.state.scopes))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    # ------------------------------------------------------------------------------------ methods

    def answer(self, method: str, body: bytes) -> tuple[int, Json | str]:
        if method == "upload":
            self.state.calls.append((method, {}))
            self.state.files[-1]["png"] = body
            return 200, "OK"
        if "json" in (self.headers.get("Content-Type") or ""):
            asked: Json = json.loads(body)
        else:
            asked = dict(parse_qsl(body.decode()))
        self.state.calls.append((method, asked))
        if method == "webhook":
            return self.webhook(asked)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 200, {"ok": False, "error": "invalid_auth"}
        known: Mapping[str, Callable[[Json], Json]] = {
            "auth.test": lambda _: {"ok": True, "team": "Example", "user": "digest"},
            "conversations.info": self.info,
            "conversations.history": self.history,
            "chat.postMessage": self.post_message,
            "chat.update": self.update,
            "files.getUploadURLExternal": self.upload_url,
            "files.completeUploadExternal": self.complete_upload,
        }
        if method not in known:
            return 200, {"ok": False, "error": "unknown_method"}
        return 200, known[method](asked)

    def webhook(self, asked: Json) -> tuple[int, str]:
        if (refused := refusal(asked)) is not None:
            return 400, {"msg_blocks_too_long": "invalid_blocks"}.get(refused[0], refused[0])
        self.state.post(CHANNEL, asked)
        return 200, "ok"

    def lacking(self, *scopes: str) -> Json | None:
        if set(scopes) & set(self.state.scopes):
            return None
        return {"ok": False, "error": "missing_scope", "needed": scopes[0]}

    def info(self, asked: Json) -> Json:
        if asked["channel"] != CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        facts = {
            "name": "marketing",
            "is_member": self.state.member,
            "is_archived": self.state.archived,
        }
        return self.lacking("channels:read") or {"ok": True, "channel": facts}

    def history(self, asked: Json) -> Json:
        """Return the messages after `oldest`, as Slack does: those nearest to it, newest of them first."""
        since, limit = float(asked["oldest"]), int(asked["limit"])
        after = [post for post in self.state.posts if float(post.ts) > since][:limit]
        shown = ["ts", "text", "blocks"]
        shown += ["metadata"] if asked.get("include_all_metadata") == "1" else []
        messages = [
            {
                name: value
                for name, value in {"ts": post.ts, **post.message}.items()
                if name in shown
            }
            for post in reversed(after)
        ]
        return self.lacking("channels:history") or {"ok": True, "messages": messages}

    def post_message(self, asked: Json) -> Json:
        if (refused := refusal(asked)) is not None:
            code, pointer = refused
            return {"ok": False, "error": code, "errors": [pointer]}
        if asked["channel"] != CHANNEL:
            return {"ok": False, "error": "channel_not_found"}
        if lacking := self.lacking("chat:write"):
            return lacking
        return {"ok": True, "channel": CHANNEL, "ts": self.state.post(CHANNEL, asked)}

    def update(self, asked: Json) -> Json:
        if (refused := refusal(asked)) is not None:
            return {"ok": False, "error": refused[0], "errors": [refused[1]]}
        if all(post.ts != asked["ts"] for post in self.state.posts):
            return {"ok": False, "error": "message_not_found"}
        self.state.updates.append(asked)
        return {"ok": True, "channel": asked["channel"], "ts": asked["ts"]}

    def upload_url(self, asked: Json) -> Json:
        if lacking := self.lacking("files:write"):
            return lacking
        self.state.files.append(dict(asked))
        number = len(self.state.files)
        url = f"http://127.0.0.1:{self.state.port}/api/upload/F{number:010d}"
        return {"ok": True, "upload_url": url, "file_id": f"F{number:010d}"}

    def complete_upload(self, asked: Json) -> Json:
        self.state.files[-1] |= {"channel": asked["channel_id"], "thread_ts": asked["thread_ts"]}
        return {"ok": True, "files": json.loads(asked["files"])}


# --------------------------------------------------------------------------------------- the limits

Refused = tuple[str, str]
TEXTS = {"section": 3_000, "header": 150, "field": 2_000, "context": 3_000}


def refusal(message: Json) -> Refused | None:
    """Return (error, what and where) of the first limit that a message breaks, None when it keeps all."""
    blocks: list[Json] = message.get("blocks") or []
    text = message.get("text") or ""
    kinds = [block["type"] for block in blocks]
    named = [block["block_id"] for block in blocks if "block_id" in block]
    markdown = sum(len(block["text"]) for block in blocks if block["type"] == "markdown")
    rules: tuple[tuple[bool, Refused], ...] = (
        (not blocks and not text, ("no_text", "")),
        (not blocks and len(text) > 40_000, ("msg_too_long", "")),
        (
            len(blocks) > 50,
            ("invalid_blocks", "no more than 50 items allowed [json-pointer:/blocks]"),
        ),
        *(
            (wrong is not None, ("invalid_blocks", f"{wrong} [json-pointer:/blocks/{number}]"))
            for number, wrong in enumerate(_JUDGES[block["type"]](block) for block in blocks)
        ),
        (kinds.count("table") > 1, ("invalid_attachments", "only_one_table_allowed")),
        (kinds.count("data_visualization") > 2, ("invalid_blocks", "too many data_visualization")),
        (len(set(named)) < len(named), ("invalid_blocks", "block_id already exists")),
        (markdown > 12_000, ("msg_blocks_too_long", "markdown")),
        (len(json.dumps(blocks)) > 13_200, ("msg_blocks_too_long", "")),
    )
    return next((refused for broken, refused in rules if broken), None)


def _text(text: Any, longest: int, kinds: str = "plain_text mrkdwn") -> str | None:  # noqa: ANN401 - from JSON
    if not isinstance(text, dict) or text.get("type") not in kinds.split():
        return "unsupported type of text"
    if not isinstance(text.get("text"), str) or not text["text"]:
        return "must be more than 0 characters"
    return f"must be less than {longest + 1} characters" if len(text["text"]) > longest else None


def _section(block: Json) -> str | None:
    if "text" not in block and "fields" not in block:
        return "missing required field: text"
    fields = block.get("fields", [])
    if len(fields) > 10:
        return "no more than 10 items allowed"
    wrong = [_text(one, TEXTS["field"]) for one in fields]
    wrong += [_text(block["text"], TEXTS["section"])] if "text" in block else []
    return next(filter(None, wrong), None)


def _context(block: Json) -> str | None:
    elements = block["elements"]
    if not 1 <= len(elements) <= 10:
        return "between 1 and 10 elements"
    return next(filter(None, (_text(one, TEXTS["context"]) for one in elements)), None)


def _table(block: Json) -> str | None:
    rows = block["rows"]
    if not 1 <= len(rows) <= 100:
        return "between 1 and 100 rows"
    if any(not 1 <= len(row) <= 20 for row in rows) or len(block.get("column_settings", ())) > 20:
        return "no more than 20 cells in a row"
    cells = [cell for row in rows for cell in row]
    if any(cell["type"] not in ("raw_text", "raw_number", "rich_text") for cell in cells):
        return "unsupported type of cell"
    written = [str(cell.get("text", cell.get("value", "x"))) for cell in cells]
    if not all(written):
        return "a cell must not be empty"
    return "more than 10000 characters in cells" if sum(map(len, written)) > 10_000 else None


def _image(block: Json) -> str | None:
    if not block.get("alt_text"):
        return "missing required field: alt_text"
    file = block.get("slack_file", {}).get("id", "")
    return None if re.fullmatch(r"F[A-Z0-9]{8,}", file) else "invalid slack file"


_JUDGES: Mapping[str, Callable[[Json], str | None]] = {
    "header": lambda block: _text(block.get("text"), TEXTS["header"], "plain_text"),
    "section": _section,
    "context": _context,
    "table": _table,
    "image": _image,
    "markdown": lambda block: None if block.get("text") else "must be more than 0 characters",
    "data_visualization": lambda block: None if block.get("title") else "missing required field",
}
