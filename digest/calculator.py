"""Step 6: goals, counts and the days of a month become the scorecard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from math import ceil, floor

from digest.forecast import History, Prior, cdf, chance_of_zero, forecast_from, prior
from digest.model import (
    UNASSIGNED,
    Bridge,
    Correction,
    DayCount,
    Note,
    NoteCode,
    Period,
    Row,
    Scorecard,
    Status,
    Value,
    Workday,
)
from digest.sla import Goal, Plan, to_plan_currency
from digest.workdays import weight_of


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where one status ends and the next begins; ratios of unrounded figures.

    Attributes:
        ahead, on_track, at_risk: least pace of each status; below the last it is behind.
        noise: behind needs a chance below this of so few leads although all is on plan.
        mix_points: percentage points between value and count attainment that are worth a warning.
        min_elapsed, min_expected: workdays and expected leads below which it is too early.
        final_workdays: in so many last workdays on_track needs a forecast that reaches the goal.
        implausible: chance of a zero, by history, below which the zero is doubted.
        unassigned_leads, unassigned_share: either one is worth a warning.
    """

    ahead: Fraction = Fraction(110, 100)
    on_track: Fraction = Fraction(95, 100)
    at_risk: Fraction = Fraction(80, 100)
    noise: Fraction = Fraction(10, 100)
    mix_points: Fraction = Fraction(5)
    min_elapsed: Fraction = Fraction(3)
    min_expected: Fraction = Fraction(5)
    final_workdays: Fraction = Fraction(3)
    implausible: Fraction = Fraction(1, 100)
    unassigned_leads: int = 3
    unassigned_share: Fraction = Fraction(5, 100)

    def __post_init__(self) -> None:
        if not 0 <= self.at_risk <= self.on_track <= self.ahead:
            msg = (
                f"thresholds: found at_risk {float(self.at_risk):g}, on_track "
                f"{float(self.on_track):g}, ahead {float(self.ahead):g}; "
                "each must be at least the one before and none below 0"
            )
            raise ValueError(msg)


DEFAULT_THRESHOLDS = Thresholds()


@dataclass(
    frozen=True
)  # without slots: what follows from it is kept, for a what-if asks again and again
class Course:
    """What paces one row: the weighted days of the month, and earlier months' days for the forecast.

    Attributes:
        start: the day on which a segment became active within the month; days before weigh nothing.
        workdays: the same days as the calendar weighs them, where pacing weighs them otherwise.
    """

    days: tuple[Workday, ...]
    history: History = ()
    start: date | None = None
    workdays: tuple[Workday, ...] | None = None

    @cached_property
    def known(self) -> Prior | None:
        """What the earlier months say of the leads per weight of day."""
        return prior(self.history)

    def with_days(self, days: tuple[Workday, ...]) -> Course:
        """Return the course of other days of the month; what earlier months say stays, unasked again."""
        other = replace(self, days=days)
        vars(other)["known"] = self.known
        return other

    @cached_property
    def _splits(self) -> dict[date, tuple[Fraction, Fraction, Fraction]]:
        return {}

    def split(self, cut_off: date) -> tuple[Fraction, Fraction, Fraction]:
        """Weight of the month, of the days up to and including the cut-off, and of the others."""
        if cut_off not in self._splits:
            whole, elapsed = weight_of(self.days), weight_of(self.days, cut_off)
            self._splits[cut_off] = whole, elapsed, whole - elapsed
        return self._splits[cut_off]

    def workdays_left(self, cut_off: date) -> Fraction:
        """Workdays after the cut-off by the calendar, whatever pacing makes of them."""
        if self.workdays is None:
            return self.split(cut_off)[2]
        return weight_of(self.workdays) - weight_of(self.workdays, cut_off)


# ------------------------------------------------------------------------------------------ rounding


def round_half_up(number: Fraction) -> int:
    """Return the nearest integer, the higher one of two."""
    return floor(number + Fraction(1, 2))


def floor_percent(ratio: Fraction) -> int:
    """Return whole percent for display: floored below 100, so that 398 of 400 is never 100 %."""
    percent = ratio * 100
    return floor(percent) if percent < 100 else round_half_up(percent)  # noqa: PLR2004 - per cent


def required_per_workday(goal: int, actual: int, remaining: Fraction) -> Decimal | None:
    """Return what each remaining workday must bring, rounded up to a tenth; None when none remains."""
    missing = max(0, goal - actual)
    if not remaining:
        return None if missing else Decimal("0.0")
    return Decimal(ceil(missing * 10 / remaining)).scaleb(-1)


# -------------------------------------------------------------------------------------------- a row


def status_of(
    row: Row,
    *,
    closed: bool = False,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    workdays_left: Fraction | None = None,
) -> tuple[Status, NoteCode | None]:
    """Return the status by the first rule that applies (domain, section 4), and why it was softened.

    Reads the row's figures and forecast, never the status it has. `workdays_left` are those of the
    calendar where `row.remaining` is weighed otherwise.
    """
    fixed = _status_without_pace(row, closed=closed)
    if fixed is not None:
        return fixed, None
    too_early = row.elapsed < thresholds.min_elapsed
    if row.pace is None or not row.expected or row.expected < thresholds.min_expected or too_early:
        return Status.TOO_EARLY, None
    if row.pace >= thresholds.ahead:
        return Status.AHEAD, None
    if row.pace >= thresholds.on_track:
        left = row.remaining if workdays_left is None else workdays_left
        return _status_on_track(row, left, thresholds)
    return _status_below_track(row, row.pace, row.expected, thresholds)


def _status_without_pace(row: Row, *, closed: bool) -> Status | None:
    if row.actual is None:
        return Status.NO_DATA
    if not row.goal:
        return Status.NO_TARGET
    if row.actual >= row.goal:
        return Status.REACHED
    return Status.MISSED if closed else None


def _status_on_track(
    row: Row, workdays_left: Fraction, thresholds: Thresholds
) -> tuple[Status, NoteCode | None]:
    final = workdays_left <= thresholds.final_workdays
    if final and row.forecast is not None and row.forecast.mean < (row.goal or 0):
        return Status.AT_RISK, NoteCode.FORECAST_BELOW_GOAL
    return Status.ON_TRACK, None


def _status_below_track(
    row: Row, pace: Fraction, expected: Fraction, thresholds: Thresholds
) -> tuple[Status, NoteCode | None]:
    if pace >= thresholds.at_risk:
        return Status.AT_RISK, None
    # On workday 5 a segment exactly on plan is this far below with probability 34 % (goal 20).
    if cdf(row.actual or 0, float(expected)) < thresholds.noise:
        return Status.BEHIND, None
    return Status.AT_RISK, NoteCode.WITHIN_NORMAL_VARIATION


@dataclass(frozen=True, slots=True)
class _Asked:
    """What every row of one scorecard shares."""

    cut_off: date
    closed: bool
    show_forecast: bool
    thresholds: Thresholds


def _row(
    asked: _Asked,
    draft: Row,
    course: Course,
    *,
    expected: Fraction | None,
    before_start: int = 0,
) -> Row:
    """Complete a row that knows its actual, goals and lead value."""
    whole, elapsed, remaining = course.split(asked.cut_off)
    figures = replace(draft, workdays=whole, elapsed=elapsed, remaining=remaining)
    if draft.actual is not None:
        figures = _with_ratios(
            figures, draft.actual, expected, course.known, before_start=before_start
        )
    status, why = status_of(
        figures,
        closed=asked.closed,
        thresholds=asked.thresholds,
        workdays_left=course.workdays_left(asked.cut_off),
    )
    notes = [*figures.notes]
    if why is not None:
        notes.append(Note(why, draft.segment))
    if status is Status.NO_TARGET and draft.actual and draft.segment != UNASSIGNED:
        notes.append(Note(NoteCode.WITHOUT_GOAL, draft.segment, number=Fraction(draft.actual)))
    shown = figures.forecast if asked.show_forecast and not asked.closed else None
    return replace(figures, status=status, forecast=shown, notes=tuple(notes))


def _with_ratios(
    row: Row, actual: int, expected: Fraction | None, known: Prior | None, *, before_start: int
) -> Row:
    rated = replace(row, rate_per_workday=actual / row.elapsed if row.elapsed else None)
    month_end = forecast_from(
        known,
        actual=actual,
        elapsed=row.elapsed,
        remaining=row.remaining,
        goal=row.goal or None,
        before_start=before_start,
    )
    if row.goal is None:
        return replace(rated, forecast=month_end)
    return replace(
        rated,
        expected=expected,
        gap=None if expected is None else actual - round_half_up(expected),
        attainment=Fraction(actual, row.goal) if row.goal else None,
        # Segments may pace by other calendars: something can be due before the total's first workday.
        pace=actual / expected if expected and row.elapsed else None,
        required_per_workday=(
            required_per_workday(row.goal, actual, row.remaining) if row.goal else None
        ),
        forecast=month_end,
    )


def _expected(goal: int | None, course: Course, cut_off: date) -> Fraction | None:
    whole, elapsed, _ = course.split(cut_off)
    return None if goal is None or not whole else goal * elapsed / whole


# ----------------------------------------------------------------------------------- the scorecard


def scorecard(
    *,
    plan: Plan,
    goals: Sequence[Goal],
    counts: Sequence[DayCount] | None,
    courses: Mapping[str | None, Course],
    period: Period,
    cut_off: date,
    send_days: Sequence[Workday],
    closed: bool = False,
    show_forecast: bool = True,
    no_data: Collection[str] = (),
    unknown: tuple[tuple[str, int], ...] = (),
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> Scorecard:
    """Set actual against goal for a month.

    Args:
        plan: for its plan currency and rates.
        goals: of the month, in the order of the rows.
        counts: leads by day and segment; days outside [period.start, cut_off] are ignored. None when
            the source gave nothing: every row is then no_data.
        courses: weighted days and history of each segment by name; None is the total's.
        period: the whole month.
        cut_off: the last counted day.
        send_days: the send calendar's days of the month, unweighted.
        closed: the month is over; statuses are reached, missed or no_target.
        no_data: segments whose source failed while others answered; the total is then withheld.
        show_forecast: print the forecast; statuses rely on it in any case.
        unknown: source values without a segment, with their leads.
        thresholds: where statuses begin.
    """
    actuals = _actuals(counts, period, cut_off)
    asked = _Asked(cut_off, closed, show_forecast, thresholds)
    rows = tuple(
        _row(
            asked,
            Row(
                segment=goal.segment,
                status=Status.NO_DATA,
                actual=_of(actuals, goal.segment, no_data),
                goal=goal.goal,
                sales_goal=goal.sales_goal,
                lead_value=None if _without_sla(goal) else goal.lead_value,
                currency=goal.currency,
                notes=goal.notes,
            ),
            courses[goal.segment],
            expected=_expected(goal.goal, courses[goal.segment], cut_off),
            before_start=_before_start(counts, period, goal.segment, courses[goal.segment].start),
        )
        for goal in goals
    )
    unassigned = _unassigned(asked, actuals, courses[None], rows)
    counted = None if actuals is None else sum(actuals.values())
    total = _total(asked, rows, counted, courses[None], plan.currency)
    return Scorecard(
        period=period,
        cut_off=cut_off,
        workdays=weight_of(send_days),
        elapsed=weight_of(send_days, cut_off),
        remaining=weight_of(send_days) - weight_of(send_days, cut_off),
        total=total,
        segments=rows,
        unassigned=unassigned,
        value=_value(plan, rows, total, thresholds),
        closed=closed,
        unknown=unknown,
    )


def _before_start(
    counts: Sequence[DayCount] | None, period: Period, segment: str, start: date | None
) -> int:
    if counts is None or start is None:
        return 0
    mine = (row for row in counts if row.segment == segment and row.day in period)
    return sum(row.leads for row in mine if row.day < start)


def _without_sla(goal: Goal) -> bool:
    """Nothing was agreed for the month; what a lead was worth before is not reused silently."""
    return any(note.code is NoteCode.NO_SLA for note in goal.notes)


def _actuals(
    counts: Sequence[DayCount] | None, period: Period, cut_off: date
) -> Mapping[str, int] | None:
    if counts is None:
        return None
    sums: dict[str, int] = {}
    for count in counts:
        if count.day in period and count.day <= cut_off:
            sums[count.segment] = sums.get(count.segment, 0) + count.leads
    return sums


def _of(actuals: Mapping[str, int] | None, segment: str, no_data: Collection[str]) -> int | None:
    return None if actuals is None or segment in no_data else actuals.get(segment, 0)


def _unassigned(
    asked: _Asked, actuals: Mapping[str, int] | None, course: Course, rows: Sequence[Row]
) -> Row | None:
    """The leads of no known segment. A segment in the counts without a row of its own is one too."""
    known = {row.segment for row in rows}
    leads = sum(n for segment, n in (actuals or {}).items() if segment not in known)
    if not leads:
        return None
    draft = Row(segment=UNASSIGNED, status=Status.NO_TARGET, actual=leads)
    return replace(_row(asked, draft, course, expected=None), forecast=None)


def _total(
    asked: _Asked,
    rows: Sequence[Row],
    actual: int | None,
    course: Course,
    currency: str,
) -> Row:
    missing = sorted(row.segment or "" for row in rows if row.actual is None)
    partial = (Note(NoteCode.PARTIAL, text=", ".join(missing)),)
    expected = [row.expected for row in rows if row.expected is not None]
    return _row(
        asked,
        Row(
            segment=None,
            status=Status.NO_DATA,
            actual=None if missing else actual,
            goal=_sum(row.goal for row in rows),
            sales_goal=_sum(row.sales_goal for row in rows),
            currency=currency,
            notes=partial if 0 < len(missing) < len(rows) else (),
        ),
        course,
        expected=sum(expected, Fraction(0)) if expected else None,
    )


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _value(plan: Plan, rows: Sequence[Row], total: Row, thresholds: Thresholds) -> Value | None:
    priced = [row for row in rows if row.lead_value is not None]
    if total.actual is None or not priced:
        return None
    goal = _worth(plan, ((row, row.goal) for row in priced))
    actual = _worth(plan, ((row, row.actual) for row in priced))
    attainment = actual / goal if goal else None
    differ = (
        attainment is not None
        and total.attainment is not None
        and abs(attainment - total.attainment) * 100 >= thresholds.mix_points
    )
    return Value(plan.currency, goal, actual, attainment, differ)


def _worth(plan: Plan, leads: Iterable[tuple[Row, int | None]]) -> Fraction:
    return sum(
        (
            to_plan_currency(plan, count * row.lead_value, row.currency or plan.currency)
            for row, count in leads
            if count is not None and row.lead_value is not None
        ),
        Fraction(0),
    )


# ------------------------------------------------------------------------------------------ warnings


def unassigned_warning(card: Scorecard, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> Note | None:
    """Warn of leads without a segment, with their values: at 3 or more, or at 5 % of all or more."""
    leads = card.unassigned.actual if card.unassigned is not None else None
    if not leads or not card.total.actual:
        return None
    share = Fraction(leads, card.total.actual)
    if leads < thresholds.unassigned_leads and share < thresholds.unassigned_share:
        return None
    return Note(NoteCode.UNASSIGNED, number=Fraction(leads), share=share, text=_verbatim(card))


def list_unassigned(card: Scorecard, thresholds: Thresholds = DEFAULT_THRESHOLDS) -> Scorecard:
    """Name the values of too few unassigned leads for a warning on their own row."""
    row = card.unassigned
    if row is None or not row.actual or unassigned_warning(card, thresholds) is not None:
        return card
    note = Note(NoteCode.UNASSIGNED, row.segment, number=Fraction(row.actual), text=_verbatim(card))
    return replace(card, unassigned=replace(row, notes=(*row.notes, note)))


def _verbatim(card: Scorecard) -> str | None:
    """The values as the source writes them; None when all are empty."""
    return ", ".join(value for value, _ in card.unknown if value) or None


def implausible_zeros(
    leads: Mapping[str | None, int | None],
    courses: Mapping[str | None, Course],
    days: Collection[date],
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
) -> tuple[Note, ...]:
    """Doubt zeros that history makes improbable; of the total (None) alone when that is one of them.

    Args:
        leads: by segment, on `days`.
        courses: of the same keys.
        days: local days of the month that the zeros speak of.
        thresholds: what counts as improbable.
    """
    found = {
        segment: note
        for segment, count in leads.items()
        if count == 0 and (note := _doubt(segment, courses[segment], days, thresholds)) is not None
    }
    return (found[None],) if None in found else tuple(found.values())


def _doubt(
    segment: str | None, course: Course, days: Collection[date], thresholds: Thresholds
) -> Note | None:
    known = course.known
    if known is None:
        return None
    weight = weight_of(day for day in course.days if day.day in days)
    chance = chance_of_zero(known, weight)
    if chance >= thresholds.implausible:
        return None
    usual = Fraction(known.rate).limit_denominator(1000) * weight
    return Note(
        NoteCode.IMPLAUSIBLE_ZERO,
        segment,
        number=usual,
        share=Fraction(chance).limit_denominator(10**6),
    )


# -------------------------------------------------------------------------------------------- bridge


def bridge(
    *,
    month: Period,
    cut_off: date,
    counts: Sequence[DayCount],
    previous: Sequence[DayCount] | None,
    previous_cut_off: date,
    usual: Mapping[date, float] | None = None,
) -> Bridge:
    """Explain the month's actual by what the previous edition said, new days and corrections.

    previous_actual + new + corrections = actual holds for any two sets of counts.

    Args:
        month: the whole month.
        cut_off: its last counted day.
        counts: leads by day and segment as they are now; days outside the month are ignored.
        previous: likewise as the previous edition stored them. None when the month has no earlier
            edition; days up to `previous_cut_off` then count as known before.
        previous_cut_off: the last day that the previous edition covered.
        usual: what such a weekday usually brings, for days that have history.
    """
    now = _cells(counts, month, cut_off)
    known_to = min(previous_cut_off, cut_off)
    before = _cells(counts if previous is None else previous, month, known_to)
    new_days = [day for day in month.days() if known_to < day <= cut_off]
    covered = sorted(key for key in {*now, *before} if key[0] <= known_to)
    corrections = (Correction(*key, leads=now.get(key, 0) - before.get(key, 0)) for key in covered)
    expectations = tuple((day, usual[day]) for day in new_days if day in usual) if usual else ()
    return Bridge(
        previous_cut_off=None if previous is None else known_to,
        previous_actual=sum(before.values()),
        new=tuple((day, _of_day(now, day)) for day in new_days),
        corrections=tuple(correction for correction in corrections if correction.leads),
        actual=sum(now.values()),
        usual=expectations or None,
    )


def _cells(
    counts: Sequence[DayCount], month: Period, cut_off: date
) -> Mapping[tuple[date, str], int]:
    cells: dict[tuple[date, str], int] = {}
    for count in counts:
        if count.day in month and count.day <= cut_off:
            key = (count.day, count.segment)
            cells[key] = cells.get(key, 0) + count.leads
    return cells


def _of_day(cells: Mapping[tuple[date, str], int], day: date) -> int:
    return sum(leads for (when, _), leads in cells.items() if when == day)
