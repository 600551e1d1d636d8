"""Mail through Microsoft Graph: a mailbox of Microsoft 365 sends the finished mail (sendMail, MIME form).

Graph has no idempotency for sendMail: one request a mail, and an answer that never came is unknown.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar
from urllib.parse import quote

from digest.addresses import ascii_address, mailbox, masked
from digest.errors import DeliveryError, OutcomeUnknownError
from digest.letterhead import Letterhead
from digest.model import Envelope, Finding, Secret
from digest.posting import Answer, never_arrived, post, reason, seconds_to_wait
from digest.tokens import HOSTS, OAuth, Tokens

SCOPE = "https://graph.microsoft.com/.default"
LARGEST = 4_000_000  # bytes of a request
_PER_SECOND = 30 / 60  # mails of one mailbox that Exchange Online takes
_CODE = re.compile(r"[A-Za-z]{3,80}")
_REQUEST = re.compile(r"[0-9a-fA-F-]{8,64}")
_ACCEPTED, _UNAUTHORISED, _FORBIDDEN, _NOT_FOUND = 202, 401, 403, 404
_LATER = (408, 429)
_OF_THE_APP = (_UNAUTHORISED, _FORBIDDEN, _NOT_FOUND)  # so nobody else can be served either
_REMEDIES = {
    "ErrorAccessDenied": "give the app the application permission Mail.Send with an admin's consent, and "
    "let its access policy include this mailbox",
    "InvalidAuthenticationToken": "Microsoft gave a token and then did not take it; check tenant",
    "ErrorSendAsDenied": "the mailbox may not send as this From address; set sender to the mailbox's own",
    "ErrorInvalidUser": "check mailbox: the tenant has no such user",
    "ResourceNotFound": "check mailbox: the tenant has no such user",
    "MailboxNotEnabledForRESTAPI": "the mailbox has no licence for Exchange Online, or is not there",
    "ErrorMessageSizeExceeded": "show fewer segments",
}


@dataclass(frozen=True, kw_only=True)
class Graph(Letterhead):
    """A mailbox of Microsoft 365 and who gets mail from it.

    Attributes:
        tenant, client_id: an app with the application permission Mail.Send, in its directory (id or domain).
        client_secret, certificate: what it logs in with, one of both; the certificate as PEM text with its
            private key.
        mailbox: whose mailbox sends (address or object id), default the From address.
    """

    token_hosts: ClassVar[Mapping[str, str]] = HOSTS
    host: ClassVar[str] = "https://graph.microsoft.com"
    timeout: ClassVar[float] = 60  # seconds for one mail

    tenant: str
    client_id: str
    client_secret: Secret | None = None
    certificate: Secret | None = None
    mailbox: str | None = None

    def __post_init__(self) -> None:
        """Check the app and the addresses."""
        if (self.client_secret is None) == (self.certificate is None):
            raise ValueError("give client_secret or certificate: one of both")
        _ = self.app
        self.check_letterhead()

    @property
    def url(self) -> str:
        """Where mails are posted to."""
        who = self.mailbox or mailbox(self.sender).address
        return f"{self.host}/v1.0/users/{quote(who, safe='@')}/sendMail"

    @property
    def limits(self) -> Mapping[str, float | None]:
        """The mailbox; see `digest.channels.Limited`."""
        return {f"graph:{hashlib.sha256(self.url.encode()).hexdigest()[:16]}": _PER_SECOND}

    @cached_property
    def app(self) -> OAuth:
        """What the app logs in with."""
        return OAuth(
            provider="microsoft",
            tenant=self.tenant,
            client_id=self.client_id,
            client_secret=self.client_secret,
            certificate=self.certificate,
        )

    @cached_property
    def tokens(self) -> Tokens:
        """The app's access token, one for all sessions of this process."""
        return Tokens(self.app, scope=SCOPE, mailbox="", channel="graph", hosts=self.token_hosts)

    @contextmanager
    def session(self) -> Iterator[GraphSession]:
        """Open a session; Microsoft is contacted at the first delivery."""
        yield GraphSession(self)

    def check(self) -> tuple[Finding, ...]:
        """Ask for an access token; whether the mailbox may send cannot be seen without sending."""
        try:
            self.tokens.token()
        except DeliveryError as error:
            return (Finding("error", "graph", str(error)),)
        what = "the app logs in; whether its mailbox may send cannot be checked without sending"
        return (Finding("ok", "graph", what),)


class GraphSession:
    """Sends mails from one mailbox."""

    def __init__(self, settings: Graph) -> None:
        self._settings = settings

    def deliver(self, envelope: Envelope, *, commit: Callable[[], bool]) -> str:
        """Send one mail; that Exchange accepted it is all that can be known."""
        body = base64.b64encode(envelope.content)
        if len(body) > LARGEST:
            what = f"takes mails up to {LARGEST} bytes in base64, this one has {len(body)}"
            raise _error(what, permanent=True)
        tokens, recipient = self._settings.tokens, ascii_address(envelope.recipient)
        token, was_at_hand = tokens.token()
        if not commit():
            raise _error("another process owns this delivery, so it was not sent from here")
        answer = self._post(body, token)
        if answer.status == _UNAUTHORISED and was_at_hand and tokens.doubt():
            # Refused before anything was taken, so this is still the only mail.
            token, _ = tokens.token()
            answer = self._post(body, token)
        if answer.status == _ACCEPTED:
            named = _REQUEST.fullmatch(answer.headers.get("request-id", ""))
            return f"accepted by Exchange{f' (request {named[0]})' if named else ''}"
        raise _judged(answer, recipient)

    def _post(self, body: bytes, token: str) -> Answer:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/plain"}
        try:
            return post(self._settings.url, body, headers, seconds=self._settings.timeout)
        except Exception as error:
            if never_arrived(error):
                what = f"cannot be reached ({reason(error)})"
                raise _error(what, concerns_all=True) from error
            what = f"had the request, then no answer came ({reason(error)})"
            raise OutcomeUnknownError("graph", what) from error


def _judged(answer: Answer, recipient: str) -> DeliveryError:
    status, code = answer.status, _code(answer)
    shown = f"{status} {code}".strip()
    if status in _LATER:
        wait = seconds_to_wait(answer.headers.get("retry-after"))
        what = f"is busy ({shown}) and asks to wait {wait:.0f} s"
        return DeliveryError("graph", what, permanent=False, concerns_all=True, retry_after=wait)
    if not 400 <= status < 500:  # noqa: PLR2004 - what HTTP calls client errors
        return OutcomeUnknownError("graph", f"answered {shown}, and may have sent the mail")
    remedy = f"; {_REMEDIES[code]}" if code in _REMEDIES else ""
    if status in _OF_THE_APP:
        what = f"refused the app ({shown}){remedy}"
        return _error(what, permanent=True, concerns_all=True, reply=shown)
    what = f"refused the mail for {masked(recipient)} ({shown}){remedy}"
    return _error(what, permanent=True, reply=shown)


def _code(answer: Answer) -> str:
    """Return the code of a refusal; its words may name anybody."""
    try:
        code = json.loads(answer.body)["error"]["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _error(
    what: str, *, permanent: bool = False, concerns_all: bool = False, reply: str = ""
) -> DeliveryError:
    return DeliveryError("graph", what, permanent=permanent, concerns_all=concerns_all, reply=reply)
