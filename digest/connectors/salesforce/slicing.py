"""How days are cut out of UTC, without the time zone of the user that asks.

Salesforce groups an instant by its UTC day and hour. In a zone whose offset is whole hours every UTC hour
lies in one local day, so a few bands of hours, each grouped by UTC day, give local days exactly: in winter
hours 0 to 22 of a day belong to that day in Zurich, hour 23 to the next. A month with a clock change has
three bands. Other zones have no bands, and each local day is asked for by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from digest.model import local_midnight

HOURS = 24
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Window:
    """Whole local days, or a part [start, end) of one.

    Attributes:
        days: the local days. start, end: UTC instants. cut: the window is part of a day.
    """

    days: tuple[date, ...]
    start: datetime
    end: datetime
    cut: bool = False

    @classmethod
    def of(cls, days: Sequence[date], timezone: str) -> Window:
        """Return the window of consecutive local days."""
        last = days[-1] + timedelta(1)
        return cls(tuple(days), local_midnight(days[0], timezone), local_midnight(last, timezone))

    @property
    def after(self) -> date:
        """The day after the last."""
        return self.days[-1] + timedelta(1)

    def halves(self, timezone: str, *, whole_days: bool) -> tuple[Window, Window] | None:
        """Return two windows that make up this one; None when it cannot be cut."""
        if len(self.days) > 1:
            middle = len(self.days) // 2
            return Window.of(self.days[:middle], timezone), Window.of(self.days[middle:], timezone)
        half = self.start + (self.end - self.start) / 2
        half = half.replace(microsecond=0)
        if whole_days or half <= self.start:
            return None
        return (
            Window(self.days, self.start, half, cut=True),
            Window(self.days, half, self.end, cut=True),
        )


@dataclass(frozen=True)
class Band:
    """UTC hours [first, end) of every day, and the local day that each UTC day means there."""

    first: int
    end: int
    local: Mapping[date, date]

    def condition(self, field: str) -> str | None:
        """Return the condition of the hours; None for a whole day."""
        parts = []
        if self.first > 0:
            parts.append(f"HOUR_IN_DAY({field}) >= {self.first}")
        if self.end < HOURS:
            parts.append(f"HOUR_IN_DAY({field}) < {self.end}")
        return " AND ".join(parts) or None


def bands(window: Window, timezone: str) -> tuple[Band, ...] | None:
    """Return the bands of a window; None where an hour of UTC lies in two local days."""
    if any(
        instant != instant.replace(minute=0, second=0) for instant in (window.start, window.end)
    ):
        return None
    zone = ZoneInfo(timezone)
    found: list[tuple[int, int, dict[date, date]]] = []
    for hour in range(HOURS):
        local = _local_days(hour, window, zone)
        if local is None:
            return None
        if found and _agree(found[-1][2], local):
            first, _, known = found[-1]
            found[-1] = (first, hour + 1, {**known, **local})
        else:
            found.append((hour, hour + 1, local))
    return tuple(Band(*each) for each in found)


def _local_days(hour: int, window: Window, zone: ZoneInfo) -> dict[date, date] | None:
    days: dict[date, date] = {}
    day = window.start.date()
    while day <= window.end.date():
        start = datetime.combine(day, time(hour), tzinfo=UTC)
        if window.start <= start < window.end:
            first = start.astimezone(zone).date()
            if (start + HOUR - timedelta(seconds=1)).astimezone(zone).date() != first:
                return None
            days[day] = first
        day += timedelta(1)
    return days


def _agree(one: Mapping[date, date], other: Mapping[date, date]) -> bool:
    return all(one.get(day, local) == local for day, local in other.items())


def windows(days: Sequence[date], timezone: str, *, rows_a_day: int, most: int) -> list[Window]:
    """Return as few windows of whole days as keep the expected rows of one answer below `most`."""
    length = max(1, most // max(1, rows_a_day))
    parts = -(-len(days) // length)
    size = -(-len(days) // parts)
    return [Window.of(days[n : n + size], timezone) for n in range(0, len(days), size)]
