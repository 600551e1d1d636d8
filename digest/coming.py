"""The next editions and the days without one: what `digest schedule --next` and `digest check` show.

Reads at most the ledger; contacts nothing and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from digest.compose import facts_of, reason_in_words
from digest.dispatch import memory_of
from digest.due import today_of, why_skipped, window_of
from digest.editions import Dated, Due, upcoming
from digest.errors import ConfigError
from digest.ledger import RunState, read_ledger
from digest.model import Kind

if TYPE_CHECKING:
    from digest.settings import Settings

_COLUMNS = ("date", "at", "UTC", "edition", "covers")


@dataclass(frozen=True, slots=True)
class Coming:
    """A future edition, when it may leave, and the days without one before it, each with its reason."""

    due: Due
    due_at: datetime
    skipped: tuple[tuple[date, str], ...]


def coming(
    settings: Settings, now: datetime, count: int, *, start: date | None = None
) -> Iterator[Coming]:
    """Yield the next `count` editions, given what the ledger says was sent.

    Args:
        settings: the digest.
        now: the instant of asking.
        count: how many.
        start: the first date to look at; by default today, or tomorrow when today's edition was sent
            or can no longer go out.

    Raises:
        ConfigError: here a calendar or the fiscal periods end.
        LedgerError: there is a ledger and it cannot be read.
    """
    day = _first_date(settings, now) if start is None else start
    previous: Dated | None = memory_of(settings, day).previous
    for _ in range(count):
        try:
            (one,) = upcoming(
                settings.calendar,
                day,
                1,
                months=facts_of(settings).months,
                previous=previous,
                off=lambda day: why_skipped(settings, day),
            )
        except ValueError as error:
            raise ConfigError(f"{settings.path.name}: {error}") from error
        yield Coming(
            one.due,
            window_of(settings, one.due.business_date).due_at,
            tuple((day.day, reason_in_words(day.reason)) for day in one.skipped),
        )
        previous, day = one.due, one.due.business_date + timedelta(days=1)


def _first_date(settings: Settings, now: datetime) -> date:
    today = today_of(settings, now)
    reader = read_ledger(settings.ledger)
    run = reader.run(settings.id, today) if reader else None
    over = now >= window_of(settings, today).until or (run and run.state is RunState.DONE)
    return today + timedelta(days=1) if over else today


# -------------------------------------------------------------------------------------- for programs


def facts(settings: Settings, editions: Sequence[Coming]) -> Mapping[str, Any]:
    """Return the editions ready for JSON."""
    zone = ZoneInfo(settings.timezone)
    return {
        "digest": settings.id,
        "timezone": settings.timezone,
        "calendar": settings.calendar.label,
        "editions": [
            {
                "date": one.due.business_date.isoformat(),
                "at": one.due_at.astimezone(zone).isoformat(timespec="seconds"),
                "utc": one.due_at.astimezone(UTC).isoformat(timespec="seconds"),
                "kind": str(one.due.kind),
                "closes": one.due.closes.plan_month.isoformat()[:7] if one.due.closes else None,
                "covers": [day.isoformat() for day in one.due.covers],
                "skipped": [
                    {"date": day.isoformat(), "reason": reason} for day, reason in one.skipped
                ],
            }
            for one in editions
        ],
    }


# ---------------------------------------------------------------------------------------- for people


def table(settings: Settings, editions: Sequence[Coming]) -> tuple[tuple[str, bool], ...]:
    """Return lines for a terminal, in columns; True marks what is no edition."""
    zone = ZoneInfo(settings.timezone)
    rows: list[tuple[tuple[str, ...], bool]] = [(_COLUMNS, True)]
    for one in editions:
        rows += [((_dates(*days), f"no edition: {why}"), True) for days, why in alike(one.skipped)]
        rows.append((_cells(one, zone), False))
    full = [cells for cells, _ in rows if len(cells) == len(_COLUMNS)]
    widths = [max(len(cells[column]) for cells in full) for column in range(len(_COLUMNS))]
    widths[0] = max(len(cells[0]) for cells, _ in rows)
    return tuple(
        ("  ".join(map(str.ljust, cells, widths)).rstrip(), aside) for cells, aside in rows
    )


def _cells(one: Coming, zone: ZoneInfo) -> tuple[str, ...]:
    local, utc = one.due_at.astimezone(zone), one.due_at.astimezone(UTC)
    other_day = "" if utc.date() == local.date() else f"{utc:%a} "
    return (
        _dates(local.date(), local.date()),
        f"{local:%H:%M %Z}",
        f"{other_day}{utc:%H:%M}",
        _kind(one.due),
        span(one.due.covers[0], one.due.covers[-1]),
    )


def _dates(first: date, last: date) -> str:
    if first == last:
        return f"{first:%a} {short(first):>6} {first:%Y}"
    return span(first, last) if first.month != last.month else f"{first.day} to {short(last)}"


def line(settings: Settings, one: Coming) -> str:
    """Return an edition and the days before it as one sentence."""
    local = one.due_at.astimezone(ZoneInfo(settings.timezone))
    text = (
        f"{local:%a} {short(local.date())} {local:%Y %H:%M} ({one.due_at:%H:%M} UTC), "
        f"{_kind(one.due)}, covers {span(one.due.covers[0], one.due.covers[-1])}"
    )
    skipped = "; ".join(f"{span(*days)} ({why})" for days, why in alike(one.skipped))
    return f"{text}; none on {skipped}" if skipped else text


def alike(skipped: Sequence[tuple[date, str]]) -> Iterator[tuple[tuple[date, date], str]]:
    """Yield days without an edition as spans of one reason: ((first, last), reason)."""
    for reason, group in groupby(skipped, key=lambda one: one[1]):
        days = [day for day, _ in group]
        yield (days[0], days[-1]), reason


def _kind(due: Due) -> str:
    if due.kind is Kind.MONTH_CLOSE and due.closes:
        return f"closes {due.closes.period.start:%B}"
    return "month to date"


def span(first: date, last: date) -> str:
    """Return days from `first` to `last` without their year."""
    return short(first) if first == last else f"{short(first)} to {short(last)}"


def short(day: date) -> str:
    """Return a day without its year: "4 May"."""
    return f"{day.day} {day:%b}"  # %-d is unknown to Windows
