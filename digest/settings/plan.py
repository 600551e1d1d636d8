"""The SLA from [sla]: a worksheet, a CSV, or tables in the configuration; all three give one Plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path as FilePath
from typing import Any

from digest.errors import ConfigError
from digest.model import PlanRate, add_months, month_start
from digest.settings.mistakes import Mistakes
from digest.settings.sections import SlaSection, SlaSegment
from digest.sla import Plan, RevenueGoal, Terms, to_plan_currency


def plan_of(section: SlaSection, folder: FilePath, mistakes: Mistakes) -> Plan | None:
    """Return the plan; None when there were mistakes, which are noted."""
    worksheet = section.worksheet
    try:
        plan = _from_worksheet(section, folder) if worksheet else _from_tables(section, mistakes)
        _require_rates(plan)
    except ConfigError as error:
        at = ("sla", "worksheet") if worksheet else ("sla",)
        for mistake in error.mistakes:
            mistakes.add(at, mistake)
        return None
    return plan


def _require_rates(plan: Plan | None) -> None:
    """Find out now, not when the totals are added up, whether a currency has no rate."""
    if plan is None:
        return
    for currency in dict.fromkeys(currency for _, currency in plan.currencies):
        to_plan_currency(plan, 0, currency)


def _from_worksheet(section: SlaSection, folder: FilePath) -> Plan:
    from digest.worksheet import load_plan

    plan = load_plan(folder / str(section.worksheet))
    given: dict[str, Any] = {
        "currency": section.currency,
        "lag_months": section.lag_months,
        "rounding": section.rounding,
        "carry_forward": section.carry_forward,
        "rates": _rates(section) or None,
    }
    return replace(plan, **{name: value for name, value in given.items() if value is not None})


def _from_tables(section: SlaSection, mistakes: Mistakes) -> Plan | None:
    before = len(mistakes.found)
    currencies = _currencies(section.segments, mistakes)
    goals = tuple(_revenue_goals(section.segments, mistakes))
    if len(mistakes.found) > before:
        return None
    return Plan(
        currency=str(section.currency),
        currencies=currencies,
        revenue_goals=goals,
        terms=tuple(map(_terms, section.segments)),
        rates=_rates(section),
        lag_months=section.lag_months or 0,
        rounding=section.rounding or "once",
        carry_forward=bool(section.carry_forward),
    )


def _rates(section: SlaSection) -> tuple[PlanRate, ...]:
    return tuple(PlanRate(rate.currency, rate.rate, rate.as_of) for rate in section.rates)


def _terms(entry: SlaSegment) -> Terms:
    return Terms(
        segment=entry.segment,
        valid_from=entry.valid_from,
        deal_size=entry.deal_size,
        marketing_share=entry.marketing_share,
        close_rate=entry.close_rate,
        stage_rates=entry.stage_rates,
        sales_deal_size=entry.sales_deal_size,
        sales_close_rate=entry.sales_close_rate,
        goal=entry.goal,
        sales_goal=entry.sales_goal,
    )


def _currencies(entries: Sequence[SlaSegment], mistakes: Mistakes) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for number, entry in enumerate(entries):
        first = found.setdefault(entry.segment, entry.currency)
        if first != entry.currency:
            mistakes.add(
                ("sla", "segments", number, "currency"),
                f"found {entry.currency}, but {entry.segment!r} is in {first} in another table; "
                "allowed: one currency per segment",
            )
    return tuple(found.items())


def _revenue_goals(entries: Sequence[SlaSegment], mistakes: Mistakes) -> Iterator[RevenueGoal]:
    owner: dict[tuple[str, date], int] = {}
    for number, entry in enumerate(entries):
        for month, amount in _months(entry, entries):
            if (entry.segment, month) in owner:
                mistakes.add(
                    ("sla", "segments", number, "revenue_goal"),
                    f"{entry.segment!r} has two revenue goals for {month:%Y-%m}; keep one",
                )
                break
            owner[entry.segment, month] = number
            yield RevenueGoal(entry.segment, month, amount)


def _months(entry: SlaSegment, entries: Sequence[SlaSegment]) -> Iterator[tuple[date, Decimal]]:
    """The months of a table: as listed, or each one from valid_from until the terms or the year end."""
    if entry.revenue_goal is None:
        return
    if isinstance(entry.revenue_goal, tuple):
        yield from entry.revenue_goal
        return
    month = month_start(entry.valid_from)
    later = [
        month_start(other.valid_from)
        for other in entries
        if other.segment == entry.segment and month_start(other.valid_from) > month
    ]
    last = entry.valid_to or date(month.year, 12, 1)
    while month <= last and month < min(later, default=date.max):
        yield month, entry.revenue_goal
        month = add_months(month, 1)
