"""Reads .xlsx, .xls and .ods lead lists through calamine; the one door to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from digest.errors import Reason, nearest
from digest.model import normalise
from digest.tables.archive import SheetFacts, check_archive, check_ods, sheet_facts, too_many_rows
from digest.tables.old_excel import load as load_old
from digest.tables.refusal import (
    TableError,
    not_a_workbook,
    patiently,
    regular_file,
    unreadable,
)
from digest.tables.table import Table, cell_text, column_letters

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods")

MAX_ROWS = 300_000
_MAX_BYTES = 500_000_000
_MAX_RATIO = 100
_MAX_ENTRIES = 1_000
_MAX_XLS_BYTES = 200_000_000


def open_workbook(path: Path, sheet: str | None = None, header_row: int | None = None) -> Table:
    """Return a sheet as a table; the first sheet when none is named.

    Args:
        path: the workbook.
        sheet: name of the sheet.
        header_row: number of the row with the headings; the first row that is not blank by default.

    Raises:
        TableError: the file cannot be read or trusted, or the sheet does not exist.
    """
    size = regular_file(path)
    with patiently(lambda: path.open("rb"), path) as stream:
        head = stream.read(8)
    zipped = head.startswith(b"PK")
    if zipped:
        check_archive(path, max_bytes=_MAX_BYTES, max_ratio=_MAX_RATIO, max_entries=_MAX_ENTRIES)
    elif not head.startswith(b"\xd0\xcf\x11\xe0"):
        raise not_a_workbook(path, head)
    elif size > _MAX_XLS_BYTES:
        raise TableError(
            f"{path.name} has {size:,} bytes, allowed {_MAX_XLS_BYTES:,}",
            "export the sheet as CSV",
            Reason.OVERFLOW,
        )
    try:
        return _table(path, sheet, header_row, zipped=zipped)
    except (TableError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # the one place that opens a file; a Rust panic is no Exception
        raise unreadable(path, head, error) from error


@dataclass(frozen=True)
class Loaded:
    """A sheet as its reader gave it; cell ranges and columns count from 0, rows from 1."""

    name: str
    remarks: list[str]
    rows: Iterator[tuple[int, Sequence[object]]]
    merged: Sequence[tuple[tuple[int, int], tuple[int, int]]]
    height: int
    facts: SheetFacts = field(default_factory=SheetFacts)


def load(path: Path, wanted: str | None, *, zipped: bool = False) -> Loaded:
    """Return a sheet as calamine gives it, in this process; what is zipped is looked at first."""
    from python_calamine import CalamineWorkbook

    if zipped:
        check_ods(path, max_rows=MAX_ROWS)
    with CalamineWorkbook.from_path(path) as book:
        name, remarks = _chosen(path, book, wanted)
        facts = sheet_facts(path, name, max_rows=MAX_ROWS) if zipped else SheetFacts()
        sheet = book.get_sheet_by_name(name)
    merged = sheet.merged_cell_ranges or ()
    return Loaded(name, remarks, _rows(sheet), merged, sheet.total_height, facts)


def _table(path: Path, wanted: str | None, header_row: int | None, *, zipped: bool) -> Table:
    sheet = load(path, wanted, zipped=True) if zipped else load_old(path, wanted)
    if sheet.height > MAX_ROWS + 1:
        raise too_many_rows(path, MAX_ROWS)
    title = f"{path.name}, sheet {sheet.name!r}"
    for number, cells in sheet.rows:
        if number == header_row or (header_row is None and any(cell != "" for cell in cells)):
            break
    else:
        raise TableError(
            f"{title}: found no heading" + (f" in row {header_row}" if header_row else ""),
            "name the sheet and the row that hold the headings",
            None,
        )
    _refuse_merged(title, sheet, number)
    remarks = list(sheet.remarks)
    if hidden := sheet.facts.hidden:
        remarks.append(f"{hidden} hidden rows are read too; a filter hides, it does not delete")
    return Table(
        name=title,
        header=tuple(cell_text(cell).strip() for cell in cells),
        rows=((at, cells) for at, cells in sheet.rows if any(cell != "" for cell in cells)),
        lettered=True,
        errors=sheet.facts.errors,
        uncached=sheet.facts.uncached,
        remarks=tuple(remarks),
    )


def _chosen(path: Path, book: CalamineWorkbook, wanted: str | None) -> tuple[str, list[str]]:
    from python_calamine import SheetTypeEnum

    names = [sheet.name for sheet in book.sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    if wanted is None:
        if not names:
            raise TableError(f"{path.name} has no sheet with cells", "name another file", None)
        several = [f"no sheet is named in the settings; the first of {len(names)} is read"]
        return names[0], several if len(names) > 1 else []
    matches = [name for name in names if name == wanted]
    matches = matches or [name for name in names if normalise(name) == normalise(wanted)]
    if not matches:
        listed = ", ".join(repr(name) for name in names[:40])
        raise TableError(
            f"{path.name} has no sheet {wanted!r}, found {listed}",
            f"correct the sheet's name{nearest(wanted, names)}",
            None,
        )
    return matches[0], []


def _rows(sheet: CalamineSheet) -> Iterator[tuple[int, Sequence[object]]]:
    # iter_rows begins at row 1 but leaves out the blank columns on the left, so they are put back.
    if sheet.start is None:
        return
    left: list[object] = [""] * sheet.start[1]
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        yield number, [*left, *cells] if left else cells


def _refuse_merged(title: str, sheet: Loaded, header_row: int) -> None:
    for (top, left), (bottom, right) in sheet.merged:
        if bottom + 1 > header_row:
            cells = f"{column_letters(left)}{top + 1}:{column_letters(right)}{bottom + 1}"
            raise TableError(
                f"{title}, {cells}: found merged cells, of which only the first has a value",
                "unmerge them and fill each cell",
            )
