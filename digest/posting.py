"""Posts over HTTP: once, to one host, within a time; and what a post that went wrong means."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from urllib.request import OpenerDirector, Request

T = TypeVar("T")

DEFAULT_WAIT = 30.0  # seconds, when the other side asks to wait but not how long
LONGEST_WAIT = 86_400.0
LONGEST_ANSWER = 1_000_000  # bytes
_NO_TUNNEL = "Tunnel connection failed"  # http.client, when a proxy refuses to connect


@dataclass(frozen=True)
class Answer:
    """What the other side said, whatever the status; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


def post(url: str, body: bytes, headers: Mapping[str, str], *, seconds: float) -> Answer:
    """Post once; a redirect is an answer, because what we send is for one host.

    Args:
        url: where to.
        body: as it travels.
        headers: likewise.
        seconds: for all of it, the name's look-up included: a socket's timeout starts anew with each byte.

    Raises:
        OSError, http.client.HTTPException: no whole answer came; see `never_arrived`.
    """
    from urllib.request import Request

    request = Request(url, body, dict(headers), method="POST")  # noqa: S310 - the caller's own hosts
    return within(seconds, lambda: _asked(request, seconds))


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what a call returns, or raise what it raises, unless it takes longer than that.

    It runs in a thread of its own, because nothing else can be left behind in the middle of a look-up or
    of an answer that dribbles.

    Raises:
        TimeoutError: nobody knows how it will end.
    """
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            raised.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    if not returned:
        raise TimeoutError("timed out")
    return returned[0]


def _asked(request: Request, seconds: float) -> Answer:
    from urllib.error import HTTPError

    try:
        answer = _without_redirects().open(request, timeout=seconds)
    except HTTPError as error:
        answer = error
    with answer:
        named = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, named, answer.read(LONGEST_ANSWER))


def _without_redirects() -> OpenerDirector:
    from urllib.request import HTTPRedirectHandler, build_opener

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """Go nowhere."""

    return build_opener(Stay)


def never_arrived(error: BaseException) -> bool:
    """Tell whether a post failed before the other side could take it: no name, port, TLS or way by the proxy.

    Everything else that breaks once a request has begun leaves its outcome unknown.
    """
    import ssl
    from urllib.error import HTTPError, URLError

    if not isinstance(error, URLError) or isinstance(error, HTTPError):
        return False
    return isinstance(error.reason, socket.gaierror | ConnectionRefusedError | ssl.SSLError) or str(
        error.reason
    ).startswith(_NO_TUNNEL)


def reason(error: BaseException) -> str:
    """Return an error's words; none that could hold the address, which is the secret of a webhook."""
    within = getattr(error, "reason", None)
    cause = within if isinstance(within, BaseException) else error
    words = getattr(cause, "verify_message", None) or getattr(cause, "strerror", None)
    if not words and isinstance(cause, OSError):  # the system's and the proxy's words, never ours
        words = str(cause)
    return str(words or type(cause).__name__)


def seconds_to_wait(header: str | None) -> float:
    """Return the seconds of a Retry-After header, a usual wait when it holds no number of them."""
    text = (header or "").strip()
    if not text.isascii() or not text.isdigit():
        return DEFAULT_WAIT
    return min(float(text[:9]), LONGEST_WAIT)
