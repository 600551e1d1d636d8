"""The product in a few lines: settings and a date become an Edition. Nothing here has a side effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from digest import editions, sla
from digest.errors import ConfigError, ConnectorError, Reason
from digest.followup import follow_up
from digest.model import Note, NoteCode, Period, local_instant
from digest.tally import with_leads

if TYPE_CHECKING:
    from digest.model import (
        DealStatistics,
        Drift,
        Edition,
        FollowUp,
        FollowUpRow,
        Forecast,
        LeadCounts,
    )
    from digest.settings import Settings


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier editions said.

    Attributes:
        previous: the last edition really sent before the business date.
        sent_on: returns the edition sent on a date, None when there was none.
        history: returns the closed months' counts, those that are kept or else those that the given
            function reads.
    """

    previous: Edition | None = None
    sent_on: Callable[[date], Edition | None] = lambda _day: None
    history: Callable[[editions.Due, Period, Callable[[], LeadCounts]], LeadCounts] = (
        lambda _due, _period, read: read()
    )


NOTHING_SENT = Memory()

# Failures of deals and follow-up that a warning in the edition stands for.
_Marked = tuple[type[ConnectorError] | type[ConfigError], ...]


def compose(
    settings: Settings,
    business_date: date,
    *,
    now: datetime,
    memory: Memory = NOTHING_SENT,
    whole: bool = False,
) -> Edition:
    """Count, compare with the SLA, and put the edition of a business date together.

    Leads that cannot be counted hold the edition; deals and follow-up that cannot be measured are left
    out with a warning that says why.

    Args:
        settings: the digest.
        business_date: of the edition.
        now: the instant of asking.
        memory: what earlier editions said.
        whole: deals and follow-up that do not answer hold the edition as well.

    Raises:
        ConfigError: the date has no edition, or the plan or source named in the settings is wrong.
        ConnectorError: the source gave no complete count.
    """
    facts = facts_of(settings)
    due = due_on(settings, business_date, previous=memory.previous)
    if due.kind is None:
        raise ConfigError(
            f"{settings.path.name}: no edition on {business_date}: {reason_in_words(due.reason)}"
        )
    wanted = editions.counting_plan(due, months=facts.months)
    counts = _count(settings, wanted.current, now)
    # Follow-up is asked for beside each count, so that a source may answer from what it has just read.
    as_of = _as_of(settings, due, now)
    marked = (ConfigError,) if whole else (ConnectorError, ConfigError)
    rows, no_sales = _sales_rows(settings, wanted.current, as_of, marked=marked)
    history = _history(settings, due, wanted.history, now, memory)
    if not no_sales:
        before = month_before(due, facts, wanted.current)
        earlier, no_sales = _sales_rows(settings, before, as_of, marked=marked)
        rows += earlier
    sales = None if no_sales else _follow_up(settings, due, rows, as_of)
    drift, no_drift = _drift(settings, due, memory.previous, now, history, marked=marked)
    if nothing := nothing_there(settings, counts, history):
        raise nothing
    edition = editions.compose_edition(
        facts,
        due,
        counts=counts,
        history=history,
        previous=memory.previous,
        printed_forecast=_printed_forecast(settings, due, memory),
        history_hits=hits_after(memory.previous),
        drift=drift,
    )
    unknown = (*no_sales, *no_drift)
    return replace(edition, follow_up=sales, warnings=(*edition.warnings, *unknown))


def _history(
    settings: Settings, due: editions.Due, period: Period | None, now: datetime, memory: Memory
) -> LeadCounts | None:
    if period is None:
        return None
    return memory.history(due, period, lambda: _count(settings, period, now))


def due_on(
    settings: Settings, business_date: date, *, previous: Edition | None = None
) -> editions.Due:
    """Return what a business date brings for a digest.

    Raises:
        ConfigError: the date lies outside the calendar or the fiscal periods.
    """
    months = facts_of(settings).months
    try:
        return editions.due(business_date, settings.calendar, previous=previous, months=months)
    except ValueError as error:
        raise ConfigError(f"{settings.path.name}: {error}") from error


_REASONS = {"weekend": "weekend", "closure": "company closure", "day_off": "day off"}


def reason_in_words(reason: str | None) -> str:
    """Return why a day has no edition: a word for a code of `workdays`, or the holiday's name."""
    return _REASONS.get(reason or "", reason or "no workday")


def latest_business_date(settings: Settings, today: date) -> date:
    """Return today, or the workday before it when today has no edition."""
    calendar = settings.calendar
    return today if calendar.is_workday(today) else calendar.previous_workday(today)


def facts_of(settings: Settings) -> editions.Facts:
    """Return what the settings say about every edition."""
    return editions.Facts(
        digest=settings.id,
        title=settings.title,
        language=settings.language,
        lead_definition=settings.lead_definition,
        plan=settings.plan,
        segments=settings.segments,
        calendar=settings.calendar,
        calendars=settings.calendars,
        months=editions.Months(settings.timezone, settings.fiscal_periods),
        thresholds=settings.thresholds,
        weighting=settings.weighting,
        show_forecast=settings.forecast,
        frozen_after_workdays=settings.frozen_after_workdays,
        link=settings.link,
    )


def _count(settings: Settings, period: Period, now: datetime) -> LeadCounts:
    counts = settings.connector.count_leads(period=period, segments=settings.segments, now=now)
    if not counts.reconciled:
        found = sum(row.leads for row in counts.rows)
        raise ConnectorError(
            settings.connector_name,
            Reason.UNRECONCILED,
            f"the days add up to {found} leads, the source counts {counts.total}",
            remedy="look at the source; the next call counts anew",
        )
    return counts


def nothing_there(
    settings: Settings, counts: LeadCounts, history: LeadCounts | None
) -> ConnectorError | None:
    """Return the refusal of a source without one lead, not even in the months before.

    An empty table, a wrong view and a load that failed look like a month in which nobody came; null is
    not 0, so nothing is said about the month.
    """
    looked_at = [counts, *([history] if history else [])]
    if any(one.total or any(taken for _, taken in one.excluded) for one in looked_at):
        return None
    since = min(one.period.start for one in looked_at)
    return ConnectorError(
        settings.connector_name,
        Reason.UNRECONCILED,
        f"{counts.origin.source} holds no lead at all since {since}",
        remedy="look whether it is the right one, filled, and not filtered to nothing; "
        "the first lead lifts this",
    )


def history_of(settings: Settings, business_date: date, now: datetime) -> LeadCounts | None:
    """Count the months before those of an edition, None when none are wanted."""
    months = facts_of(settings).months
    wanted = editions.counting_plan(due_on(settings, business_date), months=months).history
    return _count(settings, wanted, now) if wanted else None


# ------------------------------------------------------------------- what does not hold an edition


def _sales_rows(
    settings: Settings, period: Period | None, as_of: datetime, *, marked: _Marked
) -> tuple[tuple[FollowUpRow, ...], tuple[Note, ...]]:
    """Return what sales did with the leads of a period, or why that is not known."""
    if settings.follow_up is None or period is None:
        return (), ()
    _, source = settings.follow_up
    try:
        return source.follow_up(period=period, segments=settings.segments, now=as_of), ()
    except marked as error:
        return (), (_missing(NoteCode.FOLLOW_UP_MISSING, error),)


def month_before(due: editions.Due, facts: editions.Facts, counted: Period) -> Period | None:
    """Return the month before the judged one: its leads may still be overdue or need attempts."""
    before = facts.months.before(due.closes or due.month)
    if not before:
        return None
    return Period(before[0].period.start, counted.start, counted.timezone)


def _follow_up(
    settings: Settings, due: editions.Due, rows: tuple[FollowUpRow, ...], as_of: datetime
) -> FollowUp | None:
    """Judge the sales half of the month, or of the month that closes."""
    if settings.follow_up is None:
        return None
    promise, _ = settings.follow_up
    own = {segment.name: segment.calendar for segment in settings.segments}
    return follow_up(
        rows,
        promise,
        month=(due.closes or due.month).period,
        now=as_of,
        segments=tuple(own),
        calendar=settings.calendars[promise.calendar] if promise.calendar else settings.calendar,
        calendars={
            name: settings.calendars[calendar]
            for name, calendar in own.items()
            if calendar and not promise.calendar
        },
    )


def _as_of(settings: Settings, due: editions.Due, now: datetime) -> datetime:
    """Return the instant of asking; for an edition of an earlier day the end of that day's sending."""
    return min(now, local_instant(due.business_date, settings.send_until, settings.timezone))


def _drift(
    settings: Settings,
    due: editions.Due,
    previous: Edition | None,
    now: datetime,
    counted: LeadCounts | None,
    *,
    marked: _Marked,
) -> tuple[tuple[Drift, ...] | None, tuple[Note, ...]]:
    """Compare the plan with six complete months, in the first edition of a week; else None."""
    if not _opens_week(settings, due.business_date, previous):
        return None, ()
    try:
        deals = measured_deals(settings, due.business_date, now, counted)
        if deals is None:
            return None, ()
        month = due.month.plan_month
        found = sla.drift(
            settings.plan, month, deals, method=settings.close_rates, on=due.business_date
        )
    except marked as error:
        return None, (_missing(NoteCode.DEALS_MISSING, error),)
    if deals.no_customers:
        return None, (Note(NoteCode.DEALS_MISSING, text=deals.no_customers),)
    return found, ()


def measured_deals(
    settings: Settings, day: date, now: datetime, counted: LeadCounts | None = None
) -> DealStatistics | None:
    """Measure the six complete months before a day's month; None where nothing is known of deals.

    Deals of another system are set against the leads that the digest counts, for which `counted` serves
    when it holds these months.

    Raises:
        ConfigError, ConnectorError: the deals, or the leads beside them, could not be read.
    """
    if settings.deals is None:
        return None
    window = editions.measured_window(day, settings.timezone)
    deals = settings.deals.deal_statistics(window=window, segments=settings.segments, now=now)
    same: object = settings.connector
    if settings.deals is same:
        return deals
    held = counted is not None and set(window.days()) <= set(counted.period.days())
    counts = counted if counted is not None and held else _count(settings, window, now)
    return with_leads(deals, counts.rows)


def _opens_week(settings: Settings, day: date, previous: Edition | None) -> bool:
    monday = day - timedelta(days=day.weekday())
    if previous is not None:
        return previous.business_date < monday
    return settings.calendar.previous_workday(day) < monday


def _missing(code: NoteCode, error: ConnectorError | ConfigError) -> Note:
    return Note(code, text=str(error).partition("\n")[0])


def _printed_forecast(settings: Settings, due: editions.Due, memory: Memory) -> Forecast | None:
    if due.closes is None:
        return None
    printed = memory.sent_on(editions.mid_month(due.closes, settings.calendar))
    return None if printed is None else printed.scorecard.total.forecast


def hits_after(previous: Edition | None) -> tuple[int, int] | None:
    """Return the record of printed forecasts once an edition is out: (held, judged), None without one."""
    if previous is None:
        return None
    if previous.closed is None or previous.closed.forecast_held is None:
        return previous.history_hits
    held, judged = previous.history_hits or (0, 0)
    return held + previous.closed.forecast_held, judged + 1
