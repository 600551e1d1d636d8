"""How a column tells time, and what its values are compared with: declared or reflected, never guessed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from digest.model import Period, local_midnight

AWARE = "with time zone"
NAIVE = "without time zone"
DATE = "date"
TEXT = "text"
INTEGER = "integer"
SESSION = "instant in the session's zone"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The first line that matches decides.
FAMILIES = (
    (AWARE, ("WITH TIME ZONE", "LOCAL TIME ZONE", "DATETIMEOFFSET")),
    (AWARE, ("TIMESTAMPTZ", "TIMESTAMP_TZ", "TIMESTAMP_LTZ")),
    (NAIVE, ("TIMESTAMP", "DATETIME")),
    (DATE, ("DATE",)),
    (TEXT, ("CHAR", "TEXT", "STRING", "CLOB")),
    ("other", ("INTERVAL", "POINT")),
    (INTEGER, ("INT", "NUMBER", "NUMERIC", "DECIMAL")),
)

FORMATS = ("iso-z", "iso-space", "epoch-s", "epoch-ms")
EXAMPLES = {
    "iso-z": "2026-11-01T00:30:00Z",
    "iso-space": "2026-11-01 00:30:00",
    "epoch-s": "1793493000",
    "epoch-ms": "1793493000000",
}
# Types that are instants although their name does not say so.
INSTANTS = {
    "bigquery": ("TIMESTAMP",),
    "databricks": ("TIMESTAMP",),
    "clickhousedb": ("DATETIME",),
}


def family(type_name: str, dialect: str) -> str:
    """Return what a column's SQL type says of time: with or without zone, date, text, integer or "other"."""
    name = type_name.upper().removeprefix("NULLABLE(")
    if dialect in ("mysql", "mariadb") and name.startswith("TIMESTAMP"):
        return SESSION  # MySQL converts it to the session's zone, and our session is UTC
    if dialect == "oracle" and name == "DATE":
        return NAIVE  # it has a time of day
    if "_NTZ" not in name and name.startswith(INSTANTS.get(dialect, ("\0",))):
        return AWARE
    return next((kind for kind, words in FAMILIES if any(word in name for word in words)), "other")


@dataclass(frozen=True)
class Clock:
    """How a column tells time.

    Attributes:
        kind: "aware", "naive", "date", or one of FORMATS.
        zone: IANA zone of a naive or iso-space column.
        as_text: the database keeps dates and times as text (SQLite).
    """

    kind: str
    zone: str = "UTC"
    as_text: bool = False

    @property
    def bind_type(self) -> sa.types.TypeEngine[Any]:
        """The type with which values are bound."""
        if self.as_text or self.kind.startswith("iso"):
            return sa.String()
        if self.kind.startswith("epoch"):
            return sa.BigInteger()
        if self.kind == "date":
            return sa.Date()
        return sa.TIMESTAMP(timezone=True) if self.kind == "aware" else sa.DateTime()

    def bounds(self, period: Period) -> tuple[object, ...]:
        """Return the local midnights of a period (days and the exclusive end) as this column's values."""
        if self.kind == "date":
            days = (*period.days(), period.end)
            return tuple(day.isoformat() for day in days) if self.as_text else days
        return tuple(self.value_of(instant) for instant in period.bounds())

    def value_of(self, instant: datetime) -> object:
        """Return a UTC instant as this column's value."""
        if self.kind == "aware":
            return instant
        if self.kind == "epoch-s":
            return int(instant.timestamp())
        if self.kind == "epoch-ms":
            return int(instant.timestamp()) * 1000
        wall = instant.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        # Text without fraction and zone stands before every value of its second, with either.
        if self.kind == "iso-z":
            return wall.isoformat(sep="T", timespec="seconds")
        if self.kind == "iso-space" or self.as_text:
            return wall.isoformat(sep=" ", timespec="seconds")
        return wall

    def confused(self, period: Period) -> tuple[date, ...]:
        """Return the days at whose midnight the column's own clock is turned back past it.

        Leads of that hour cannot be told apart. In the digest's own zone this does not happen: an hour
        that comes twice lies on one local day.
        """
        if self.kind not in ("naive", "iso-space"):
            return ()
        zone = ZoneInfo(self.zone)
        return tuple(
            instant.astimezone(ZoneInfo(period.timezone)).date()
            for instant in period.bounds()
            if _turned_back(instant, zone)
        )

    def readable(self, column: sa.ColumnElement[Any], dialect: str) -> sa.ColumnElement[Any]:
        """Return a column as `instant_of` reads it; DuckDB hands out aware times only with pytz at hand."""
        if dialect == "duckdb" and self.kind == "aware":
            return sa.func.epoch_us(column)
        return column

    def instant_of(self, value: object, timezone: str) -> datetime:
        """Return a value of this column as a UTC instant; a date is its local midnight in `timezone`.

        Raises:
            ValueError: the value is not written as declared.
        """
        if self.kind.startswith("epoch"):
            if isinstance(value, bool) or not isinstance(value, int | Decimal):
                raise ValueError("expected an integer")
            return datetime.fromtimestamp(
                int(value) / (1000 if self.kind == "epoch-ms" else 1), tz=UTC
            )
        if self.kind == "date":
            return local_midnight(_date(value), timezone)
        if isinstance(value, str):
            return self._parsed(value)
        if isinstance(value, int) and self.kind == "aware":
            return EPOCH + timedelta(microseconds=value)
        if not isinstance(value, datetime):
            raise ValueError("expected a time")  # noqa: TRY004 - what the caller catches for any misfit
        if value.tzinfo is not None:
            return value.astimezone(UTC)
        return value.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def _parsed(self, value: str) -> datetime:
        mark = "T" if self.kind == "iso-z" else " "
        if value[10:11] != mark or (value[-1:] == "Z") != (self.kind == "iso-z"):
            raise ValueError(f"expected {EXAMPLES['iso-z' if mark == 'T' else 'iso-space']}")
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=ZoneInfo(self.zone))
        elif self.kind != "iso-z":
            raise ValueError(f"expected {EXAMPLES['iso-space']}")
        return moment.astimezone(UTC)


def _turned_back(instant: datetime, zone: ZoneInfo) -> bool:
    def wall(moment: datetime) -> datetime:
        return moment.astimezone(zone).replace(tzinfo=None)

    steps = [timedelta(minutes=minutes) for minutes in range(15, 181, 15)]
    return any(
        wall(instant - step) >= wall(instant) or wall(instant + step) < wall(instant)
        for step in steps
    )


def _date(value: object) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        return date.fromisoformat(value[:10])
    raise ValueError("expected a date")


def clock_of(
    *, key: str, column: str, found: str, dialect: str, stored_in: str | None, fmt: str | None
) -> Clock | str:
    """Return the column's clock, or the mistake in one sentence when it must not be guessed.

    Args:
        key: the setting that names the column.
        column: its name.
        found: what `family` said of its type.
        dialect: the database's name in SQLAlchemy.
        stored_in: the declared zone.
        fmt: the declared format.
    """
    sqlite = dialect == "sqlite"
    where = f"{key}: column {column!r}"
    if sqlite and found == NAIVE and fmt is None:
        fmt = "iso-space"
    if found in (TEXT, INTEGER, "other") or (sqlite and fmt is not None):
        return _declared(where, found, fmt, stored_in, sqlite=sqlite)
    if fmt is not None:
        return f"{where} is a {found} column; take format = {fmt!r} out, its type says how it tells time"
    if found == NAIVE:
        if stored_in is None:
            return (
                f"{where} has times without a zone; set stored_in = 'UTC' or the IANA zone in which "
                "the times were written, such as 'Europe/Zurich'"
            )
        return Clock("naive", stored_in)
    if found == DATE:
        return Clock("date", as_text=sqlite)
    return Clock("aware") if found == AWARE else Clock("naive", "UTC")


def _declared(
    where: str, found: str, fmt: str | None, stored_in: str | None, *, sqlite: bool
) -> Clock | str:
    if found == "other" and not sqlite:
        return f"{where} holds no time: its type is neither date, time, text nor integer"
    if fmt is None:
        choices = ", ".join(f"{name!r} ({EXAMPLES[name]})" for name in FORMATS)
        return f"{where} is a {found} column; set format to one of {choices}"
    if not sqlite and (fmt.startswith("epoch")) != (found == INTEGER):
        return f"{where} is a {found} column, which cannot hold format = {fmt!r}"
    if fmt == "iso-space" and stored_in is None:
        return (
            f"{where} has times without a zone; set stored_in = 'UTC' or the IANA zone they are in"
        )
    if fmt == "iso-space":
        return Clock(fmt, stored_in or "UTC", as_text=True)
    return Clock(fmt, as_text=fmt == "iso-z")
