"""Who may ask the preview, and what every answer says to the browser: one ASGI layer around all pages."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 64 * 1024
LONGEST_PATH = 512
LONGEST_QUERY = 8 * 1024
OPEN = ("/healthz", "/login")  # without the cookie; neither tells anything

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SHELL_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
FRAME_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'"
)


@dataclass(frozen=True, slots=True)
class Keys:
    """What lets a browser in.

    Attributes:
        cookie: name of the cookie; it carries the port, since a host's ports share their cookies.
        session: the cookie's value, new with every start.
    """

    cookie: str
    session: str = field(repr=False)

    def opens(self, header: str) -> bool:
        """Whether a Cookie header holds the session."""
        try:
            found = SimpleCookie(header).get(self.cookie)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(
            found.value.encode(), self.session.encode()
        )


@dataclass(frozen=True)
class Guard:
    """Refuses what does not come from a page of our own, before any page sees it.

    Attributes:
        hosts: allowed values of the Host header, port included, lower case.
    """

    app: ASGIApp
    hosts: frozenset[str]
    keys: Keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            return
        refused = self._refusal(scope)
        if refused is not None:
            status, text = refused
            await _plain(_with_headers(send), status, text)
            return
        await self.app(scope, _limited(receive), _with_headers(send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = _headers(scope)
        host = headers.get("host", [])
        if len(host) != 1 or host[0].lower() not in self.hosts:
            return 400, f"this server answers to {', '.join(sorted(self.hosts))} only"
        if (
            len(scope["raw_path"] or b"") > LONGEST_PATH
            or len(scope["query_string"]) > LONGEST_QUERY
        ):
            return 414, "the address is too long"
        site = headers.get("sec-fetch-site", [""])[0]
        mode = headers.get("sec-fetch-mode", [""])[0]
        into = headers.get("sec-fetch-dest", [""])[0]
        navigates = mode == "navigate" and into in ("document", "")
        if site in ("cross-site", "same-site") and not navigates:
            return 403, "asked by a page of another site"
        if scope["path"] not in OPEN and not self.keys.opens("; ".join(headers.get("cookie", []))):
            return 401, (
                "this browser has not been let in: open the address that `digest preview` printed in "
                "the terminal"
            )
        if scope["method"] in ("GET", "HEAD", "OPTIONS", "TRACE"):
            return None
        return self._refusal_of_action(headers, host[0], site)

    def _refusal_of_action(
        self, headers: Mapping[str, Sequence[str]], host: str, site: str
    ) -> tuple[int, str] | None:
        origin = headers.get("origin", [])
        if len(origin) != 1 or origin[0].lower() != f"http://{host.lower()}":
            return 403, "an action needs the Origin of a page of this server"
        if site not in ("same-origin", ""):
            return 403, "asked by a page of another site"
        length = headers.get("content-length", [])
        if length and (not length[0].isdigit() or int(length[0]) > LARGEST_BODY):
            return 413, f"at most {LARGEST_BODY} bytes are taken"
        return None


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _limited(receive: Receive) -> Receive:
    """End a body that grows past the limit whatever its Content-Length said."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST_BODY:
            return {"type": "http.disconnect"}
        return message

    return counted


def _with_headers(send: Send) -> Send:
    async def headed(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message.get("headers", ())}
            wanted = {**EVERYWHERE, "Content-Security-Policy": SHELL_POLICY}
            message["headers"] = [
                *message.get("headers", ()),
                *(
                    (name.lower().encode(), value.encode())
                    for name, value in wanted.items()
                    if name.lower().encode() not in given
                ),
            ]
        await send(message)

    return headed


async def _plain(send: Send, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    head = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
