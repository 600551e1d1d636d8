"""Every failure the reader can act on.

DigestError                   exit code
    ConfigError               2   settings, worksheet, calendar or template: mend the file
    ConnectorError            3   the source could not give trustworthy numbers: `reason` says who retries
    LedgerError               2   the record of what was sent cannot be used (3 when it may pass)
    DeliveryError             4   one recipient was not served: `permanent` says whether to try again

An unknown delivery outcome (exit code 5) is a state of the ledger, not an exception. Anything that is
not a DigestError is a bug (exit code 70).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum


class Reason(StrEnum):
    """Why there is no count to be trusted; decides whether and when somebody retries."""

    AUTH = "auth"
    QUOTA = "quota"
    TRANSIENT = "transient"
    OVERFLOW = "overflow"
    UNRECONCILED = "unreconciled"
    STALE = "stale"
    DROP = "drop"


class DigestError(Exception):
    """A failure whose message tells the reader where it is, what was found and what to do."""

    exit_code = 70


class ConfigError(DigestError):
    """Mistakes in something the user wrote; all of them, not the first.

    Each mistake is one complete sentence that names file, line or cell, key, what was found and what
    is allowed.
    """

    exit_code = 2

    def __init__(self, *mistakes: str) -> None:
        self.mistakes = tuple(_punctuated(mistake) for mistake in mistakes)
        super().__init__("\n".join(self.mistakes))


class ConnectorError(DigestError):
    """The whole count could not be had, so there is no count."""

    exit_code = 3

    def __init__(self, connector: str, reason: Reason, what: str, *, remedy: str) -> None:
        super().__init__(_punctuated(f"{connector}: {what}; {remedy}"))
        self.connector = connector
        self.reason = reason


class LedgerError(DigestError):
    """The ledger is missing after use, foreign, corrupt, newer, locked or full."""

    def __init__(self, what: str, *, remedy: str, passing: bool = False) -> None:
        super().__init__(f"{what}; {remedy}")
        self.exit_code = 3 if passing else 2


class DeliveryError(DigestError):
    """A channel did not take the message.

    Attributes:
        permanent: the same message will be refused again; do not retry.
        concerns_all: no other recipient of this channel can be served now either (connection, login).
        reply: what the other side said, without control characters.
        retry_after: seconds that the other side asks to wait, None when it names none.
    """

    exit_code = 4

    def __init__(
        self,
        channel: str,
        what: str,
        *,
        permanent: bool,
        concerns_all: bool = False,
        reply: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{channel}: {what}")
        self.permanent = permanent
        self.concerns_all = concerns_all
        self.reply = reply
        self.retry_after = retry_after


class OutcomeUnknownError(DeliveryError):
    """The message was handed over and no answer came: it may have arrived, so it is never resent."""

    exit_code = 5

    def __init__(self, channel: str, what: str) -> None:
        super().__init__(channel, what, permanent=True)


def _punctuated(sentence: str) -> str:
    """Take away the semicolon that would follow the question mark of `nearest`."""
    return re.sub(r"(did you mean '[^']*'\?)[;.]", r"\1", sentence)


def nearest(found: str, known: Sequence[str]) -> str:
    """Return "; did you mean 'x'?" for the closest known name, or an empty string."""
    from difflib import get_close_matches

    matches = get_close_matches(found.casefold(), [name.casefold() for name in known], n=1)
    if not matches:
        return ""
    match = next(name for name in known if name.casefold() == matches[0])
    return f"; did you mean {match!r}?"
