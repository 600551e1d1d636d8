"""Reads fiscal periods from a CSV: year, period, start date; each period ends where the next one starts."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from digest.notation import parse_date
from digest.settings.mistakes import clip
from digest.settings.values import FiscalPeriod

_FEWEST = 13  # twelve periods and the start of the next year
_LARGEST = 64 * 1024


def read_periods(path: Path) -> tuple[FiscalPeriod, ...]:
    """Read rows of year, period, start date.

    Raises:
        ValueError: the words after the file's name.
    """
    if not path.is_file() and path.exists():
        raise ValueError(" is not a file")
    if path.stat().st_size > _LARGEST:
        raise ValueError(f" is larger than {_LARGEST:,} bytes")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(" is not UTF-8 text; save it as CSV UTF-8") from error
    delimiter = ";" if lines and ";" in lines[0] else ","
    rows = [(n, row) for n, row in enumerate(csv.reader(lines, delimiter=delimiter), 1) if any(row)]
    if rows and not rows[0][1][0].strip().isdecimal():
        rows = rows[1:]
    periods = tuple(_period(number, row) for number, row in rows)
    if len(periods) < _FEWEST:
        raise ValueError(
            f" has {len(periods)} periods; allowed: at least {_FEWEST}, a year and the next start"
        )
    _check_order(rows, periods)
    return periods


def _period(number: int, row: Sequence[str]) -> FiscalPeriod:
    try:
        year, period, start = (cell.strip() for cell in row)
        return FiscalPeriod(int(year), int(period), parse_date(start))
    except ValueError as error:
        raise ValueError(
            f", line {number}: found {clip(', '.join(row))!r}; "
            "allowed: year, period, start date such as 2026,1,2025-12-29"
        ) from error


def _check_order(rows: Iterable[tuple[int, object]], periods: Sequence[FiscalPeriod]) -> None:
    for (number, _), earlier, later in zip(list(rows)[1:], periods, periods[1:], strict=False):
        if later.start <= earlier.start:
            raise ValueError(
                f", line {number}: the period starts on {later.start}, not after {earlier.start}"
            )
