"""Worksheet steps 1 to 5: from revenue goals and close rates to the leads owed in a month.

Ratios and money are Decimal or Fraction throughout: 10,000 x 45 % / 2,500 / 3 % is exactly 60 leads,
and floats would make it 61.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from hashlib import sha256
from math import ceil, prod
from typing import Literal

from digest.errors import ConfigError, nearest
from digest.model import (
    DealStatistics,
    Drift,
    Note,
    NoteCode,
    PlanRate,
    SegmentDeals,
    add_months,
    month_start,
)

PRIOR_LEADS = 50  # how many leads the rate of all segments weighs against a small sample
FEW_WINS, FEW_LEADS = 5, 30
MATURING_DAYS = 90  # younger leads have often not had the time to become customers

SALES = "sales"  # the text of a note on the leads that sales sources itself

Amount = Decimal | Fraction | int


@dataclass(frozen=True, slots=True)
class Terms:
    """What is agreed for a segment from a date on; a later `valid_from` replaces all of it.

    Attributes:
        deal_size: average amount of a won deal, in the segment's currency.
        marketing_share: part of the revenue goal that marketing sources; sales owes the rest.
        close_rate: share of leads that become customers.
        stage_rates: rates of the stages between the lead and the one `close_rate` starts from, in
            order. They multiply with `close_rate`; without one the last of them leads to the customer.
        sales_deal_size, sales_close_rate: of leads that sales sources itself; marketing's when None.
        goal, sales_goal: leads set by hand instead of computed.
    """

    segment: str
    valid_from: date
    deal_size: Decimal | None
    marketing_share: Fraction | None
    close_rate: Fraction | None
    stage_rates: tuple[Fraction, ...] = ()
    sales_deal_size: Decimal | None = None
    sales_close_rate: Fraction | None = None
    goal: int | None = None
    sales_goal: int | None = None

    @property
    def rates(self) -> tuple[Fraction, ...]:
        """Every rate from the lead to the customer, in order; empty when none is known."""
        return (*self.stage_rates, *(() if self.close_rate is None else (self.close_rate,)))

    @property
    def sales_rates(self) -> tuple[Fraction, ...]:
        """Likewise for the leads that sales sources itself."""
        return self.rates if self.sales_close_rate is None else (self.sales_close_rate,)


@dataclass(frozen=True, slots=True)
class RevenueGoal:
    """Revenue wanted from a segment in a month (its first day), in the segment's currency."""

    segment: str
    month: date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class GoalChange:
    """A goal that was changed by hand during its month, as the plan's author recorded it."""

    segment: str
    month: date
    day: date
    old: int | None
    new: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The SLA: revenue goals by month and terms by date, for every segment.

    Attributes:
        currency: the plan currency, in which totals are given.
        currencies: (segment, its currency), in the order in which people read the segments.
        rates: one fixed exchange rate per foreign currency for the whole SLA year.
        lag_months: leads owed in month m serve the revenue of month m + lag_months.
        rounding: "once" rounds the goal up at the end; "cascade" rounds customers, then every stage.
        carry_forward: a month without an SLA uses the revenue goals of the last month that has one.

    Raises:
        ConfigError: something contradicts itself or is out of range; all mistakes at once.
    """

    currency: str
    currencies: tuple[tuple[str, str], ...]
    revenue_goals: tuple[RevenueGoal, ...]
    terms: tuple[Terms, ...]
    rates: tuple[PlanRate, ...] = ()
    lag_months: int = 0
    rounding: Literal["once", "cascade"] = "once"
    carry_forward: bool = False
    changes: tuple[GoalChange, ...] = ()

    def __post_init__(self) -> None:
        mistakes = (
            *_mistakes_in_names(self),
            *_mistakes_in_goals(self),
            *(mistake for terms in self.terms for mistake in _mistakes_in_terms(terms)),
            *_mistakes_in_rates(self),
        )
        if mistakes:
            raise ConfigError(*mistakes)

    @property
    def segments(self) -> tuple[str, ...]:
        """Names of the segments, in the plan's order."""
        return tuple(segment for segment, _ in self.currencies)

    @property
    def version(self) -> str:
        """Twelve hexadecimal digits of the content, whatever order it was entered in."""
        parts = (
            self.currency,
            sorted(self.currencies),
            sorted(
                repr(_plain(goal.segment, goal.month, goal.amount)) for goal in self.revenue_goals
            ),
            sorted(repr(_plain_terms(terms)) for terms in self.terms),
            sorted(repr(_plain(rate.currency, rate.rate, rate.as_of)) for rate in self.rates),
            self.lag_months,
            self.rounding,
            self.carry_forward,
            sorted(repr(change) for change in self.changes),
        )
        return sha256(repr(parts).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Goal:
    """Leads a segment owes in a month, and what they are worth.

    Attributes:
        goal, sales_goal: leads owed by marketing and by sales; None when they cannot be computed.
        lead_value: deal size x close rate, in `currency`.
        marketing_revenue: marketing's part of the revenue goal. customers: the customers it takes.
        implied_revenue: marketing revenue that a goal set by hand amounts to.
    """

    segment: str
    month: date
    goal: int | None
    sales_goal: int | None
    lead_value: Fraction | None
    currency: str
    marketing_revenue: Fraction | None
    customers: Fraction | None
    implied_revenue: Fraction | None
    by_hand: bool
    notes: tuple[Note, ...]


# ------------------------------------------------------------------------------------------ formulas


def goal_for(
    revenue_goal: Amount, share: Amount, deal_size: Amount, close_rate: Amount, *stages: Amount
) -> int:
    """Return the leads that bring `revenue_goal * share`: exact arithmetic, one ceil (step 5).

    `stages` are further rates from the lead to the customer; they multiply before the one ceil.
    """
    rate = prod((Fraction(stage) for stage in stages), start=Fraction(close_rate))
    return ceil(Fraction(revenue_goal) * Fraction(share) / Fraction(deal_size) / rate)


def cascaded_goal(revenue: Amount, deal_size: Amount, rates: Sequence[Amount]) -> int:
    """Return the leads when customers and every stage before them are rounded up in turn."""
    count = ceil(Fraction(revenue) / Fraction(deal_size))
    for rate in reversed(rates):
        count = ceil(count / Fraction(rate))
    return count


def to_plan_currency(plan: Plan, amount: Amount, currency: str) -> Fraction:
    """Convert with the plan's fixed rate.

    Raises:
        ConfigError: the plan has no rate for the currency.
    """
    return Fraction(amount) * _rate(plan, currency)


def value_goal(plan: Plan, goals: Iterable[Goal]) -> Fraction:
    """Return the sum of goal x lead value in the plan currency; undefined goals add nothing."""
    return sum(
        (
            to_plan_currency(plan, goal.goal * goal.lead_value, goal.currency)
            for goal in goals
            if goal.goal is not None and goal.lead_value is not None
        ),
        Fraction(0),
    )


# --------------------------------------------------------------------------------------------- goals


def goals(plan: Plan, month: date, *, on: date | None = None) -> tuple[Goal, ...]:
    """Return the goal of every segment for a month, in the plan's order.

    Terms that begin during the month hold for all of it once they are in force, that is from `on`
    (the last day of the month when None) backwards; the goal they replace is noted with the date.
    """
    day = _day_in(month, on)
    source, revenue_month = _revenue_month(plan, month_start(day))
    return tuple(
        _with_changes(plan, _goal(plan, segment, day, source, revenue_month), day)
        for segment in plan.segments
    )


def terms_in_force(
    plan: Plan, segment: str, month: date, *, on: date | None = None
) -> Terms | None:
    """Return the terms that a segment's goal of a month follows from, as `goals` chooses them."""
    return _in_force(plan, segment, _day_in(month, on))


def revenue_month(plan: Plan, month: date) -> date:
    """Return the month whose revenue goals a month's leads serve: lag and carrying forward included."""
    return _revenue_month(plan, month_start(month))[1]


def missing_rates(plan: Plan) -> tuple[str, ...]:
    """Return the currencies of segments for which the plan has no rate, in order of their names."""
    known = {plan.currency, *(rate.currency for rate in plan.rates)}
    return tuple(sorted({currency for _, currency in plan.currencies} - known))


@dataclass(frozen=True, slots=True)
class Basis:
    """What the goal of a segment in a month rests on.

    Attributes:
        terms: in force, None before the first ones. revenue_goal: of `month`, which a lag or a plan that is
            carried forward moves; None when that month has none.
    """

    terms: Terms | None
    month: date
    revenue_goal: Decimal | None


def basis(plan: Plan, segment: str, month: date, *, on: date | None = None) -> Basis:
    """Return what `goals` computes the goal of a segment from; likewise for the same arguments."""
    day = _day_in(month, on)
    _, revenue_month = _revenue_month(plan, month_start(day))
    terms = _in_force(plan, segment, day)
    return Basis(terms, revenue_month, _revenue_goal(plan, segment, revenue_month))


def _revenue_goal(plan: Plan, segment: str, month: date) -> Decimal | None:
    known = plan.revenue_goals
    return next((g.amount for g in known if (g.segment, g.month) == (segment, month)), None)


def _day_in(month: date, on: date | None) -> date:
    """The day whose terms count: `on` if it lies in the month, otherwise the nearest day that does."""
    first, last = month_start(month), add_months(month, 1) - timedelta(1)
    return last if on is None else min(max(on, first), last)


def _revenue_month(plan: Plan, month: date) -> tuple[date | None, date]:
    """The month that was carried forward, if one was, and the month whose revenue goals apply."""
    wanted = add_months(month, plan.lag_months)
    known = {goal.month for goal in plan.revenue_goals}
    earlier = [candidate for candidate in known if candidate < wanted]
    if wanted in known or not plan.carry_forward or not earlier:
        return None, wanted
    source = max(earlier)
    return source, source


def _in_force(plan: Plan, segment: str, day: date) -> Terms | None:
    known = (t for t in plan.terms if t.segment == segment and t.valid_from <= day)
    return max(known, key=lambda terms: terms.valid_from, default=None)


def _with_changes(plan: Plan, goal: Goal, day: date) -> Goal:
    recorded = tuple(
        Note(
            NoteCode.GOAL_CHANGED,
            goal.segment,
            number=_fraction(change.old),
            other=_fraction(change.new),
            day=change.day,
        )
        for change in sorted(plan.changes, key=lambda change: change.day)
        if (change.segment, change.month) == (goal.segment, goal.month) and change.day <= day
    )
    return replace(goal, notes=(*goal.notes, *recorded))


def _goal(plan: Plan, segment: str, day: date, carried: date | None, revenue_month: date) -> Goal:
    month = month_start(day)
    terms = _in_force(plan, segment, day)
    now = _goal_under(plan, segment, month, terms, revenue_month)
    if carried is not None and now.marketing_revenue is not None and not now.by_hand:
        note = Note(NoteCode.CARRIED_FORWARD, segment, day=carried)
        now = replace(now, notes=(*now.notes, note))
    replaced = _in_force(plan, segment, month)
    if terms is None or replaced is None or replaced == terms:
        return now
    before = _goal_under(plan, segment, month, replaced, revenue_month).goal
    if before == now.goal:
        return now
    change = Note(
        NoteCode.GOAL_CHANGED,
        segment,
        number=_fraction(before),
        other=_fraction(now.goal),
        day=terms.valid_from,
    )
    return replace(now, notes=(*now.notes, change))


def _goal_under(
    plan: Plan, segment: str, month: date, terms: Terms | None, revenue_month: date
) -> Goal:
    wanted = _revenue_goal(plan, segment, revenue_month)
    revenue = None if wanted is None else Fraction(wanted)
    agreed = terms or Terms(segment, month, None, None, None)
    share = agreed.marketing_share
    rates, size = _usable(agreed.rates), _positive(agreed.deal_size)
    marketing_revenue = None if revenue is None or share is None else revenue * share
    if revenue == 0:
        marketing_revenue = Fraction(0)
    lead_value = size * prod(rates) if size is not None and rates else None
    by_hand = agreed.goal is not None
    goal = agreed.goal if by_hand else _leads(marketing_revenue, size, rates, plan.rounding)
    sales_goal, sales_notes = _sales(plan, agreed, revenue)
    currency = dict(plan.currencies)[segment]
    implied = goal * lead_value if by_hand and goal is not None and lead_value else None
    notes: tuple[Note, ...] = ()
    if by_hand:
        said = Note(NoteCode.SET_BY_HAND, segment, number=_fraction(goal))
        notes = (said if implied is None else replace(said, other=implied, text=currency),)
    elif goal is None:
        notes = _why_undefined(plan, agreed, revenue_month, revenue is None)
    return Goal(
        segment=segment,
        month=month,
        goal=goal,
        sales_goal=sales_goal,
        lead_value=lead_value,
        currency=currency,
        marketing_revenue=marketing_revenue,
        customers=marketing_revenue / size if marketing_revenue is not None and size else None,
        implied_revenue=implied,
        by_hand=by_hand,
        notes=(*notes, *sales_notes),
    )


def _leads(
    revenue: Fraction | None,
    size: Fraction | None,
    rates: tuple[Fraction, ...],
    rounding: str,
) -> int | None:
    if revenue == 0:
        return 0
    if revenue is None or size is None or not rates:
        return None
    if rounding == "cascade":
        return cascaded_goal(revenue, size, rates)
    return goal_for(revenue, 1, size, *rates)


def _sales(
    plan: Plan, terms: Terms, revenue: Fraction | None
) -> tuple[int | None, tuple[Note, ...]]:
    if terms.sales_goal is not None:
        return terms.sales_goal, ()
    if revenue is None or (terms.marketing_share is None and revenue != 0):
        return None, ()
    share = Fraction(0) if terms.marketing_share is None else 1 - terms.marketing_share
    size = _positive(terms.deal_size if terms.sales_deal_size is None else terms.sales_deal_size)
    rates = _usable(terms.sales_rates)
    notes = []
    if terms.sales_deal_size is not None and size is None:
        notes.append(Note(NoteCode.DEAL_SIZE_MISSING, terms.segment, text=SALES))
    if terms.sales_close_rate is not None and not rates:
        notes.append(Note(NoteCode.CLOSE_RATE_MISSING, terms.segment, text=SALES))
    return _leads(revenue * share, size, rates, plan.rounding), tuple(notes)


def _why_undefined(
    plan: Plan,
    terms: Terms,
    revenue_month: date,
    revenue_missing: bool,  # noqa: FBT001 - private
) -> tuple[Note, ...]:
    if all(goal.month != revenue_month for goal in plan.revenue_goals):
        return (Note(NoteCode.NO_SLA, terms.segment, day=revenue_month),)
    missing = (
        (NoteCode.REVENUE_GOAL_MISSING, revenue_missing),
        (NoteCode.SHARE_MISSING, terms.marketing_share is None),
        (NoteCode.DEAL_SIZE_MISSING, _positive(terms.deal_size) is None),
        (NoteCode.CLOSE_RATE_MISSING, not _usable(terms.rates)),
    )
    return tuple(Note(code, terms.segment) for code, absent in missing if absent)


def _usable(rates: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """The rates, or none at all when one of them is zero: nothing reaches the customer then."""
    return rates if all(rates) else ()


def _positive(amount: Decimal | None) -> Fraction | None:
    return Fraction(amount) if amount else None


def _fraction(number: int | None) -> Fraction | None:
    return None if number is None else Fraction(number)


# --------------------------------------------------------------------------- measured rates and drift


@dataclass(frozen=True, slots=True)
class Measured:
    """What the CRM says about a segment's close rate and deal size.

    Attributes:
        customers, leads: what the rate was computed from; 0 where customers are not known.
        raw_rate: customers / leads, None without leads.
        close_rate: raw_rate, or shrunk to the rate of all segments when the sample is small. None where
            it is no rate that a goal can rest on: 0, or more customers than leads.
        win_rate: won deals of all closed ones; it says nothing of leads and is never the close rate.
        small_sample: fewer than 5 customers or 30 leads.
        deal_size: mean of the won amounts above 0, in the segment's currency.
        deals, deals_without_amount: won deals with and without such an amount.
        few_deals: fewer than 5 of them.
        maturing: months whose leads may still become customers (method "cohort" only).
    """

    segment: str
    customers: int
    leads: int
    raw_rate: Fraction | None
    close_rate: Fraction | None
    win_rate: Fraction | None
    small_sample: bool
    deal_size: Decimal | None
    deals: int
    deals_without_amount: int
    few_deals: bool
    currency: str
    maturing: tuple[date, ...] = ()


def measured(
    plan: Plan, statistics: DealStatistics, *, method: Literal["pooled", "cohort"] = "pooled"
) -> tuple[Measured, ...]:
    """Measure close rate and deal size of every segment of the plan (steps 2 and 4).

    Small samples shrink to the rate p0 of all segments, unassigned included:
    (customers + 50 * p0) / (leads + 50).

    Raises:
        ConfigError: a deal is in a currency for which the plan has no rate.
    """
    known = () if statistics.no_customers else statistics.segments
    pooled = _ratio(
        sum(_customers(entry, method) for entry in known), sum(entry.leads for entry in known)
    )
    return tuple(_measured(plan, segment, statistics, method, pooled) for segment in plan.segments)


def _measured(
    plan: Plan,
    segment: str,
    statistics: DealStatistics,
    method: str,
    pooled: Fraction | None,
) -> Measured:
    currency = dict(plan.currencies)[segment]
    entries = [entry for entry in statistics.segments if entry.segment == segment]
    known = [] if statistics.no_customers else entries
    customers = sum(_customers(entry, method) for entry in known)
    leads = sum(entry.leads for entry in known)
    deals = sum(entry.won_with_amount for entry in entries)
    won = sum(entry.won for entry in entries)
    small = customers < FEW_WINS or leads < FEW_LEADS
    raw = _ratio(customers, leads)
    rate = raw
    if small and pooled is not None:
        rate = (customers + PRIOR_LEADS * pooled) / (leads + PRIOR_LEADS)
    amount = sum(
        (
            to_plan_currency(plan, entry.won_amount, entry.currency or currency)
            / _rate(plan, currency)
            for entry in entries
            if entry.won_with_amount
        ),
        Fraction(0),
    )
    return Measured(
        segment=segment,
        customers=customers,
        leads=leads,
        raw_rate=raw,
        close_rate=rate if rate is not None and 0 < rate <= 1 else None,
        win_rate=_ratio(won, won + sum(entry.lost for entry in entries)),
        small_sample=small,
        deal_size=_cents(amount / deals) if deals else None,
        deals=deals,
        deals_without_amount=sum(entry.won - entry.won_with_amount for entry in entries),
        few_deals=deals < FEW_WINS,
        currency=currency,
        maturing=_maturing(statistics) if method == "cohort" else (),
    )


def drift(
    plan: Plan,
    month: date,
    statistics: DealStatistics,
    *,
    method: Literal["pooled", "cohort"] = "pooled",
    on: date | None = None,
) -> tuple[Drift, ...]:
    """Return, per segment with a goal, what it would be at the measured close rate and deal size."""
    figures = {figure.segment: figure for figure in measured(plan, statistics, method=method)}
    found = (
        _drift(plan, goal, _in_force(plan, goal.segment, _day_in(month, on)), figures[goal.segment])
        for goal in goals(plan, month, on=on)
    )
    return tuple(entry for entry in found if entry is not None)


def _drift(plan: Plan, goal: Goal, terms: Terms | None, figure: Measured) -> Drift | None:
    revenue = goal.implied_revenue if goal.by_hand else goal.marketing_revenue
    if terms is None or terms.deal_size is None or goal.lead_value is None:
        return None
    if not goal.goal or not revenue or not figure.close_rate:
        return None
    size = figure.deal_size or terms.deal_size
    at_measured = (
        cascaded_goal(revenue, size, (figure.close_rate,))
        if plan.rounding == "cascade"
        else goal_for(revenue, 1, size, figure.close_rate)
    )
    return Drift(
        segment=goal.segment,
        agreed_close_rate=goal.lead_value / Fraction(terms.deal_size),
        measured_close_rate=figure.close_rate,
        agreed_deal_size=terms.deal_size,
        measured_deal_size=figure.deal_size,
        goal=goal.goal,
        goal_at_measured=at_measured,
        small_sample=figure.small_sample or (figure.few_deals and figure.deal_size is not None),
    )


def _customers(entry: SegmentDeals, method: str) -> int:
    return entry.cohort_customers if method == "cohort" else entry.customers


def _ratio(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole else None


def _cents(amount: Fraction) -> Decimal:
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)


def _maturing(statistics: DealStatistics) -> tuple[date, ...]:
    window, youngest = statistics.window, statistics.window.end - timedelta(MATURING_DAYS)
    months = sorted({month_start(day) for day in window.days()})
    return tuple(month for month in months if add_months(month, 1) > youngest)


# ----------------------------------------------------------------------------------------- mistakes


def _rate(plan: Plan, currency: str) -> Fraction:
    if currency == plan.currency:
        return Fraction(1)
    known = {rate.currency: Fraction(rate.rate) for rate in plan.rates}
    if currency not in known:
        names = sorted({plan.currency, *known})
        raise ConfigError(
            f"plan: no rate from {currency} to {plan.currency}, so its amounts cannot be added up; "
            f"known are {', '.join(names)}{nearest(currency, names) or '.'} "
            f"Add a plan rate for {currency} or mend its name"
        )
    return known[currency]


def _mistakes_in_names(plan: Plan) -> list[str]:
    names = plan.segments
    repeated = sorted({name for name in names if names.count(name) > 1})
    used = {
        *(goal.segment for goal in plan.revenue_goals),
        *(terms.segment for terms in plan.terms),
        *(change.segment for change in plan.changes),
    }
    return [
        *(
            f"plan: segment {name!r} is listed twice; give each segment one line"
            for name in repeated
        ),
        *(
            f"plan: no segment {name!r}, known are {', '.join(names) or 'none'}{nearest(name, names)}"
            for name in sorted(used - set(names))
        ),
    ]


def _mistakes_in_goals(plan: Plan) -> list[str]:
    found = []
    seen: dict[tuple[str, date], Decimal] = {}
    for goal in plan.revenue_goals:
        where = f"plan: revenue goal of {goal.segment!r} for {goal.month:%Y-%m}"
        if goal.month.day != 1:
            found.append(f"{where}: month is {goal.month}, it must be the first day of a month")
        if goal.amount < 0:
            found.append(f"{where}: found {goal.amount}, allowed is 0 or more")
        if seen.setdefault((goal.segment, goal.month), goal.amount) != goal.amount:
            found.append(
                f"{where}: found both {seen[goal.segment, goal.month]} and {goal.amount}; keep one"
            )
    starts: dict[tuple[str, date], Terms] = {}
    return found + [
        f"plan: {terms.segment!r} has two different terms from {terms.valid_from}; keep one"
        for terms in plan.terms
        if starts.setdefault((terms.segment, terms.valid_from), terms) != terms
    ]


def _mistakes_in_terms(terms: Terms) -> list[str]:
    where = f"plan: {terms.segment!r} from {terms.valid_from}"
    ratios = (
        ("marketing_share", terms.marketing_share),
        ("close_rate", terms.close_rate),
        ("sales_close_rate", terms.sales_close_rate),
        *(("stage_rates", rate) for rate in terms.stage_rates),
    )
    numbers = (
        ("deal_size", terms.deal_size),
        ("sales_deal_size", terms.sales_deal_size),
        ("goal", terms.goal),
        ("sales_goal", terms.sales_goal),
    )
    return [
        *(
            f"{where}: {key} is {float(ratio):.4%}, allowed is 0 % to 100 %"
            for key, ratio in ratios
            if ratio is not None and not 0 <= ratio <= 1
        ),
        *(
            f"{where}: {key} is {number}, allowed is 0 or more"
            for key, number in numbers
            if number is not None and number < 0
        ),
    ]


def _mistakes_in_rates(plan: Plan) -> list[str]:
    found = (
        [] if plan.lag_months >= 0 else [f"plan: lag_months is {plan.lag_months}, allowed is >= 0"]
    )
    seen: dict[str, PlanRate] = {}
    for rate in plan.rates:
        if rate.rate <= 0:
            found.append(f"plan: rate of {rate.currency} is {rate.rate}, it must be above 0")
        if seen.setdefault(rate.currency, rate) != rate:
            found.append(f"plan: {rate.currency} has two rates; an SLA year has one fixed rate")
    return found


def _plain(*parts: object) -> tuple[object, ...]:
    """Equal numbers alike: Decimal("10") and Decimal("10.00") are the same plan."""
    return tuple(str(Fraction(p)) if isinstance(p, Decimal | Fraction) else p for p in parts)


def _plain_terms(terms: Terms) -> tuple[object, ...]:
    return (
        *_plain(terms.segment, terms.valid_from, terms.deal_size, terms.marketing_share),
        *_plain(terms.close_rate, terms.sales_deal_size, terms.sales_close_rate),
        _plain(*terms.stage_rates),
        terms.goal,
        terms.sales_goal,
    )
