"""Named situations to look at without credentials: fixed data, a fixed clock, a real run's functions.

A case says what was agreed and how well the months went; leads, calendar and goals follow from that, and
the edition from those, as on any day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache, partial
from itertools import accumulate

from digest import editions, sla
from digest.calculator import round_half_up
from digest.compose import month_before
from digest.editions import MEASURED_MONTHS, measured_window
from digest.errors import ConnectorError, Reason
from digest.followup import Promise, follow_up
from digest.model import (
    Corrects,
    DealStatistics,
    Drift,
    Edition,
    FollowUp,
    FollowUpRow,
    Forecast,
    LeadCounts,
    Note,
    NoteCode,
    Origin,
    Period,
    PlanRate,
    Segment,
    SegmentDeals,
    add_months,
    lead_counts,
    local_instant,
    month_start,
)
from digest.workdays import Calendar, weight_of

ZONE = "Europe/Zurich"
SEEN_AT, SENT_AT = time(7, 2), time(7, 31)
ORIGIN = Origin("scenario", "fixed data of this scenario", "no query: nothing was asked", 0)
DEFINITION = "A lead counts on the day it became marketing qualified, in the region of its company."
ONE_DAY = timedelta(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A situation and all it was made from; the same on every machine.

    Attributes:
        name: as an address has it. title: what people read, English.
        now: UTC instant of asking.
        counts, history: what the source answered. deals: what it knows of deals, None when that failed.
        sales: what sales did with each lead of this month and the one before. promise: None without one.
        previous: the edition before, None for the first one.
        printed_forecast: the total's forecast at the middle of the month that closes.
    """

    name: str
    title: str
    now: datetime
    facts: editions.Facts
    due: editions.Due
    counts: LeadCounts
    history: LeadCounts
    deals: DealStatistics | None
    promise: Promise | None
    sales: tuple[FollowUpRow, ...]
    previous: Edition | None
    printed_forecast: Forecast | None
    edition: Edition


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A day without an edition: the source gave nothing, and its operator is told so.

    Attributes:
        previous: the last edition that went out. error: why there is none today.
    """

    name: str
    title: str
    now: datetime
    facts: editions.Facts
    due: editions.Due
    previous: Edition
    error: ConnectorError


# ------------------------------------------------------------------------------------ what was agreed


@dataclass(frozen=True, slots=True)
class _Region:
    name: str
    currency: str
    revenue: Decimal
    share: Fraction
    deal_size: Decimal
    close_rate: Fraction


def _region(  # noqa: PLR0917 - a row of a table
    name: str, currency: str, revenue: int, share: int, deal_size: int, close_rate: int
) -> _Region:
    """Build a region; share and close rate in percent."""
    ratios = Fraction(share, 100), Fraction(close_rate, 100)
    return _Region(name, currency, Decimal(revenue), ratios[0], Decimal(deal_size), ratios[1])


REGIONS = (  # they owe 300, 134, 169 and 48 leads a month
    _region("DACH", "CHF", 300_000, 60, 15_000, 4),
    _region("Benelux", "EUR", 120_000, 50, 9_000, 5),
    _region("UKI", "EUR", 90_000, 45, 8_000, 3),
    _region("Nordics", "EUR", 50_000, 40, 7_000, 6),
)
SMALL = (
    _region("Romandie", "CHF", 40_000, 50, 20_000, 6),  # 17
    _region("Ticino", "CHF", 20_000, 50, 20_000, 7),  # 8
)
TINY = (_region("Ticino", "CHF", 30_000, 50, 20_000, 6),)  # 13
LONG = tuple(
    replace(region, name=name)
    for region, name in zip(
        REGIONS,
        (
            "Deutschland, Österreich, Schweiz und Fürstentum Liechtenstein (ohne Grosskunden)",
            "Donaudampfschifffahrtsgesellschaftskapitänsanwärterregion",
            "United Kingdom of Great Britain and Northern Ireland, Ireland, Channel Islands",
            "Auvergne-Rhône-Alpes, Bourgogne-Franche-Comté et Provence-Alpes-Côte d’Azur",
        ),
        strict=True,
    )
)
HOSTILE = tuple(
    replace(region, name=name)
    for region, name in zip(
        (*REGIONS, *REGIONS),
        (
            "A & B <x>",
            "\"Quoted\" and 'single' «more»",
            "Nord 🚀 & Süd 🇨🇭",
            "מזרח תיכון",
            "مبيعات الخليج",
            "<script>alert(1)</script>",
            "{{ goal }} {% raw %}",
            "=HYPERLINK(A1)",
        ),
        strict=True,
    )
)
HUGE = (
    _region("World", "CHF", 98_765_432_100, 60, 12_345_678, 4),  # 120,000
    _region("Rest of the world", "EUR", 9_876_543_210, 50, 1_234_567, 5),  # 80,000
)


def _many(count: int) -> tuple[_Region, ...]:
    return tuple(
        _region(
            f"Region {n:02}",
            "EUR" if n % 3 == 0 else "CHF",
            15_000 + 600 * n,
            50,
            12_000 + 500 * (n % 7),
            4 + n % 4,
        )
        for n in range(1, count + 1)
    )


# -------------------------------------------------------------------------------------- what happened

WEDNESDAY = date(2026, 6, 17)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What sets one scenario apart.

    Attributes:
        title: English.
        on: business date.
        paces: percent of its expected leads that each region has at the cut-off; the last one is that of
            all further regions.
        usual: percent of its goal that an average month before had.
        unassigned: percent of all leads of the month that have no known region.
        late: (day, region, leads) entered after the edition that people have read last.
        agreed: there are goals for the month.
        further: terms that replace those of their segment later. changes: goals that moved in a month.
        half: half-days.
        silent: a source that failed beside the leads.
        untouched: every so manieth lead is not called by anybody; 0 for none.
        promised: sales promised something.
        first: nothing was counted or sent before this month.
        corrects: why the edition of the day is sent once more, None for no correction.
    """

    title: str
    on: date = WEDNESDAY
    regions: tuple[_Region, ...] = REGIONS
    paces: tuple[int, ...] = (100,)
    usual: int = 98
    unassigned: int = 0
    late: tuple[tuple[date, str, int], ...] = ()
    agreed: bool = True
    further: tuple[sla.Terms, ...] = ()
    changes: tuple[sla.GoalChange, ...] = ()
    half: tuple[date, ...] = ()
    silent: bool = False
    untouched: int = 0
    promised: bool = True
    first: bool = False
    corrects: str | None = None


def _terms(region: _Region, valid_from: date, *, close_rate: Fraction | None = None) -> sla.Terms:
    return sla.Terms(
        region.name, valid_from, region.deal_size, region.share, close_rate or region.close_rate
    )


_DACH, _BENELUX, _UKI, _NORDICS = REGIONS
_CASES: Mapping[str, _Case] = {
    "on-track": _Case(title="On track", paces=(101, 99, 103, 100)),
    "ahead": _Case(title="Ahead of plan", paces=(116, 112, 109, 118)),
    "at-risk": _Case(title="At risk", paces=(88, 84, 92, 97)),
    "behind": _Case(title="Behind plan", paces=(62, 75, 103, 58), usual=90),
    "noise-guard": _Case(
        title="Below plan, but within normal variation",
        on=date(2026, 6, 11),
        regions=SMALL,
        paces=(73, 73),
    ),
    "too-early": _Case(title="Too early to judge", on=date(2026, 6, 3), paces=(60, 130, 90, 100)),
    "month-close": _Case(
        title="First workday: the month closes", on=date(2026, 5, 4), paces=(104, 96, 101, 92)
    ),
    "monday": _Case(title="Monday, over a weekend", on=date(2026, 6, 15), paces=(93, 101, 98, 104)),
    "after-holiday": _Case(
        title="The day after a holiday", on=date(2026, 4, 7), paces=(97, 102, 99, 108)
    ),
    "half-day": _Case(
        title="After a half-day",
        on=date(2026, 4, 21),
        half=(date(2026, 4, 20),),
        paces=(100, 96, 104, 98),
    ),
    "last-workday": _Case(
        title="The last workday", on=date(2026, 6, 30), paces=(99, 97, 106, 91), usual=100
    ),
    "zero-leads": _Case(title="No leads yet", regions=TINY, paces=(0,), usual=30),
    "goal-reached": _Case(title="Goal reached early", paces=(205, 191, 188, 196), usual=170),
    "no-goal": _Case(title="A month without an SLA", agreed=False),
    "goal-changed": _Case(
        title="A goal changed during the month",
        further=(_terms(_DACH, date(2026, 6, 1), close_rate=Fraction(36, 1000)),),
        changes=(sla.GoalChange("DACH", date(2026, 6, 1), date(2026, 6, 8), 300, 334),),
        paces=(91, 100),
    ),
    "unassigned": _Case(title="Leads without a segment", paces=(94, 90, 96, 93), unassigned=8),
    "corrections": _Case(
        title="Counts corrected up and down",
        late=(
            (date(2026, 6, 9), "DACH", 3),
            (date(2026, 6, 11), "UKI", -2),
            (date(2026, 6, 12), "Benelux", 1),
        ),
        paces=(96, 98, 97, 99),
    ),
    "source-failed": _Case(
        title="Deals and follow-up could not be read",
        on=date(2026, 6, 15),
        silent=True,
        paces=(98, 99, 100),
    ),
    "implausible-zero": _Case(title="A zero that is hard to believe", paces=(97, 99, 0, 102)),
    "forty-segments": _Case(
        title="40 segments", regions=_many(40), paces=tuple(78 + 13 * n % 45 for n in range(40))
    ),
    "sixty-segments": _Case(
        title="60 segments", regions=_many(60), paces=tuple(78 + 13 * n % 45 for n in range(60))
    ),
    "long-names": _Case(title="Long names", regions=LONG, paces=(88, 79, 101, 96)),
    "hostile-names": _Case(title="Hostile names", regions=HOSTILE, paces=(89, 96, 70, 101)),
    "huge-numbers": _Case(title="Huge numbers", regions=HUGE, paces=(94, 97), promised=False),
    "two-currencies": _Case(
        title="CHF and EUR, and cheap leads hide a value miss", paces=(64, 156, 139, 151)
    ),
    "follow-up-red": _Case(title="Sales follow-up is late", untouched=7),
    "no-history": _Case(title="No history: the first edition", first=True, paces=(91, 97, 100)),
    "year-change": _Case(
        title="A new year with new terms",
        on=date(2027, 1, 4),
        further=tuple(
            _terms(region, date(2027, 1, 1), close_rate=region.close_rate + Fraction(1, 200))
            for region in REGIONS
        ),
        paces=(102, 94, 99, 108),
    ),
    "correction": _Case(
        title="A correction of this morning’s edition",
        corrects="an import of Monday had failed and was run again",
        late=((date(2026, 6, 15), "DACH", 6), (date(2026, 6, 16), "UKI", 3)),
        paces=(99, 97, 98, 101),
    ),
}
_STALE = "stale"
_ALL_FAILED = "all-failed"
TITLES: Mapping[str, str] = {
    **{name: case.title for name, case in _CASES.items()},
    _STALE: "The source has nothing newer",
    _ALL_FAILED: "The source does not answer",
}
"""What people call each scenario and each held day, English."""

# What months before brought, in percent of an average one: enough spread for a range to have a width.
_MONTHS = (97, 106, 101, 92, 104, 95)
# Monday to Sunday; a holiday is like a Sunday.
_WEEKDAYS = (10, 11, 11, 10, 8, 1, 1)
# Measured close rate and deal size over the agreed ones, in percent.
_RATES, _SIZES = (78, 104, 97, 106), (101, 98, 110, 96)


def _plan(case: _Case) -> sla.Plan:
    last = month_start(case.on)
    months = [add_months(last, n) for n in range(-MEASURED_MONTHS - 1, 2)]
    return sla.Plan(
        currency="CHF",
        currencies=tuple((region.name, region.currency) for region in case.regions),
        revenue_goals=tuple(
            sla.RevenueGoal(region.name, month, region.revenue)
            for region in case.regions
            for month in months
            if case.agreed or month != last
        ),
        terms=(*(_terms(region, months[0]) for region in case.regions), *case.further),
        rates=(PlanRate("EUR", Decimal("0.94"), date(2026, 1, 5)),),
        changes=case.changes,
    )


def _facts(case: _Case) -> editions.Facts:
    return editions.Facts(
        digest="scenario",
        title="Leads EMEA",
        language="en",
        lead_definition=DEFINITION,
        plan=_plan(case),
        segments=tuple(Segment(region.name) for region in case.regions),
        calendar=Calendar("CH", "ZH", half=case.half),
        calendars={},
        months=editions.Months(ZONE),
        link="https://digest.example.com/emea",
    )


# ------------------------------------------------------------------------------ what the source holds

_Leads = tuple[date, str | None, int]  # as a source writes them: day, value of its field, leads


def _source(case: _Case, facts: editions.Facts) -> tuple[_Leads, ...]:
    """Everything the source holds up to the cut-off, months before included."""
    found: list[_Leads] = []
    this = facts.months.of(case.on)
    for month in (*(() if case.first else facts.months.before(this, MEASURED_MONTHS)), this):
        for place, owed in enumerate(_owed(facts, month, case.on)):
            found += _of_month(case, facts, place, month, owed)
    first = month_start(case.on)
    leads = sum(count for day, _, count in found if day >= first)
    unknown = round_half_up(Fraction(leads * case.unassigned, 100 - case.unassigned))
    days = Period(first, case.on).days()
    values = (None, "APAC", "LATAM")
    found += [
        (day, values[n % len(values)], count)
        for n, (day, count) in enumerate(_spread(days, unknown, len(case.regions), facts.calendar))
    ]
    return tuple(found)


def _of_month(
    case: _Case, facts: editions.Facts, place: int, month: editions.Month, owed: int
) -> Iterator[_Leads]:
    """A month's leads of one region: by its pace when the edition judges it, else as usual."""
    pace = case.paces[min(place, len(case.paces) - 1)]
    days = month.period.days()
    passed = weight_of(facts.calendar.days(month.period), case.on - ONE_DAY)
    whole = weight_of(facts.calendar.days(month.period))
    judged = month.period.end == month_start(case.on) and _opens_month(case)
    if case.on in month.period and passed:
        owed = round_half_up(owed * passed / whole * pace / 100)
        days = Period(days[0], case.on).days()
    elif judged:
        owed = round_half_up(Fraction(owed * pace, 100))
    elif case.on not in month.period:
        owed = round_half_up(Fraction(owed * case.usual * _MONTHS[days[0].month % 6], 10_000))
    for day, leads in _spread(days, owed, place, facts.calendar):
        if day < case.on:
            yield day, case.regions[place].name, leads


def _opens_month(case: _Case) -> bool:
    before = Calendar("CH", "ZH", half=case.half).previous_workday(case.on)
    return before < month_start(case.on)


def _owed(facts: editions.Facts, month: editions.Month, on: date) -> tuple[int, ...]:
    """The goals of a month; where nothing was agreed for it, those of the month before."""
    for candidate in (month.plan_month, add_months(month.plan_month, -1)):
        goals = sla.goals(facts.plan, candidate, on=on)
        if all(goal.goal is not None for goal in goals):
            return tuple(goal.goal or 0 for goal in goals)
    return ()


def _spread(
    days: Sequence[date], leads: int, place: int, calendar: Calendar
) -> Iterator[tuple[date, int]]:
    """Deal leads out to days by their weekday, with some luck that is always the same."""
    weights = [_weight(calendar, day) * (4 + (7 * day.toordinal() + 3 * place) % 5) for day in days]
    given = 0
    for day, reached in zip(days, accumulate(weights), strict=True):
        upto = leads * reached // sum(weights)
        if upto > given:
            yield day, upto - given
        given = upto


@lru_cache(maxsize=4096)  # regions share their days
def _weight(calendar: Calendar, day: date) -> int:
    if day.weekday() in calendar.workweek:
        return max(int(_WEEKDAYS[day.weekday()] * calendar.day(day).weight), _WEEKDAYS[-1])
    return _WEEKDAYS[day.weekday()]


def _counted(
    facts: editions.Facts, source: Sequence[_Leads], period: Period, now: datetime
) -> LeadCounts:
    inside = [leads for leads in source if leads[0] in period]
    total = sum(count for _, _, count in inside)
    return lead_counts(period, facts.segments, inside, as_of=now, total=total, origin=ORIGIN)


def _deals(case: _Case, window: Period, history: LeadCounts, now: datetime) -> DealStatistics:
    entries = []
    for place, region in enumerate(case.regions):
        leads = sum(row.leads for row in history.rows if row.segment == region.name)
        rate = region.close_rate * _RATES[place % len(_RATES)] / 100
        won = round_half_up(leads * rate)
        size = region.deal_size * _SIZES[place % len(_SIZES)] / 100
        entries.append(
            SegmentDeals(
                segment=region.name,
                won=won,
                lost=2 * won,
                won_amount=won * size,
                won_with_amount=won,
                currency=region.currency,
                leads=leads,
                customers=won,
                cohort_customers=won,
            )
        )
    return DealStatistics(window, tuple(entries), now, ORIGIN)


def _sales(case: _Case, counts: Sequence[LeadCounts], calendar: Calendar) -> Iterator[FollowUpRow]:
    """What sales did with each lead: called within the hour, unless nobody ever did."""
    rows = [row for counted in counts for row in counted.rows for _ in range(row.leads)]
    for n, row in enumerate(rows):
        began = local_instant(row.day, time(9 + n % 7, 7 * n % 60), ZONE)
        called: datetime | None = began + timedelta(minutes=10 + 11 * n % 45)
        if not calendar.is_workday(row.day):
            called = local_instant(calendar.next_workday(row.day), time(9, 5 + n % 50), ZONE)
        forgotten = bool(case.untouched) and n % case.untouched == 0
        outcome = ("accepted", "accepted", "open", "accepted", "rejected", "accepted")[n % 6]
        yield FollowUpRow(
            segment=row.segment,
            clock_start=began,
            first_response=None if forgotten else called,
            attempts=0 if forgotten else 5 + n % 2,
            outcome="open" if forgotten else outcome,
            website=n % 3 == 0,
        )


# ------------------------------------------------------------------------------------- the editions


def _at(day: date, clock: time = SEEN_AT) -> datetime:
    return local_instant(day, clock, ZONE)


def _compose(
    case: _Case,
    facts: editions.Facts,
    source: Sequence[_Leads],
    on: date,
    previous: Edition | None,
) -> Scenario:
    """Do what `compose.compose` does, with a source that needs no settings."""
    now = _at(on)
    due = editions.due(on, facts.calendar, previous=previous, months=facts.months)
    wanted = editions.counting_plan(due, months=facts.months)
    counts = _counted(facts, source, wanted.current, now)
    history = _counted(facts, source, wanted.history or wanted.current, now)
    promise = Promise() if case.promised else None
    earlier = month_before(due, facts, wanted.current)
    both = [*([_counted(facts, source, earlier, now)] if earlier else []), counts]
    asks = promise is not None and not case.silent
    sales = tuple(_sales(case, both, facts.calendar)) if asks else ()
    deals = None if case.silent else _deals(case, measured_window(on, ZONE), history, now)
    printed = _printed(case, facts, source, due)
    edition = editions.compose_edition(
        facts,
        due,
        counts=counts,
        history=history,
        previous=previous,
        printed_forecast=printed,
        history_hits=None if case.first else (5, 6),
        drift=_drift(facts, due, deals),
    )
    judged = _follow_up(facts, due, promise, sales, now) if promise and asks else None
    return Scenario(
        name="",
        title=case.title,
        now=now,
        facts=facts,
        due=due,
        counts=counts,
        history=history,
        deals=deals,
        promise=promise,
        sales=sales,
        previous=previous,
        printed_forecast=printed,
        edition=replace(edition, follow_up=judged, warnings=(*edition.warnings, *_failures(case))),
    )


def _printed(
    case: _Case, facts: editions.Facts, source: Sequence[_Leads], due: editions.Due
) -> Forecast | None:
    if due.closes is None:
        return None
    middle = editions.mid_month(due.closes, facts.calendar)
    return _compose(case, facts, source, middle, None).edition.scorecard.total.forecast


def _drift(
    facts: editions.Facts, due: editions.Due, deals: DealStatistics | None
) -> tuple[Drift, ...] | None:
    """Compare with the CRM in the first edition of a week."""
    monday = due.business_date - timedelta(days=due.business_date.weekday())
    if deals is None or facts.calendar.previous_workday(due.business_date) >= monday:
        return None
    return sla.drift(facts.plan, due.month.plan_month, deals, on=due.business_date)


def _follow_up(
    facts: editions.Facts,
    due: editions.Due,
    promise: Promise,
    sales: Sequence[FollowUpRow],
    now: datetime,
) -> FollowUp:
    return follow_up(
        sales,
        promise,
        month=(due.closes or due.month).period,
        now=now,
        segments=tuple(segment.name for segment in facts.segments),
        calendar=facts.calendar,
        calendars={},
    )


def _failures(case: _Case) -> tuple[Note, ...]:
    if not case.silent:
        return ()
    error = _no_answer("the deals were not answered within 30 s")
    return tuple(
        Note(code, text=str(error)) for code in (NoteCode.FOLLOW_UP_MISSING, NoteCode.DEALS_MISSING)
    )


def _no_answer(what: str) -> ConnectorError:
    return ConnectorError(
        ORIGIN.connector, Reason.TRANSIENT, what, remedy="the next run asks again by itself"
    )


def _before(case: _Case, source: Sequence[_Leads]) -> tuple[_Leads, ...]:
    """The source as it was before somebody entered or deleted leads of days already counted."""
    return (*source, *((day, region, -leads) for day, region, leads in case.late))


@cache
def _scenario(name: str) -> Scenario:
    case = _CASES[name]
    facts = _facts(case)
    source = _source(case, facts)
    earlier = _before(case, source)
    previous = None
    if not case.first:
        day = facts.calendar.previous_workday(case.on)
        previous = _compose(case, facts, earlier, day, None).edition
    found = _compose(case, facts, source, case.on, previous)
    if case.corrects is not None:
        read = _compose(case, facts, earlier, case.on, previous).edition
        moved = editions.figures_moved(read, found.edition)
        corrects = Corrects(1, _at(case.on, SENT_AT), case.corrects, moved)
        found = replace(found, edition=replace(found.edition, corrects=corrects))
    return replace(found, name=name)


def _day_after(last: Scenario) -> editions.Due:
    """What the workday after a scenario's brings."""
    calendar = last.facts.calendar
    on = calendar.next_workday(last.edition.business_date)
    return editions.due(on, calendar, previous=last.edition)


@cache
def _all_failed() -> Held:
    last = _scenario("on-track")
    due = _day_after(last)
    return Held(
        name=_ALL_FAILED,
        title=TITLES[_ALL_FAILED],
        now=_at(due.business_date),
        facts=last.facts,
        due=due,
        previous=last.edition,
        error=_no_answer("no answer to the count within 30 s"),
    )


@cache
def _stale() -> Scenario:
    """The table was not loaded overnight, and the settings want the last figures then."""
    last = _scenario("on-track")
    due = _day_after(last)
    return replace(
        last,
        name=_STALE,
        title=TITLES[_STALE],
        now=_at(due.business_date),
        due=due,
        previous=last.edition,
        edition=editions.without_news(due, last.edition),
    )


SCENARIOS: Mapping[str, Callable[[], Scenario]] = {
    **{name: partial(_scenario, name) for name in _CASES},
    _STALE: _stale,
}
"""Every situation that has an edition, by name; built when it is asked for, and then kept."""
HELD: Mapping[str, Callable[[], Held]] = {_ALL_FAILED: _all_failed}
"""Every situation without an edition, likewise."""
