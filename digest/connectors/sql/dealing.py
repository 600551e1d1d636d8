"""Measures deals: what was won and lost in a window, and how many leads became customers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from digest.connectors.sql import query
from digest.connectors.sql.counting import (
    clock_for,
    lead_relation,
    leads_in,
    origin_of,
    segment_text,
    whole_number,
)
from digest.connectors.sql.query import Bounds, Leads
from digest.connectors.sql.reflection import reflect
from digest.connectors.sql.session import Reader, read
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import (
    UNASSIGNED,
    DealStatistics,
    Period,
    Segment,
    SegmentMap,
    normalise,
)
from digest.tally import ClosedDeals, Funnel, known_values, segment_deals

if TYPE_CHECKING:
    from digest.connectors.sql import Deals, Sql

CENT = Decimal("0.01")


def deal_statistics(
    sql: Sql, window: Period, segments: Sequence[Segment], now: datetime
) -> DealStatistics:
    """Measure in one read-only transaction."""
    deals = sql.deals
    if deals is None:
        raise ConfigError(
            "sql: deals: the settings name no deals table; add [connector.deals] with table, closed, "
            "segment, outcome and won"
        )
    segment_map = SegmentMap(segments)

    def work(reader: Reader) -> DealStatistics:
        tallies = _tallies(reader, deals, window, segment_map, sql.max_groups)
        text = reader.text
        funnel = _funnel(reader, sql, window, segment_map)
        return DealStatistics(
            window,
            segment_deals(tallies, funnel, segments),
            now,
            origin_of(sql, reader, text),
        )

    return read(sql, work)


def _tallies(
    reader: Reader, deals: Deals, window: Period, segments: SegmentMap, limit: int
) -> dict[tuple[str, str | None], ClosedDeals]:
    won, lost = known_values(deals.won), known_values(deals.lost)
    tallies: dict[tuple[str, str | None], ClosedDeals] = defaultdict(ClosedDeals)
    for segment, currency, outcome, number, amount, with_amount in _groups(
        reader, deals, window, limit
    ):
        value = normalise(segment_text(outcome) or "")
        if value not in won | lost:
            continue  # an open deal
        name = segments.segment_of(segment_text(segment)) or UNASSIGNED
        code = deals.currency or (segment_text(currency) or "").strip().upper() or None
        tally = tallies[name, code]
        deals_here = whole_number(number, "the number of deals of a group")
        if value in lost:
            tally.lost += deals_here
            continue
        tally.won += deals_here
        tally.with_amount += whole_number(with_amount or 0, "the number of deals with an amount")
        tally.amount += _money(amount)
    return tallies


def _groups(reader: Reader, deals: Deals, window: Period, limit: int) -> Sequence[Any]:
    relation = reflect(reader, "deals.table", deals.table)
    column = relation.column
    clock = relation.clock(
        "deals.closed", (deals.closed,), stored_in=deals.stored_in, fmt=deals.format
    )
    bounds = Bounds.of(clock, window, whole=True)
    nothing = sa.null()
    amount = column("deals.amount", deals.amount) if deals.amount else None
    currency = (
        column("deals.currency_column", deals.currency_column) if deals.currency_column else nothing
    )
    inner = (
        sa.select(
            column("deals.segment", deals.segment).label("seg"),
            currency.label("currency"),
            column("deals.outcome", deals.outcome).label("outcome"),
            (nothing if amount is None else amount).label("amount"),
        )
        .where(
            bounds.window(column("deals.closed", deals.closed)),
            *query.all_of(relation, "deals.filters", deals.filters),
        )
        .subquery("x")
    )
    zero = sa.literal_column("0", sa.Integer())
    one = sa.literal_column("1", sa.Integer())
    measured = (
        (nothing.label("sum"), nothing.label("number"))
        if amount is None
        else (
            sa.func.sum(sa.case((inner.c.amount > zero, inner.c.amount), else_=zero)),
            sa.func.sum(sa.case((inner.c.amount > zero, one), else_=zero)),
        )
    )
    keys = (inner.c.seg, inner.c.currency, inner.c.outcome)
    grouping = keys if deals.currency_column else (inner.c.seg, inner.c.outcome)
    shown = (
        keys if deals.currency_column else (inner.c.seg, nothing.label("currency"), inner.c.outcome)
    )
    rows = reader.all(
        sa.select(*shown, sa.func.count(), *measured).group_by(*grouping).limit(limit + 1)
    )
    if len(rows) > limit:
        raise ConnectorError(
            "sql",
            Reason.OVERFLOW,
            f"the deals have more than {limit:,} combinations of segment, currency and outcome",
            remedy="choose the columns that hold segment and outcome, not an id",
        )
    return rows


def _funnel(reader: Reader, sql: Sql, window: Period, segments: SegmentMap) -> Funnel:
    relation = lead_relation(reader, sql)
    leads = leads_in(relation, sql)
    found = _by_segment(reader, leads, window, segments, sql.max_groups)
    if sql.customer is None:
        return Funnel(found)
    became = relation.column("customer", sql.customer)
    clock = clock_for(relation, sql, "customer", (sql.customer,))
    pooled = _by_segment(
        reader, replace(leads, dates=(became,), clock=clock), window, segments, sql.max_groups
    )
    cohort = _by_segment(
        reader, replace(leads, mark=became.is_not(None)), window, segments, sql.max_groups
    )
    return Funnel(found, pooled, cohort)


def _by_segment(
    reader: Reader, leads: Leads, window: Period, segments: SegmentMap, limit: int
) -> dict[str, int]:
    bounds = Bounds.of(leads.clock, window, whole=True)
    numbers: dict[str, int] = defaultdict(int)
    rows = reader.all(query.grouped(query.rows_of(leads, bounds), bounds, limit=limit))
    if len(rows) > limit:
        raise ConnectorError(
            "sql",
            Reason.OVERFLOW,
            f"the segment column has more than {limit:,} values",
            remedy="choose the column that holds the segment, not an id",
        )
    for value, _, number in rows:
        name = segments.segment_of(segment_text(value)) or UNASSIGNED
        numbers[name] += whole_number(number, "the count of a group")
    return numbers


def _money(amount: object) -> Decimal:
    """Return a sum as Decimal; a binary float (SQLite) is rounded to cents."""
    if amount is None:
        return Decimal(0)
    return (
        Decimal(str(amount)).quantize(CENT) if isinstance(amount, float) else Decimal(str(amount))
    )
