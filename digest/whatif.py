"""What would be if other figures had been agreed: the digest's own functions, asked with other inputs.

Nothing is computed here that the digest computes: changed inputs become changed settings, and the
scorecard of those is set beside the agreed one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor
from typing import Any

from digest import editions, sla
from digest.calculator import Course, Thresholds, required_per_workday, round_half_up
from digest.errors import nearest
from digest.model import (
    DayCount,
    Edition,
    Kind,
    LeadCounts,
    Row,
    Scorecard,
    Workday,
    add_months,
)
from digest.notation import parse_amount, parse_count, parse_number, parse_ratio, parse_share
from digest.workdays import FULL, WEEKDAYS, Calendar, weight_of

ONE_DAY = timedelta(1)
Number = Decimal | Fraction | int


class Input(StrEnum):
    """What can be changed; the value is its name in an address and in the settings."""

    REVENUE_GOAL = "revenue_goal"
    MARKETING_SHARE = "marketing_share"
    DEAL_SIZE = "deal_size"
    CLOSE_RATE = "close_rate"
    LEADS = "leads"
    LAG_MONTHS = "lag_months"
    WORKDAYS = "workdays"
    AHEAD = "ahead"
    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    NOISE = "noise"
    MIN_ELAPSED = "min_elapsed"
    MIN_EXPECTED = "min_expected"
    FINAL_WORKDAYS = "final_workdays"


OF_SEGMENTS = (
    Input.REVENUE_GOAL,
    Input.MARKETING_SHARE,
    Input.DEAL_SIZE,
    Input.CLOSE_RATE,
    Input.LEADS,
)
TERMS = (Input.MARKETING_SHARE, Input.DEAL_SIZE, Input.CLOSE_RATE)
THRESHOLDS = (
    Input.AHEAD,
    Input.ON_TRACK,
    Input.AT_RISK,
    Input.NOISE,
    Input.MIN_ELAPSED,
    Input.MIN_EXPECTED,
    Input.FINAL_WORKDAYS,
)
OF_THE_DIGEST = (Input.LAG_MONTHS, Input.WORKDAYS, *THRESHOLDS)
# A segment may have a calendar of its own; lag and thresholds stand in the settings once, for all of them.
BY_SEGMENT = (*OF_SEGMENTS, Input.WORKDAYS)

Key = tuple[Input, str | None]
Changes = Mapping[Key, Number]
"""By input and segment; None for the segment means all of them, or the digest."""
NOTHING: Changes = {}


# ---------------------------------------------------------------------------------------- where it stands


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """An edition's month with all that its scorecard follows from.

    Attributes:
        due: the edition's date and month. counts: of the month up to the cut-off.
        history: of the months before, None when they are not at hand: forecasts then know nothing of them.
        courses: of the calendars as agreed. agreed: the scorecard by the agreement.
    """

    facts: editions.Facts
    due: editions.Due
    counts: LeadCounts
    history: LeadCounts | None
    courses: Mapping[str | None, Course]
    agreed: Scorecard

    @property
    def segments(self) -> tuple[str, ...]:
        """Names of the segments, in their order."""
        return tuple(segment.name for segment in self.facts.segments)

    @property
    def month(self) -> date:
        """The plan's month that holds the goals."""
        return self.due.month.plan_month


def situation(facts: editions.Facts, edition: Edition, history: LeadCounts | None) -> Situation:
    """Return where an edition's month stands; on a month close that is the month that begins.

    Args:
        facts: what the settings say.
        edition: of that digest.
        history: of `editions.counting_plan(...).history`.
    """
    # The figures may be older than the edition, where the source had nothing newer.
    counted_on = edition.scorecard.cut_off + timedelta(days=1)
    month = facts.months.of(counted_on)
    due = editions.Due(counted_on, Kind.MONTH_TO_DATE, None, edition.covers, month, None)
    rows = tuple(row for row in edition.counts if row.day in month.period)
    counts = LeadCounts(
        period=month.period,
        rows=rows,
        as_of=edition.as_of,
        total=sum(row.leads for row in rows),
        reconciled=edition.reconciled,
        origin=edition.origin,
        unknown=edition.scorecard.unknown,
    )
    courses = editions.courses_of(facts, month, history)
    return Situation(
        facts=facts,
        due=due,
        counts=counts,
        history=history,
        courses=courses,
        agreed=editions.card_of(facts, due, counts=counts, courses=courses),
    )


def agreed(situation: Situation, key: Key) -> Number | None:
    """Return what an input is now, None when nothing was agreed, or not the same for all segments."""
    kind, segment = key
    facts = situation.facts
    if kind in THRESHOLDS:
        found: Number = getattr(facts.thresholds, kind.value)
        return found
    if kind is Input.LAG_MONTHS:
        return facts.plan.lag_months
    if kind is Input.WORKDAYS:
        days = _calendar_of(facts, segment).days(situation.due.month.period)
        return weight_of(days)
    if kind is Input.LEADS and segment is None:
        return sum(row.actual or 0 for row in situation.agreed.segments)
    values = _agreed_values(situation, kind)
    if segment is not None:
        return values[segment]
    different = set(values.values())
    return different.pop() if len(different) == 1 else None


def _agreed_values(situation: Situation, kind: Input) -> Mapping[str, Number | None]:
    """What is agreed for an input of segments, by segment."""
    plan, month = situation.facts.plan, situation.month
    if kind is Input.LEADS:
        return {str(row.segment): row.actual for row in situation.agreed.segments}
    if kind is Input.REVENUE_GOAL:
        wanted = sla.revenue_month(plan, month)
        amounts = {goal.segment: goal.amount for goal in plan.revenue_goals if goal.month == wanted}
        return {name: amounts.get(name) for name in situation.segments}
    on = situation.due.business_date
    terms = {name: sla.terms_in_force(plan, name, month, on=on) for name in situation.segments}
    return {name: getattr(entry, kind.value, None) for name, entry in terms.items()}


# ------------------------------------------------------------------------------------ what was typed


@dataclass(frozen=True, slots=True)
class Problem:
    """A text that is no value of its input, in the words of the worksheet; `key` as it was given."""

    key: str
    text: str
    message: str


def name_of(key: Key) -> str:
    """Return an input's name in an address: "close_rate" for all, "close_rate:DACH" for one segment."""
    kind, segment = key
    return kind.value if segment is None else f"{kind.value}:{segment}"


def key_of(situation: Situation, name: str) -> Key:
    """Return the input that a name means.

    Raises:
        ValueError: there is no such input or segment; says which there are.
    """
    word, _, segment = name.partition(":")
    known = [kind.value for kind in Input]
    if word not in known:
        raise ValueError(f"found {name!r}; allowed are {', '.join(known)}{nearest(word, known)}")
    kind = Input(word)
    if not segment:
        return kind, None
    if kind not in BY_SEGMENT:
        raise ValueError(
            f"found {name!r}; {word} stands in the settings once, for all segments, write {word!r}"
        )
    if segment not in situation.segments:
        raise ValueError(
            f"found the segment {segment!r}; allowed are {', '.join(situation.segments)}"
            f"{nearest(segment, situation.segments)}"
        )
    return kind, segment


def read(
    situation: Situation, texts: Sequence[tuple[str, str]]
) -> tuple[Changes, tuple[Problem, ...]]:
    """Read typed inputs as the worksheet reads its cells; empty ones are as agreed.

    Args:
        situation: whose segments, currencies and calendar decide.
        texts: (name as of `name_of`, text).

    Returns:
        what differs from the agreement, and what could not be read.
    """
    found: dict[Key, Number] = {}
    problems = []
    for name, text in texts:
        if not text.strip():
            continue
        try:
            key = key_of(situation, name)
            found[key] = _value(situation, key, text)
        except (ValueError, ArithmeticError) as error:
            problems.append(Problem(name, text, str(error)))
    try:
        found = _shared_out(situation, found)
    except ValueError as error:
        del found[Input.LEADS, None]
        text = next(text for name, text in texts if name == Input.LEADS.value)
        problems.append(Problem(Input.LEADS.value, text, str(error)))
    changes = {
        key: value for key, value in found.items() if not _is_agreed(situation, key, value, found)
    }
    return changes, (*problems, *_contradictions(situation, changes))


def _is_agreed(situation: Situation, key: Key, value: Number, found: Changes) -> bool:
    kind, segment = key
    if segment is not None and (kind, None) in found:
        if kind is Input.WORKDAYS:  # its calendar may have other days than everybody's
            as_all = agreed(situation, (kind, None)) == found[kind, None]
            return as_all and agreed(situation, key) == value
        return found[kind, None] == value
    return agreed(situation, key) == value


def _contradictions(situation: Situation, changes: Changes) -> Iterator[Problem]:
    """Values that are fine alone but not together."""
    if any(kind in THRESHOLDS for kind, _ in changes):
        try:
            _thresholds(situation.facts.thresholds, changes)
        except ValueError as error:
            key = next(kind for kind, _ in changes if kind in THRESHOLDS)
            yield Problem(key.value, _percent(Fraction(changes[key, None])), str(error))


def _value(situation: Situation, key: Key, text: str) -> Number:
    kind, segment = key
    if kind in (Input.REVENUE_GOAL, Input.DEAL_SIZE):
        currencies = dict(situation.facts.plan.currencies)
        return parse_amount(text, currencies.get(segment) if segment is not None else None)
    if kind is Input.LEADS:
        return _leads(situation, parse_count(text))
    if kind is Input.WORKDAYS:
        workdays = Fraction(parse_number(text))
        _days_off(situation, _calendar_of(situation.facts, segment), workdays)
        return workdays
    if kind in _MOST:
        return _at_most(_MOST[kind], parse_count(text))
    if kind in (Input.MARKETING_SHARE, Input.CLOSE_RATE, Input.NOISE):
        return parse_share(text)
    return parse_ratio(text)


_MOST = {  # as in the settings
    Input.LAG_MONTHS: 100,
    Input.MIN_ELAPSED: 100,
    Input.MIN_EXPECTED: 1000,
    Input.FINAL_WORKDAYS: 100,
}


def _at_most(most: int, count: int) -> int:
    if count > most:
        raise ValueError(f"found {count}; allowed is 0 to {most}")
    return count


def _leads(situation: Situation, count: int) -> int:
    if count and not _counted_days(situation):
        raise ValueError(
            f"found {count}; no day of {situation.month:%Y-%m} has been counted yet, so it has no leads"
        )
    return count


def _shared_out(situation: Situation, found: Mapping[Key, Number]) -> dict[Key, Number]:
    """Return leads so far of all segments as those of each, in the proportion of what they have.

    Raises:
        ValueError: the segments that are given leave nothing, or too much, for the others.
    """
    own = dict(found)
    total = own.pop((Input.LEADS, None), None)
    if total is None:
        return own
    counted = _agreed_values(situation, Input.LEADS)
    others = [name for name in situation.segments if (Input.LEADS, name) not in own]
    given = sum(int(value) for (kind, _), value in own.items() if kind is Input.LEADS)
    rest = int(total) - given
    if rest < 0 or (rest and not others):
        raise ValueError(f"found {total}; the segments' own leads come to {given}")
    weights = [int(counted[name] or 0) for name in others]
    if not any(weights):
        weights = [1] * len(others)
    whole = sum(weights) or 1
    shares = [rest * weight // whole for weight in weights]
    # The largest remainders get what is left, so that the sum is what was typed.
    by_remainder = sorted(range(len(others)), key=lambda n: -(rest * weights[n] % whole))
    for n in by_remainder[: rest - sum(shares)]:
        shares[n] += 1
    own.update({(Input.LEADS, name): n for name, n in zip(others, shares, strict=True)})
    return own


def _counted_days(situation: Situation) -> tuple[date, ...]:
    return tuple(day for day in situation.due.month.period.days() if day <= situation.due.cut_off)


# ---------------------------------------------------------------------------------- changed settings


def changed_facts(situation: Situation, changes: Changes) -> editions.Facts:
    """Return the settings in which the changes are agreed."""
    facts = replace(
        situation.facts,
        plan=_plan(situation, changes),
        thresholds=_thresholds(situation.facts.thresholds, changes),
    )
    if (Input.WORKDAYS, None) in changes:
        off = _days_off(situation, facts.calendar, Fraction(changes[Input.WORKDAYS, None]))
        facts = replace(
            facts,
            calendar=_with_days(facts.calendar, off),
            # The company's free days are free for each segment, whatever calendar it paces by.
            calendars={name: _with_days(one, off) for name, one in facts.calendars.items()},
        )
    return _with_own_calendars(situation, facts, changes)


def _calendar_of(facts: editions.Facts, segment: str | None) -> Calendar:
    """The calendar that paces a segment, or all of them."""
    own = next((one.calendar for one in facts.segments if one.name == segment), None)
    return facts.calendar if own is None else facts.calendars[own]


def _with_own_calendars(
    situation: Situation, facts: editions.Facts, changes: Changes
) -> editions.Facts:
    """Give each segment whose workdays were changed a calendar of its own: one may serve several."""
    calendars = dict(facts.calendars)
    segments = []
    for segment in facts.segments:
        wanted = changes.get((Input.WORKDAYS, segment.name))
        if wanted is None:
            segments.append(segment)
            continue
        agreed_days = _calendar_of(situation.facts, segment.name)
        off = _days_off(situation, agreed_days, Fraction(wanted))
        name = _free_name(segment.name, calendars)
        calendars[name] = _with_days(agreed_days, off)
        segments.append(replace(segment, calendar=name))
    return replace(facts, calendars=calendars, segments=tuple(segments))


def _free_name(wanted: str, taken: Mapping[str, object]) -> str:
    return next(
        name
        for n in range(len(taken) + 1)
        if (name := f"{wanted} {n}" if n else wanted) not in taken
    )


def _applied(situation: Situation, changes: Changes) -> Situation:
    """Return the situation as it would be; `agreed` is the scorecard of the changed settings."""
    facts = changed_facts(situation, changes)
    courses = situation.courses
    if any(kind is Input.WORKDAYS for kind, _ in changes):
        courses = editions.courses_with(
            facts, situation.due.month, situation.history, situation.courses
        )
    counts = _counts(situation, changes)
    card = editions.card_of(facts, situation.due, counts=counts, courses=courses)
    return replace(situation, facts=facts, counts=counts, courses=courses, agreed=card)


def _of(changes: Changes, kind: Input, segment: str) -> Number | None:
    return changes.get((kind, segment), changes.get((kind, None)))


def _plan(situation: Situation, changes: Changes) -> sla.Plan:
    plan = situation.facts.plan
    lag = changes.get((Input.LAG_MONTHS, None))
    if lag is not None:
        plan = replace(plan, lag_months=int(lag))
    goals = {(goal.segment, goal.month): goal for goal in plan.revenue_goals}
    terms = {(entry.segment, entry.valid_from): entry for entry in plan.terms}
    wanted = sla.revenue_month(plan, situation.month)
    for segment in plan.segments:
        amount = _of(changes, Input.REVENUE_GOAL, segment)
        if amount is not None:
            goals[segment, wanted] = sla.RevenueGoal(segment, wanted, _amount(amount))
        if any(_of(changes, kind, segment) is not None for kind in TERMS):
            entry = _terms(situation, changes, segment)
            terms[segment, entry.valid_from] = entry
    return replace(plan, revenue_goals=tuple(goals.values()), terms=tuple(terms.values()))


def _amount(value: Number) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return Decimal(value.numerator) / Decimal(value.denominator)


def _terms(situation: Situation, changes: Changes, segment: str) -> sla.Terms:
    """Return the terms in force with the changed figures, from this month on or from later in it."""
    month = situation.month
    now = sla.terms_in_force(
        situation.facts.plan, segment, month, on=situation.due.business_date
    ) or sla.Terms(segment, month, None, None, None)
    size = _of(changes, Input.DEAL_SIZE, segment)
    share = _of(changes, Input.MARKETING_SHARE, segment)
    rate = _of(changes, Input.CLOSE_RATE, segment)
    return replace(
        now,
        valid_from=max(now.valid_from, month),
        deal_size=now.deal_size if size is None else _amount(size),
        marketing_share=now.marketing_share if share is None else Fraction(share),
        close_rate=now.close_rate if rate is None else Fraction(rate),
    )


def _thresholds(now: Thresholds, changes: Changes) -> Thresholds:
    """Return the thresholds with their changes.

    Raises:
        ValueError: they do not fall in their order, which the settings refuse too.
    """
    given = {kind.value: changes[kind, None] for kind in THRESHOLDS if (kind, None) in changes}
    if not given:
        return now
    wanted = {**{kind.value: getattr(now, kind.value) for kind in THRESHOLDS}, **given}
    found = [Fraction(wanted[kind.value]) for kind in (Input.AHEAD, Input.ON_TRACK, Input.AT_RISK)]
    if not found[0] > found[1] > found[2] > 0:
        raise ValueError(
            "ahead, on_track and at_risk must fall in this order and stay above 0%; "
            f"found {', '.join(map(_percent, found))}"
        )
    if not 0 < Fraction(wanted[Input.NOISE.value]) < 1:
        raise ValueError(
            f"noise: found {_percent(Fraction(wanted[Input.NOISE.value]))}; "
            "allowed: between 0% and 100%"
        )
    changed: Mapping[str, Any] = {key: Fraction(value) for key, value in given.items()}
    return replace(now, **changed)


def _percent(ratio: Fraction) -> str:
    return f"{float(ratio * 100):g}%"


# ----------------------------------------------------------------------------------------- workdays


@dataclass(frozen=True, slots=True)
class _DaysOff:
    """Days to come that would be free, half or worked."""

    free: tuple[date, ...] = ()
    half: tuple[date, ...] = ()
    worked: tuple[date, ...] = ()


def _days_off(situation: Situation, calendar: Calendar, wanted: Fraction) -> _DaysOff:
    """Return which days make the month have so many workdays: the last ones go first.

    Days up to the business date have been; holidays still to come are what can be worked.

    Raises:
        ValueError: no such calendar.
    """
    period, today = situation.due.month.period, situation.due.business_date
    days = calendar.days(period)
    whole = weight_of(days)
    fixed = weight_of(days, today)
    holidays = [day for day in days if day.day > today and _could_be_worked(calendar, day)]
    most = whole + sum((FULL - day.weight for day in holidays), Fraction(0))
    if not fixed <= wanted <= most or (2 * wanted).denominator != 1:
        raise ValueError(
            f"found {_decimal(wanted)}; {period.start:%Y-%m} has {_decimal(fixed)} workdays up to {today}, "
            f"and at most {_decimal(most)}; allowed are whole and half ones between"
        )
    if wanted >= whole:
        return _worked(holidays, wanted - whole)
    return _freed([day for day in days if day.day > today and day.weight], whole - wanted)


def _could_be_worked(calendar: Calendar, day: Workday) -> bool:
    closed = any(first <= day.day <= last for first, last in calendar.closures)
    return day.weight < FULL and day.day.weekday() in calendar.workweek and not closed


def _freed(days: Sequence[Workday], missing: Fraction) -> _DaysOff:
    free: list[date] = []
    half: list[date] = []
    for day in reversed(days):
        if missing >= day.weight:
            free.append(day.day)
            missing -= day.weight
        elif missing:
            half.append(day.day)
            missing = Fraction(0)
    return _DaysOff(free=tuple(free), half=tuple(half))


def _worked(days: Sequence[Workday], more: Fraction) -> _DaysOff:
    half: list[date] = []
    worked: list[date] = []
    for day in days:
        if more >= FULL - day.weight:
            worked.append(day.day)
            more -= FULL - day.weight
        elif more:
            half.append(day.day)
            more = Fraction(0)
    return _DaysOff(half=tuple(half), worked=tuple(worked))


def _with_days(calendar: Calendar, off: _DaysOff) -> Calendar:
    touched = {*off.free, *off.half, *off.worked}
    kept = {
        name: [day for day in getattr(calendar, name) if day not in touched]
        for name in ("add", "half", "remove")
    }
    return replace(
        calendar,
        add=tuple(sorted((*kept["add"], *off.free))),
        half=tuple(sorted((*kept["half"], *off.half))),
        remove=tuple(sorted((*kept["remove"], *off.worked))),
    )


# -------------------------------------------------------------------------------------------- leads


def _counts(situation: Situation, changes: Changes) -> LeadCounts:
    """The counts with other leads so far: more on the last counted day, fewer from the last days on."""
    rows = {(row.day, row.segment): row.leads for row in situation.counts.rows}
    days = _counted_days(situation)
    for (kind, segment), wanted in changes.items():
        if kind is not Input.LEADS or segment is None or not days:
            continue
        missing = int(wanted) - sum(rows.get((day, segment), 0) for day in days)
        for day in reversed(days):
            change = max(missing, -rows.get((day, segment), 0))
            rows[day, segment] = rows.get((day, segment), 0) + change
            missing -= change
    found = tuple(DayCount(*key, leads) for key, leads in sorted(rows.items()) if leads)
    return replace(situation.counts, rows=found, total=sum(row.leads for row in found))


# --------------------------------------------------------------------------------------- the answer


@dataclass(frozen=True, slots=True)
class Enough:
    """What would make the present pace enough for a segment.

    Attributes:
        leads: of the whole month at the pace so far.
        already: these reach the goal as it is.
        close_rate, deal_size: the least that needs no more leads than that, in steps of 0.01 % and of 1;
            None when none is.
    """

    leads: int
    already: bool
    close_rate: Fraction | None = None
    deal_size: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A segment, or the total (None), by the agreement and by the changes.

    Attributes:
        more_per_workday: leads that each remaining workday must bring more (fewer when negative), rounded
            away from 0 to a tenth, as the requirement is rounded up; None when no workday remains.
        enough: of the changed figures; None for the total, without a pace, and for goals set by hand.
    """

    segment: str | None
    agreed: Row
    now: Row
    more_per_workday: Decimal | None
    enough: Enough | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """The facts of the one sentence: who owes how many leads instead of how many.

    Attributes:
        segment: None for all of them.
        key: the one input that was changed, with its value; None when there are several.
    """

    segment: str | None
    key: Key | None
    value: Number | None
    goal: int
    before: int
    more_per_workday: Decimal | None


@dataclass(frozen=True, slots=True)
class Sway:
    """What an input moves when it is a tenth smaller or larger.

    Attributes:
        less, more: (goal, required per workday) of the total, or of the segment looked at.
        effect: the larger of both changes of the requirement, or of the goal when no workday remains.
    """

    kind: Input
    less: tuple[int, Decimal | None]
    more: tuple[int, Decimal | None]
    effect: Fraction


@dataclass(frozen=True, slots=True)
class Answer:
    """Everything that the changed inputs change.

    Attributes:
        agreed, now: the scorecard by the agreement, and by the changes.
        sways: the largest effect first, around the changed figures.
    """

    changes: Changes
    agreed: Scorecard
    now: Scorecard
    total: Line
    segments: tuple[Line, ...]
    said: Said | None
    sways: tuple[Sway, ...]


def answer(situation: Situation, changes: Changes, *, segment: str | None = None) -> Answer:
    """Return what would be.

    Args:
        situation: where the month stands.
        changes: from `read`.
        segment: whose sensitivity is asked for; None for the total.
    """
    after = _applied(situation, changes) if changes else situation
    amounts = _agreed_values(after, Input.REVENUE_GOAL)
    lines = tuple(
        Line(was.segment, was, now, _more(was, now), _enough(after, now, amounts))
        for was, now in zip(situation.agreed.segments, after.agreed.segments, strict=True)
    )
    before, total = situation.agreed.total, after.agreed.total
    whole = Line(None, before, total, _more(before, total))
    return Answer(
        changes=changes,
        agreed=situation.agreed,
        now=after.agreed,
        total=whole,
        segments=lines,
        said=_said(changes, whole, lines),
        sways=_sways(after, segment),
    )


def _more(was: Row, now: Row) -> Decimal | None:
    if (
        None in (was.goal, now.goal, was.actual, now.actual)
        or not was.remaining
        or not now.remaining
    ):
        return None
    more = _owed_a_day(now) - _owed_a_day(was)
    tenths = ceil(abs(more) * 10)
    return Decimal(tenths if more > 0 else -tenths).scaleb(-1)


def _owed_a_day(row: Row) -> Fraction:
    return max(0, (row.goal or 0) - (row.actual or 0)) / row.remaining


def _said(changes: Changes, total: Line, segments: Sequence[Line]) -> Said | None:
    """Choose who the sentence is about: the one segment that was changed, else all of them."""
    if not changes:
        return None
    touched = {segment for _, segment in changes}
    only = touched.pop() if len(touched) == 1 else None
    line = next((one for one in segments if one.segment == only), total)
    key = next(iter(changes)) if len(changes) == 1 else None
    if line.now.goal is None or line.agreed.goal is None:
        return None
    return Said(
        line.segment,
        key,
        None if key is None else changes[key],
        line.now.goal,
        line.agreed.goal,
        line.more_per_workday,
    )


# -------------------------------------------------------------------------------- the reverse question

_RATE_STEPS = 10_000  # a hundredth of a percent
_LARGEST_SIZE = 10**12


def _enough(situation: Situation, row: Row, amounts: Mapping[str, Number | None]) -> Enough | None:
    terms = sla.terms_in_force(
        situation.facts.plan, str(row.segment), situation.month, on=situation.due.business_date
    )
    revenue = _marketing_revenue(amounts, str(row.segment), terms)
    if row.rate_per_workday is None or row.actual is None or not row.goal or terms is None:
        return None
    if terms.goal is not None or terms.close_rate is None or not terms.deal_size or not revenue:
        return None
    leads = floor(row.actual + row.rate_per_workday * row.remaining)
    if row.goal <= leads:
        return Enough(leads, already=True)
    rates, size = terms.stage_rates, terms.deal_size

    def needed(deal_size: Decimal, close_rate: Fraction) -> int:
        return _goal(situation.facts.plan, revenue, deal_size, (*rates, close_rate))

    rate = terms.close_rate
    steps = _least(
        floor(rate * _RATE_STEPS) + 1,
        _RATE_STEPS,
        lambda step: needed(size, Fraction(step, _RATE_STEPS)) <= leads,
        guess=ceil(rate * row.goal / leads * _RATE_STEPS) if leads else 0,
    )
    amount = _least(
        floor(size) + 1,
        _LARGEST_SIZE,
        lambda one: needed(Decimal(one), rate) <= leads,
        guess=ceil(Fraction(size) * row.goal / leads) if leads else 0,
    )
    return Enough(
        leads,
        already=False,
        close_rate=None if steps is None else Fraction(steps, _RATE_STEPS),
        deal_size=None if amount is None else Decimal(amount),
    )


def _marketing_revenue(
    revenue: Mapping[str, Number | None], segment: str, terms: sla.Terms | None
) -> Fraction | None:
    amount = revenue.get(segment)
    if terms is None or terms.marketing_share is None or amount is None:
        return None
    return Fraction(amount) * terms.marketing_share


def _goal(
    plan: sla.Plan, revenue: Fraction, deal_size: Decimal, rates: tuple[Fraction, ...]
) -> int:
    """The leads for a revenue, as `sla` rounds them for this plan."""
    if plan.rounding == "cascade":
        return sla.cascaded_goal(revenue, deal_size, rates)
    return sla.goal_for(revenue, 1, deal_size, *rates)


def _least(low: int, high: int, serves: Callable[[int], bool], *, guess: int) -> int | None:
    """The smallest number from low to high that serves, where all after it do too.

    `guess` only shortens the search; whatever it is, the answer is the same.
    """
    if low > high or not serves(high):
        return None
    step, near = 1, min(max(guess, low), high)
    if serves(near):
        high = near
        while near > low and serves(near := max(low, near - step)):
            high, step = near, 2 * step
        low = near if near == high else near + 1
    else:
        low = near + 1
        while not serves(near := min(high, near + step)):
            low, step = near + 1, 2 * step
        high = near
    while low < high:
        middle = (low + high) // 2
        if serves(middle):
            high = middle
        else:
            low = middle + 1
    return low


# -------------------------------------------------------------------------------------- sensitivity

_TENTH = Fraction(1, 10)
_RATIOS = (Input.MARKETING_SHARE, Input.CLOSE_RATE)


def _sways(situation: Situation, segment: str | None) -> tuple[Sway, ...]:
    """Return what each input moves, the most effective first.

    Only goals and what they require are looked at, so that fifty segments are answered at once.
    """
    row = _row_of(situation, segment)
    if row.goal is None or row.actual is None:
        return ()
    base = Fraction(row.goal), _exactly(row.goal, row.actual, row.remaining)
    month_only = replace(situation, facts=replace(situation.facts, plan=_of_this_month(situation)))
    found = []
    for kind in (*OF_SEGMENTS, Input.WORKDAYS):
        both = _outcomes(month_only, kind, segment)
        if both:
            effect = max(_effect(base, one) for one in both)
            found.append(Sway(kind, _shown(both[0]), _shown(both[1]), effect))
    return tuple(sorted(found, key=lambda sway: -sway.effect))


def _of_this_month(situation: Situation) -> sla.Plan:
    """The plan of this month alone: other months' figures cost time and do not move its goals."""
    plan, month, on = situation.facts.plan, situation.month, situation.due.business_date
    wanted = sla.revenue_month(plan, month)
    terms = [sla.terms_in_force(plan, segment, month, on=on) for segment in plan.segments]
    return replace(
        plan,
        revenue_goals=tuple(goal for goal in plan.revenue_goals if goal.month == wanted),
        terms=tuple(replace(entry, valid_from=month) for entry in terms if entry is not None),
        changes=(),
    )


_Outcome = tuple[int, int, Fraction]  # goal, actual, remaining workdays


def _row_of(situation: Situation, segment: str | None) -> Row:
    rows = (situation.agreed.total, *situation.agreed.segments)
    return next(row for row in rows if row.segment == segment)


def _outcomes(situation: Situation, kind: Input, segment: str | None) -> tuple[_Outcome, ...]:
    """What a tenth less and a tenth more of an input come to; nothing where there is no such figure."""
    row = _row_of(situation, segment)
    goal, actual, remaining = row.goal or 0, row.actual or 0, row.remaining
    factors = (1 - _TENTH, 1 + _TENTH)
    if kind is Input.LEADS:
        return tuple((goal, round_half_up(actual * factor), remaining) for factor in factors)
    if kind is Input.WORKDAYS:
        return tuple(
            (goal, actual, max(Fraction(0), row.workdays * factor - row.elapsed))
            for factor in factors
        )
    names = situation.segments if segment is None else (segment,)
    values = _agreed_values(situation, kind)
    known = {name: value for name in names if (value := values[name]) is not None}
    return tuple(
        (_goals_with(situation, kind, known, factor, names), actual, remaining)
        for factor in factors
        if known
    )


def _goals_with(
    situation: Situation,
    kind: Input,
    values: Mapping[str, Number],
    factor: Fraction,
    names: Sequence[str],
) -> int:
    changes: Changes = {
        (kind, name): _scaled(kind, value, factor) for name, value in values.items()
    }
    facts = replace(situation.facts, plan=_plan(situation, changes))
    goals = editions.goals_of(facts, situation.due.month, on=situation.due.business_date)
    return sum(goal.goal or 0 for goal in goals if goal.segment in names)


def _scaled(kind: Input, value: Number, factor: Fraction) -> Number:
    scaled = Fraction(value) * factor
    return min(scaled, Fraction(1)) if kind in _RATIOS else scaled


def _exactly(goal: int, actual: int, remaining: Fraction) -> Fraction | None:
    return max(0, goal - actual) / remaining if remaining else None


def _effect(base: tuple[Fraction, Fraction | None], outcome: _Outcome) -> Fraction:
    goal, required = base
    exactly = _exactly(*outcome)
    if required is None or exactly is None:
        return abs(outcome[0] - goal)
    return abs(exactly - required)


def _shown(outcome: _Outcome) -> tuple[int, Decimal | None]:
    goal, actual, remaining = outcome
    return goal, required_per_workday(goal, actual, remaining)


# --------------------------------------------------------------------------------------------- TOML


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure that would have to be agreed anew; `segment` None for the digest."""

    kind: Input
    segment: str | None
    before: Number | None
    now: Number


def differences(situation: Situation, changes: Changes) -> tuple[Difference, ...]:
    """Return every figure that is not as agreed, segment by segment."""
    found = []
    for kind in dict.fromkeys(kind for kind, _ in changes):
        names: Sequence[str | None] = (
            situation.segments
            if kind in OF_SEGMENTS
            else [name for which, name in changes if which is kind]
        )
        before = {name: agreed(situation, (kind, name)) for name in names}
        for name, value in before.items():
            now = changes.get((kind, name), changes.get((kind, None)))
            # Beside other workdays for all, those of a segment that keeps its own have to be said too.
            kept = kind is Input.WORKDAYS and name is not None and (kind, None) in changes
            if now is not None and (now != value or kept):
                found.append(Difference(kind, name, value, now))
    return tuple(found)


def as_toml(situation: Situation, changes: Changes, *, whole: bool = False) -> str:
    """Return the changes as lines for the settings, each changed figure with the agreed one beside it.

    Args:
        situation: where the month stands.
        changes: from `read`.
        whole: write the whole of [sla], for an SLA that stands in a worksheet so far.
    """
    facts = changed_facts(situation, changes)
    before = differences(situation, changes)
    blocks = [
        _sla_lines(facts.plan, before, whole=whole)
        if any(one.kind in (*_OF_THE_PLAN, Input.LAG_MONTHS) for one in before)
        else [],
        _threshold_lines(facts, before),
        *_calendar_lines(situation.facts, facts, before),
        _own_calendar_lines(situation.facts, facts, before),
        [
            f"# leads so far are counted, not agreed: {_text(one.segment or '')} "
            f"{one.now} instead of {one.before}"
            for one in before
            if one.kind is Input.LEADS
        ],
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines) + "\n" if before else ""


_OF_THE_PLAN = (*TERMS, Input.REVENUE_GOAL)


def sla_as_toml(plan: sla.Plan) -> str:
    """Return a plan as the whole of [sla]: tables in place of a worksheet."""
    return "\n".join(_sla_lines(plan, (), whole=True)) + "\n"


def _sla_lines(plan: sla.Plan, before: Sequence[Difference], *, whole: bool) -> list[str]:
    touched = {one.segment for one in before if one.kind in _OF_THE_PLAN}
    lag = next((one for one in before if one.kind is Input.LAG_MONTHS), None)
    lines = []
    if whole:
        lines += ["[sla]", f"currency = {_text(plan.currency)}"]
        lines += [f"rounding = {_text(plan.rounding)}"] if plan.rounding != "once" else []
        lines += ["carry_forward = true"] if plan.carry_forward else []
    elif lag is not None:
        lines.append("# in [sla]:")
    if lag is not None or (whole and plan.lag_months):
        lines.append(_commented(f"lag_months = {plan.lag_months}", lag))
    if whole:
        for rate in plan.rates:
            lines += ["", "[[sla.rates]]", f"currency = {_text(rate.currency)}"]
            lines += [f"rate = {_decimal(rate.rate)}", f"as_of = {rate.as_of}"]
    for segment, currency in plan.currencies:
        if whole or segment in touched:
            lines += _segment_lines(plan, segment, currency, before, whole=whole)
    return lines


def _segment_lines(
    plan: sla.Plan,
    segment: str,
    currency: str,
    before: Sequence[Difference],
    *,
    whole: bool,
) -> Iterator[str]:
    """All tables of a segment: a later one replaces the earlier, so one alone would not do."""
    mine = [one for one in before if one.segment == segment]
    terms = sorted((t for t in plan.terms if t.segment == segment), key=lambda t: t.valid_from)
    goals = {g.month: g.amount for g in plan.revenue_goals if g.segment == segment}
    if not terms:  # a segment without a table would be none
        terms = [sla.Terms(segment, min(goals, default=date(2000, 1, 1)), None, None, None)]
    starts = [entry.valid_from.replace(day=1) for entry in terms]
    yield ""
    if not whole:
        yield f"# instead of every [[sla.segments]] of {_text(segment)}:"
    for place, entry in enumerate(terms):
        first = date.min if place == 0 else starts[place]
        last = starts[place + 1] if place + 1 < len(terms) else date.max
        months = {month: goals[month] for month in sorted(goals) if first <= month < last}
        current = place == _changed_place(terms, mine)
        if place:
            yield ""
        yield from ("[[sla.segments]]", f"segment = {_text(segment)}")
        yield from (f"currency = {_text(currency)}", f"valid_from = {_text(_from(entry))}")
        said = next((one for one in mine if one.kind is Input.REVENUE_GOAL), None)
        yield from _revenue_lines(entry.valid_from, months, said)
        yield from _figures(entry, mine if current else ())


def _revenue_lines(
    valid_from: date, months: Mapping[date, Decimal], said: Difference | None
) -> Iterator[str]:
    """One amount for all months of a table where they allow it, else an amount for each."""
    if not months:
        return
    holds = said if said is not None and said.now in months.values() else None
    first, last = min(months), max(months)
    unbroken = first == valid_from.replace(day=1) and last == add_months(first, len(months) - 1)
    if unbroken and len(set(months.values())) == 1:
        yield _commented(f"revenue_goal = {_decimal(months[first])}", holds)
        yield f"valid_to = {_text(f'{last:%Y-%m}')}"
        return
    written = ", ".join(f"{month:%Y-%m} = {_decimal(amount)}" for month, amount in months.items())
    yield _commented(f"revenue_goal = {{ {written} }}", holds)


def _changed_place(terms: Sequence[sla.Terms], mine: Sequence[Difference]) -> int | None:
    """Which of the tables holds the changed figures: the last one that has all of them."""
    wanted = {one.kind.value: one.now for one in mine if one.kind in TERMS}
    places = [
        place
        for place, entry in enumerate(terms)
        if wanted and all(getattr(entry, key) == value for key, value in wanted.items())
    ]
    return places[-1] if places else None


def _from(terms: sla.Terms) -> str:
    day = terms.valid_from
    return f"{day:%Y-%m}" if day.day == 1 else str(day)


def _figures(terms: sla.Terms, mine: Sequence[Difference]) -> Iterator[str]:
    for key in ("deal_size", "marketing_share", "close_rate"):
        value = getattr(terms, key)
        if value is not None:
            said = next((one for one in mine if one.kind.value == key), None)
            yield _commented(f"{key} = {_figure(value)}", said)
    if terms.stage_rates:
        yield f"stage_rates = [{', '.join(map(_figure, terms.stage_rates))}]"
    for key in ("sales_deal_size", "sales_close_rate", "goal", "sales_goal"):
        value = getattr(terms, key)
        if value is not None:
            yield f"{key} = {_figure(value)}"


def _threshold_lines(facts: editions.Facts, before: Sequence[Difference]) -> list[str]:
    changed = {one.kind: one for one in before if one.kind in THRESHOLDS}
    if not changed:
        return []
    return [
        "# in [thresholds]:",
        *(
            _commented(f"{kind.value} = {_threshold(kind, facts.thresholds)}", one)
            for kind, one in changed.items()
        ),
    ]


def _threshold(kind: Input, thresholds: Thresholds) -> str:
    value: Fraction = getattr(thresholds, kind.value)
    ratios = (Input.AHEAD, Input.ON_TRACK, Input.AT_RISK, Input.NOISE)
    return _figure(value) if kind in ratios else _decimal(value)


def _calendar_lines(
    agreed_facts: editions.Facts, facts: editions.Facts, before: Sequence[Difference]
) -> Iterator[list[str]]:
    said = next((one for one in before if (one.kind, one.segment) == (Input.WORKDAYS, None)), None)
    if said is None:
        return
    pairs = [("calendar", agreed_facts.calendar, facts.calendar)]
    pairs += [
        (f"calendars.{_text(name)}", agreed_facts.calendars[name], one)
        for name, one in facts.calendars.items()
        if name in agreed_facts.calendars
    ]
    for name, was, now in pairs:
        lists = [
            f"{key} = [{', '.join(map(str, getattr(now, key)))}]"
            for key in ("add", "half", "remove")
            if getattr(now, key) != getattr(was, key)
        ]
        lists[:1] = [_commented(line, said) for line in lists[:1]]
        yield [f"# in [{name}]:", *lists]


def _own_calendar_lines(
    agreed_facts: editions.Facts, facts: editions.Facts, before: Sequence[Difference]
) -> list[str]:
    """All segments, as a single table would lead them, and the calendars that some of them now have."""
    said = {one.segment: one for one in before if one.kind is Input.WORKDAYS and one.segment}
    if not said:
        return []
    lines = ["# instead of every [[segments]]:"]
    for segment in facts.segments:
        lines += ["[[segments]]", f"name = {_text(segment.name)}"]
        if segment.values:
            lines.append(f"values = [{', '.join(map(_text, segment.values))}]")
        if segment.calendar is not None:
            line = f"calendar = {_text(segment.calendar)}"
            lines.append(_commented(line, said.get(segment.name)))
        lines += [f"active_from = {segment.active_from}"] if segment.active_from else []
        lines.append("")
    for name, calendar in facts.calendars.items():
        if name not in agreed_facts.calendars:
            lines += [f"[calendars.{_text(name)}]", *_calendar_table(calendar), ""]
    return lines[:-1]


def _calendar_table(calendar: Calendar) -> Iterator[str]:
    yield f"country = {_text(calendar.country)}"
    if calendar.subdivision is not None:
        yield f"subdivision = {_text(calendar.subdivision)}"
    for key in ("add", "half", "remove"):
        if days := getattr(calendar, key):
            yield f"{key} = [{', '.join(map(str, days))}]"
    if calendar.closures:
        closed = (f"{{ first = {a}, last = {b} }}" for a, b in calendar.closures)
        yield f"closures = [{', '.join(closed)}]"
    yield f"workweek = [{', '.join(_text(WEEKDAYS[day]) for day in calendar.workweek)}]"
    if calendar.half_days:
        yield "half_days = true"
    if calendar.categories:
        yield f"categories = [{', '.join(map(_text, calendar.categories))}]"


def _commented(line: str, said: Difference | None) -> str:
    if said is None:
        return line
    before = "nothing" if said.before is None else _plain(said.kind, said.before)
    return f"{line}  # agreed: {before}"


def _plain(kind: Input, value: Number) -> str:
    ratios = (*TERMS, Input.AHEAD, Input.ON_TRACK, Input.AT_RISK, Input.NOISE)
    if kind in ratios and isinstance(value, Fraction):
        return f"{_decimal(value * 100)}%"
    return _decimal(value)


def _figure(value: Number) -> str:
    """A ratio in percent, an amount or count as a plain number."""
    if isinstance(value, Fraction):
        return f'"{_decimal(value * 100)}%"'
    return _decimal(value)


def _decimal(value: Number) -> str:
    """Return a number without exponent or needless zeros."""
    text = f"{_amount(value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _text(text: str) -> str:
    """Return a TOML string."""
    escaped = "".join(
        f"\\u{ord(letter):04x}" if ord(letter) < 0x20 or ord(letter) == 0x7F else letter  # noqa: PLR2004 - control characters
        for letter in text.replace("\\", "\\\\").replace('"', '\\"')
    )
    return f'"{escaped}"'
