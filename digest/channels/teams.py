"""Microsoft Teams through a Workflows webhook: it takes an Adaptive Card and says no more than "accepted"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from digest.errors import DeliveryError, OutcomeUnknownError
from digest.model import Envelope, Finding, MailHeaders, Recipient, Secret
from digest.posting import Answer, never_arrived, post, reason, seconds_to_wait

_OLD_HOST = ".logic.azure.com"
_HOSTS = (".api.powerplatform.com", _OLD_HOST)


@dataclass(frozen=True, kw_only=True)
class Teams:
    """One Teams channel or chat, named by the webhook of a flow.

    Attributes:
        webhook: the flow's address ("When a Teams webhook request is received"), a secret.
        language, segments, calendar: of its readers, as for any recipient.
    """

    timeout: ClassVar[int] = 30  # seconds

    webhook: Secret
    language: str | None = None
    segments: tuple[str, ...] = ()
    calendar: str | None = None

    def __post_init__(self) -> None:
        """Check that the card can only go to Microsoft."""
        parts = urlsplit(self.webhook.reveal().strip())
        if parts.scheme != "https" or not (parts.hostname or "").endswith(_HOSTS):
            msg = f"webhook: is no https address of a flow; its host ends in {' or '.join(_HOSTS)}"
            raise ValueError(msg)

    @property
    def form(self) -> str:
        """Adaptive Cards."""
        return "teams"

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """Whoever reads where the flow posts."""
        return (Recipient("webhook", self.language, self.segments, self.calendar),)

    @property
    def headers(self) -> MailHeaders | None:
        """None: a card has no letterhead."""
        return None

    @property
    def url(self) -> str:
        """Where the flow is; tests put a server of their own here."""
        return self.webhook.reveal().strip()

    @contextmanager
    def session(self) -> Iterator[TeamsSession]:
        """Open a session; the flow is contacted at the first delivery."""
        yield TeamsSession(self.url, self.timeout)

    def check(self) -> tuple[Finding, ...]:
        """Look at the address; a flow cannot be asked anything without posting."""
        if (urlsplit(self.webhook.reveal()).hostname or "").endswith(_OLD_HOST):
            what = (
                "the flow's address is an old one (logic.azure.com), which no longer works since "
                "30 November 2025; open the flow and copy its address anew"
            )
            return (Finding("warning", "teams", what),)
        return (Finding("ok", "teams", "a flow cannot be checked without posting"),)


class TeamsSession:
    """Posts cards to one flow."""

    def __init__(self, url: str, timeout: int) -> None:
        self._url = url
        self._timeout = timeout

    def deliver(self, envelope: Envelope, *, commit: Callable[[], bool]) -> str:
        """Post the card; that the flow accepted it is all that can be known."""
        if not commit():
            raise DeliveryError("teams", "another process owns this delivery", permanent=False)
        kind = {"Content-Type": "application/json"}
        try:
            answer = post(self._url, envelope.content, kind, seconds=self._timeout)
        except Exception as error:
            raise _broken(error) from error
        if answer.status // 100 != 2:  # noqa: PLR2004 - what HTTP calls success
            raise _judged(answer)
        return "accepted by the flow"


def _broken(error: Exception) -> DeliveryError:
    if never_arrived(error):
        what = f"the flow cannot be reached ({reason(error)})"
        return DeliveryError("teams", what, permanent=False, concerns_all=True)
    what = f"the flow had the request, then no answer came ({reason(error)})"
    return OutcomeUnknownError("teams", what)


def _judged(answer: Answer) -> DeliveryError:
    status = answer.status
    if status == 429:  # noqa: PLR2004 - Too Many Requests
        wait = seconds_to_wait(answer.headers.get("retry-after"))
        what = f"the flow is busy and asks to wait {wait:.0f} s"
        return DeliveryError("teams", what, permanent=False, concerns_all=True, retry_after=wait)
    if 400 <= status < 500:  # noqa: PLR2004 - what HTTP calls client errors
        what = (
            f"the flow refused the card ({status}); open the flow: is it on, does its owner still have "
            "an account, and is this its present address?"
        )
        return DeliveryError("teams", what, permanent=True)
    return OutcomeUnknownError("teams", f"the flow answered {status}, and may have posted the card")
