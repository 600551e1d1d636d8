"""Counts the leads of a list by local day and segment, in one pass that keeps only the counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from digest.connectors.spreadsheet.clocks import blank, day_columns, days_before
from digest.connectors.spreadsheet.conditions import Test, all_of, columns_of
from digest.connectors.spreadsheet.reading import (
    NAME,
    origin_of,
    place_of,
    read,
    refuse_errors,
    refusing,
    text_of,
)
from digest.errors import ConnectorError, Reason
from digest.model import LeadCounts, Period, Segment, SegmentMap, lead_counts
from digest.notation import parse_count
from digest.tables import Table, TableError

if TYPE_CHECKING:
    from digest.conditions import Filter
    from digest.connectors.spreadsheet import Spreadsheet

MAX_GROUPS = 10_000


@dataclass
class Tally:
    """What one pass over a list has counted.

    Attributes:
        cells: leads by index of the day and value of the segment column.
        total: leads between the first and the last instant of the period, added up on their own.
        excluded: rows that each exclusion took out. newest: latest day of any row. rows: rows read.
        remarks: what a person should know about the file.
    """

    cells: Counter[tuple[int, str | None]] = field(default_factory=Counter)
    total: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    newest: date | None = None
    rows: int = 0
    remarks: tuple[str, ...] = ()


def count_leads(
    settings: Spreadsheet, period: Period, segments: Sequence[Segment], now: datetime
) -> LeadCounts:
    """Count, and refuse a list that ends too early to hold the whole period."""
    SegmentMap(segments)  # before a long read: two segments may claim one value
    place = place_of(settings)
    tally, as_of = read(settings, place, lambda table: tally_of(settings, table, period), now)
    refuse_stale(settings, tally, period, now, place.source)
    days = period.days()
    return lead_counts(
        period,
        segments,
        ((days[index], value, leads) for (index, value), leads in tally.cells.items()),
        as_of=as_of,
        total=tally.total,
        origin=origin_of(place),
        excluded=tuple((rule.name, tally.excluded[rule.name]) for rule in settings.exclusions),
    )


def tally_of(settings: Spreadsheet, table: Table, period: Period) -> Tally:
    """Count one open table.

    Raises:
        TableError: a column does not exist or a cell cannot be read.
    """
    leads = Leads(settings, table, period)
    tally = Tally(remarks=table.remarks)
    length = len(period.days())
    value_of, number_of = leads.segment_value, leads.number
    for row, cells, position in leads.rows():
        tally.rows += 1
        if not 0 <= position < length:
            continue
        rule = leads.excluded_by(row, cells)
        number = number_of(row, cells)
        if rule is not None:
            tally.excluded[rule] += number
            continue
        tally.total += number
        tally.cells[position, value_of(cells)] += number
        if len(tally.cells) > MAX_GROUPS:
            raise TableError(
                f"{table.name}: column {settings.segment!r} has too many values, "
                f"more than {MAX_GROUPS:,} pairs of day and value",
                "choose the column that holds the segment, not an id",
                Reason.OVERFLOW,
            )
    tally.newest = leads.newest()
    return tally


class Leads:
    """The leads of an open table, with the settings' columns found and its rules made into tests.

    Raises:
        TableError: a column does not exist, or shows an error such as #DIV/0!.
    """

    def __init__(self, settings: Spreadsheet, table: Table, period: Period) -> None:
        self._table = table
        self._skips = settings.undated == "skip"
        self._segment = table.column(settings.segment)
        self._locale = settings.locale
        self._count = None if settings.count_column is None else table.column(settings.count_column)
        self._key = None if settings.duplicate_key is None else table.column(settings.duplicate_key)
        self._dates = day_columns(
            table, settings.dates, period, settings.stored_in, settings.date_order
        )
        self._filter = self._all_of(settings, settings.filters)
        self._rules = [
            (rule.name, self._all_of(settings, rule.where)) for rule in settings.exclusions
        ]
        conditions = [*settings.filters, *(c for rule in settings.exclusions for c in rule.where)]
        named = [self._segment, self._count, self._key, *(dates.column for dates in self._dates)]
        used = [column for column in named if column is not None]
        refuse_errors(table, [*used, *columns_of(table, conditions)])

    def _all_of(self, settings: Spreadsheet, filters: Sequence[Filter]) -> Test | None:
        return all_of(self._table, filters, locale=settings.locale, order=settings.date_order)

    def rows(self) -> Iterator[tuple[int, Sequence[object], int]]:
        """Yield row number, cells and position of the lead's earliest date, as `DayColumn.position`."""
        first_seen: dict[str, int] = {}
        place = self._only_date() if len(self._dates) == 1 else self._earliest
        for row, cells in self._table.rows:
            if self._key is not None:
                self._note_key(first_seen, row, cells)
            if self._filter is not None and not self._filter(row, cells):
                continue
            position = place(row, cells)
            if position is not None:
                yield row, cells, position

    def segment_value(self, cells: Sequence[object]) -> str | None:
        """Return the value of the segment column."""
        return text_of(cells[self._segment])

    def number(self, row: int, cells: Sequence[object]) -> int:
        """Return how many leads the row stands for."""
        if self._count is None:
            return 1
        with refusing(self._table, row, self._count):
            return parse_count(cells[self._count], self._locale)

    def excluded_by(self, row: int, cells: Sequence[object]) -> str | None:
        """Return the name of the first exclusion that takes the row out."""
        for name, test in self._rules:
            if test is not None and test(row, cells):
                return name
        return None

    def newest(self) -> date | None:
        """Return the latest day of any date column."""
        return max((day for dates in self._dates if (day := dates.newest())), default=None)

    def _only_date(self) -> Callable[[int, Sequence[object]], int | None]:
        (dates,) = self._dates
        column = dates.column

        def place(row: int, cells: Sequence[object]) -> int | None:
            value = cells[column]
            if blank(value):
                self._refuse_undated(row)
                return None
            return dates.position(row, value)

        return place

    def _earliest(self, row: int, cells: Sequence[object]) -> int | None:
        found = [
            dates.position(row, cells[dates.column])
            for dates in self._dates
            if not blank(cells[dates.column])
        ]
        if not found:
            self._refuse_undated(row)
        return min(found, default=None)

    def _refuse_undated(self, row: int) -> None:
        if not self._skips:
            message = (
                'found nothing; fill the date, or set undated = "skip" if such a row is no lead'
            )
            raise self._table.refuse(row, self._dates[0].column, message)

    def _note_key(self, first_seen: dict[str, int], row: int, cells: Sequence[object]) -> None:
        column = self._key or 0
        key = text_of(cells[column])
        if key is None:
            raise self._table.refuse(row, column, "found nothing; give each lead its key")
        before = first_seen.setdefault(key, row)
        if before != row:
            message = (
                f"found the key of row {before} again; remove the copy, the usual cause is an export "
                "appended twice"
            )
            raise self._table.refuse(row, column, message)


def refuse_stale(
    settings: Spreadsheet, tally: Tally, period: Period, now: datetime, source: str
) -> None:
    """Refuse a list whose newest row is older than `max_age` at the cut-off.

    Raises:
        ConnectorError: stale; an export may yet come.
    """
    if settings.age_limit is None:
        return
    count, workdays = settings.age_limit
    today = now.astimezone(ZoneInfo(period.timezone)).date()
    cut_off = min(period.end - timedelta(1), today)
    oldest = days_before(cut_off, count, workdays=workdays)
    if tally.newest is not None and tally.newest >= oldest:
        return
    found = (
        f"the list ends on {tally.newest}" if tally.newest else "the list has no rows with a date"
    )
    raise ConnectorError(
        NAME,
        Reason.STALE,
        f"{source}: {found}, the newest row must be from {oldest} or later (max_age {settings.max_age})",
        remedy="export it again, or raise max_age if so few leads come in",
    )
