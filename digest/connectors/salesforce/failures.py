"""What Salesforce's complaint means for the reader: mend the settings, the app, or wait."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from digest.errors import ConfigError, ConnectorError, DigestError, Reason

NAME = "salesforce"

AUTH = {
    "invalid_client_id",
    "invalid_client",
    "invalid_grant",
    "INVALID_LOGIN",
    "INVALID_OPERATION",
    "INVALID_SESSION_ID",
    "INVALID_AUTH_HEADER",
    "unsupported_grant_type",
    "invalid_app_access",
    "inactive_user",
}
PERMISSION = {
    "API_DISABLED_FOR_ORG",
    "API_CURRENTLY_DISABLED",
    "INSUFFICIENT_ACCESS",
    "INSUFFICIENT_ACCESS_OR_READONLY",
    "FUNCTIONALITY_NOT_ENABLED",
}
SETTINGS = {"INVALID_FIELD", "INVALID_TYPE", "MALFORMED_QUERY", "INVALID_QUERY_FILTER_OPERATOR"}
VERSION = {"UNSUPPORTED_API_VERSION"}
OVERFLOW = {"EXCEEDED_ID_LIMIT", "OPERATION_TOO_LARGE"}
TIMEOUT = {"QUERY_TIMEOUT"}
QUOTA = {"REQUEST_LIMIT_EXCEEDED"}
GONE, NOT_FOUND, FORBIDDEN, UNAUTHORISED = 410, 404, 403, 401
TOO_LONG = {414, 431}
PASSING = {406, 420, 429}
SERVER = 500


class NotFoundError(ConfigError):
    """An address that the org does not have."""


@dataclass(frozen=True)
class Refusal:
    """An error that Salesforce answered: HTTP status, its code and its sentence."""

    status: int
    code: str
    said: str

    @property
    def passing(self) -> bool:
        """Whether the same question may work in a moment."""
        known = self.code in AUTH | PERMISSION | SETTINGS | VERSION | OVERFLOW | TIMEOUT | QUOTA
        return not known and (self.status >= SERVER or self.status in PASSING)

    @property
    def too_large(self) -> bool:
        """Whether a smaller window may work."""
        return self.code in OVERFLOW | TIMEOUT


def refusal_of(status: int, content: object) -> Refusal:
    """Read an error body: a list of errors, an object of OAuth, or any text."""
    first = content[0] if isinstance(content, list) and content else content
    if isinstance(first, dict):
        code = first.get("errorCode") or first.get("error") or "no code"
        said = first.get("message") or first.get("error_description") or "no reason given"
        return Refusal(status, str(code), one_line(str(said)))
    return Refusal(status, "no code", f"status {status}, no reason given")


def one_line(text: str) -> str:
    """Return the first 300 characters of a text as one line."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", text).split())[:300]


def transient(what: str) -> ConnectorError:
    """Return a failure that passes."""
    return ConnectorError(
        NAME, Reason.TRANSIENT, what, remedy="the next run tries again; see status.salesforce.com"
    )


def overflow(what: str, remedy: str) -> ConnectorError:
    """Return a question too large for the limits."""
    return ConnectorError(NAME, Reason.OVERFLOW, what, remedy=remedy)


def unreconciled(what: str) -> ConnectorError:
    """Return a disagreement of two answers."""
    return ConnectorError(
        NAME,
        Reason.UNRECONCILED,
        what,
        remedy="the next run counts again; if it persists, compare with a report in Salesforce",
    )


def translated(
    refusal: Refusal,
    *,
    host: str,
    version: str,
    usage: tuple[int, int] | None,
    told_at: datetime | None = None,
) -> DigestError:
    """Return the refusal in the reader's words; `told_at` is when Salesforce gave it."""
    said = f"{refusal.code}: {refusal.said}"
    if refusal.code in QUOTA:
        used = f" ({usage[0]:,} of {usage[1]:,} calls used in 24 hours)" if usage else ""
        return ConnectorError(
            NAME,
            Reason.QUOTA,
            f"{host} allows no further calls now{used}: {said}",
            remedy=_until(refusal, told_at),
        )
    if refusal.code in VERSION or refusal.status == GONE:
        return ConfigError(
            f"salesforce: api_version: {host} does not know API version {version} ({said}); set "
            'api_version = "64.0"'
        )
    return _of_login(refusal, said, host) or _of_question(refusal, said, host, version)


def _until(refusal: Refusal, told_at: datetime | None) -> str:
    """Return what ends a limit: that of calls at once passes soon, that of the day within 24 hours."""
    if "concurrent" in refusal.said.casefold():
        return "too many long calls run at once; the next run tries again in a few minutes"
    last = f", by {told_at + timedelta(days=1):%Y-%m-%d %H:%M} UTC at the latest" if told_at else ""
    return (
        f"calls are free again as those of the last 24 hours grow older{last}; Setup, System Overview "
        "shows the use"
    )


def no_such_org(host: str) -> NotFoundError:
    """Return that no org answers to the domain of the settings."""
    return NotFoundError(
        f"salesforce: domain: {host} has no login for apps; compare domain with the org's My Domain "
        "(Setup, My Domain), such as 'acme.my'"
    )


def _of_login(refusal: Refusal, said: str, host: str) -> DigestError | None:
    if refusal.code in PERMISSION or (
        refusal.status == FORBIDDEN and refusal.code not in SETTINGS | AUTH
    ):
        return ConnectorError(
            NAME,
            Reason.AUTH,
            f"{host} refuses the user of the login: {said}",
            remedy="give that user the permission 'API Enabled' and read on the object and its fields",
        )
    if refusal.code in AUTH or refusal.status == UNAUTHORISED:
        return ConnectorError(
            NAME,
            Reason.AUTH,
            f"{host} did not accept the login: {said}",
            remedy="renew the credentials of the connector; `digest check` proves them",
        )
    return None


def _of_question(refusal: Refusal, said: str, host: str, version: str) -> DigestError:
    if refusal.code in SETTINGS:
        return ConfigError(
            f"salesforce: {host} refused the question: {said}; compare object, dates, segment and filters "
            "with Setup, Object Manager"
        )
    if refusal.status == NOT_FOUND:
        return NotFoundError(
            f"salesforce: domain: {host} has no such address in API version {version} ({said}); check "
            "domain and api_version"
        )
    if refusal.too_large or refusal.status in TOO_LONG:
        return overflow(
            f"{host} calls the question too large: {said}",
            "narrow the filters, and give the user of the login 'View All' on the object",
        )
    return transient(f"{host} failed with status {refusal.status}: {said}")
