"""The dead-man's switch outside: pings by the protocol of Healthchecks (healthchecks.io and its kin).

Only a service elsewhere notices a host that is dead. A ping takes at most half a minute, and whatever
becomes of it, nothing else fails because of it.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from threading import Event, Thread
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from uuid import NAMESPACE_URL, UUID, uuid5

from digest.model import Secret
from digest.posting import reason, without_redirects

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

TRIES = 3
TIMEOUT = 10.0  # seconds, of one try
_PAUSE = 0.5
_LONGEST_BODY = 200


class Ping(StrEnum):
    """What a ping says; the value is what it adds to the address."""

    START = "/start"
    SUCCESS = ""
    FAIL = "/fail"
    LOG = "/log"


def run_id(digest: str, business_date: date) -> UUID:
    """Return the id that all pings and log lines of one edition share, on every host."""
    return uuid5(NAMESPACE_URL, f"sla-digest:{digest}/{business_date.isoformat()}")


def address(url: str, ping: Ping, rid: UUID) -> str:
    """Return where a ping goes; a query that the address has already stays in front."""
    parts = urlsplit(url.strip())
    query = f"{parts.query}&rid={rid}" if parts.query else f"rid={rid}"
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}{ping}", query=query))


def send_ping(
    url: Secret,
    ping: Ping,
    *,
    rid: UUID,
    body: str = "",
    timeout: float = TIMEOUT,
    pause: float = _PAUSE,
) -> str | None:
    """Ping, three times at most; return None when it was taken, else why not, without the address.

    Args:
        url: the check's own address.
        ping: what to say.
        rid: see `run_id`.
        body: one line for the service's log.
        timeout: seconds of one try; all together take three times as long at most.
        pause: seconds between two tries.
    """
    result: list[str | None] = []
    line = " ".join(body.split())[:_LONGEST_BODY]
    where = address(url.reveal(), ping, rid)
    # In a thread: a socket's timeout starts anew with each byte, so a server that dribbles has no end.
    worker = Thread(target=lambda: result.append(_tried(where, line, timeout, pause)), daemon=True)
    worker.start()
    worker.join(TRIES * timeout)
    return result[0] if result else f"no answer within {TRIES * timeout:.0f} s"


def _tried(where: str, line: str, timeout: float, pause: float) -> str | None:
    opener = without_redirects()
    problem: str | None = None
    for attempt in range(TRIES):
        if attempt:
            Event().wait(pause)
        problem, again = _once(opener, where, line, timeout)
        if problem is None or not again:
            break
    return problem


def _once(opener: OpenerDirector, where: str, line: str, timeout: float) -> tuple[str | None, bool]:
    """Return why a try failed, and whether another one may do better."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request

    headers = {"Content-Type": "text/plain; charset=utf-8"}
    request = Request(where, line.encode(), headers, method="POST")  # noqa: S310 - the settings take https, or this machine
    try:
        with opener.open(request, timeout=timeout):
            return None, False
    except HTTPError as error:
        with error:
            return f"answered {error.code}", error.code >= 500 or error.code == 429  # noqa: PLR2004 - server errors, Too Many Requests
    except (OSError, HTTPException, ValueError) as error:
        return f"cannot be reached ({reason(error)})", True
