"""The edition computed a second time, from single leads, by someone who never saw the product.

Plain loops, exact fractions, zoneinfo and a hand-written list of holidays. It imports nothing of the
product and no vendor, and looks at one question only: are the numbers right?
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

# Public holidays by the cantons' own lists, December 2025 to January 2027.
HOLIDAYS = {
    "ZH": {
        date(2025, 12, 25),
        date(2025, 12, 26),
        date(2026, 1, 1),
        date(2026, 4, 3),
        date(2026, 4, 6),
        date(2026, 5, 1),
        date(2026, 5, 14),
        date(2026, 5, 25),
        date(2026, 8, 1),
        date(2026, 12, 25),
        date(2026, 12, 26),
    },
    "TI": {
        date(2025, 12, 8),
        date(2025, 12, 25),
        date(2025, 12, 26),
        date(2026, 1, 1),
        date(2026, 1, 6),
        date(2026, 3, 19),
        date(2026, 4, 6),
        date(2026, 5, 1),
        date(2026, 5, 14),
        date(2026, 5, 25),
        date(2026, 6, 4),
        date(2026, 6, 29),
        date(2026, 8, 1),
        date(2026, 8, 15),
        date(2026, 11, 1),
        date(2026, 12, 8),
        date(2026, 12, 25),
        date(2026, 12, 26),
    },
    "ZG": {
        date(2025, 12, 8),
        date(2025, 12, 25),
        date(2026, 1, 1),
        date(2026, 4, 3),
        date(2026, 5, 14),
        date(2026, 6, 4),
        date(2026, 8, 1),
        date(2026, 8, 15),
        date(2026, 11, 1),
        date(2026, 12, 8),
        date(2026, 12, 25),
    },
}


@dataclass
class Lead:
    """One lead: when it came in, and where it was seen at the previous edition and now.

    `then` and `now` are segment names, "" for a value nobody knows, None when the lead was not there:
    entered late, deleted, or merged into another.
    """

    instant: datetime
    then: str | None
    now: str | None


@dataclass
class Owing:
    """A segment and its agreement; `goal` is set by hand, anything None is missing."""

    name: str
    canton: str
    revenue: int | None = None
    share_percent: int | None = None
    deal_size: int | None = None
    close_permille: int | None = None
    goal: int | None = None
    active_from: date | None = None


@dataclass
class Case:
    """A month to compute: the first edition of it when `previous` is None."""

    canton: str
    timezone: str
    business_date: date
    previous: date | None
    segments: list[Owing]
    leads: list[Lead]
    half_days: list[date] = field(default_factory=list)


@dataclass
class Answer:
    """One row of the scorecard."""

    goal: int | None
    actual: int
    expected: Fraction | None = None
    gap: int | None = None
    attainment: Fraction | None = None
    required: Fraction | None = None  # in tenths of a lead, rounded up
    early: int = 0  # leads of the month from before the segment was active: no pace to go on from
    status: str = ""


def day_weight(day: date, canton: str, half_days: list[date]) -> Fraction:
    """How much a day counts."""
    if day.weekday() in (5, 6):
        return Fraction(0)
    if day in half_days:
        return Fraction(1, 2)
    if day in HOLIDAYS[canton]:
        return Fraction(0)
    return Fraction(1)


def first_of(day: date) -> date:
    """First day of the month."""
    return date(day.year, day.month, 1)


def days_of_month(day: date) -> list[date]:
    """Every day of the day's month."""
    found = []
    step = first_of(day)
    while step.month == day.month:
        found.append(step)
        step += timedelta(days=1)
    return found


def workday_before(day: date, canton: str, half_days: list[date]) -> date:
    """The last day before with any weight."""
    step = day - timedelta(days=1)
    while day_weight(step, canton, half_days) == 0:
        step -= timedelta(days=1)
    return step


def is_first_workday(day: date, canton: str, half_days: list[date]) -> bool:
    """No earlier day of the month has any weight."""
    return workday_before(day, canton, half_days).month != day.month


def local_day(instant: datetime, timezone: str) -> date:
    """The day on the wall calendar."""
    return instant.astimezone(ZoneInfo(timezone)).date()


def counts_per_day(case: Case, *, then: bool = False) -> dict[tuple[date, str], int]:
    """Leads by local day and segment, up to the end of the day before the business date."""
    found: dict[tuple[date, str], int] = {}
    for lead in case.leads:
        segment = lead.then if then else lead.now
        if segment is None:
            continue
        day = local_day(lead.instant, case.timezone)
        if day >= case.business_date:
            continue
        found[day, segment] = found.get((day, segment), 0) + 1
    return found


def goal_of(owing: Owing) -> int | None:
    """Leads owed: revenue x share / (deal size x close rate), rounded up by whole numbers."""
    if owing.goal is not None:
        return owing.goal
    if owing.revenue is None:
        return None
    if owing.revenue == 0 or owing.share_percent == 0:
        return 0
    if not owing.share_percent or not owing.deal_size or not owing.close_permille:
        return None
    # revenue x share/100 / (size x rate/1000)
    above = owing.revenue * owing.share_percent * 1000
    below = owing.deal_size * owing.close_permille * 100
    return -(-above // below)


def chance_at_most(count: int, mean: Fraction) -> float:
    """Poisson probability of at most so many."""
    total = 0.0
    for k in range(count + 1):
        total += math.exp(k * math.log(mean) - float(mean) - math.lgamma(k + 1))
    return total


def status_of(  # noqa: PLR0911 - one return per rule of the reference, in its order
    answer: Answer, elapsed: Fraction, remaining: Fraction, *, closed: bool
) -> str:
    """The words of the reference, one after the other; no history, so the run rate forecasts."""
    if not answer.goal:
        return "no_target"
    if answer.actual >= answer.goal:
        return "reached"
    if closed:
        return "missed"
    if answer.expected is None or elapsed < 3 or answer.expected < 5:
        return "too_early"
    pace = answer.actual / answer.expected
    if pace >= Fraction(11, 10):
        return "ahead"
    if pace >= Fraction(19, 20):
        rate = (answer.actual - answer.early + Fraction(1, 2)) / elapsed
        if remaining <= 3 and answer.actual + rate * remaining < answer.goal:
            return "at_risk"
        return "on_track"
    if pace >= Fraction(4, 5):
        return "at_risk"
    if chance_at_most(answer.actual, answer.expected) < 0.1:
        return "behind"
    return "at_risk"


def weights_of(case: Case, owing: Owing | None, month: date) -> dict[date, Fraction]:
    """Weights of a month's days for a segment, or for everybody."""
    found = {}
    for day in days_of_month(month):
        weight = day_weight(day, owing.canton if owing else case.canton, case.half_days)
        if owing and owing.active_from and day < owing.active_from:
            weight = Fraction(0)
        found[day] = weight
    return found


def complete(
    answer: Answer, weights: dict[date, Fraction], cut_off: date, *, closed: bool
) -> Answer:
    """Fill in what follows from goal, actual and expected."""
    elapsed = remaining = Fraction(0)
    for day, weight in weights.items():
        if day <= cut_off:
            elapsed += weight
        else:
            remaining += weight
    if answer.goal is not None and answer.expected is not None:
        doubled = math.floor(answer.expected * 2)
        answer.gap = answer.actual - (doubled + 1) // 2
    if answer.goal:
        answer.attainment = Fraction(answer.actual) / answer.goal
        missing = answer.goal - answer.actual
        if missing <= 0:
            answer.required = Fraction(0)
        elif remaining > 0:
            tenths = Fraction(10 * missing) / remaining
            answer.required = Fraction(-((-tenths.numerator) // tenths.denominator))
    answer.status = status_of(answer, elapsed, remaining, closed=closed)
    return answer


def leads_of(counts: dict[tuple[date, str], int], name: str, month: date) -> dict[date, int]:
    """One segment's leads by day of a month."""
    return {
        day: leads
        for (day, segment), leads in counts.items()
        if segment == name and first_of(day) == month
    }


def rows(case: Case, month: date) -> tuple[dict[str, Answer], Answer, int]:
    """Every segment's row, the total and the unassigned leads of a month."""
    counts = counts_per_day(case)
    cut_off = min(case.business_date - timedelta(days=1), days_of_month(month)[-1])
    closed = case.business_date > days_of_month(month)[-1]
    found: dict[str, Answer] = {}
    for owing in case.segments:
        goal = goal_of(owing)
        if owing.active_from and owing.active_from > days_of_month(month)[-1]:
            goal = None
        own = leads_of(counts, owing.name, month)
        began = owing.active_from or month
        early = sum(leads for day, leads in own.items() if day < began)
        weights = weights_of(case, owing, month)
        answer = Answer(goal, sum(own.values()), early=early)
        whole = sum(weights.values(), Fraction(0))
        due = sum((w for day, w in weights.items() if day <= cut_off), Fraction(0))
        if goal is not None and whole > 0:
            answer.expected = goal * due / whole
        found[owing.name] = complete(answer, weights, cut_off, closed=closed)
    unassigned = 0
    for (day, segment), leads in counts.items():
        if segment == "" and first_of(day) == month:
            unassigned += leads
    goals = [answer.goal for answer in found.values() if answer.goal is not None]
    expected = [answer.expected for answer in found.values() if answer.expected is not None]
    total = Answer(sum(goals) if goals else None, unassigned)
    for answer in found.values():
        total.actual += answer.actual
    if expected and total.goal is not None:
        total.expected = sum(expected, Fraction(0))
    return found, complete(total, weights_of(case, None, month), cut_off, closed=closed), unassigned


def bridge(
    case: Case, month: date
) -> tuple[int, dict[date, int], dict[tuple[date, str], int], int]:
    """What was said before, the new days, the corrections, and what is said now."""
    last = min(case.business_date - timedelta(days=1), days_of_month(month)[-1])
    now = {key: n for key, n in counts_per_day(case).items() if first_of(key[0]) == month}
    if case.previous is not None and first_of(case.previous) == month:
        known_to = case.previous - timedelta(days=1)
        before = {
            key: n
            for key, n in counts_per_day(case, then=True).items()
            if first_of(key[0]) == month and key[0] <= known_to
        }
    else:
        came_out = case.previous or workday_before(case.business_date, case.canton, case.half_days)
        known_to = came_out - timedelta(days=1)
        before = {key: n for key, n in now.items() if key[0] <= known_to}
    new = {}
    for day in days_of_month(month):
        if known_to < day <= last:
            new[day] = sum(n for (when, _), n in now.items() if when == day)
    corrections = {}
    for key in {*now, *before}:
        if key[0] <= known_to and now.get(key, 0) != before.get(key, 0):
            corrections[key] = now.get(key, 0) - before.get(key, 0)
    return sum(before.values()), new, corrections, sum(now.values())
