"""The plan behind the goals: what was agreed for each segment, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from digest.figures.book import At, Book
from digest.figures.figure import Number, Rounding, Unit
from digest.model import Note, Row, Scorecard
from digest.sla import Basis, Plan, Terms, basis

_INPUTS = ("deal_size", "marketing_share", "close_rate", "goal")


@dataclass(frozen=True, slots=True)
class _Formula:
    """A formula, and the ids of the agreed inputs that it names; "" where nothing was agreed."""

    text: str = ""
    inputs: Mapping[str, str] | None = None
    rounding: Rounding = Rounding.NONE


def of_plan(book: Book, prefix: str, at: At, row: Row, card: Scorecard) -> None:
    """Record the goal of a row and what a lead of it is worth, with the inputs of both."""
    on = None if card.closed else book.edition.business_date
    inputs = At(f"{prefix}plan.{book.slug(at.segment)}", at.segment, at.month)
    agreed = _agreed(book, inputs, book.month(card).plan_month, on, row.currency)
    goal = _goal(book, inputs, agreed)
    worth = _lead_value(inputs, agreed)
    book.add(at, "goal", row.goal, Unit.LEADS, goal.text, goal.inputs or {}, rounding=goal.rounding)
    book.add(
        at, "lead_value", row.lead_value, Unit.MONEY, worth.text, worth.inputs or {},
        currency=row.currency,
    )  # fmt: skip


def goal_before(book: Book, at: At, note: Note) -> None:
    """Record a goal before its change: as the plan notes it, by the month's first terms, or as sent."""
    plan, called = _plan(book), f"{note.code}_number"
    noted = plan.changes if plan is not None else ()
    if any((one.segment, one.day, one.old) == (at.segment, note.day, note.number) for one in noted):
        place = book.places.setting("sla")
        book.leaf(at, "number", note.number, Unit.LEADS, place, called=called)
        return
    month = book.month(book.edition.scorecard).plan_month
    inputs = At(f"plan.{book.slug(at.segment)}.before", at.segment)
    goal = _goal(book, inputs, _agreed(book, inputs, month, month, None))
    book.add(
        at, "number", note.number, Unit.LEADS, goal.text, goal.inputs or {},
        called=called, rounding=goal.rounding,
    )  # fmt: skip


def rates(terms: Terms) -> tuple[str, ...]:
    """Return the names of all rates from the lead to the customer, in order."""
    stages = (f"stage_rate_{number}" for number, _ in enumerate(terms.stage_rates, 1))
    return (*stages, *(() if terms.close_rate is None else ("close_rate",)))


def _agreed(book: Book, at: At, month: date, on: date | None, currency: str | None) -> Basis | None:
    """Record each input of a goal as a figure of its own; None when the plan is not known."""
    plan, name = _plan(book), at.segment or ""
    if plan is None or name not in plan.segments:
        return None
    found = basis(plan, name, month, on=on)
    currency = currency or dict(plan.currencies)[name]
    book.leaf(
        at, "revenue_goal", found.revenue_goal, Unit.MONEY,
        book.places.revenue_goal(name, found.month), currency=currency,
    )  # fmt: skip
    terms = found.terms
    if terms is None:
        return found
    for code in _INPUTS:
        value: Number | None = getattr(terms, code)
        unit = {"deal_size": Unit.MONEY, "goal": Unit.LEADS}.get(code, Unit.SHARE)
        book.leaf(
            at, code, value, unit, book.places.terms(terms, code),
            called="goal_by_hand" if code == "goal" else code,
            currency=currency if unit is Unit.MONEY else None,
        )  # fmt: skip
    for number, rate in enumerate(terms.stage_rates, 1):
        place = book.places.terms(terms, "stage_rates")
        book.leaf(at, f"stage_rate_{number}", rate, Unit.SHARE, place)
    if found.revenue_goal is not None and terms.marketing_share is not None:
        book.add(
            at, "marketing_revenue", Fraction(found.revenue_goal) * terms.marketing_share,
            Unit.MONEY, "revenue_goal * marketing_share", currency=currency,
        )  # fmt: skip
    return found


def _plan(book: Book) -> Plan | None:
    return book.facts.plan if book.facts is not None else None


def _goal(book: Book, at: At, agreed: Basis | None) -> _Formula:
    plan = _plan(book)
    if agreed is None or plan is None:
        return _Formula()
    terms = agreed.terms
    if terms is not None and terms.goal is not None:
        return _Formula("goal_by_hand", {"goal_by_hand": at.id("goal")})
    if terms is None or not agreed.revenue_goal:
        return _Formula("revenue_goal", {"revenue_goal": at.id("revenue_goal")})
    chain = rates(terms)
    names = ("revenue_goal", "marketing_share", "deal_size", *chain)
    customers = "revenue_goal * marketing_share / deal_size"
    if plan.rounding == "once":
        text = f"ceil({' / '.join((customers, *chain))})"
    else:
        text = f"ceil({customers})"
        for rate in reversed(chain):
            text = f"ceil({text} / {rate})"
    return _Formula(text, {name: at.id(name) for name in names}, Rounding.UP)


def _lead_value(at: At, agreed: Basis | None) -> _Formula:
    if agreed is None or agreed.terms is None:
        return _Formula()
    names = ("deal_size", *rates(agreed.terms))
    return _Formula(" * ".join(names), {name: at.id(name) for name in names})
