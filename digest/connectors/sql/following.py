"""Reads what sales did with the leads: times and counts per lead, never who it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from digest.connectors.sql import query
from digest.connectors.sql.clocks import Clock
from digest.connectors.sql.counting import lead_relation, segment_text, whole_number
from digest.connectors.sql.query import Bounds
from digest.connectors.sql.reflection import Relation, reflect
from digest.connectors.sql.session import Reader, read
from digest.errors import ConfigError, ConnectorError, Reason
from digest.model import UNASSIGNED, FollowUpRow, Period, Segment, SegmentMap, normalise
from digest.tally import known_values, outcomes

if TYPE_CHECKING:
    from digest.connectors.sql import FollowUpColumns, Sql

MAX_ROWS = 200_000


def follow_up(
    sql: Sql, period: Period, segments: Sequence[Segment], now: datetime
) -> tuple[FollowUpRow, ...]:
    """Read one row per lead whose clock started in the period, and nothing after `now`."""
    columns = sql.follow_up_columns
    if columns is None:
        raise ConfigError(
            "sql: follow_up_columns: the settings name none; add [connector.follow_up_columns] with "
            "clock_start, first_response and attempts"
        )
    segment_map = SegmentMap(segments)

    def work(reader: Reader) -> tuple[FollowUpRow, ...]:
        clock, found = _found(reader, sql, columns, period)
        website = known_values(columns.website)
        meaning = outcomes(
            accepted=columns.accepted, rejected=columns.rejected, closed=columns.closed
        )
        rows = (
            FollowUpRow(
                segment=segment_map.segment_of(segment_text(segment)) or UNASSIGNED,
                clock_start=_instant(clock, began, columns.clock_start),
                first_response=_response(clock, response, columns.first_response, now),
                attempts=whole_number(0 if tries is None else tries, "a number of attempts"),
                outcome=meaning.get(normalise(segment_text(state) or ""), "open"),
                website=normalise(segment_text(source) or "") in website,
            )
            for segment, began, response, tries, state, source in found
        )
        return tuple(
            sorted(rows, key=lambda row: (row.clock_start, row.segment, row.attempts, row.outcome))
        )

    return read(sql, work)


def _found(
    reader: Reader, sql: Sql, columns: FollowUpColumns, period: Period
) -> tuple[Clock, Sequence[Any]]:
    key = "follow_up_columns"
    own = columns.table is not None
    relation = (
        reflect(reader, f"{key}.table", columns.table)
        if columns.table is not None
        else lead_relation(reader, sql)
    )
    clock = relation.clock(
        key,
        (columns.clock_start, columns.first_response),
        stored_in=columns.stored_in or sql.stored_in,
        fmt=columns.format or (None if own else sql.format),
        declared=None if own else sql.date_type,
    )
    if clock.kind == "date":
        raise ConfigError(
            f"sql: {key}: {columns.clock_start!r} is a date; a response time needs a time of day, name a "
            "column that has one"
        )
    start = relation.column(f"{key}.clock_start", columns.clock_start)
    outcome, source = (
        relation.column(f"{key}.{name}", column) if column else sa.null().label(name)
        for name, column in (("outcome", columns.outcome), ("source", columns.source))
    )
    shared = () if own else _shared(relation, sql)
    statement = (
        sa.select(
            relation.column(f"{key}.segment", columns.segment or sql.segment),
            clock.readable(start, reader.dialect),
            clock.readable(
                relation.column(f"{key}.first_response", columns.first_response), reader.dialect
            ),
            relation.column(f"{key}.attempts", columns.attempts),
            outcome,
            source,
        )
        .where(
            Bounds.of(clock, period, whole=True).window(start),
            *shared,
            *query.all_of(relation, f"{key}.filters", columns.filters),
        )
        .limit(MAX_ROWS + 1)
    )
    found = reader.all(statement)
    if len(found) > MAX_ROWS:
        raise ConnectorError(
            "sql",
            Reason.OVERFLOW,
            f"more than {MAX_ROWS:,} leads to follow up in one period",
            remedy="narrow follow_up_columns.filters to qualified leads",
        )
    return clock, found


def _shared(relation: Relation, sql: Sql) -> tuple[query.Condition, ...]:
    return (
        *query.all_of(relation, "filters", sql.filters),
        *query.not_excluded(query.any_of(relation, "exclusions", sql.exclusions)),
    )


def _response(clock: Clock, value: object, column: str, now: datetime) -> datetime | None:
    if value is None or value == "":
        return None
    instant = _instant(clock, value, column)
    return instant if instant <= now else None  # a planned call is no response


def _instant(clock: Clock, value: object, column: str) -> datetime:
    try:
        return clock.instant_of(value, "UTC")
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"sql: follow_up_columns: {column!r} has a value that is not written as {clock.kind}; set "
            "format to how it is written, or mend it in a view"
        ) from error
