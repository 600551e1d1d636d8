"""Reads what sales did with the leads: times and counts per lead, never who it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from digest.connectors.spreadsheet.clocks import DayColumn, blank
from digest.connectors.spreadsheet.conditions import all_of, columns_of
from digest.connectors.spreadsheet.reading import (
    NAME,
    place_of,
    read,
    refuse_errors,
    refusing,
    text_of,
)
from digest.errors import ConfigError
from digest.model import UNASSIGNED, FollowUpRow, Period, Segment, SegmentMap, normalise
from digest.notation import parse_count
from digest.tables import Table
from digest.tally import known_values, outcomes

if TYPE_CHECKING:
    from digest.connectors.spreadsheet import FollowUpColumns, Spreadsheet


def follow_up(
    settings: Spreadsheet, period: Period, segments: Sequence[Segment], now: datetime
) -> tuple[FollowUpRow, ...]:
    """Read one row per lead whose clock started in the period, and nothing after `now`."""
    columns = settings.follow_up_columns
    if columns is None:
        raise ConfigError(
            f"{NAME}: follow_up_columns: the settings name none; add [connector.follow_up_columns] with "
            "clock_start, first_response and attempts"
        )
    segment_map = SegmentMap(segments)

    def use(table: Table) -> tuple[FollowUpRow, ...]:
        return tuple(
            sorted(
                _rows(settings, columns, table, period, segments=segment_map, now=now),
                key=lambda row: (row.clock_start, row.segment, row.attempts, row.outcome),
            )
        )

    rows, _ = read(settings, place_of(settings, columns), use, now)
    return rows


def _rows(
    settings: Spreadsheet,
    columns: FollowUpColumns,
    table: Table,
    period: Period,
    *,
    segments: SegmentMap,
    now: datetime,
) -> Iterator[FollowUpRow]:
    starts, responses = (
        DayColumn(
            table,
            table.column(name),
            period,
            stored_in=columns.stored_in or settings.stored_in,
            order=settings.date_order,
        )
        for name in (columns.clock_start, columns.first_response)
    )
    segment = table.column(columns.segment or settings.segment)
    attempts = table.column(columns.attempts)
    outcome, source = (
        None if name is None else table.column(name) for name in (columns.outcome, columns.source)
    )
    own = columns.file is not None or columns.link is not None or columns.sheet is not None
    filters = [*(() if own else settings.filters), *columns.filters]
    used = [starts.column, responses.column, segment, attempts, *columns_of(table, filters)]
    refuse_errors(table, [*used, *(place for place in (outcome, source) if place is not None)])
    keep = all_of(table, filters, locale=settings.locale, order=settings.date_order)
    meaning = outcomes(accepted=columns.accepted, rejected=columns.rejected, closed=columns.closed)
    website = known_values(columns.website)
    first, last = period.bounds()[0], period.bounds()[-1]
    for row, cells in table.rows:
        if blank(cells[starts.column]) or (keep is not None and not keep(row, cells)):
            continue
        began = starts.instant(row, cells[starts.column])
        if not first <= began < last:
            continue
        state, origin = (
            "" if place is None else normalise(text_of(cells[place]) or "")
            for place in (outcome, source)
        )
        yield FollowUpRow(
            segment=segments.segment_of(text_of(cells[segment])) or UNASSIGNED,
            clock_start=began,
            first_response=_response(responses, row, cells[responses.column], now),
            attempts=_attempts(table, row, attempts, cells[attempts]),
            outcome=meaning.get(state, "open"),
            website=origin in website,
        )


def _response(column: DayColumn, row: int, value: object, now: datetime) -> datetime | None:
    if blank(value):
        return None
    instant = column.instant(row, value)
    return instant if instant <= now else None  # a planned call is no response


def _attempts(table: Table, row: int, column: int, value: object) -> int:
    if blank(value):
        return 0
    with refusing(table, row, column):
        return parse_count(value)
