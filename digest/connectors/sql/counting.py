"""Counts leads: reflect, group, count again, and give an answer only when both agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from digest.connectors.sql import query
from digest.connectors.sql.clocks import Clock
from digest.connectors.sql.query import Bounds, Leads
from digest.connectors.sql.reflection import Relation, custom, reflect
from digest.connectors.sql.session import Reader, address, read, source_name
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import (
    LeadCounts,
    Origin,
    Period,
    Segment,
    SegmentMap,
    lead_counts,
    local_midnight,
)

if TYPE_CHECKING:
    from digest.connectors.sql import Sql

SAMPLE = 100
SHOWN = 10


def count_leads(sql: Sql, period: Period, segments: Sequence[Segment], now: datetime) -> LeadCounts:
    """Count in one read-only transaction; ask once more when the two counts differ."""
    SegmentMap(segments)
    counts = read(sql, lambda reader: _counted(reader, sql, period, segments, now))
    if not counts.reconciled:
        counts = read(sql, lambda reader: _counted(reader, sql, period, segments, now))
    if not counts.reconciled:
        found = sum(row.leads for row in counts.rows)
        raise _unreconciled(
            f"the groups add up to {found:,} leads, the second count says {counts.total:,}"
        )
    return counts


def lead_relation(reader: Reader, sql: Sql) -> Relation:
    """Return the table, view or SELECT of the leads."""
    if sql.custom_sql is not None:
        return custom(reader, sql.custom_sql)
    return reflect(reader, "table", sql.table or "")


def leads_in(relation: Relation, sql: Sql) -> Leads:
    """Return the lead table as declared, every mistake in it at once.

    Raises:
        ConfigError: columns that do not exist, time that is not declared.
    """
    mistakes: list[str] = []

    def found(key: str, name: str) -> query.Column:
        try:
            return relation.column(key, name)
        except ConfigError as error:
            mistakes.extend(error.mistakes)
            return sa.null()

    dates = tuple(found("dates", name) for name in sql.dates)
    segment = found("segment", sql.segment)
    count = found("count_column", sql.count_column) if sql.count_column else None
    distinct = found("distinct", sql.distinct) if sql.distinct else None
    for key, name in (("loaded_at", sql.loaded_at), ("customer", sql.customer)):
        if name is not None:
            found(key, name)
    clock = Clock("aware")
    if not mistakes:
        try:
            clock = clock_for(relation, sql, "dates", sql.dates)
        except ConfigError as error:
            mistakes.extend(error.mistakes)
    try:
        filters = query.all_of(relation, "filters", sql.filters)
        exclusions = query.any_of(relation, "exclusions", sql.exclusions)
    except ConfigError as error:
        mistakes.extend(error.mistakes)
    if mistakes:
        raise ConfigError(*mistakes)
    return Leads(
        dates=dates,
        clock=clock,
        segment=segment,
        count=count,
        distinct=distinct,
        last=sql.distinct_segment == "last",
        filters=filters,
        exclusions=exclusions,
    )


def clock_for(relation: Relation, sql: Sql, key: str, names: Sequence[str]) -> Clock:
    """Return how columns of the lead table tell time."""
    return relation.clock(
        key, names, stored_in=sql.stored_in, fmt=sql.format, declared=sql.date_type
    )


def origin_of(sql: Sql, reader: Reader, text: str | None) -> Origin:
    """Return where figures came from, without user name or password."""
    return Origin(
        "sql", f"{source_name(address(sql))}, {sql.table or 'custom_sql'}", text, reader.calls
    )


def segment_text(value: object) -> str | None:
    """Return a segment column's value as text; None stays None."""
    if value is None or isinstance(value, str):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def whole_number(value: object, what: str) -> int:
    """Return a count.

    Raises:
        ConnectorError: it is missing, negative or not whole.
    """
    if isinstance(value, float) and value.is_integer():
        return whole_number(int(value), what)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return whole_number(int(value), what)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _unreconciled(f"{what} is {value!r}, not a number of leads")
    return value


def _counted(
    reader: Reader, sql: Sql, period: Period, segments: Sequence[Segment], now: datetime
) -> LeadCounts:
    relation = lead_relation(reader, sql)
    leads = leads_in(relation, sql)
    _sample_agrees(reader, relation, leads, sql)
    as_of = _loaded(reader, relation, sql, period, now)
    bounds = Bounds.of(leads.clock, period)
    window = Bounds.of(leads.clock, period, whole=True)
    rows = query.rows_of(leads, bounds)
    groups = reader.all(query.grouped(rows, bounds, limit=sql.max_groups))
    text = reader.text
    if len(groups) > sql.max_groups:
        raise _overflow(reader, query.rows_of(leads, window), sql)
    days = period.days()
    values = [
        (days[int(day)], segment_text(segment), whole_number(number, "the count of a group"))
        for segment, day, number in groups
    ]
    total = _total(reader, query.rows_of(leads, window))
    excluded = _excluded(reader, leads, window, sql)
    return lead_counts(
        period,
        segments,
        values,
        as_of=as_of,
        total=total,
        origin=origin_of(sql, reader, text),
        excluded=excluded,
    )


def _sample_agrees(reader: Reader, relation: Relation, leads: Leads, sql: Sql) -> None:
    """Refuse text and integers that are not written as declared: they would compare as nonsense."""
    for name, column in zip(sql.dates, leads.dates, strict=True):
        misfit = misfits(reader, column, leads.clock, SAMPLE)
        if misfit:
            raise ConfigError(
                f"sql: dates: {name!r} of {relation.name} has values that are not written as "
                f"{leads.clock.kind}; set format to how they are written, or mend them in a view"
            )


def misfits(reader: Reader, column: query.Column, clock: Clock, size: int) -> int:
    """Return how many of a sample of values are not written as the clock says; 0 for typed columns."""
    if not clock.as_text and not clock.kind.startswith(("iso", "epoch")):
        return 0
    limited = sa.select(column).where(column.is_not(None)).limit(size)
    return sum(not _readable(value, clock) for (value,) in reader.all(limited))


def _readable(value: object, clock: Clock) -> bool:
    if clock.as_text and not isinstance(value, str):
        return False
    try:
        clock.instant_of(value, "UTC")
    except (ValueError, OverflowError, OSError):
        return False
    return True


def _loaded(
    reader: Reader, relation: Relation, sql: Sql, period: Period, now: datetime
) -> datetime:
    """Return when the data was loaded, or `now` when the table does not say.

    Raises:
        ConnectorError: the load ended before the cut-off, a half-loaded day looks like a bad day.
    """
    if sql.loaded_at is None:
        return now
    clock = clock_for(relation, sql, "loaded_at", (sql.loaded_at,))
    newest = sa.func.max(relation.column("loaded_at", sql.loaded_at))
    question = sa.select(clock.readable(newest, reader.dialect), sa.bindparam("one", 1))
    value = reader.one(question)[0]
    today = now.astimezone(_zone(period)).date()
    needed = min(period.bounds()[-1], local_midnight(today, period.timezone))
    loaded = None if value is None else clock.instant_of(value, period.timezone)
    if loaded is None or loaded < needed:
        ends = "is empty" if loaded is None else f"ends at {loaded:%Y-%m-%d %H:%M} UTC"
        raise ConnectorError(
            "sql",
            Reason.STALE,
            f"the table {ends} by {sql.loaded_at!r}, the count needs data up to "
            f"{needed:%Y-%m-%d %H:%M} UTC",
            remedy="wait for the load or mend it; the next run tries again",
        )
    return loaded


def _zone(period: Period) -> ZoneInfo:
    return ZoneInfo(period.timezone)


def _total(reader: Reader, rows: query.Rows) -> int:
    row = reader.one(query.total(rows))
    if rows.count is None:
        return whole_number(row.n, "the second count")
    if row.found == 0:
        return 0
    if row.present != row.found:
        raise _unreconciled(f"{row.found - row.present} rows have no number in the count column")
    whole_number(row.smallest, "the smallest number in the count column")
    return whole_number(row.n, "the second count")


def _excluded(
    reader: Reader, leads: Leads, window: Bounds, sql: Sql
) -> tuple[tuple[str, int], ...]:
    if not sql.exclusions:
        return ()
    found = {int(rule): int(n) for rule, n in reader.all(query.excluded(leads, window))}
    return tuple((rule.name, found.get(n, 0)) for n, rule in enumerate(sql.exclusions, 1))


def _overflow(reader: Reader, rows: query.Rows, sql: Sql) -> ConnectorError:
    frequent = ", ".join(
        f"{_printable(value)} ({number})"
        for value, number in reader.all(query.by_segment(rows, limit=SHOWN))
    )
    return ConnectorError(
        "sql",
        Reason.OVERFLOW,
        f"the segment column {sql.segment!r} has too many values: more than {sql.max_groups:,} pairs "
        f"of day and value; most frequent: {frequent}",
        remedy="choose the column that holds the segment, not an id, or raise max_groups",
    )


def _printable(value: object) -> str:
    text = segment_text(value) or "(empty)"
    # A column of addresses is the usual mistake here, and addresses are personal data.
    return "(an e-mail address)" if "@" in text else repr(text[:40])


def _unreconciled(what: str) -> ConnectorError:
    return ConnectorError(
        "sql",
        Reason.UNRECONCILED,
        what,
        remedy="run `digest check`; if it persists, count the table by hand and look at its view",
    )
