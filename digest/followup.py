"""The sales half of the SLA: how soon, and how persistently, sales followed up the leads it was given."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from math import ceil
from typing import Literal
from zoneinfo import ZoneInfo

from digest.model import (
    UNASSIGNED,
    FollowUp,
    FollowUpRow,
    Period,
    SegmentFollowUp,
    local_midnight,
)
from digest.workdays import Calendar

ONE_DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
PER_MINUTE = timedelta(minutes=1) // MICROSECOND


@dataclass(frozen=True, slots=True)
class Hours:
    """Business hours [opens, closes) of a workday, local time; midnight as `closes` is the day's end.

    A half-day is open for its first half.
    """

    opens: time = time(9)
    closes: time = time(17)

    def __post_init__(self) -> None:
        if self.length <= timedelta(0):
            raise ValueError(
                f"business_hours: found {self.opens:%H:%M}-{self.closes:%H:%M}; "
                "allowed: an end after the beginning, on the same day"
            )

    @property
    def length(self) -> timedelta:
        """The business time of a whole workday."""
        return _since_midnight(self.closes, end=True) - _since_midnight(self.opens)


def _since_midnight(clock: time, *, end: bool = False) -> timedelta:
    """Return the time since midnight; 00:00 as an end is 24 hours."""
    passed = datetime.combine(date.min, clock) - datetime.combine(date.min, time())
    return passed or (ONE_DAY if end else passed)


@dataclass(frozen=True, slots=True)
class Promise:
    """What sales promised.

    Attributes:
        respond_within, website_within: minutes until the first human contact; of leads from the website.
        attempts, within_workdays: so many attempts on a lead that is so many workdays old and neither
            reached nor closed.
        in_time: share of leads from which on the promise counts as kept.
        hours: business hours. calendar: id of the calendar whose workdays count for every lead; None for
            the segment's own, or else the digest's.
        clock: whether response time runs in business hours only, or around the clock ("elapsed").
    """

    respond_within: int = 24 * 60
    website_within: int = 60
    attempts: int = 5
    within_workdays: int = 10
    in_time: Fraction = Fraction(9, 10)
    hours: Hours = Hours()
    calendar: str | None = None
    clock: Literal["business", "elapsed"] = "business"


# ------------------------------------------------------------------------------------- business time


class BusinessClock:
    """Business time of a calendar: hours of its workdays between two local days, both included.

    A clock change within the hours makes that day longer or shorter, as it does for the people who work.
    """

    def __init__(
        self, calendar: Calendar, hours: Hours, timezone: str, first: date, last: date
    ) -> None:
        self._opens: list[datetime] = []
        self._closes: list[datetime] = []
        self._before: list[timedelta] = []
        passed = timedelta(0)
        for day in calendar.days(Period(first, last + ONE_DAY, timezone)):
            if not day.weight:
                continue
            opens = _instant(day.day, _since_midnight(hours.opens), timezone)
            closes = _instant(day.day, _since_midnight(hours.closes, end=True), timezone)
            worked = (closes - opens) * day.weight.numerator / day.weight.denominator
            self._opens.append(opens)
            self._closes.append(opens + worked)
            self._before.append(passed)
            passed += worked

    def at(self, instant: datetime) -> timedelta:
        """Return the business time from the first day up to an instant."""
        place = bisect_right(self._opens, instant) - 1
        if place < 0:
            return timedelta(0)
        return self._before[place] + min(instant, self._closes[place]) - self._opens[place]


def _instant(day: date, clock: timedelta, timezone: str) -> datetime:
    """Return the first UTC instant at which a local clock shows this time of the day, or a later one."""
    if clock in (timedelta(0), ONE_DAY):
        return local_midnight(day + clock, timezone)
    zone = ZoneInfo(timezone)
    wanted = datetime.combine(day, time()) + clock
    late = wanted.replace(tzinfo=zone).astimezone(UTC)
    if late.astimezone(zone).replace(tzinfo=None) == wanted:
        return late
    # The clock skips this time: find the second at which it does.
    early = wanted.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if middle.astimezone(zone).replace(tzinfo=None) < wanted:
            early = middle
        else:
            late = middle
    return late


def business_minutes(
    start: datetime, end: datetime, *, calendar: Calendar, hours: Hours, timezone: str
) -> Fraction:
    """Return the business minutes between two instants, 0 when the end is not after the start."""
    zone = ZoneInfo(timezone)
    days = sorted(instant.astimezone(zone).date() for instant in (start, end))
    clock = BusinessClock(calendar, hours, timezone, days[0], days[1])
    return _minutes(clock.at(end) - clock.at(start))


def _minutes(duration: timedelta) -> Fraction:
    return max(Fraction(0), Fraction(duration // MICROSECOND, PER_MINUTE))


# ------------------------------------------------------------------------------------- what was kept


@dataclass(frozen=True, slots=True)
class _Lead:
    """A lead beside the promise: `minutes` to its response, or waited so far."""

    row: FollowUpRow
    answered: bool
    minutes: Fraction
    target: int
    old: bool

    @property
    def late(self) -> bool:
        return self.minutes > self.target

    @property
    def due(self) -> bool:
        return self.answered or self.late

    @property
    def waiting(self) -> bool:
        """Whether somebody still has to call: a rejected or closed lead is a breach but no task."""
        return not self.answered and self.late and self.row.outcome in ("open", "accepted")

    @property
    def needs_attempts(self) -> bool:
        return self.old and self.row.outcome == "open"


def follow_up(
    rows: Iterable[FollowUpRow],
    promise: Promise,
    *,
    month: Period,
    now: datetime,
    segments: Sequence[str],
    calendar: Calendar,
    calendars: Mapping[str, Calendar],
) -> FollowUp:
    """Compare what sales did with what it promised (domain rule: the sales half).

    Due are the leads that were contacted and those whose time is over; an untouched lead whose time is
    over is a breach and stays one. Response times of untouched leads are censored: a median or P90 that
    could lie higher is marked. Leads of the month count; those before it only while they are overdue or
    need attempts, so that nothing is forgotten on the first of a month.

    Args:
        rows: leads of the month, and of the time before as far as nothing shall be forgotten.
        promise: from the settings.
        month: whose leads are judged; its time zone decides where business hours lie.
        now: as of when; a later response is none yet.
        segments: names in the order of the settings.
        calendar: whose workdays count for segments without a calendar of their own.
        calendars: those calendars, by name of the segment.

    Raises:
        ValueError: a calendar does not know the year of a lead.
    """
    leads = _leads(
        rows, promise, timezone=month.timezone, now=now, calendar=calendar, calendars=calendars
    )
    first, last = (local_midnight(day, month.timezone) for day in (month.start, month.end))
    judged = [lead for lead in leads if first <= lead.row.clock_start < last]
    total = _segment("", judged, leads)
    p90, p90_censored = _quantile(judged, lambda count: (ceil(Fraction(9 * count, 10)),))
    attempts = [lead for lead in leads if lead.needs_attempts]
    return FollowUp(
        due=total.due,
        in_time=total.in_time,
        median_minutes=total.median_minutes,
        p90_minutes=p90,
        p90_censored=p90_censored,
        overdue=total.overdue,
        attempts_due=len(attempts),
        attempts_kept=sum(lead.row.attempts >= promise.attempts for lead in attempts),
        accepted=total.accepted,
        rejected=total.rejected,
        median_censored=total.median_censored,
        leads=total.leads,
        respond_within=promise.respond_within,
        website_within=promise.website_within if any(lead.row.website for lead in leads) else None,
        attempts=promise.attempts,
        within_workdays=promise.within_workdays,
        promised_share=promise.in_time,
        clock=promise.clock,
        segments=tuple(
            _segment(name, _of(name, judged), _of(name, leads))
            for name in (*segments, UNASSIGNED)
            if name != UNASSIGNED or _of(name, leads)
        ),
    )


def _leads(
    rows: Iterable[FollowUpRow],
    promise: Promise,
    *,
    timezone: str,
    now: datetime,
    calendar: Calendar,
    calendars: Mapping[str, Calendar],
) -> list[_Lead]:
    known = list(rows)
    zone = ZoneInfo(timezone)
    first = min((row.clock_start for row in known), default=now).astimezone(zone).date()
    today = now.astimezone(zone).date()
    clocks: dict[Calendar, BusinessClock] = {}
    found = []
    for row in known:
        own = calendars.get(row.segment, calendar)
        if own not in clocks:
            clocks[own] = BusinessClock(own, promise.hours, timezone, min(first, today), today)
        found.append(_lead(row, promise, clocks[own], now))
    return found


def _lead(row: FollowUpRow, promise: Promise, clock: BusinessClock, now: datetime) -> _Lead:
    answer = row.first_response
    answered = answer is not None and answer <= now
    until = answer if answer is not None and answered else now
    began = clock.at(row.clock_start)
    passed = until - row.clock_start if promise.clock == "elapsed" else clock.at(until) - began
    age = clock.at(now) - began
    return _Lead(
        row=row,
        answered=answered,
        minutes=_minutes(passed),
        target=promise.website_within if row.website else promise.respond_within,
        old=age >= promise.within_workdays * promise.hours.length,
    )


def _of(segment: str, leads: Sequence[_Lead]) -> list[_Lead]:
    return [lead for lead in leads if lead.row.segment == segment]


def _segment(name: str, judged: Sequence[_Lead], leads: Sequence[_Lead]) -> SegmentFollowUp:
    median, censored = _quantile(judged, lambda count: ((count + 1) // 2, count // 2 + 1))
    outcomes = [lead.row.outcome for lead in judged]
    return SegmentFollowUp(
        segment=name,
        leads=len(judged),
        due=sum(lead.due for lead in judged),
        in_time=sum(lead.answered and not lead.late for lead in judged),
        median_minutes=median,
        median_censored=censored,
        overdue=sum(lead.waiting for lead in leads),
        accepted=outcomes.count("accepted"),
        rejected=outcomes.count("rejected"),
    )


def _quantile(
    judged: Sequence[_Lead], ranks_of: Callable[[int], tuple[int, ...]]
) -> tuple[Fraction | None, bool]:
    """Return the mean of the response times at some ranks, and whether it could lie higher.

    With untouched leads at the time they have waited, a rank's value is the lowest possible; without
    them it is the highest. It is exact where both agree.
    """
    due = [lead for lead in judged if lead.due]
    if not due:
        return None, False
    # Fractions of a minute compare slowly; floats keep the order of whole microseconds.
    lowest = sorted((lead.minutes for lead in due), key=float)
    answered = sorted((lead.minutes for lead in due if lead.answered), key=float)
    ranks = ranks_of(len(due))
    exact = all(rank <= len(answered) and answered[rank - 1] == lowest[rank - 1] for rank in ranks)
    value = sum((lowest[rank - 1] for rank in ranks), Fraction(0)) / len(ranks)
    return value, not exact
