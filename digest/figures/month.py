"""The rows of a month, and what its leads are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction

from digest.calculator import Course
from digest.editions import courses_of
from digest.figures.agreed import of_plan
from digest.figures.book import At, Book
from digest.figures.figure import Input, Rounding, Unit
from digest.figures.outlook import of_forecast
from digest.model import UNASSIGNED, Row, Scorecard, Status, Value, Workday


def of_card(book: Book, prefix: str, card: Scorecard) -> None:
    """Record every number of a scorecard; `prefix` sets a month that closes apart."""
    month = card.period.start if prefix else None
    courses = _courses(book, card)
    days = tuple(day for day in book.edition.days if day.day in card.period)
    send_days = days if book.facts is None else book.facts.calendar.days(card.period)
    _days(book, At(f"{prefix}month", month=month), card, send_days, card.cut_off)
    for row in card.segments:
        at = At(book.row(prefix, row.segment), row.segment, month)
        course = courses.get(row.segment)
        _actual(book, at, card, row, {row.segment})
        _days(book, at, row, course.days if course else days, card.cut_off)
        of_plan(book, prefix, at, row, card)
        book.add(
            at, "expected", row.expected, Unit.LEADS, "goal * elapsed / workdays",
            rounding=Rounding.HALF_UP,
        )  # fmt: skip
        _ratios(book, at, row, course)
        _worth(book, at, row, card)
    if card.unassigned is not None:
        known = {row.segment for row in card.segments}
        elsewhere = {count.segment for count in book.edition.counts} - known
        at = At(book.row(prefix, UNASSIGNED), UNASSIGNED, month)
        _actual(book, at, card, card.unassigned, elsewhere)
    _total(book, prefix, card, days, courses.get(None))
    _value(book, At(f"{prefix}value", month=month), card.value)


def _courses(book: Book, card: Scorecard) -> Mapping[str | None, Course]:
    if book.facts is None:
        return {}
    own = book.month(book.edition.scorecard)
    return courses_of(book.facts, book.month(card), book.history, own=own)


def _actual(
    book: Book, at: At, card: Scorecard, row: Row, segments: set[str | None] | set[str]
) -> None:
    leads: dict[date, int] = {}
    for count in book.edition.counts:
        counted = count.day in card.period and count.day <= card.cut_off
        if counted and count.segment in segments:
            leads[count.day] = leads.get(count.day, 0) + count.leads
    known = {day: leads[day] for day in sorted(leads) if leads[day]}
    days = Input("days", (), tuple(known.values()) or (0,), book.leads(), tuple(known))
    book.add(at, "actual", row.actual, Unit.LEADS, "sum(days)", {"days": days})


def _days(
    book: Book, at: At, weights: Row | Scorecard, days: Sequence[Workday], cut_off: date
) -> None:
    """The weight of a month, of what has elapsed, and of what remains."""
    for code, value, last in (
        ("workdays", weights.workdays, date.max),
        ("elapsed", weights.elapsed, cut_off),
    ):
        counted = {day.day: day.weight for day in days if day.weight and day.day <= last}
        place = book.places.setting(*_calendar_of(book, at.segment))
        read = Input("days", (), tuple(counted.values()) or (0,), place, tuple(counted))
        book.add(at, code, value, Unit.WORKDAYS, "sum(days)", {"days": read})
    book.add(at, "remaining", weights.remaining, Unit.WORKDAYS, "workdays - elapsed")


def _calendar_of(book: Book, segment: str | None) -> tuple[str, ...]:
    """The key of the calendar that paces a segment."""
    segments = book.facts.segments if book.facts is not None else ()
    own = next((one.calendar for one in segments if one.name == segment), None)
    return ("calendar",) if own is None else ("calendars", own)


def _ratios(book: Book, at: At, row: Row, course: Course | None) -> None:
    """What a row with an actual is measured by; it has its goal and days already."""
    book.add(at, "gap", row.gap, Unit.LEADS, "actual - half_up(expected)")
    floor = Rounding.FLOOR
    book.add(at, "attainment", row.attainment, Unit.SHARE, "actual / goal", rounding=floor)
    book.add(at, "pace", row.pace, Unit.SHARE, "actual / expected", rounding=floor)
    rate = row.rate_per_workday
    book.add(at, "rate_per_workday", rate, Unit.PER_WORKDAY, "actual / elapsed")
    if row.actual is not None and row.goal is not None:
        missing = max(row.goal - row.actual, 0)
        over = row.actual - row.goal
        book.add(at, "to_go", missing, Unit.LEADS, "max(goal - actual, 0)")
        book.add(at, "against_goal", over, Unit.LEADS, "actual - goal")
        book.add(at, "reached", int(over >= 0), Unit.NUMBER, "at_least(actual, goal)")
    book.add(
        at, "required_per_workday", row.required_per_workday, Unit.PER_WORKDAY,
        "tenth_up(to_go / remaining)" if row.remaining else "to_go", rounding=Rounding.TENTH_UP,
    )  # fmt: skip
    of_forecast(book, at, row, course)


def _total(
    book: Book, prefix: str, card: Scorecard, days: Sequence[Workday], course: Course | None
) -> None:
    at, total = At(f"{prefix}total", month=card.period.start if prefix else None), card.total
    rows = [book.row(prefix, row.segment) for row in card.segments]
    counted = [*rows, *([book.row(prefix, UNASSIGNED)] if card.unassigned else [])]
    whole = Rounding.NONE
    for code, value, bases, rounding in (
        ("actual", total.actual, counted, whole),
        ("goal", total.goal, rows, whole),
        ("expected", total.expected, rows, Rounding.HALF_UP),
    ):
        parts = {"segments": book.parts(bases, code)}
        book.add(at, code, value, Unit.LEADS, "sum(segments)", parts, rounding=rounding)
    _days(book, at, total, days, card.cut_off)
    _ratios(book, at, total, course)
    if total.goal and card.workdays:
        book.add(
            at, "needed_per_workday", Fraction(total.goal) / card.workdays, Unit.PER_WORKDAY,
            "goal / workdays", {"workdays": f"{prefix}month.workdays"},
        )  # fmt: skip
    if card.closed:
        _reached(book, At(f"{prefix}segments", month=at.month), card, rows)


def _reached(book: Book, at: At, card: Scorecard, rows: Sequence[str]) -> None:
    parts = {"segments": book.parts(rows, "reached")}
    reached = sum(row.status is Status.REACHED for row in card.segments)
    with_goal = sum(row.goal is not None for row in card.segments)
    for code, value, formula in (
        ("reached", reached, "sum(segments)"),
        ("with_goal", with_goal, "count(segments)"),
    ):
        book.add(at, code, value, Unit.NUMBER, formula, parts, called=f"segments_{code}")


def _worth(book: Book, at: At, row: Row, card: Scorecard) -> None:
    """What goal and leads of a segment are worth in the plan currency."""
    if card.value is None or row.lead_value is None:
        return
    currency = card.value.currency
    foreign = (r for r in book.edition.plan_rates if r.currency == row.currency != currency)
    rate = next(foreign, None)
    factor = Fraction(1) if rate is None else Fraction(rate.rate)
    times = "" if rate is None else " * plan_rate"
    given = {} if rate is None else {"plan_rate": f"rate.{rate.currency.lower()}"}
    for code, leads in (("goal", row.goal), ("actual", row.actual)):
        if leads is not None:
            book.add(
                at, f"value_{code}", leads * row.lead_value * factor, Unit.MONEY,
                f"{code} * lead_value{times}", given, currency=currency,
            )  # fmt: skip


def _value(book: Book, at: At, value: Value | None) -> None:
    if value is None:
        return
    segments = f"{at.base.removesuffix('value')}segment."
    for code, amount in (("goal", value.goal), ("actual", value.actual)):
        ending = f".value_{code}"
        parts = [n for n in book.found if n.startswith(segments) and n.endswith(ending)]
        book.add(
            at, code, amount, Unit.MONEY, "sum(segments)", {"segments": parts},
            called=f"value_{code}", currency=value.currency, rounding=Rounding.HALF_UP,
        )  # fmt: skip
    book.add(
        at, "attainment", value.attainment, Unit.SHARE, "value_actual / value_goal",
        {"value_actual": at.id("actual"), "value_goal": at.id("goal")},
        called="value_attainment", rounding=Rounding.FLOOR,
    )  # fmt: skip
