"""Which formulas in a workbook depend on given cells, directly or through others."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from digest.worksheet.book import Book
from digest.worksheet.read import column_number

_REFERENCE = re.compile(
    r"(?:(?P<sheet>'(?:[^']|'')+'|[^\W\d][\w.]*)!)?"
    r"\$?(?P<left>[A-Z]{1,3})\$?(?P<top>\d{1,7})(?::\$?(?P<right>[A-Z]{1,3})\$?(?P<bottom>\d{1,7}))?(?![\w(!])"
)
_COLUMNS = re.compile(
    r"(?:(?P<sheet>'(?:[^']|'')+'|[^\W\d][\w.]*)!)?\$?(?P<left>[A-Z]{1,3}):\$?(?P<right>[A-Z]{1,3})(?![\w(!])"
)
_TEXT = re.compile(r'"(?:[^"]|"")*"')
LAST_ROW = 1_048_576


class Place(NamedTuple):
    """One cell of a workbook."""

    sheet: str
    row: int
    column: int


class Area(NamedTuple):
    """A rectangle of cells, all ends inclusive."""

    sheet: str
    top: int
    left: int
    bottom: int
    right: int


def dependents(book: Book, changed: Iterable[Place], *, skip: set[Place]) -> tuple[Place, ...]:
    """Return the formula cells outside `skip` that depend on `changed`, in the order of the workbook.

    References through names of the workbook are not followed.
    """
    formulas = {
        Place(sheet, cell.row, cell.column): tuple(areas(str(cell.content), sheet))
        for sheet in book.names
        for cell in book.cells(sheet).values()
        if cell.formula and Place(sheet, cell.row, cell.column) not in skip
    }
    found: set[Place] = set()
    fresh = set(changed)
    while fresh:
        touched = _by_sheet(fresh)
        fresh = {
            place
            for place, references in formulas.items()
            if place not in found and any(_meets(area, touched) for area in references)
        }
        found |= fresh
    return tuple(place for place in formulas if place in found)


def areas(formula: str, sheet: str) -> Iterator[Area]:
    """List the cells a formula refers to."""
    bare = _TEXT.sub('""', formula)
    for match in _REFERENCE.finditer(bare):
        left, top = column_number(match["left"]), int(match["top"])
        right = column_number(match["right"]) if match["right"] else left
        bottom = int(match["bottom"]) if match["bottom"] else top
        yield Area(_sheet(match["sheet"], sheet), top, left, bottom, right)
    for match in _COLUMNS.finditer(bare):
        yield Area(
            _sheet(match["sheet"], sheet),
            1,
            column_number(match["left"]),
            LAST_ROW,
            column_number(match["right"]),
        )


def _sheet(written: str | None, own: str) -> str:
    return written.strip("'").replace("''", "'") if written else own


def _by_sheet(places: Iterable[Place]) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        found[place.sheet].append(place)
    return found


def _meets(area: Area, touched: dict[str, list[Place]]) -> bool:
    return any(
        area.top <= place.row <= area.bottom and area.left <= place.column <= area.right
        for place in touched.get(area.sheet, ())
    )
