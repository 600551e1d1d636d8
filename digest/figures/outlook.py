"""The forecast, step by step as far as the months before are known."""

from __future__ import annotations

from digest.calculator import Course
from digest.figures.book import At, Book
from digest.figures.figure import Input, Rounding, Unit
from digest.forecast import Prior, outlook, prior
from digest.model import Row


def of_forecast(book: Book, at: At, row: Row, course: Course | None) -> None:
    """Record the forecast of a row, if it prints one."""
    if row.forecast is None or row.actual is None:
        return
    here = At(f"{at.base}.forecast", at.segment, at.month)
    known = prior(course.history) if course is not None and book.history is not None else None
    if not row.remaining:
        _chance(book, here, at, row)
    elif known is None or course is None:
        _as_read(book, here, row, row.actual)
    else:
        _learned(book, here, at, row, known, _before_start(book, row, course))
        _chance(book, here, at, row)
    for code, part, value in (
        ("mean", "to_come", row.forecast.mean),
        ("low", "to_come_low", row.forecast.low),
        ("high", "to_come_high", row.forecast.high),
    ):
        book.add(
            here, code, value, Unit.LEADS, f"actual + {part}" if row.remaining else "actual",
            {"actual": at.id("actual")}, called=f"forecast_{code}",
            rounding=Rounding.HALF_UP if code == "mean" else Rounding.NONE,
        )  # fmt: skip


def _as_read(book: Book, here: At, row: Row, counted: int) -> None:
    """Without the months before: what they say of the rest of this one is as good as read."""
    if row.forecast is None:
        return
    asked = book.months_before()
    for code, value in (
        ("to_come", row.forecast.mean),
        ("to_come_low", row.forecast.low),
        ("to_come_high", row.forecast.high),
    ):
        book.leaf(here, code, value - counted, Unit.LEADS, asked)
    book.leaf(here, "chance", row.forecast.chance, Unit.SHARE, asked)


def _learned(book: Book, here: At, at: At, row: Row, known: Prior, early: int) -> None:  # noqa: PLR0917 - one row with what is known of it
    """The model of `forecast`, from what the months before say of a workday's leads."""
    if row.actual is None or row.forecast is None:
        return
    asked = book.months_before()
    book.leaf(here, "usual_rate", known.rate, Unit.PER_WORKDAY, asked)
    book.leaf(here, "rate_variance", known.variance, Unit.NUMBER, asked)
    book.leaf(here, "dispersion", known.phi, Unit.NUMBER, asked)
    counted = row.actual - early if row.elapsed else 0
    given = {name: at.id(name) for name in ("actual", "elapsed", "remaining")}
    before = Input("early", values=(early,), origin=book.leads())
    book.add(
        here, "counted", counted, Unit.LEADS, "actual - early" if row.elapsed else "0 * actual",
        {**given, "early": before},
    )  # fmt: skip
    ahead = outlook(known, counted=counted, elapsed=row.elapsed, remaining=row.remaining)
    low, high = row.forecast.low - row.actual, row.forecast.high - row.actual
    square = "usual_rate * usual_rate / rate_variance"
    for code, value, formula in (
        ("shape", ahead.shape, f"{square} + counted / dispersion"),
        ("exposure", ahead.exposure, "usual_rate / rate_variance + elapsed / dispersion"),
        ("to_come", ahead.mean, "shape / exposure * remaining"),
        ("spread", ahead.variance, _SPREAD),
        ("to_come_low", low, "low(to_come, spread)"),
        ("to_come_high", high, "high(to_come, spread)"),
    ):
        unit = Unit.LEADS if code.startswith("to_come") else Unit.NUMBER
        book.add(here, code, value, unit, formula, given)


_SPREAD = "dispersion * to_come + shape / exposure / exposure * remaining * remaining"


def _chance(book: Book, here: At, at: At, row: Row) -> None:
    if row.forecast is None or row.goal is None or row.actual is None:
        return
    decided = row.actual >= row.goal or not row.remaining
    book.add(
        here, "chance", row.forecast.chance, Unit.SHARE,
        "at_least(actual, goal)" if decided else "reach(to_go, to_come, spread)",
        {name: at.id(name) for name in ("actual", "goal", "to_go")}, rounding=Rounding.FLOOR,
    )  # fmt: skip


def _before_start(book: Book, row: Row, course: Course) -> int:
    """Leads from before a segment was active, which its elapsed workdays did not bring."""
    start, month = course.start, book.edition.scorecard.period
    if start is None:
        return 0
    mine = (one for one in book.edition.counts if one.segment == row.segment and one.day in month)
    return sum(one.leads for one in mine if one.day < start)
