"""The same closed deals and the same calls give the same statistics, from a database and from a list."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from digest.connectors.spreadsheet import Deals as ListDeals
from digest.connectors.spreadsheet import FollowUpColumns as ListColumns
from digest.connectors.spreadsheet import Spreadsheet
from digest.connectors.sql import Deals as SqlDeals
from digest.connectors.sql import FollowUpColumns as SqlColumns
from digest.connectors.sql import Sql
from digest.model import Period, Segment
from tests.sql.databases import sqlite_database

SEGMENTS = (Segment("DACH", ("DACH", "Schweiz")), Segment("Nord"), Segment("Benelux"))
WINDOW = Period(date(2026, 1, 1), date(2026, 7, 1))
NOW = datetime(2026, 7, 10, 6, tzinfo=UTC)
KINDS = {
    "seg": "text",
    "ts": "naive",
    "customer": "naive",
    "closed": "naive",
    "outcome": "text",
    "amount": "integer",
    "code": "text",
    "responded": "naive",
    "tries": "integer",
}
DEALS: dict[str, Any] = {
    "closed": "closed",
    "segment": "seg",
    "outcome": "outcome",
    "won": ("won",),
    "lost": ("lost",),
    "amount": "amount",
    "currency_column": "code",
    "stored_in": "UTC",
}
COLUMNS: dict[str, Any] = {
    "clock_start": "ts",
    "first_response": "responded",
    "attempts": "tries",
    "outcome": "outcome",
    "accepted": ("won",),
    "rejected": ("lost",),
    "stored_in": "UTC",
}
Row = dict[str, Any]


def rows_of(seed: int) -> list[Row]:
    """Leads with a deal each, on both sides of every edge of the window and of the clock changes."""
    draw = random.Random(seed)  # noqa: S311 - a repeatable sample
    edges = [
        datetime(2026, month, day, hour, tzinfo=UTC)
        for month, day, hour in (
            (1, 1, 0), (3, 28, 23), (3, 29, 1), (6, 30, 22), (7, 9, 22), (2, 14, 12),
        )
    ]  # fmt: skip

    def moment(*, maybe: bool = False) -> datetime | None:
        if maybe and draw.random() < 0.4:
            return None
        shift = timedelta(seconds=draw.randint(-1, 1), days=draw.randint(-3, 3))
        return draw.choice(edges) + shift

    return [
        {
            "seg": draw.choice(["DACH", " dach", "Schweiz", "Nord", "Mars", None]),
            "ts": moment(),
            "customer": moment(maybe=True),
            "closed": moment(),
            "outcome": draw.choice(["Won", "won ", "Lost", "open"]),
            "amount": draw.choice([None, 0, 900, 12_000]),
            "code": draw.choice(["CHF", "chf", "EUR"]),
            "responded": moment(maybe=True),
            "tries": draw.choice([None, 0, 3]),
        }
        for _ in range(120)
    ]


def from_database(folder: Path, rows: list[Row]) -> Sql:
    database = sqlite_database(folder)
    database.create(**KINDS)
    database.fill(rows)
    return database.sql(
        customer="customer",
        deals=SqlDeals(table=database.table, **DEALS),
        follow_up_columns=SqlColumns(**COLUMNS),
    )


def from_csv(folder: Path, rows: list[Row]) -> Spreadsheet:
    def text(value: object) -> str:
        if isinstance(value, datetime):
            return value.strftime("%d.%m.%Y %H:%M:%S")
        return "" if value is None else str(value)

    lines = [";".join(KINDS), *(";".join(text(row[key]) for key in KINDS) for row in rows)]
    (folder / "deals.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return _list(folder, "deals.csv")


def from_xlsx(folder: Path, rows: list[Row]) -> Spreadsheet:
    import xlsxwriter  # type: ignore[import-untyped] # it ships no types

    with xlsxwriter.Workbook(folder / "deals.xlsx") as book:
        sheet, shown = book.add_worksheet(), book.add_format({"num_format": "dd.mm.yyyy hh:mm:ss"})
        sheet.write_row(0, 0, list(KINDS))
        for line, row in enumerate(rows, 1):
            for column, key in enumerate(KINDS):
                value = row[key]
                if isinstance(value, datetime):
                    sheet.write_datetime(line, column, value.replace(tzinfo=None), shown)
                elif value is not None:
                    sheet.write(line, column, value)
    return _list(folder, "deals.xlsx")


def _list(folder: Path, name: str) -> Spreadsheet:
    return Spreadsheet(
        file=Path(name),
        dates=("ts",),
        segment="seg",
        stored_in="UTC",
        customer="customer",
        deals=ListDeals(**DEALS),
        follow_up_columns=ListColumns(**COLUMNS),
        max_age="any",
        folder=folder,
    )


LISTS: dict[str, Callable[[Path, list[Row]], Spreadsheet]] = {"csv": from_csv, "xlsx": from_xlsx}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("seed", range(3))
def test_a_list_and_a_database_measure_the_same_deals(tmp_path: Path, kind: str, seed: int) -> None:
    rows = rows_of(seed)
    database, list_ = from_database(tmp_path, rows), LISTS[kind](tmp_path, rows)
    measured = database.deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW)
    assert sum(entry.won for entry in measured.segments) > 0
    assert (
        measured.segments
        == list_.deal_statistics(window=WINDOW, segments=SEGMENTS, now=NOW).segments
    )


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_and_a_database_give_the_same_follow_up(tmp_path: Path, kind: str) -> None:
    rows = rows_of(7)
    database, list_ = from_database(tmp_path, rows), LISTS[kind](tmp_path, rows)
    found = [
        sorted(source.follow_up(period=WINDOW, segments=SEGMENTS, now=NOW), key=repr)
        for source in (database, list_)
    ]
    assert len(found[0]) > 20
    assert found[0] == found[1]
