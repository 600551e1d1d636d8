"""The dead-man's switch outside: pings by the protocol of Healthchecks (healthchecks.io and its kin).

Only a service elsewhere notices a host that is dead. A ping takes at most half a minute, and whatever
becomes of it, nothing else fails because of it.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from http.client import HTTPException
from threading import Event
from urllib.parse import urlsplit, urlunsplit
from uuid import NAMESPACE_URL, UUID, uuid5

from digest.model import Secret
from digest.posting import post, reason

TRIES = 3
TIMEOUT = 10.0  # seconds, of one try
_PAUSE = 0.5
_LONGEST_BODY = 200
_HEADERS = {"Content-Type": "text/plain; charset=utf-8"}


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
        timeout: seconds of one try.
        pause: seconds between two tries.
    """
    where = address(url.reveal(), ping, rid)
    line = " ".join(body.split())[:_LONGEST_BODY].encode()
    problem = None
    for attempt in range(TRIES):
        if attempt:
            Event().wait(pause)
        try:
            status = post(where, line, _HEADERS, seconds=timeout).status
        except (OSError, HTTPException, ValueError) as error:
            problem = f"cannot be reached ({reason(error)})"
            continue
        if status // 100 == 2:  # noqa: PLR2004 - what HTTP calls success
            return None
        problem = f"answered {status}"
        if status // 100 != 5 and status != 429:  # noqa: PLR2004 - server errors, Too Many Requests
            break  # it will say so again
    return problem
