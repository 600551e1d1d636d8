"""The sales half, and the assumptions against what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from digest.editions import measured_window
from digest.figures.book import At, Book
from digest.figures.figure import Asked, Rounding, Unit
from digest.model import Drift, FollowUp, Period, SegmentFollowUp, add_months

_COUNTS = ("due", "in_time", "overdue", "accepted", "rejected")
_PROMISED = {
    "respond_within": Unit.MINUTES,
    "website_within": Unit.MINUTES,
    "attempts": Unit.NUMBER,
    "within_workdays": Unit.WORKDAYS,
}


def of_follow_up(book: Book, facts: FollowUp | None) -> None:
    """Record what sales did, as the source of follow-up says, beside what it promised."""
    if facts is None:
        return
    at, month = At("follow_up"), book.edition.judged.period
    window = Period(add_months(month.start, -1), book.edition.business_date, month.timezone)
    asked = book.asked("follow_up", window)
    _answers(book, at, facts, asked)
    for code in ("attempts_due", "attempts_kept"):
        book.leaf(at, code, getattr(facts, code), Unit.LEADS, asked)
    book.leaf(at, "leads", facts.leads, Unit.LEADS, asked, called="qualified")
    book.leaf(at, "p90_minutes", facts.p90_minutes, Unit.MINUTES, asked, called="p90")
    missing = facts.attempts_due - facts.attempts_kept
    book.add(at, "attempts_missing", missing, Unit.LEADS, "attempts_due - attempts_kept")
    _share(book, at, "share", "in_time / due", facts.in_time, facts.due)
    _share(book, at, "rejected_share", "rejected / qualified", facts.rejected, facts.leads)
    for code, unit in _PROMISED.items():
        book.leaf(at, code, getattr(facts, code), unit, book.places.setting("follow_up", code))
    for part in facts.segments:
        here = At(f"follow_up.segment.{book.slug(part.segment)}", part.segment)
        _answers(book, here, part, asked)


def _share(book: Book, at: At, code: str, formula: str, part: int, whole: int) -> None:  # noqa: PLR0917 - a formula with its numbers
    if whole:
        book.add(
            at, code, Fraction(part, whole), Unit.SHARE, formula,
            {"qualified": at.id("leads")}, rounding=Rounding.FLOOR,
            called="in_time_share" if code == "share" else code,
        )  # fmt: skip


def _answers(book: Book, at: At, facts: FollowUp | SegmentFollowUp, asked: Asked) -> None:
    for code in _COUNTS:
        book.leaf(at, code, getattr(facts, code), Unit.LEADS, asked)
    median = facts.median_minutes
    book.leaf(at, "median_minutes", median, Unit.MINUTES, asked, called="median")


def of_drift(book: Book, drift: Drift) -> None:
    """Record an assumption, what was measured instead, and the goal that follows from it."""
    slug, day = book.slug(drift.segment), book.edition.business_date
    at, plan = At(f"drift.{slug}", drift.segment), At(f"plan.{slug}")
    deals = book.asked("deals", measured_window(day, book.edition.scorecard.period.timezone))
    rows = book.edition.scorecard.segments
    currency = next((row.currency for row in rows if row.segment == drift.segment), None)
    names = [name.removeprefix(f"{plan.base}.") for name in book.found]
    rates = [name for name in names if name == "close_rate" or name.startswith("stage_rate_")]
    ids = {name: plan.id(name) for name in (*rates, "deal_size")}
    book.add(
        at, "agreed_close_rate", drift.agreed_close_rate, Unit.SHARE, " * ".join(rates), ids,
        called="close_rate",
    )  # fmt: skip
    book.add(
        at, "agreed_deal_size", drift.agreed_deal_size, Unit.MONEY, "deal_size", ids,
        called="deal_size", currency=currency,
    )  # fmt: skip
    book.leaf(at, "measured_close_rate", drift.measured_close_rate, Unit.SHARE, deals)
    size = drift.measured_deal_size
    book.leaf(at, "measured_deal_size", size, Unit.MONEY, deals, currency=currency)
    segment = f"segment.{slug}"
    book.add(at, "goal", drift.goal, Unit.LEADS, "goal", {"goal": f"{segment}.goal"})
    used = "agreed_deal_size" if size is None else "measured_deal_size"
    given = {
        "marketing_revenue": plan.id("marketing_revenue"),
        "deal_size": at.id(used),
        "goal": f"{segment}.goal",
        "lead_value": f"{segment}.lead_value",
    }
    _goal_at_measured(book, at, drift, given, by_hand=plan.id("goal") in book.found)


def _goal_at_measured(
    book: Book, at: At, drift: Drift, given: Mapping[str, str], *, by_hand: bool
) -> None:
    # A goal set by hand stands for the revenue that it implies.
    customers = f"{'goal * lead_value' if by_hand else 'marketing_revenue'} / deal_size"
    if book.facts is not None and book.facts.plan.rounding == "cascade":
        customers = f"ceil({customers})"
    book.add(
        at, "goal_at_measured", drift.goal_at_measured, Unit.LEADS,
        f"ceil({customers} / measured_close_rate)", given, rounding=Rounding.UP,
    )  # fmt: skip
