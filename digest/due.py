"""Whether an edition is due: the one question that `send` and `schedule` both ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from zlib import crc32
from zoneinfo import ZoneInfo

from digest.compose import due_on, reason_in_words
from digest.model import local_instant
from digest.settings.parts import SHORTEST_WINDOW

if TYPE_CHECKING:
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
class Answer:
    """Whether a date's edition is due.

    Attributes:
        business_date: the local date in the digest's zone.
        reason: why the date is skipped, in words; None for a date with an edition.
    """

    standing: Standing
    business_date: date
    window: Window
    reason: str | None = None


def due(settings: Settings, now: datetime, *, settled: bool = False) -> Answer:
    """Say whether today's edition may go out now.

    Args:
        settings: the digest.
        now: the instant of asking, aware.
        settled: the ledger says that nothing is left to do for that date.

    Raises:
        ConfigError: the date lies outside the calendar or the fiscal periods.
    """
    business_date = now.astimezone(ZoneInfo(settings.timezone)).date()
    planned = due_on(settings, business_date)
    window = window_of(settings, business_date)
    if planned.kind is None:
        reason = reason_in_words(planned.reason)
        return Answer(Standing.SKIPPED, business_date, window, reason)
    if settled:
        return Answer(Standing.SENT, business_date, window)
    if now < window.due_at:
        return Answer(Standing.EARLY, business_date, window)
    standing = Standing.OPEN if now < window.until else Standing.LATE
    return Answer(standing, business_date, window)


def window_of(settings: Settings, business_date: date) -> Window:
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


def length_of(settings: Settings) -> timedelta:
    """Return how long the window is by the clock on the wall."""
    begin, end = (
        timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second)
        for wall in (settings.send_at, settings.send_until)
    )
    return end - begin


def delay_of(settings: Settings) -> timedelta:
    """Return a digest's share of the spread, the same every day and on every host."""
    seconds = int(settings.spread.total_seconds())
    return timedelta(seconds=crc32(settings.id.encode()) % seconds if seconds else 0)
