"""Places the dates and times of a list on the local days of a period."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from digest.connectors.spreadsheet.reading import refusing
from digest.model import Period
from digest.notation import has_zone, parse_date, parse_timestamp
from digest.tables import Table

_REMEMBERED = 20_000  # days; a list repeats the same few

# The form in which databases export times. Its rows need no parsing where a whole day of the writer's clock
# falls on one day of the period's: five million rows take 15 s instead of 100 s.
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)


class DayColumn:
    """Reads one column of dates or times.

    With `stored_in` every value is an instant; without, a value is a plain date or carries its own zone.
    A column that does both is refused, because its plain values would shift.
    """

    def __init__(
        self,
        table: Table,
        column: int,
        period: Period,
        *,
        stored_in: str | None,
        order: str | None,
    ) -> None:
        self.column = column
        self._table = table
        self._stored_in = stored_in
        self._order = order
        self._zone = ZoneInfo(period.timezone)
        self._start = period.start.toordinal()
        self._length = (period.end - period.start).days
        self._bounds = period.bounds()
        self._zoned: bool | None = None
        self._dates: dict[str, int] = {}  # positions of texts that are dates
        self._days: dict[
            tuple[str, str], int | None
        ] = {}  # positions of whole days, by day and zone
        self._newest_day: date | None = None
        self._newest_instant: datetime | None = None
        self._newest_text = ""

    def position(self, row: int, value: object) -> int:
        """Return the index of the local day in the period; -1 before it, its length after it.

        Raises:
            TableError: the cell holds no date.
        """
        try:
            if isinstance(value, str):
                known = self._position_of_iso(value)
                if known is not None:
                    return known
            return self._parsed(value)
        except ValueError as error:
            raise self._table.refuse(row, self.column, str(error)) from error

    def instant(self, row: int, value: object) -> datetime:
        """Return a time of day as a UTC instant.

        Raises:
            TableError: the cell holds none.
        """
        with refusing(self._table, row, self.column):
            self._settle(zoned=has_zone(value))
            return parse_timestamp(value, self._stored_in, self._order)

    def newest(self) -> date | None:
        """Return the latest local day seen."""
        if self._newest_text:
            self._place(parse_timestamp(self._newest_text, self._stored_in))
        days = [] if self._newest_day is None else [self._newest_day]
        if self._newest_instant is not None:
            days.append(self._newest_instant.astimezone(self._zone).date())
        return max(days, default=None)

    def _position_of_iso(self, text: str) -> int | None:
        known = self._dates.get(text)
        if known is not None:
            return known
        match = _ISO.fullmatch(text)
        if match is None:
            return None
        day, zone = match.groups(default="")
        if bool(zone) is not self._zoned:
            self._settle(zoned=bool(zone))
        if not (zone or self._stored_in):
            return None
        self._newest_text = max(self._newest_text, text)
        key = day, zone
        if key not in self._days and len(self._days) < _REMEMBERED:
            self._days[key] = self._position_of_day(day, zone)
        return self._days.get(key)

    def _position_of_day(self, day: str, zone: str) -> int | None:
        """Return the position of a whole day of the writer's clock, None when it covers several."""
        first, last = (
            bisect_right(self._bounds, parse_timestamp(f"{day}T{clock}{zone}", self._stored_in)) - 1
            for clock in ("00:00:00", "23:59:59.999999")
        )
        return first if first == last else None

    def _parsed(self, value: object) -> int:
        zoned = has_zone(value)
        if zoned is not self._zoned:
            self._settle(zoned=zoned)
        if zoned or self._stored_in:
            return self._place(parse_timestamp(value, self._stored_in, self._order))
        day = self._plain_day(value)
        if self._newest_day is None or day > self._newest_day:
            self._newest_day = day
        position = min(max(day.toordinal() - self._start, -1), self._length)
        if isinstance(value, str) and len(self._dates) < _REMEMBERED:
            self._dates[value] = position
        return position

    def _plain_day(self, value: object) -> date:
        try:
            return parse_date(value, self._order)
        except ValueError as error:
            try:
                parse_timestamp(value, "UTC", self._order)
            except ValueError:
                raise error from None
            msg = (
                f"found {value}, a time without a zone; "
                "declare stored_in, the zone it is written in (UTC or such as Europe/Zurich)"
            )
            raise ValueError(msg) from error

    def _settle(self, *, zoned: bool) -> None:
        if self._zoned not in (None, zoned):
            msg = (
                "found a value with"
                + ("" if zoned else "out")
                + " a time zone below values with"
                + ("out" if zoned else "")
                + " one; write the whole column in one way"
            )
            raise ValueError(msg)
        self._zoned = zoned

    def _place(self, instant: datetime) -> int:
        if self._newest_instant is None or instant > self._newest_instant:
            self._newest_instant = instant
        return bisect_right(self._bounds, instant) - 1


def blank(value: object) -> bool:
    """Say whether a cell is empty."""
    return value is None or (isinstance(value, str) and not value.strip())


def day_columns(
    table: Table, names: Sequence[str], period: Period, stored_in: str | None, order: str | None
) -> tuple[DayColumn, ...]:
    """Return the readers of several date columns.

    Raises:
        TableError: a column does not exist.
    """
    return tuple(
        DayColumn(table, table.column(name), period, stored_in=stored_in, order=order)
        for name in names
    )


def days_before(day: date, count: int, *, workdays: bool) -> date:
    """Return the day `count` days or workdays (Monday to Friday) before a day."""
    if not workdays:
        return day - timedelta(count)
    while count:
        day -= timedelta(1)
        count -= day.weekday() < 5  # noqa: PLR2004 - Saturday
    return day
