"""What an HTTP post that went wrong means: whether it can have been taken, and when to try again."""

from __future__ import annotations

import socket

DEFAULT_WAIT = 30.0  # seconds, when the other side asks to wait but not how long
LONGEST_WAIT = 86_400.0


def never_arrived(error: BaseException) -> bool:
    """Tell whether a post failed before the other side could take it: no name, no port, no TLS.

    Everything else that breaks once a request has begun leaves its outcome unknown.
    """
    import ssl
    from urllib.error import HTTPError, URLError

    return (
        isinstance(error, URLError)
        and not isinstance(error, HTTPError)
        and isinstance(error.reason, socket.gaierror | ConnectionRefusedError | ssl.SSLError)
    )


def reason(error: BaseException) -> str:
    """Return an error's words; never its address, which can hold the secret of a webhook."""
    cause = getattr(error, "reason", None) or error
    words = getattr(cause, "verify_message", None) or getattr(cause, "strerror", None)
    return str(words) if words else type(cause).__name__


def seconds_to_wait(header: str | None) -> float:
    """Return the seconds of a Retry-After header, a usual wait when it holds no number of them."""
    text = (header or "").strip()
    if not text.isascii() or not text.isdigit():
        return DEFAULT_WAIT
    return min(float(text[:9]), LONGEST_WAIT)
