"""Tells an operator: by mail, else by Slack, else by the dead-man's switch; once, and never silently not.

Neither a working ledger nor disk space is needed for it: what cannot be remembered is told all the same,
since twice is better than never.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from pathlib import Path
from threading import RLock, Timer
from typing import TYPE_CHECKING, TypeVar

from digest.alerts import Alert, Cause, Letter, letter, read_alert
from digest.channels import Channel
from digest.channels.smtp import Timeouts
from digest.errors import DeliveryError, LedgerError
from digest.heartbeat import Ping, send_ping
from digest.model import Envelope, Secret

if TYPE_CHECKING:
    from uuid import UUID

    from digest.ledger.alerts import AlertBook
    from digest.ledger.notes import Noted
    from digest.settings.values import Alerts

# Seconds that a fact waits for others of its kind, so that ten refusals are one mail.
GATHERED = 20.0
# An operator is told within a minute, so a relay that hangs must leave time for the next way.
_IMPATIENT = Timeouts(connect=8, setup=12, command=10, body=10, transfer=12, reply=15)
_LONGEST_SLACK = 2900  # characters; Slack takes 3,000 in a block

Way = tuple[str, Callable[[Letter], None]]


# ------------------------------------------------------------------------------------------- the ways


def ways_of(
    alerts: Alerts,
    heartbeat: Secret | None,
    *,
    rid: UUID,
    clock: Callable[[], datetime],
    zone: str,
) -> tuple[Way, ...]:
    """Return the ways to an operator, in the order in which they are tried; none where none is set."""
    ways: list[Way] = []
    if alerts.mail is not None:
        mail = alerts.mail
        ways.append(("email", lambda what: _mail(mail, what, clock(), zone)))
    if alerts.slack is not None:
        slack = alerts.slack
        ways.append(("slack", lambda what: _post(slack, what)))
    if ways and heartbeat is not None:
        ways.append(("heartbeat", lambda what: _ping(heartbeat, what, rid)))
    return tuple(ways)


def _mail(channel: Channel, what: Letter, now: datetime, zone: str) -> None:
    """Mail every operator; one who got it is enough."""
    from digest.render.mime import plain_mail  # brings the renderers, which few calls need here

    channel = _hurried(channel)
    headers = channel.headers
    if headers is None:
        raise DeliveryError("email", "the channel carries no mail", permanent=True)
    headers = replace(headers, timezone=zone)
    failed: list[DeliveryError] = []
    with channel.session() as session:
        for one in channel.recipients:
            key = f"alert/{one.address}/{what.subject}/{what.text}"
            content = plain_mail(
                what.subject,
                what.text,
                recipient=one.address,
                headers=headers,
                key=key,
                sent_at=now,
            )
            try:
                session.deliver(Envelope(key, one.address, content), commit=lambda: True)
            except DeliveryError as error:
                failed.append(error)
    if len(failed) == len(channel.recipients):
        raise failed[0]


def _hurried(channel: Channel) -> Channel:
    """Return the channel with less patience than it has for the digest itself."""
    own = getattr(channel, "timeouts", None)
    if not isinstance(own, Timeouts):
        return channel
    names = [one.name for one in fields(Timeouts)]
    least = {name: min(getattr(own, name), getattr(_IMPATIENT, name)) for name in names}
    return replace(channel, timeouts=Timeouts(**least))  # type: ignore[type-var]  # CHANNELS holds dataclasses


def _post(channel: Channel, what: Letter) -> None:
    from digest.render.slack import escaped, fingerprint  # as above

    text = f"{what.subject}\n\n{what.text}"
    shown = text if len(text) <= _LONGEST_SLACK else f"{text[:_LONGEST_SLACK]}…"
    packed = {
        "text": escaped(what.subject),
        # plain_text: nothing in an error's words becomes a mention or a link.
        "blocks": [
            {"type": "section", "text": {"type": "plain_text", "text": shown, "emoji": False}}
        ],
        "plain": escaped(shown),
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {"event_type": "digest_alert", "event_payload": {"key": fingerprint(text)}},
    }
    content = json.dumps(packed).encode()
    with channel.session() as session:
        for one in channel.recipients:
            envelope = Envelope("alert", one.address, content)
            session.deliver(envelope, commit=lambda: True)


def _ping(url: Secret, what: Letter, rid: UUID) -> None:
    problem = send_ping(url, Ping.FAIL, rid=rid, body=what.subject)
    if problem is not None:
        raise DeliveryError("heartbeat", problem, permanent=False)


# ------------------------------------------------------------------------------------------ the memory


T = TypeVar("T")
Key = tuple[str, str, date, str]


class Memory:
    """What has been told and pinged, kept where it can be: in the ledger, else in a file beside the settings.

    A place that fails is not asked again by the same call.
    """

    def __init__(
        self, ledger: Callable[[], AlertBook | None], beside: Path, clock: Callable[[], datetime]
    ) -> None:
        self._ledger = ledger
        self._beside = beside
        self._clock = clock
        self._opened: dict[str, AlertBook] = {}
        self._failed: set[str] = set()

    def claim(self, noted: Sequence[Noted]) -> tuple[Noted, ...]:
        """Return those that are ours to tell; all of them when nothing can be remembered."""
        # What was told while the ledger could not be used stands beside it.
        told = {
            one.key for name in {n.digest for n in noted} for one in self.standing(name) if one.told
        }
        left = tuple(one for one in noted if one.key not in told)
        return self._first(lambda book: book.claim(left), otherwise=left) if left else ()

    def told(self, noted: Sequence[Noted], way: str) -> None:
        """Remember that somebody was told."""
        self._all(lambda book: book.told(noted, way))

    def untold(self, noted: Sequence[Noted]) -> None:
        """Remember that nobody could be told yet."""
        self._all(lambda book: book.untold(noted))

    def standing(self, digest: str) -> tuple[Noted, ...]:
        """Return the alerts whose cause has not ended."""
        return _once_each(self._all(lambda book: book.standing(digest)))

    def end(self, noted: Sequence[Noted]) -> tuple[Noted, ...]:
        """Remember that causes have ended; return those that nobody else had ended."""
        return _once_each(self._all(lambda book: book.end(noted)))

    def ping(self, digest: str, business_date: date, kind: str) -> bool:
        """Whether a ping has not been sent yet; True as well when that cannot be known."""
        return self._first(lambda book: book.ping(digest, business_date, kind), otherwise=True)

    def unping(self, digest: str, business_date: date, kind: str) -> None:
        """Forget a ping that did not get through."""
        self._all(lambda book: book.unping(digest, business_date, kind))

    def _first(self, act: Callable[[AlertBook], T], *, otherwise: T) -> T:
        while usable := self._usable(make=True):
            name, book = usable[0]
            try:
                return act(book)
            except LedgerError:
                self._failed.add(name)
        return otherwise

    def _all(self, act: Callable[[AlertBook], T]) -> list[T]:
        found = []
        for name, book in self._usable(make=False):
            try:
                found.append(act(book))
            except LedgerError:
                self._failed.add(name)
        return found

    def _usable(self, *, make: bool) -> list[tuple[str, AlertBook]]:
        books = self._book("ledger", self._ledger)
        if self._beside.exists() or (make and not books):
            books += self._book("beside", self._open_beside)
        return books

    def _book(
        self, name: str, opened: Callable[[], AlertBook | None]
    ) -> list[tuple[str, AlertBook]]:
        if name in self._failed:
            return []
        if name not in self._opened:
            try:
                book = opened()
            except LedgerError:
                self._failed.add(name)
                return []
            if book is None:  # there is no ledger yet; this very call may make one
                return []
            self._opened[name] = book
        return [(name, self._opened[name])]

    def _open_beside(self) -> AlertBook:
        from digest.ledger.alerts import book_beside

        return book_beside(self._beside, clock=self._clock)


def _once_each(found: Iterable[Iterable[Noted]]) -> tuple[Noted, ...]:
    return tuple({one.key: one for some in found for one in some}.values())


# ----------------------------------------------------------------------------------------- the teller


@dataclass
class Teller:
    """Tells the operator of one digest, from any thread; see `tell` and `soon`.

    Attributes:
        title: the digest's name for people. host: who tells.
        ways: in the order in which they are tried.
        redact: takes every known secret out of a text.
        say: hears what became of it, for the terminal.
        gathered: seconds that `soon` waits.
    """

    title: str
    zone: str
    host: str
    ways: Sequence[Way]
    memory: Memory
    clock: Callable[[], datetime]
    redact: Callable[[str], str]
    say: Callable[[str], None]
    gathered: float = GATHERED
    _waiting: dict[Key, Alert] = field(default_factory=dict)
    _done: set[Key] = field(default_factory=set)
    _timer: Timer | None = None
    _lock: RLock = field(default_factory=RLock)

    def soon(self, alert: Alert) -> None:
        """Tell it in a little while, together with what else is found out until then."""
        with self._lock:
            self._waiting[alert.noted().key] = alert
            if self._timer is None and self.ways:
                self._timer = Timer(self.gathered, self.tell)
                self._timer.daemon = True
                self._timer.start()

    def forget(self, cause: Cause) -> None:
        """Leave out what waits of a cause, because another one says it better."""
        with self._lock:
            for key in [key for key, one in self._waiting.items() if one.cause is cause]:
                del self._waiting[key]

    def tell(self, alerts: Sequence[Alert] = ()) -> None:
        """Tell these, and what waits, by the first way that takes it; what was told before is left out."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            wanted = {**self._waiting, **{one.noted().key: one for one in alerts}}
            self._waiting.clear()
            new = [one.noted() for key, one in wanted.items() if key not in self._done]
            if not self.ways or not new:
                return
            ours = self.memory.claim(new)
            if ours:
                self._tell(ours)

    def _tell(self, ours: Sequence[Noted]) -> None:
        now = self.clock()
        what = letter(
            [read_alert(one) for one in ours],
            title=self.title,
            host=self.host,
            now=now,
            zone=self.zone,
        )
        failed: list[str] = []
        for name, send in self.ways:
            note = "".join(f"\nThis could not be sent by {one}.\n" for one in failed)
            text = Letter(self.redact(what.subject), self.redact(f"{what.text}{note}"))
            try:
                send(text)
            # Whatever breaks one way must not keep the next one from being tried.
            except (DeliveryError, ValueError, OSError) as error:
                failed.append(f"{name} ({error})")
                continue
            self.memory.told(ours, name)
            self._done.update(one.key for one in ours)
            self.say(self.redact(f"told the operator by {name}: {what.subject}"))
            return
        self.memory.untold(ours)
        self.say(
            self.redact(f"nobody could be told ({'; '.join(failed)}); the next run tries again")
        )
