"""Slack: a bot that posts to a channel (default), or an incoming webhook, which can only post.

Slack has no idempotency for posts, so nothing is ever posted twice on a suspicion: what a reply means is
decided here alone, the client's own retries are off, and an unknown outcome is looked up, not repeated.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from digest.errors import DeliveryError, OutcomeUnknownError
from digest.model import Envelope, Finding, MailHeaders, Recipient, Secret
from digest.posting import never_arrived, reason, seconds_to_wait, within

if TYPE_CHECKING:
    from slack_sdk import WebClient
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web import SlackResponse
    from slack_sdk.webhook import WebhookResponse

log = logging.getLogger(__name__)

BY_WEBHOOK = "webhook"  # the address of a recipient whom only the webhook's secret URL names
_CHANNEL = re.compile(r"[CGD][A-Z0-9]{7,20}")
_CODE = re.compile(r"[a-z][a-z0-9_]{1,60}")
_RECEIPT = re.compile(
    r"posted to (?P<channel>[CGD][A-Z0-9]+) as (?P<ts>\d+\.\d+)(?P<plain> in plain text)?"
)
# What an app may post to one channel, and what of a workspace's allowance we take at most.
_PER_CHANNEL, _PER_WORKSPACE = 1.0, 4.0
_LOOK_BACK = timedelta(seconds=5)
_LOOKED_AT = 15  # messages

# The message itself is at fault, so the same words go out once more without blocks.
_UNREADABLE = frozenset(
    ("invalid_blocks", "invalid_blocks_format", "invalid_attachments", "invalid_payload",
     "msg_blocks_too_long", "msg_too_long")
)  # fmt: skip
_BUSY = frozenset(("ratelimited", "rate_limited"))
_MAYBE = frozenset(("internal_error", "fatal_error"))  # Slack: some of it may have succeeded
_INVITE = "invite the app to the channel (/invite @its-name)"
_NEW_TOKEN = "install the app again and store its new bot token"  # noqa: S105 - a sentence
_REMEDIES = {
    "channel_not_found": "check the channel's id (its details name it); to a private channel, "
    + _INVITE,
    "not_in_channel": _INVITE,
    "is_archived": "unarchive the channel or name another one",
    "invalid_auth": _NEW_TOKEN,
    "not_authed": _NEW_TOKEN,
    "account_inactive": _NEW_TOKEN,
    "token_revoked": _NEW_TOKEN,
    "missing_scope": "give the app the scope that `digest check` names and install it again",
    "restricted_action": "ask an admin of the workspace: a rule forbids posting here",
    "no_permission": "ask an admin of the workspace: the app may not post here",
    "ekm_access_denied": "ask an admin of the workspace: its encryption keys are withdrawn",
    "org_login_required": "ask an admin of the workspace: it is being moved to an organisation",
    "user_not_found": "make a new webhook: the person it posts to is gone",
    "action_prohibited": "ask an admin of the workspace: a rule forbids this webhook",
    "no_service": "make a new webhook: this one is switched off",
    "channel_is_archived": "unarchive the channel or make a webhook for another one",
}


@dataclass(frozen=True, kw_only=True)
class Slack:
    """One Slack channel and the way to it: a bot token, or a webhook.

    Attributes:
        token: bot token of an installed app (xoxb-...). channel: id of the channel, which a new name
            does not change.
        webhook: an incoming webhook instead of both; it answers only "ok", so there is no chart, no
            correction and no way to find out about an unknown outcome.
        host: "slack-gov.com" for GovSlack.
        chart: "thread" posts the picture as a reply to the message.
        language, segments, calendar: of the channel's readers, as for any recipient.
    """

    timeout: ClassVar[int] = 30  # seconds; the other side's clients have none or their own

    token: Secret | None = None
    channel: str | None = None
    webhook: Secret | None = None
    host: Literal["slack.com", "slack-gov.com"] = "slack.com"
    chart: Literal["none", "thread"] = "none"
    language: str | None = None
    segments: tuple[str, ...] = ()
    calendar: str | None = None

    def __post_init__(self) -> None:
        """Check what belongs together, and that no secret goes to a host that is not Slack's."""
        if (self.token is None) == (self.webhook is None):
            raise ValueError("give a token with a channel, or a webhook: one of both")
        if self.webhook is not None:
            self._check_webhook(self.webhook)
            return
        if self.channel is None or not _CHANNEL.fullmatch(self.channel):
            found = "is missing" if self.channel is None else f"found {self.channel!r}"
            msg = f"channel: {found}; allowed: an id such as C0123456789, named in the channel's details"
            raise ValueError(msg)
        if self.token is not None and not self.token.reveal().startswith("xoxb-"):
            raise ValueError("token: is no bot token, which begins with xoxb-")

    def _check_webhook(self, webhook: Secret) -> None:
        if self.channel is not None:
            raise ValueError("channel: a webhook has its channel already; leave it out")
        if self.chart != "none":
            raise ValueError('chart: a webhook cannot post files; use a bot token, or "none"')
        parts = urlsplit(webhook.reveal().strip())
        if (parts.scheme, parts.netloc) != ("https", f"hooks.{self.host}") or parts.query:
            msg = f"webhook: is no address of https://hooks.{self.host}/services/"
            raise ValueError(msg)

    @property
    def deadline(self) -> float:
        """Seconds for a post as a whole: the clients' own timeout starts anew with each byte."""
        return 2 * self.timeout

    @property
    def form(self) -> str:
        """Slack messages, with the picture where it will be posted."""
        return "slack" if self.chart == "none" else "slack with chart"

    @property
    def recipients(self) -> tuple[Recipient, ...]:
        """The channel; it reads one language."""
        return (Recipient(self.channel or BY_WEBHOOK, self.language, self.segments, self.calendar),)

    @property
    def headers(self) -> MailHeaders | None:
        """None: a Slack message has no letterhead."""
        return None

    @property
    def limits(self) -> Mapping[str, float | None]:
        """The app in its workspace and in the channel, or the webhook; see `digest.channels.Limited`."""
        secret = self.token or self.webhook
        named = hashlib.sha256(secret.reveal().encode()).hexdigest() if secret else ""
        account = f"slack:{named[:16]}"
        if self.webhook:
            return {account: _PER_CHANNEL}
        return {account: _PER_WORKSPACE, f"{account}:{self.channel}": _PER_CHANNEL}

    @property
    def base_url(self) -> str:
        """Where the Web API is; tests put a server of their own here."""
        return f"https://{self.host}/api/"

    @property
    def webhook_url(self) -> str:
        """Where the webhook is; likewise."""
        return self.webhook.reveal().strip() if self.webhook else ""

    @contextmanager
    def session(self) -> Iterator[BotSession | WebhookSession]:
        """Open a session; Slack is contacted at the first delivery."""
        yield WebhookSession(self) if self.webhook else BotSession(self)

    def check(self) -> tuple[Finding, ...]:
        """Ask who the token is, what it may do, and whether it is in the channel; nothing is posted."""
        if self.webhook:
            return (Finding("ok", "slack", "a webhook cannot be checked without posting"),)
        try:
            return tuple(BotSession(self).probe())
        except DeliveryError as error:
            return (Finding("error", "slack", str(error)),)


# ------------------------------------------------------------------------------------------ the bot


class BotSession:
    """Posts with a bot token; can look a post up, answer in its thread and mark it."""

    def __init__(self, settings: Slack) -> None:
        self._settings = settings
        self._made: WebClient | None = None

    def deliver(self, envelope: Envelope, *, commit: Callable[[], bool]) -> str:
        """Post the message, in plain text when Slack refuses its blocks; see `digest.channels.Session`."""
        packed = _read(envelope)
        client = (
            self._client()
        )  # its import may fail, and is better late before the commit than after
        if not commit():
            raise _not_ours()
        receipt = self._post(client, **_posted(packed))
        if receipt is not None:
            return receipt
        plain = self._post(client, **_in_plain_text(packed))
        if plain is None:
            raise _error("refused the message in plain text as well", permanent=True)
        return f"{plain} in plain text"

    def find(self, envelope: Envelope, *, since: datetime) -> str | None:
        """Look for a message whose outcome is unknown; see `digest.channels.Reconciles`."""
        wanted = _read(envelope)["metadata"]
        with _told():
            answer = self._client().conversations_history(
                channel=str(self._settings.channel),
                oldest=f"{(since - _LOOK_BACK).timestamp():.6f}",
                limit=_LOOKED_AT,
                include_all_metadata=True,
            )
        messages: list[dict[str, Any]] = answer.get("messages", [])
        for message in messages:
            if message.get("metadata") == wanted:
                plain = "" if message.get("blocks") else " in plain text"
                return f"posted to {self._settings.channel} as {message['ts']}{plain}"
        return None

    def complete(self, envelope: Envelope, receipt: str) -> str | None:
        """Post the chart as a reply, once; see `digest.channels.Completes`."""
        chart, posted = _read(envelope).get("chart"), _RECEIPT.match(receipt)
        if chart is None or posted is None:
            return None
        try:
            with _told():
                self._client().files_upload_v2(
                    filename=chart["filename"],
                    content=base64.b64decode(chart["png"]),
                    title=chart["alt"],
                    alt_txt=chart["alt"],
                    channel=posted["channel"],
                    thread_ts=posted["ts"],
                )
        except DeliveryError as error:
            return f"the chart is not in the thread ({error})"
        return None

    def deliver_correction(
        self, envelope: Envelope, *, original: Envelope, receipt: str, commit: Callable[[], bool]
    ) -> str:
        """Say a correction where the edition stands; see `digest.channels.CorrectsInPlace`."""
        packed, posted = _read(envelope), _RECEIPT.search(receipt)
        if posted is None:
            return self.deliver(envelope, commit=commit)
        client = self._client()
        if not commit():
            raise _not_ours()
        reply = self._post(
            client, text=packed["correction"], metadata=packed["metadata"], thread_ts=posted["ts"],
            reply_broadcast=True, unfurl_links=False, unfurl_media=False,
        )  # fmt: skip
        if reply is None:
            raise _error("refused the correction", permanent=True)
        # It was said, so it must not be said again, whatever becomes of the line above.
        warning = self.mark_corrected(original=original, receipt=receipt)
        return f"{reply}; {warning}" if warning else reply

    def mark_corrected(self, *, original: Envelope, receipt: str) -> str | None:
        """Put the marked line on top; see `digest.channels.CorrectsInPlace`.

        The same content twice is the same message, so once more is safe.
        """
        packed, posted = _read(original), _RECEIPT.search(receipt)
        if posted is None:  # the correction was a message of its own
            return None
        mark, text = packed["corrected"], packed["text"]
        blocks = [mark, *packed["blocks"]]
        if posted["plain"]:
            text, blocks = f"{mark['text']['text']}\n{packed['plain']}", []
        try:
            with _told():
                self._client().chat_update(
                    channel=posted["channel"], ts=posted["ts"], text=text, blocks=blocks
                )
        except DeliveryError as error:
            what = str(error).removeprefix("slack: ")
            return str(_error(f"the reply is in the thread, the line above is not: {what}"))
        return None

    def probe(self) -> Iterator[Finding]:
        """Yield what `check` finds."""
        with _told():
            answer = self._client().auth_test()
        yield Finding("ok", "slack", f"logged in to {answer['team']} as {answer['user']}")
        held = _scopes(answer)
        yield from _missing_scopes(held, self._settings)
        if not held or held & _MAY_LOOK:
            with _told():
                channel = self._client().conversations_info(channel=str(self._settings.channel))
            yield from _membership(channel["channel"], held)

    def _post(self, client: WebClient, **message: Any) -> str | None:  # noqa: ANN401 - fields of a message
        """Post once and return the receipt; None when Slack refuses the blocks, so nothing was posted."""
        from slack_sdk.errors import SlackApiError

        channel = self._settings.channel
        try:
            answer = within(
                self._settings.deadline,
                lambda: client.chat_postMessage(channel=str(channel), **message),
            )
        except SlackApiError as error:
            _raise_unless_of_form(error)
            return None
        except Exception as error:
            raise _broken(error) from error
        if not answer.get("ts"):
            raise OutcomeUnknownError("slack", "answered ok but names no message")
        return f"posted to {answer.get('channel') or channel} as {answer['ts']}"

    def _client(self) -> WebClient:
        if self._made is None:
            try:
                from slack_sdk import WebClient
            except ModuleNotFoundError as error:
                raise _uninstalled() from error
            token = self._settings.token
            self._made = WebClient(
                token=token.reveal() if token else None,
                base_url=self._settings.base_url,
                timeout=self._settings.timeout,
                retry_handlers=[],
                logger=_silent(),
            )
        return self._made


_MAY_LOOK = frozenset(("channels:read", "groups:read"))
_HISTORY = frozenset(("channels:history", "groups:history"))


def _scopes(answer: SlackResponse) -> frozenset[str]:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return frozenset(filter(None, headers.get("x-oauth-scopes", "").replace(" ", "").split(",")))


def _missing_scopes(held: frozenset[str], settings: Slack) -> Iterator[Finding]:
    if not held:
        yield Finding(
            "warning", "slack", "Slack does not say what the token may do (x-oauth-scopes)"
        )
        return
    needed = {"chat:write"} | (
        {"files:write", "files:read"} if settings.chart == "thread" else set()
    )
    for scope in sorted(needed - held):
        level = "error" if scope == "chat:write" else "warning"
        yield Finding(
            level, "slack", f"the token lacks the scope {scope}; add it, install the app again"
        )
    if not held & _HISTORY:
        yield Finding(
            "warning",
            "slack",
            "without the scope channels:history (groups:history for a private channel) "
            "an unknown outcome cannot be looked up",
        )
    if not held & _MAY_LOOK:
        yield Finding(
            "warning",
            "slack",
            "without the scope channels:read (groups:read for a private channel) "
            "nobody can check whether the app is in the channel",
        )


def _membership(channel: Mapping[str, Any], held: frozenset[str]) -> Iterator[Finding]:
    name = f"#{channel.get('name') or channel.get('id')}"
    if channel.get("is_archived"):
        yield Finding("error", "slack", f"{name} is archived; {_REMEDIES['is_archived']}")
    elif not channel.get("is_member") and "chat:write.public" not in held:
        yield Finding("error", "slack", f"the app is not in {name}; {_INVITE}")
    else:
        yield Finding("ok", "slack", f"posts to {name}")


# -------------------------------------------------------------------------------------- the webhook


class WebhookSession:
    """Posts through an incoming webhook, whose only answer is "ok" or a code."""

    def __init__(self, settings: Slack) -> None:
        self._settings = settings

    def deliver(self, envelope: Envelope, *, commit: Callable[[], bool]) -> str:
        """Post the message, in plain text when Slack refuses its blocks; see `digest.channels.Session`."""
        try:
            from slack_sdk.webhook import WebhookClient
        except ModuleNotFoundError as error:
            raise _uninstalled() from error
        packed = _read(envelope)
        client = WebhookClient(
            self._settings.webhook_url,
            timeout=self._settings.timeout,
            retry_handlers=[],
            logger=_silent(),
        )
        if not commit():
            raise _not_ours()
        message: dict[str, Any]
        for message, how in ((_posted(packed), ""), (_in_plain_text(packed), " in plain text")):
            del message["metadata"]  # there is no history to find it in
            try:
                answer = within(self._settings.deadline, partial(client.send_dict, message))
            except Exception as error:
                raise _broken(error) from error
            if _taken(answer):
                return f"ok{how}"
        raise _error("refused the message in plain text as well", permanent=True)


def _taken(answer: WebhookResponse) -> bool:
    """Judge a webhook's answer: True when it was posted, False when its form was refused."""
    status, said = answer.status_code, answer.body.strip()
    if (status, said) == (200, "ok"):
        return True
    if status == 429:  # noqa: PLR2004 - Too Many Requests
        raise _busy(answer.headers)
    if 400 <= status < 500 and _CODE.fullmatch(said):  # noqa: PLR2004 - what HTTP calls client errors
        if said in _UNREADABLE:
            log.warning("Slack refused the message (%s); it goes out as plain text", said)
            return False
        raise _refusal(said)
    raise OutcomeUnknownError(
        "slack", f"the webhook answered {status}, and may have posted the message"
    )


# ---------------------------------------------------------------------------------- what replies mean


def _raise_unless_of_form(error: SlackApiError) -> None:
    """Raise what a reply that is not ok means, unless only the form of the message was refused."""
    answer = error.response
    data = answer.data if isinstance(answer.data, Mapping) else {}
    code = str(data.get("error", ""))
    if answer.status_code == 429 or code in _BUSY:  # noqa: PLR2004 - Too Many Requests
        raise _busy(answer.headers) from None
    if answer.status_code >= 500 or not _CODE.fullmatch(code) or code in _MAYBE:  # noqa: PLR2004 - server errors
        shown = code if _CODE.fullmatch(code) else f"status {answer.status_code}"
        what = f"answered {shown}, and may have posted the message"
        raise OutcomeUnknownError("slack", what) from None
    if code in _UNREADABLE:
        where = [*data.get("errors", ()), *data.get("response_metadata", {}).get("messages", ())]
        log.warning(
            "Slack refused the message (%s: %s); it goes out as plain text",
            code,
            "; ".join(map(_printable, where)) or "no reason given",
        )
        return
    raise _refusal(code, data.get("needed")) from None


@contextmanager
def _told() -> Iterator[None]:
    """Turn whatever goes wrong in a call that may safely be repeated into a DeliveryError."""
    from slack_sdk.errors import SlackApiError, SlackClientError

    try:
        yield
    except SlackApiError as error:
        code = str(error.response.get("error", ""))
        shown = code if _CODE.fullmatch(code) else f"status {error.response.status_code}"
        remedy = _remedy(code, error.response.get("needed"))
        raise _error(f"answered {shown}{remedy}", permanent=code in _REMEDIES) from None
    except (OSError, ValueError, SlackClientError) as error:
        raise _error(f"cannot be reached ({reason(error)})") from None


def _broken(error: Exception) -> DeliveryError:
    if never_arrived(error):
        return _error(f"cannot be reached ({reason(error)})", concerns_all=True)
    what = f"had the request, then no answer came ({reason(error)})"
    return OutcomeUnknownError("slack", what)


def _busy(headers: Mapping[str, str]) -> DeliveryError:
    asked = {name.lower(): value for name, value in headers.items()}.get("retry-after")
    wait = seconds_to_wait(asked)
    return DeliveryError(
        "slack",
        f"is busy and asks to wait {wait:.0f} s",
        permanent=False,
        concerns_all=True,
        retry_after=wait,
    )


def _refusal(code: str, needed: object = None) -> DeliveryError:
    what = f"refused the message: {code}{_remedy(code, needed)}"
    return _error(what, permanent=True, reply=code)


def _remedy(code: str, needed: object = None) -> str:
    if needed:  # the scopes that Slack misses
        return f"; give the app the scope {_printable(needed)} and install it again"
    return f"; {_REMEDIES[code]}" if code in _REMEDIES else ""


def _error(
    what: str, *, permanent: bool = False, concerns_all: bool = False, reply: str = ""
) -> DeliveryError:
    return DeliveryError("slack", what, permanent=permanent, concerns_all=concerns_all, reply=reply)


def _not_ours() -> DeliveryError:
    return _error("another process owns this delivery, so it was not sent from here")


def _uninstalled() -> DeliveryError:
    what = "the package for it is missing; install sla-digest[slack]"
    return _error(what, concerns_all=True, permanent=True)


# -------------------------------------------------------------------------------------- the message


def _read(envelope: Envelope) -> dict[str, Any]:
    packed: dict[str, Any] = json.loads(envelope.content)
    return packed


_FIELDS = ("text", "blocks", "unfurl_links", "unfurl_media", "metadata")


def _posted(packed: Mapping[str, Any]) -> dict[str, Any]:
    return {name: packed[name] for name in _FIELDS}


def _in_plain_text(packed: Mapping[str, Any]) -> dict[str, Any]:
    return {**{name: packed[name] for name in _FIELDS if name != "blocks"}, "text": packed["plain"]}


def _printable(text: object) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))[:200]


def _silent() -> logging.Logger:
    """Return a logger that says nothing: the client writes a webhook's address, its secret, to its own."""
    logger = logging.getLogger(f"{__name__}.client")
    logger.setLevel(logging.CRITICAL + 1)
    return logger
