"""Reads HubSpot's values, which are all text: times, days, numbers, and choices joined by semicolons."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from digest.conditions import AGREES
from digest.connectors.hubspot.failures import NAME
from digest.connectors.hubspot.schema import Property
from digest.connectors.hubspot.searching import Condition, Dated, condition
from digest.errors import ConnectorError, Reason
from digest.model import Period, local_midnight, normalise

if TYPE_CHECKING:
    from digest.conditions import Filter

Row = Mapping[str, str | None]
Test = Callable[[Row], bool]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = re.compile(r"-?\d{1,15}")


def instant(row: Row, name: str) -> datetime | None:
    """Return the UTC instant of a datetime property: ISO with Z, a plain ISO day, or epoch milliseconds.

    Raises:
        ConnectorError: anything else, without showing it.
    """
    text = row.get(name)
    if not text:
        return None
    try:
        if _DIGITS.fullmatch(text):
            return _EPOCH + timedelta(milliseconds=int(text))
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _unreadable(name, "date") from error


def day_of(row: Row, name: str) -> date | None:
    """Return the day of a date property, which is a midnight in UTC and never shifted."""
    moment = instant(row, name)
    return None if moment is None else moment.date()


def number(row: Row, name: str) -> Decimal | None:
    """Return a number property, exactly.

    Raises:
        ConnectorError: it is no number.
    """
    text = row.get(name)
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise _unreadable(name, "number") from error
    if not value.is_finite():
        raise _unreadable(name, "number")
    return value


def _unreadable(name: str, kind: str) -> ConnectorError:
    return ConnectorError(
        NAME,
        Reason.UNRECONCILED,
        f"property {name!r} of a record holds no {kind}",
        remedy="correct it in HubSpot, or choose another property",
    )


def parts(row: Row, known: Property) -> tuple[str, ...]:
    """Return the single values of a property."""
    text = row.get(known.name)
    if not text:
        return ()
    return tuple(text.split(";")) if known.multiple and ";" in text else (text,)


class Days:
    """Finds the place of a record in a period by the earliest of its dates."""

    def __init__(self, period: Period, dates: Sequence[Dated]) -> None:
        self._dates = dates
        self._bounds = period.bounds()
        self._start = period.start
        self._zone = period.timezone
        self.length = len(self._bounds) - 1

    def position(self, row: Row) -> int | None:
        """Return the index of the day; negative before the period, `length` or more after it."""
        found = [at for dated in self._dates if (at := self.place(row, dated)) is not None]
        return min(found, default=None)

    def place(self, row: Row, dated: Dated) -> int | None:
        """Return the index of the day of one date, None without one."""
        if dated.plain:
            day = day_of(row, dated.name)
            return None if day is None else (day - self._start).days
        moment = instant(row, dated.name)
        return None if moment is None else bisect_right(self._bounds, moment) - 1

    def touches(self, row: Row, dates: Sequence[Dated]) -> bool:
        """Tell whether any of the dates lies in the period."""
        places = (self.place(row, dated) for dated in dates)
        return any(at is not None and 0 <= at < self.length for at in places)

    def earliest(self, row: Row) -> datetime | None:
        """Return the earliest date as an instant; a plain day begins at its local midnight."""
        found = []
        for dated in self._dates:
            if dated.plain:
                day = day_of(row, dated.name)
                found += [] if day is None else [local_midnight(day, self._zone)]
            else:
                moment = instant(row, dated.name)
                found += [] if moment is None else [moment]
        return min(found, default=None)


# --------------------------------------------------------------------------------------- conditions


def test_of(filters: Sequence[Filter], known: Mapping[str, Property], zone: str) -> Test:
    """Return one test that a record meets every filter, decided here and not by HubSpot."""
    tests = [_test(entry, known[entry.column], zone) for entry in filters]
    return lambda row: all(test(row) for test in tests)


def _test(entry: Filter, known: Property, zone: str) -> Test:
    op, value, name = entry.op, entry.value, entry.column
    if op in ("is null", "is not null"):
        return lambda row: (not row.get(name)) == (op == "is null")
    if isinstance(value, tuple):
        wanted = {normalise(str(one)) for one in value}
        return lambda row: (
            any(normalise(part) in wanted for part in parts(row, known)) == (op == "in")
        )
    if op == "like":
        pattern = _pattern(str(value))
        return lambda row: any(pattern.fullmatch(normalise(part)) for part in parts(row, known))
    if isinstance(value, bool) or (op in ("=", "!=") and not isinstance(value, int | float | date)):
        text = normalise(str(value))
        return lambda row: (any(normalise(p) == text for p in parts(row, known))) == (op == "=")
    compare = _comparison(name, known, value, zone)
    agrees = AGREES[op]

    def test(row: Row) -> bool:
        sign = compare(row)
        return op == "!=" if sign is None else agrees(sign)

    return test


def _comparison(
    name: str, known: Property, value: object, zone: str
) -> Callable[[Row], int | None]:
    if isinstance(value, int | float):
        limit = Decimal(repr(value))
        return lambda row: None if (found := number(row, name)) is None else _sign(found, limit)
    if isinstance(value, date):
        here = ZoneInfo(zone)

        def compare(row: Row) -> int | None:
            if known.type == "date":
                day = day_of(row, name)
            else:
                moment = instant(row, name)
                day = None if moment is None else moment.astimezone(here).date()
            return None if day is None else _sign(day, value)

        return compare
    text = normalise(str(value))
    return lambda row: None if not row.get(name) else _sign(normalise(row.get(name) or ""), text)


def _sign(left: date | Decimal | str, right: date | Decimal | str) -> int:
    return (left > right) - (left < right)  # type: ignore[operator] # both sides are of one type, see _comparison


def _pattern(text: str) -> re.Pattern[str]:
    pieces = (
        {"%": ".*", "_": "."}.get(character, re.escape(character)) for character in normalise(text)
    )
    return re.compile("".join(pieces), re.DOTALL)


def asked_of_hubspot(
    filters: Sequence[Filter], known: Mapping[str, Property]
) -> tuple[Condition, ...]:
    """Return the filters that HubSpot can apply as we would, so that fewer records are read.

    Every filter is decided here as well; a text is not asked for, since HubSpot minds its spaces.
    """
    found = (_asked(entry, known[entry.column]) for entry in filters)
    return tuple(entry for entry in found if entry is not None)


def _asked(entry: Filter, known: Property) -> Condition | None:
    if entry.op == "is not null":
        return {"propertyName": entry.column, "operator": "HAS_PROPERTY"}
    if known.type == "bool" and entry.op == "=" and isinstance(entry.value, bool):
        return condition(entry.column, "EQ", str(entry.value).lower())
    if known.type == "enumeration" and known.field_type != "checkbox" and entry.op in ("=", "in"):
        given = entry.value if isinstance(entry.value, tuple) else (entry.value,)
        wanted = {normalise(str(one)) for one in given}
        values = [value for _, value in known.options if normalise(value) in wanted]
        if len({normalise(value) for value in values}) == len(wanted):
            return {"propertyName": entry.column, "operator": "IN", "values": values}
    return None
