"""What an HTTP post that went wrong means: whether it can have been taken, and when to try again."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

DEFAULT_WAIT = 30.0  # seconds, when the other side asks to wait but not how long
LONGEST_WAIT = 86_400.0
_NO_TUNNEL = "Tunnel connection failed"  # http.client, when a proxy refuses to connect


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


def without_redirects() -> OpenerDirector:
    """Return an opener that takes a redirect for an answer: the address is a secret for one host."""
    from urllib.request import HTTPRedirectHandler, build_opener

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """Go nowhere."""

    return build_opener(Stay)
