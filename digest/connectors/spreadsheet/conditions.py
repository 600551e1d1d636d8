"""Filters and exclusions of a list, made into one function per rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from digest.conditions import AGREES
from digest.connectors.spreadsheet.clocks import blank
from digest.connectors.spreadsheet.reading import refusing
from digest.model import normalise
from digest.notation import parse_date, parse_number
from digest.tables import Table, cell_text

if TYPE_CHECKING:
    from digest.conditions import Filter

Test = Callable[[int, Sequence[object]], bool]


def all_of(
    table: Table, filters: Sequence[Filter], *, locale: str | None, order: str | None
) -> Test | None:
    """Return one test that a row meets every filter, None when there is none.

    Raises:
        TableError: a column does not exist.
    """
    tests = [_test(table, condition, locale, order) for condition in filters]
    if not tests:
        return None
    return lambda row, cells: all(test(row, cells) for test in tests)


def columns_of(table: Table, filters: Sequence[Filter]) -> list[int]:
    """Return the columns that filters look at."""
    return [table.column(condition.column) for condition in filters]


def _test(table: Table, condition: Filter, locale: str | None, order: str | None) -> Test:
    column = table.column(condition.column)
    op, value = condition.op, condition.value
    if op in ("is null", "is not null"):
        return lambda _, cells: blank(cells[column]) == (op == "is null")
    if isinstance(value, tuple):
        wanted = {normalise(str(entry)) for entry in value}
        return lambda _, cells: (
            (normalise(cell_text(cells[column])) in wanted) == (op == "in")
            if not blank(cells[column])
            else op == "not in"
        )
    if op == "like":
        pattern = _pattern(str(value))
        return lambda _, cells: pattern.fullmatch(normalise(cell_text(cells[column]))) is not None
    agrees = AGREES[op]
    compare = _comparison(value, locale, order)

    def test(row: int, cells: Sequence[object]) -> bool:
        if blank(cells[column]):
            return op == "!="
        with refusing(table, row, column):
            return agrees(compare(cells[column]))

    return test


def _comparison(value: object, locale: str | None, order: str | None) -> Callable[[object], int]:
    """Return a function that says whether a cell is below (-1), equal to (0) or above (1) the value."""
    if isinstance(value, bool):
        truth = str(value).casefold()
        return lambda cell: _sign(normalise(cell_text(cell)), truth)
    if isinstance(value, int | float):
        number = Decimal(repr(value))
        return lambda cell: _sign(parse_number(cell, locale), number)
    if isinstance(value, date):
        return lambda cell: _sign(parse_date(cell, order), value)
    text = normalise(str(value))
    return lambda cell: _sign(normalise(cell_text(cell)), text)


def _sign(left: date | Decimal | str, right: date | Decimal | str) -> int:
    return (left > right) - (left < right)  # type: ignore[operator] # both sides are of one type, see _comparison


def _pattern(text: str) -> re.Pattern[str]:
    parts = (
        {"%": ".*", "_": "."}.get(character, re.escape(character)) for character in normalise(text)
    )
    return re.compile("".join(parts), re.DOTALL)
