"""What an answer of HubSpot that is no count means: repeat it, and how long after, or say why not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from digest.errors import ConfigError, ConnectorError, DigestError, Reason

NAME = "hubspot"
LONGEST_WAIT = 30.0
TRY_AGAIN = "the next run tries again"
_NEW_KEY = (
    "create a service key in HubSpot under Development > Keys > Service keys (or use an existing "
    "private-app token) and store it where `token` of the settings points"
)
_NEW_GRANT = (
    "install the app in this portal again and store its new refresh token where `oauth.refresh_token` "
    "of the settings points; client_id and client_secret are those of the app"
)


class Kind(Enum):
    """How a failed request is repeated: most requests in all, and the first wait in seconds."""

    SECONDLY = (6, 1.0)
    ROLLING = (3, 10.0)
    LOCKED = (3, 2.0)
    MOVING = (3, 30.0)
    PASSING = (4, 0.5)
    FINAL = (1, 0.0)

    def wait(self, attempt: int) -> float | None:
        """Return the wait after that many requests, None to give up."""
        most: int = self.value[0]
        first: float = self.value[1]
        if attempt >= most:
            return None
        if self is Kind.SECONDLY:
            return first * attempt
        return first * 2.0 ** (attempt - 1) if self is Kind.PASSING else first


@dataclass(frozen=True)
class Failure:
    """One failed request.

    Attributes:
        error: what to raise once repeating is over. retry_after: seconds that the answer asks for.
    """

    kind: Kind
    error: DigestError
    retry_after: float | None = None

    def wait(self, attempt: int) -> float | None:
        """Return the wait after that many requests, None to give up."""
        planned = self.kind.wait(attempt)
        return planned if planned is None or self.retry_after is None else self.retry_after


@dataclass(frozen=True)
class Asking:
    """What a message may say of the request: never the token.

    Attributes:
        what: "the search of contacts". version: of the API. now: instant of asking. zone: the digest's.
        hidden: texts that HubSpot may repeat and no message shows. oauth: an app asks, no key.
    """

    what: str
    version: str
    now: datetime
    zone: str
    hidden: tuple[str, ...] = field(repr=False)
    oauth: bool = False


def passing(asking: Asking, what: str) -> Failure:
    """Return a failure that will probably be gone in a moment."""
    words = f"{asking.what} failed: {what}"
    return Failure(Kind.PASSING, ConnectorError(NAME, Reason.TRANSIENT, words, remedy=TRY_AGAIN))


def of_status(  # noqa: PLR0911 - one row of the table of failures each
    asking: Asking, status: int, headers: Mapping[str, str], body: str
) -> Failure:
    """Classify an answer that is not 2xx: by its status first, by its body second."""
    said = _json(body)
    seconds = _seconds(headers)
    match status:
        case 429:
            return _too_many(asking, said, seconds)
        case 401 | 530:
            return _final(_refused(asking, status))
        case 403:
            return _final(_forbidden(asking, said))
        case 400:
            text = _said(said, asking.hidden) or "no reason given"
            return _final(
                ConfigError(
                    f"{NAME}: HubSpot refused {asking.what}: {text}; compare the properties and values of "
                    "[connector] with the portal's"
                )
            )
        case 404 | 410:
            return _final(
                ConfigError(
                    f"{NAME}: HubSpot no longer offers API version {asking.version!r} for {asking.what}, or "
                    "the portal has no such object; set api_version to a current version and compare object"
                )
            )
        case 423:
            return _transient(Kind.LOCKED, f"{asking.what} is locked (423)")
        case 477:
            return _moving(asking, seconds)
        case _ if status >= 500 or status == 408 or 300 <= status < 400:  # noqa: PLR2004 - HTTP
            return passing(asking, f"HubSpot answered {status}")
        case _:
            return _transient(Kind.FINAL, f"{asking.what} failed: HubSpot answered {status}")


def of_renewal(asking: Asking, status: int, headers: Mapping[str, str], body: str) -> Failure:
    """Classify an answer to the refresh of an access token: a refusal of the app is no wrong search."""
    if status not in (400, 401, 403):
        return of_status(asking, status, headers, body)
    text = _said(_json(body), asking.hidden) or "no reason given"
    return _final(_auth(f"HubSpot does not renew the app's access ({status}: {text})", _NEW_GRANT))


def _final(error: DigestError) -> Failure:
    return Failure(Kind.FINAL, error)


def _transient(kind: Kind, what: str, seconds: float | None = None) -> Failure:
    error = ConnectorError(NAME, Reason.TRANSIENT, what, remedy=TRY_AGAIN)
    return Failure(kind, error, seconds)


def _auth(what: str, remedy: str) -> ConnectorError:
    return ConnectorError(NAME, Reason.AUTH, what, remedy=remedy)


def _too_many(asking: Asking, said: Mapping[str, object], seconds: float | None) -> Failure:
    words = f"{said.get('policyName', '')} {said.get('message', '')}".casefold()
    if "daily" in words:
        today = asking.now.astimezone(ZoneInfo(asking.zone)).date()
        midnight = today + timedelta(days=1)
        return _final(
            ConnectorError(
                NAME,
                Reason.QUOTA,
                f"the portal has used up its requests of the day until midnight of its time zone "
                f"({midnight} 00:00 if that is {asking.zone})",
                remedy="the first run after that counts again; look for the app that uses them up",
            )
        )
    wait = None if seconds is None else min(seconds, LONGEST_WAIT)
    kind = Kind.ROLLING if "ten_secondly" in words else Kind.SECONDLY
    return _transient(kind, "the portal is out of requests, other apps use them too (429)", wait)


def _moving(asking: Asking, seconds: float | None) -> Failure:
    until = ""
    if seconds is not None:
        until = f" until {asking.now + timedelta(seconds=seconds):%Y-%m-%d %H:%M} UTC"
    return _transient(Kind.MOVING, f"HubSpot is moving this portal{until} (477)", seconds)


def _refused(asking: Asking, status: int) -> ConnectorError:
    if asking.oauth:
        return _auth(f"the app's access was refused ({status})", _NEW_GRANT)
    if status == 530:  # noqa: PLR2004 - HubSpot's own status
        return _auth(
            "the token was refused as malformed: it was copied wrongly or in part (530)", _NEW_KEY
        )
    return _auth(f"the token was refused, or it has expired ({status})", _NEW_KEY)


def _forbidden(asking: Asking, said: Mapping[str, object]) -> ConnectorError:
    scopes = missing_scopes(said)
    holder = "app" if asking.oauth else "token"
    if scopes:
        return _auth(
            f"the {holder} lacks the scope {', '.join(scopes)}",
            "add it to the app and install it in the portal again (read scopes only)"
            if asking.oauth
            else "add it to the service key (read scopes only)",
        )
    return _auth(
        f"the {holder} may not read this (403)",
        "give it read scopes; an app or a private-app token ends with the rights of the person who "
        "installed or made it",
    )


def missing_scopes(said: Mapping[str, object]) -> tuple[str, ...]:
    """Return the scopes that a 403 names."""
    errors = said.get("errors")
    found: list[str] = []
    for error in errors if isinstance(errors, list) else []:
        context = error.get("context") if isinstance(error, dict) else None
        names = context.get("requiredGranularScopes") if isinstance(context, dict) else None
        found += [str(name)[:80] for name in names] if isinstance(names, list) else []
    return tuple(dict.fromkeys(found))


def _json(body: str) -> Mapping[str, object]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _said(said: Mapping[str, object], hidden: Sequence[str]) -> str:
    """Return HubSpot's own words on one line, without what was asked for in confidence."""
    text = " ".join(str(said.get("message") or "").split())
    for word in filter(None, hidden):
        text = text.replace(word, "***")
    return "".join(letter if letter.isprintable() else " " for letter in text)[:300]


def _seconds(headers: Mapping[str, str]) -> float | None:
    """Return Retry-After in seconds; a date or garbage is None."""
    text = (headers.get("Retry-After") or "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else None  # noqa: PLR2004 - years
