"""Whether an edition is due: the one question that `send` and `schedule` both ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol
from zlib import crc32
from zoneinfo import ZoneInfo

from digest.compose import due_on, reason_in_words
from digest.errors import ConfigError
from digest.ledger import RunState
from digest.model import local_instant
from digest.settings.parts import SHORTEST_WINDOW

if TYPE_CHECKING:
    from digest.model import Recipient, Workday
    from digest.settings import Settings


class Standing(StrEnum):
    """How a business date stands at one instant."""

    SKIPPED = "skipped"
    SENT = "sent"
    EARLY = "early"
    OPEN = "open"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Window:
    """When the edition of a date may leave: UTC instants [due_at, until)."""

    due_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Day:
    """What a date is for a digest, whatever the time.

    Attributes:
        business_date: the local date in the digest's zone.
        reason: why the date is skipped, in words; None for a date with an edition.
    """

    business_date: date
    window: Window
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a date's edition is due.

    Attributes:
        calls: a `digest send` has something to do now: send, give up and tell, or write down why the
            date has no edition.
    """

    standing: Standing
    day: Day
    calls: bool


def due(settings: Settings, now: datetime, run: RunState | None = None) -> Answer:
    """Say whether today's edition may go out now.

    Args:
        settings: the digest.
        now: the instant of asking, aware.
        run: how the ledger says that date's run has ended, None when it has not.

    Raises:
        ConfigError: the date lies outside the calendar or the fiscal periods.
    """
    return judge(day_of(settings, today_of(settings, now)), now, run)


class Timed(Protocol):
    """What decides when a digest is due on a workday."""

    @property
    def id(self) -> str:
        """Decides its share of the spread."""

    @property
    def timezone(self) -> str:
        """IANA name."""

    @property
    def send_at(self) -> time:
        """Local begin of sending."""

    @property
    def send_until(self) -> time:
        """Local end."""

    @property
    def spread(self) -> timedelta:
        """Over how long the digests of a fleet are spread."""


def today_of(settings: Timed, now: datetime) -> date:
    """Return the local date in the digest's zone."""
    return now.astimezone(ZoneInfo(settings.timezone)).date()


def day_of(settings: Settings, business_date: date) -> Day:
    """Return what a date is for a digest.

    Raises:
        ConfigError: the date lies outside the calendar or the fiscal periods.
    """
    reason = why_skipped(settings, business_date)
    return Day(business_date, window_of(settings, business_date), reason)


def judge(day: Day, now: datetime, run: RunState | None = None) -> Answer:
    """Say whether a date's edition may go out now; `now` lies in that date."""
    if day.reason is not None:
        return Answer(Standing.SKIPPED, day, now >= day.window.due_at and run is None)
    if run is RunState.DONE:
        return Answer(Standing.SENT, day, calls=False)
    if now < day.window.due_at:
        return Answer(Standing.EARLY, day, calls=False)
    if now < day.window.until:
        # Even when it has expired or was skipped: the clock or the calendar has been put right since.
        return Answer(Standing.OPEN, day, calls=True)
    return Answer(Standing.LATE, day, calls=run is not RunState.EXPIRED)


def why_skipped(settings: Settings, business_date: date) -> str | None:
    """Return why nobody gets an edition on a date, in words; None when somebody does.

    Raises:
        ConfigError: the date lies outside a calendar or the fiscal periods.
    """
    planned = due_on(settings, business_date)
    if planned.kind is None:
        return reason_in_words(planned.reason)
    everybody = sum(len(channel.recipients) for channel in settings.channels.values())
    if everybody and len(days_off(settings, business_date)) == everybody:
        return "every recipient has a day off"
    return None


def days_off(settings: Settings, business_date: date) -> dict[tuple[str, Recipient], str]:
    """Return the recipients, each with its channel, whose own calendar has a date off, and why.

    Raises:
        ConfigError: a calendar does not know the year.
    """
    found = {}
    for name, channel in settings.channels.items():
        for recipient in channel.recipients:
            if recipient.calendar is not None:
                day = _day_of(settings, recipient.calendar, business_date)
                if not day.weight:
                    found[name, recipient] = reason_in_words(day.reason)
    return found


def _day_of(settings: Settings, calendar: str, day: date) -> Workday:
    try:
        return settings.calendars[calendar].day(day)
    except ValueError as error:
        raise ConfigError(f"{settings.path.name}: {error}") from error


def window_of(settings: Timed, business_date: date) -> Window:
    """Return when a date's edition may leave: from `send_at` and the digest's share of the spread.

    Where a clock change swallows the window or leaves less of it than any settings may ask for, it keeps
    its length instead of its end: else that day's edition could never be sent.
    """
    at = local_instant(business_date, settings.send_at, settings.timezone)
    until = local_instant(business_date, settings.send_until, settings.timezone)
    due_at = at + delay_of(settings)
    if until - at < SHORTEST_WINDOW or until <= due_at:
        until = at + length_of(settings)
    return Window(due_at, until)


def length_of(settings: Timed) -> timedelta:
    """Return how long the window is by the clock on the wall."""
    begin, end = (
        timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second)
        for wall in (settings.send_at, settings.send_until)
    )
    return end - begin


def delay_of(settings: Timed) -> timedelta:
    """Return a digest's share of the spread, the same every day and on every host."""
    seconds = int(settings.spread.total_seconds())
    return timedelta(seconds=crc32(settings.id.encode()) % seconds if seconds else 0)
