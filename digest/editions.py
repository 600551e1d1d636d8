"""Which edition is due on a date, which days it covers, and how it is put together from counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

from digest.calculator import (
    DEFAULT_THRESHOLDS,
    Course,
    Thresholds,
    bridge,
    implausible_zeros,
    list_unassigned,
    scorecard,
    unassigned_warning,
)
from digest.forecast import Day
from digest.model import (
    Bridge,
    ClosedMonth,
    CorrectedFigure,
    DayCount,
    Drift,
    Edition,
    FigureCode,
    Forecast,
    Kind,
    LeadCounts,
    Note,
    NoteCode,
    Period,
    Row,
    Scorecard,
    Segment,
    Status,
    Workday,
    add_months,
    month_start,
)
from digest.sla import SALES, Goal, Plan, goals
from digest.workdays import LONGEST_SEARCH, Calendar, Weighting, weigh, weight_of

HISTORY_MONTHS = 6
MEASURED_MONTHS = 6  # domain rule: close rate and deal size come from the last six complete months
USUAL_WEEKS = 8
PLAN_MONTHS = range(1, 13)
FROZEN_AFTER_WORKDAYS = 3
ONE_DAY = timedelta(1)

# -------------------------------------------------------------------------------------------- months


class FiscalStart(Protocol):
    """A period of a fiscal year, which ends where the next one starts."""

    @property
    def year(self) -> int: ...  # noqa: D102 - the class says it
    @property
    def period(self) -> int: ...  # noqa: D102 - the class says it
    @property
    def start(self) -> date: ...  # noqa: D102 - the class says it


@dataclass(frozen=True, slots=True)
class Month:
    """The days over which a goal is owed, and the first day of the plan's month that holds the goal.

    For fiscal years `plan_month` is the period's number in its year, whatever days it covers.
    """

    period: Period
    plan_month: date


@dataclass(frozen=True, slots=True)
class Months:
    """Calendar months, or the periods of fiscal years when any are given, in order of their starts."""

    timezone: str = "Europe/Zurich"
    fiscal: tuple[FiscalStart, ...] = ()

    def of(self, day: date) -> Month:
        """Return the month of a day.

        Raises:
            ValueError: the day lies outside the fiscal periods, or in one that no plan's month can hold.
        """
        if not self.fiscal:
            first = month_start(day)
            return Month(Period(first, add_months(first, 1), self.timezone), first)
        for this, following in pairwise(self.fiscal):
            if this.start <= day < following.start:
                if this.period not in PLAN_MONTHS:
                    # Its plan month would be one of the next year, whose goal it would borrow.
                    msg = (
                        f"fiscal_periods: found period {this.period} of {this.year}, which starts on "
                        f"{this.start}; allowed are 1 to 12, as the plan has a goal for each of 12 months"
                    )
                    raise ValueError(msg)
                period = Period(this.start, following.start, self.timezone)
                return Month(period, add_months(date(this.year, 1, 1), this.period - 1))
        msg = (
            f"fiscal_periods: {day} is outside {self.fiscal[0].start} to {self.fiscal[-1].start}; "
            "add the missing rows, the last one being the start of the period after"
        )
        raise ValueError(msg)

    def before(self, month: Month, count: int = 1) -> tuple[Month, ...]:
        """Return up to `count` months before a month, oldest first; fewer where fiscal rows begin."""
        found: list[Month] = []
        start = month.period.start
        while len(found) < count and not (self.fiscal and start <= self.fiscal[0].start):
            found.insert(0, self.of(start - ONE_DAY))
            start = found[0].period.start
        return tuple(found)


CALENDAR_MONTHS = Months()

# ------------------------------------------------------------------------------------ what is due


class Dated(Protocol):
    """What has a business date, as an edition that was sent has."""

    @property
    def business_date(self) -> date: ...  # noqa: D102 - the class says it


@dataclass(frozen=True, slots=True)
class Due:
    """What a business date brings.

    Attributes:
        kind: None when the date has no edition; `reason` then says why (see Calendar.day).
        covers: local days since the last edition's cut-off, up to and including the own one.
        month: the month of the scorecard. closes: the month that is closed, if one is.
    """

    business_date: date
    kind: Kind | None
    reason: str | None
    covers: tuple[date, ...]
    month: Month
    closes: Month | None

    @property
    def cut_off(self) -> date:
        """The last counted day: the one before the business date."""
        return self.business_date - ONE_DAY


def due(
    business_date: date,
    calendar: Calendar,
    *,
    previous: Dated | None = None,
    months: Months = CALENDAR_MONTHS,
) -> Due:
    """Return what is due on a date, given the last edition that was really sent.

    Without a previous edition it covers what followed the workday before. The first edition of a month
    closes the one before: on its first workday, or later when no edition was sent on that day.

    Raises:
        ValueError: the previous edition is not from an earlier date.
    """
    if previous is not None and previous.business_date >= business_date:
        msg = f"the edition before {business_date} cannot be that of {previous.business_date}"
        raise ValueError(msg)
    month = months.of(business_date)
    day = calendar.day(business_date)
    if not day.weight:
        return Due(business_date, None, day.reason, (), month, None)
    closing = months.before(month) if _closes(business_date, calendar, previous, month) else ()
    started = (
        calendar.previous_workday(business_date) if previous is None else previous.business_date
    )
    return Due(
        business_date,
        Kind.MONTH_CLOSE if closing else Kind.MONTH_TO_DATE,
        None,
        Period(started, business_date).days(),
        month,
        closing[0] if closing else None,
    )


def _closes(business_date: date, calendar: Calendar, previous: Dated | None, month: Month) -> bool:
    first = month.period.start
    if previous is not None:
        return previous.business_date < first
    return not any(day.weight for day in calendar.days(Period(first, business_date)))


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A future edition, and the days without one before it."""

    due: Due
    skipped: tuple[Workday, ...]


def upcoming(
    calendar: Calendar,
    from_date: date,
    count: int,
    *,
    months: Months = CALENDAR_MONTHS,
    previous: Dated | None = None,
    off: Callable[[date], str | None] = lambda _day: None,
) -> tuple[Upcoming, ...]:
    """Return the next `count` editions from a date on, if every one is sent on its day.

    Skipped weekends carry the reason "weekend", holidays their name.

    Args:
        calendar: decides the days.
        from_date: the first date that is looked at.
        count: how many editions.
        months: of the scorecard.
        previous: the last edition really sent before `from_date`, when one is known.
        off: why a workday of the calendar has no edition after all, None when it has one.

    Raises:
        ValueError: a year has no workday.
    """
    found: list[Upcoming] = []
    skipped: list[Workday] = []
    day = from_date
    while len(found) < count:
        today = calendar.day(day)
        reason = off(day) if today.weight else None
        if today.weight and reason is None:
            found.append(
                Upcoming(due(day, calendar, previous=previous, months=months), tuple(skipped))
            )
            previous, skipped = found[-1].due, []
        else:
            skipped.append(today if reason is None else Workday(day, Fraction(0), reason))
        if len(skipped) > LONGEST_SEARCH:
            msg = f"calendar {calendar.label}: no edition in the {LONGEST_SEARCH} days before {day}"
            raise ValueError(msg)
        day += ONE_DAY
    return tuple(found)


@dataclass(frozen=True, slots=True)
class CountingPlan:
    """What to ask the connector.

    Attributes:
        current: the month up to the business date and, on a close, the closed month as well. It is
            never empty.
        history: complete months before the month, for the forecast, the usual weekday and late
            entries; None where fiscal rows name none.
    """

    current: Period
    history: Period | None


def counting_plan(edition: Due, *, months: Months = CALENDAR_MONTHS) -> CountingPlan:
    """Return the two periods to count for an edition.

    A month whose very first day is the business date has nothing to count yet: unless the month before
    is closed, that day's plan starts a day early.
    """
    first = (edition.closes or edition.month).period.start
    zone = edition.month.period.timezone
    earlier = months.before(edition.month, HISTORY_MONTHS)
    start = min(first, edition.cut_off)
    return CountingPlan(
        Period(start, edition.business_date, zone),
        Period(earlier[0].period.start, edition.month.period.start, zone) if earlier else None,
    )


def frozen_from(month: Month, calendar: Calendar, after_workdays: int) -> date:
    """Return the first business date on which a past month's figures no longer change.

    It is the day after so many workdays have followed the month's end.
    """
    last = month.period.end - ONE_DAY
    for _ in range(after_workdays):
        last = calendar.next_workday(last)
    return last + ONE_DAY


def history_serves(
    edition: Due,
    read_on: date,
    *,
    calendar: Calendar,
    after_workdays: int,
    months: Months = CALENDAR_MONTHS,
) -> bool:
    """Whether the closed months as an earlier edition read them still serve this one.

    They are read anew in the first edition of a week, and as long as the last of them was not frozen.
    """
    monday = edition.business_date - timedelta(days=edition.business_date.weekday())
    return monday <= read_on <= edition.business_date and all(
        frozen_from(month, calendar, after_workdays) <= read_on
        for month in months.before(edition.month)
    )


def mid_month(month: Month, calendar: Calendar) -> date:
    """Return the business date whose printed forecast is judged: half of the month's weight is over."""
    days = calendar.days(month.period)
    whole = weight_of(days)
    return next(
        (day.day for day in days if day.weight and 2 * weight_of(days, day.day - ONE_DAY) >= whole),
        month.period.start,
    )


def measured_window(day: date, timezone: str) -> Period:
    """Return the complete months in which deals are measured."""
    this_month = month_start(day)
    return Period(add_months(this_month, -MEASURED_MONTHS), this_month, timezone)


def drop_since(previous: Edition | None, edition: Edition) -> int:
    """Return by how many leads a month's actual fell below the previous edition, if that was of it.

    A month that is closed must not lose its leads unseen either: its figures are final.
    """
    cards = [edition.scorecard, edition.judged]
    card = next((c for c in cards if previous and c.period == previous.scorecard.period), None)
    if previous is None or card is None:
        return 0
    before, now = previous.scorecard.total.actual, card.total.actual
    return 0 if before is None or now is None else max(0, before - now)


def figures_moved(before: Edition, now: Edition) -> tuple[CorrectedFigure, ...]:
    """Return the leads and goals that differ between two editions of one date, and the gaps of totals.

    The month that closes comes first, as in the edition; in each the total, then the segments as they are
    read.
    """
    old, new = before.closed, now.closed
    return (
        *_moved(old.scorecard if old else None, new.scorecard if new else None),
        *_moved(before.scorecard, now.scorecard),
    )


def _moved(before: Scorecard | None, now: Scorecard | None) -> Iterator[CorrectedFigure]:
    card = now or before
    if card is None:
        return
    old, new = _rows_of(before), _rows_of(now)
    for segment in dict.fromkeys((*new, *old)):
        was, row = (_figures(rows.get(segment)) for rows in (old, new))
        for code in FigureCode:
            if was[code] != row[code] and (segment is None or code is not FigureCode.GAP):
                yield CorrectedFigure(card.period.start, segment, code, was[code], row[code])


def _figures(row: Row | None) -> dict[FigureCode, int | None]:
    return {
        FigureCode.LEADS: row.actual if row else None,
        FigureCode.GOAL: row.goal if row else None,
        FigureCode.GAP: row.gap if row else None,
    }


def _rows_of(card: Scorecard | None) -> dict[str | None, Row]:
    """The rows by segment, the total first; leads that nobody has are no row."""
    if card is None:
        return {}
    rows = (card.total, *card.segments, *([card.unassigned] if card.unassigned else []))
    return {row.segment: row for row in rows}


# --------------------------------------------------------------------------------- putting it together


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a digest's settings say about its editions; the same for every date.

    Attributes:
        digest: id. title: name for people.
        segments: in the order in which people read them.
        calendar: decides the days of an edition. calendars: pacing calendars by id, for segments.
        frozen_after_workdays: workdays after a month's end until its figures are frozen.
    """

    digest: str
    title: str
    language: str
    lead_definition: str
    plan: Plan
    segments: tuple[Segment, ...]
    calendar: Calendar
    calendars: Mapping[str, Calendar]
    months: Months = CALENDAR_MONTHS
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    weighting: Weighting = "workday"
    show_forecast: bool = True
    frozen_after_workdays: int = FROZEN_AFTER_WORKDAYS
    link: str | None = None


def compose_edition(
    facts: Facts,
    edition: Due,
    *,
    counts: LeadCounts,
    history: LeadCounts | None = None,
    previous: Edition | None = None,
    printed_forecast: Forecast | None = None,
    history_hits: tuple[int, int] | None = None,
    drift: tuple[Drift, ...] | None = None,
) -> Edition:
    """Put an edition together from what was counted; the same arguments give the same edition.

    Args:
        facts: from the settings.
        edition: from `due`, with the same `previous`.
        counts: of `counting_plan(...).current`.
        history: of `counting_plan(...).history`.
        previous: the last edition really sent, of any month.
        printed_forecast: on a close, the total's forecast as printed at mid-month.
        history_hits: of the forecasts printed so far, (held, judged).
        drift: of the assumptions, where deal statistics are known.

    Raises:
        ValueError: no edition is due on that date.
    """
    if edition.kind is None:
        msg = f"no edition is due on {edition.business_date}: {edition.reason}"
        raise ValueError(msg)
    past = _past(facts, edition.month, history)
    courses = _courses(facts, edition.month, past)
    before = _if_of(edition.month, previous)
    stored, late = _month_before(facts, edition, counts, history, before)
    card = card_of(facts, edition, counts=counts, courses=courses)
    this_month = _within(counts.rows, edition.month.period)
    elsewhere = sum(row.leads for row in counts.rows) - sum(row.leads for row in this_month)
    closed = _closed(facts, edition, counts, past, previous)
    doubts = [*_zeros(facts, edition, edition.month, counts, courses)]
    if edition.closes is not None:
        ended = _courses(facts, edition.closes, past)
        doubts += _zeros(facts, edition, edition.closes, counts, ended)
    return Edition(
        digest=facts.digest,
        title=facts.title,
        business_date=edition.business_date,
        kind=edition.kind,
        language=facts.language,
        scorecard=card,
        bridge=_bridge(edition.month, edition, counts, past, before),
        closed=_judged(closed, printed_forecast),
        covers=edition.covers,
        days=(*_closed_days(facts, edition, past), *courses[None].days),
        calendar=facts.calendar.label,
        counts=(*stored, *this_month),
        as_of=counts.as_of,
        origin=counts.origin,
        reconciled=counts.reconciled,
        source_total=counts.total - elsewhere,
        lead_definition=facts.lead_definition,
        sla_version=facts.plan.version,
        plan_rates=tuple(sorted(facts.plan.rates, key=lambda rate: rate.currency)),
        lag_months=facts.plan.lag_months,
        warnings=(
            *_plan_warnings(card),
            *_goal_changes(card, before, edition.business_date),
            *_calendar_changes(courses[None].days, before),
            *_unassigned_warnings(closed.scorecard if closed else card, facts.thresholds),
            *dict.fromkeys(doubts),
            *late,
        ),
        excluded=counts.excluded,
        history_hits=history_hits,
        drift=drift,
        link=facts.link,
    )


def without_news(edition: Due, last: Edition) -> Edition:
    """Return an edition for a date on which the source has nothing newer: the last figures, unjudged.

    What depends on today is withheld, status, forecast and what each day must bring among it.

    Args:
        edition: from `due`, with `last` as the previous one.
        last: the last edition sent that had figures of its own.

    Raises:
        ValueError: the last figures are of another month, or a month closes on that date.
    """
    month = edition.month.period
    if edition.kind is not Kind.MONTH_TO_DATE or last.scorecard.period != month:
        msg = f"no figures of {month.start:%B %Y} have been sent before {edition.business_date}"
        raise ValueError(msg)
    card, actual = last.scorecard, last.bridge.actual
    return replace(
        last,
        business_date=edition.business_date,
        kind=edition.kind,
        covers=edition.covers,
        closed=None,
        scorecard=replace(
            card,
            total=_unjudged(card.total),
            segments=tuple(map(_unjudged, card.segments)),
            unassigned=_unjudged(card.unassigned) if card.unassigned else None,
            value=None,
        ),
        bridge=Bridge(card.cut_off, actual, new=(), corrections=(), actual=actual),
        warnings=(Note(NoteCode.STALE, day=card.cut_off),),
        follow_up=None,
        drift=None,
        corrects=None,
    )


# Why a status is softer than the pace alone would make it.
_OF_THE_STATUS = (NoteCode.WITHIN_NORMAL_VARIATION, NoteCode.FORECAST_BELOW_GOAL)


def _unjudged(row: Row) -> Row:
    return Row(
        segment=row.segment,
        status=Status.NO_DATA,
        actual=row.actual,
        goal=row.goal,
        sales_goal=row.sales_goal,
        workdays=row.workdays,
        elapsed=row.elapsed,
        remaining=row.remaining,
        lead_value=row.lead_value,
        currency=row.currency,
        notes=tuple(note for note in row.notes if note.code not in _OF_THE_STATUS),
    )


def _within(rows: Iterable[DayCount], period: Period) -> tuple[DayCount, ...]:
    return tuple(row for row in rows if row.day in period)


def _if_of(month: Month, previous: Edition | None) -> Edition | None:
    """The previous edition, when it is one of this month."""
    if previous is None or previous.scorecard.period != month.period:
        return None
    return previous


# ------------------------------------------------------------------------------------------ history


@dataclass(frozen=True, slots=True)
class _Past:
    """Leads of earlier months, from the first day on which the source has any."""

    months: tuple[Period, ...]
    since: date
    leads: Mapping[tuple[date, str | None], int]  # the segment None is everybody

    def of(
        self, calendar: Calendar, segment: str | None, start: date | None
    ) -> tuple[tuple[tuple[Workday, int], ...], ...]:
        """Days and leads of each month, from the later of both starts on."""
        first = max(self.since, start or self.since)
        return tuple(
            tuple(
                (day, self.leads.get((day.day, segment), 0))
                for day in _days_of(calendar, period)
                if day.day >= first
            )
            for period in self.months
        )


@lru_cache(maxsize=256)
def _days_of(calendar: Calendar, period: Period) -> tuple[Workday, ...]:
    """Segments share calendars; without this each would look the same days up again."""
    return calendar.days(period)


def _past(facts: Facts, month: Month, history: LeadCounts | None) -> _Past | None:
    rows = [row for row in history.rows if row.leads] if history is not None else []
    if not rows:
        return None
    leads: dict[tuple[date, str | None], int] = {}
    for row in rows:
        for key in ((row.day, row.segment), (row.day, None)):
            leads[key] = leads.get(key, 0) + row.leads
    earlier = facts.months.before(month, HISTORY_MONTHS)
    return _Past(tuple(past.period for past in earlier), min(row.day for row in rows), leads)


def course_of(facts: Facts, month: Month, history: LeadCounts | None) -> Course:
    """Return what paces the total of a month: its weighted days, and the months before it."""
    return _course(facts, month, _past(facts, month, history), None, facts.calendar)


def _courses(facts: Facts, month: Month, past: _Past | None) -> Mapping[str | None, Course]:
    everybody = _course(facts, month, past, None, facts.calendar)
    return {
        None: everybody,
        **{
            segment.name: _course(
                facts,
                month,
                past,
                segment,
                facts.calendars[segment.calendar] if segment.calendar else facts.calendar,
            )
            for segment in facts.segments
        },
    }


def _course(
    facts: Facts, month: Month, past: _Past | None, segment: Segment | None, calendar: Calendar
) -> Course:
    start = segment.active_from if segment is not None else None
    name = segment.name if segment is not None else None
    counted = past.of(calendar, name, start) if past else ()
    known = [entry for days in counted for entry in days]
    days = _days_of(calendar, month.period)
    return Course(
        _from(weigh(days, facts.weighting, known), start),
        tuple(_weighted(facts.weighting, days, known) for days in counted),
        start,
        None if facts.weighting == "workday" else _from(days, start),
    )


def _weighted(
    weighting: Weighting,
    days: tuple[tuple[Workday, int], ...],
    known: Sequence[tuple[Workday, int]],
) -> tuple[Day, ...]:
    weights = weigh([day for day, _ in days], weighting, known)
    return tuple(
        (day.day, day.weight, leads) for day, (_, leads) in zip(weights, days, strict=True)
    )


def _from(days: tuple[Workday, ...], start: date | None) -> tuple[Workday, ...]:
    if start is None:
        return days
    return tuple(replace(day, weight=Fraction(0)) if day.day < start else day for day in days)


# -------------------------------------------------------------------------------------- its parts


def courses_of(
    facts: Facts, month: Month, history: LeadCounts | None, *, own: Month | None = None
) -> Mapping[str | None, Course]:
    """Return what paces each segment in a month, and the total (None); see `calculator.scorecard`.

    `own` is the month of the edition where that is another one, as for a month that it closes; `history`
    are the months before it.
    """
    return _courses(facts, month, _past(facts, own or month, history))


def courses_with(
    facts: Facts,
    month: Month,
    history: LeadCounts | None,
    courses: Mapping[str | None, Course],
) -> Mapping[str | None, Course]:
    """Return the courses of calendars that differ from those of `courses` within this month alone."""
    if facts.weighting != "workday":
        return courses_of(facts, month, history)
    own = {segment.name: segment for segment in facts.segments}
    found: dict[str | None, Course] = {}
    for name, course in courses.items():
        pacing = own[name].calendar if name is not None else None
        calendar = facts.calendars[pacing] if pacing else facts.calendar
        found[name] = course.with_days(_from(_days_of(calendar, month.period), course.start))
    return found


def card_of(
    facts: Facts, edition: Due, *, counts: LeadCounts, courses: Mapping[str | None, Course]
) -> Scorecard:
    """Return the scorecard of an edition's month, as `compose_edition` puts it into the edition."""
    return _card(
        facts, edition.month, counts, courses, cut_off=edition.cut_off, on=edition.business_date
    )


def goals_of(facts: Facts, month: Month, *, on: date | None) -> tuple[Goal, ...]:
    """Return the goal of each of the digest's segments; those in force at the month's end without `on`."""
    owed = {goal.segment: goal for goal in goals(facts.plan, month.plan_month, on=on)}
    return tuple(_goal_of(facts, segment, owed, month) for segment in facts.segments)


def _card(
    facts: Facts,
    month: Month,
    counts: LeadCounts,
    courses: Mapping[str | None, Course],
    *,
    cut_off: date,
    on: date | None,
) -> Scorecard:
    """The month's scorecard; a closed one (`on` is None) keeps the goals in force at its end."""
    card = scorecard(
        plan=facts.plan,
        goals=goals_of(facts, month, on=on),
        counts=counts.rows,
        courses=courses,
        period=month.period,
        cut_off=cut_off,
        send_days=_days_of(facts.calendar, month.period),
        closed=on is None,
        show_forecast=facts.show_forecast,
        thresholds=facts.thresholds,
    )
    if card.unassigned is None:
        return card
    return list_unassigned(replace(card, unknown=counts.unknown), facts.thresholds)


def _goal_of(facts: Facts, segment: Segment, owed: Mapping[str, Goal], month: Month) -> Goal:
    goal = owed.get(segment.name) or _no_goal(facts, segment.name, month)
    start = segment.active_from
    if start is None or start <= month.period.start:
        return goal
    noted = replace(goal, notes=(*goal.notes, Note(NoteCode.ACTIVE_FROM, segment.name, day=start)))
    return noted if start in month.period else replace(noted, goal=None, sales_goal=None)


def _no_goal(facts: Facts, segment: str, month: Month) -> Goal:
    return Goal(
        segment=segment,
        month=month.plan_month,
        goal=None,
        sales_goal=None,
        lead_value=None,
        currency=facts.plan.currency,
        marketing_revenue=None,
        customers=None,
        implied_revenue=None,
        by_hand=False,
        notes=(Note(NoteCode.NO_SLA, segment, day=month.plan_month),),
    )


def _bridge(
    month: Month, edition: Due, counts: LeadCounts, past: _Past | None, before: Edition | None
) -> Bridge:
    last = month.period.end - ONE_DAY
    covered_to = edition.covers[0] - ONE_DAY if before is None else before.scorecard.cut_off
    return bridge(
        month=month.period,
        cut_off=min(edition.cut_off, last),
        counts=counts.rows,
        previous=None if before is None else before.counts,
        previous_cut_off=covered_to,
        usual=_usual(edition, counts, past),
    )


def _usual(edition: Due, counts: LeadCounts, past: _Past | None) -> Mapping[date, float]:
    """Mean leads of the same weekday in the eight weeks before each covered day."""
    if past is None:
        return {}
    totals = {day: leads for (day, segment), leads in past.leads.items() if segment is None}
    for row in _within(counts.rows, edition.month.period):
        totals[row.day] = totals.get(row.day, 0) + row.leads
    weeks = {
        day: [day - timedelta(weeks=week) for week in range(1, USUAL_WEEKS + 1)]
        for day in edition.covers
    }
    return {
        day: sum(totals.get(earlier, 0) for earlier in before) / USUAL_WEEKS
        for day, before in weeks.items()
        if before[-1] >= past.since
    }


def _closed(
    facts: Facts,
    edition: Due,
    counts: LeadCounts,
    past: _Past | None,
    previous: Edition | None,
) -> ClosedMonth | None:
    month = edition.closes
    if month is None:
        return None
    courses = _courses(facts, month, past)
    card = _card(facts, month, counts, courses, cut_off=month.period.end - ONE_DAY, on=None)
    return ClosedMonth(card, _bridge(month, edition, counts, past, _if_of(month, previous)))


def _closed_days(facts: Facts, edition: Due, past: _Past | None) -> tuple[Workday, ...]:
    if edition.closes is None:
        return ()
    return _course(facts, edition.closes, past, None, facts.calendar).days


def _judged(closed: ClosedMonth | None, printed: Forecast | None) -> ClosedMonth | None:
    if closed is None or printed is None:
        return closed
    final = closed.bridge.actual
    return replace(closed, forecast_held=printed.low <= final <= printed.high)


def _month_before(
    facts: Facts,
    edition: Due,
    counts: LeadCounts,
    history: LeadCounts | None,
    before: Edition | None,
) -> tuple[tuple[DayCount, ...], tuple[Note, ...]]:
    """The counts of the month before to keep, and what changed in them since they were kept.

    Until they are frozen the newest are kept, so each change is told once; frozen ones stay, and every
    edition tells what came after.
    """
    if edition.closes is not None:
        return _within(counts.rows, edition.closes.period), ()
    for month in facts.months.before(edition.month):
        now = _within(history.rows, month.period) if history is not None else ()
        then = _within(before.counts, month.period) if before is not None else ()
        if not then or history is None:
            return then or now, ()
        since = frozen_from(month, facts.calendar, facts.frozen_after_workdays)
        frozen = edition.business_date >= since
        changes = bridge(
            month=month.period,
            cut_off=month.period.end,
            counts=now,
            previous=then,
            previous_cut_off=month.period.end,
        ).corrections
        text = "frozen" if frozen else None
        return then if frozen else now, tuple(
            Note(NoteCode.LATE_ENTRIES, c.segment, number=Fraction(c.leads), day=c.day, text=text)
            for c in changes
        )
    return (), ()


# ------------------------------------------------------------------------------------------ warnings


def _plan_warnings(card: Scorecard) -> tuple[Note, ...]:
    """What concerns the whole plan, once instead of on every row; else with the segment it concerns.

    A total leaves out a goal that cannot be computed but not its leads, so it must not stand unexplained.
    """
    notes = [note for row in card.segments for note in row.notes if note.code in _OF_THE_PLAN]
    bare = [note for note in notes if note.code is NoteCode.NO_SLA]
    wide = {NoteCode.CARRIED_FORWARD}
    if len(bare) == len(card.segments):
        wide.add(NoteCode.NO_SLA)
    return tuple(
        dict.fromkeys(
            replace(note, segment=None) if note.code in wide else note
            for note in notes
            if note.text != SALES
        )
    )


_OF_THE_PLAN = frozenset(
    (
        NoteCode.NO_SLA,
        NoteCode.CARRIED_FORWARD,
        NoteCode.REVENUE_GOAL_MISSING,
        NoteCode.SHARE_MISSING,
        NoteCode.DEAL_SIZE_MISSING,
        NoteCode.CLOSE_RATE_MISSING,
    )
)


def _goal_changes(card: Scorecard, before: Edition | None, day: date) -> tuple[Note, ...]:
    """Changes told before this month, those of the plan, and those seen since the last edition."""
    code = NoteCode.GOAL_CHANGED
    told = [note for note in before.warnings if note.code is code] if before is not None else []
    planned = [note for row in card.segments for note in row.notes if note.code is code]
    news = {note.segment for note in planned if note not in told}
    goals_before = {row.segment: row for row in before.scorecard.segments} if before else {}
    seen = [
        Note(code, row.segment, number=_fraction(old.goal), other=_fraction(row.goal), day=day)
        for row in card.segments
        if (old := goals_before.get(row.segment)) is not None
        and old.goal != row.goal
        and row.segment not in news
    ]
    return tuple(dict.fromkeys((*told, *planned, *seen)))


def _fraction(number: int | None) -> Fraction | None:
    return None if number is None else Fraction(number)


def _calendar_changes(days: Sequence[Workday], before: Edition | None) -> tuple[Note, ...]:
    """Days whose weight changed for a new reason; learned weights change without one."""
    then = {day.day: day for day in before.days} if before is not None else {}
    return tuple(
        Note(
            NoteCode.CALENDAR_CHANGED,
            number=old.weight,
            other=day.weight,
            day=day.day,
            text=day.reason or old.reason,
        )
        for day in days
        if (old := then.get(day.day)) is not None
        and old.weight != day.weight
        and old.reason != day.reason
    )


def _unassigned_warnings(card: Scorecard, thresholds: Thresholds) -> tuple[Note, ...]:
    note = unassigned_warning(card, thresholds)
    return () if note is None else (note,)


def _zeros(
    facts: Facts,
    edition: Due,
    month: Month,
    counts: LeadCounts,
    courses: Mapping[str | None, Course],
) -> tuple[Note, ...]:
    """Zeros of the month so far that history makes improbable, and other ones of the covered days."""
    so_far = [day for day in month.period.days() if day <= edition.cut_off]
    covered = [day for day in edition.covers if day in month.period]
    found: dict[str | None, Note] = {}
    for days in (so_far, covered):
        within = [row for row in counts.rows if row.day in days]
        leads: dict[str | None, int | None] = {
            segment: sum(row.leads for row in within if segment in (None, row.segment))
            for segment in courses
        }
        for note in implausible_zeros(leads, courses, days, facts.thresholds):
            found.setdefault(note.segment, note)
    return tuple(found.values())
