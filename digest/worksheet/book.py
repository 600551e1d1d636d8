"""Opens a workbook for reading: every cell with its formula, its stored value and its number format.

openpyxl reads the file as a stream, once for formulas and once for stored values. Whatever it raises on
a broken file becomes one ConfigError here.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from digest.errors import ConfigError
from digest.tables import TableError, check_archive, patiently, regular_file, unreadable

if TYPE_CHECKING:
    from openpyxl import Workbook  # type: ignore[import-untyped] # has no types

T = TypeVar("T")

MAX_BYTES, MAX_RATIO, MAX_ENTRIES = 20_000_000, 100, 200
MAX_ROWS, MAX_COLUMNS = 5000, 50
LONGEST_HEADING = 120
SCANNED_ROWS = 20_000  # beyond MAX_ROWS only to see whether anything is there
ERRORS = frozenset(
    {"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#SPILL!", "#CALC!"}
)

Content = str | int | float | bool | date | datetime | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell that is not empty.

    Attributes:
        content: what was typed; the text with "=" of a formula.
        formula: whether it is one. number_format: as Excel writes it.
    """

    row: int
    column: int
    content: Content
    formula: bool
    number_format: str

    @property
    def heading(self) -> str:
        """The text of a cell that could be a heading; "" for anything else."""
        text = self.content
        return (
            text
            if isinstance(text, str) and not self.formula and len(text) <= LONGEST_HEADING
            else ""
        )


class Cells(dict[tuple[int, int], Cell]):
    """Cells by (row, column), also line by line."""

    def __init__(self, cells: Iterator[Cell]) -> None:
        self._lines: dict[int, list[Cell]] = {}
        super().__init__()
        for cell in cells:
            self[cell.row, cell.column] = cell
            self._lines.setdefault(cell.row, []).append(cell)

    @property
    def lines(self) -> list[int]:
        """The rows that hold anything, in order."""
        return sorted(self._lines)

    def line(self, row: int) -> list[Cell]:
        """The cells of a row, from left to right."""
        return self._lines.get(row, [])


class Book:
    """An open workbook; use it in a `with` statement."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._head = b""
        self._bytes = (
            b""  # read once, so that a file that changes meanwhile is not read half and half
        )
        self._formulas: Workbook | None = None
        self._stored: Workbook | None = None
        self._cells: dict[str, Cells] = {}
        self._values: dict[str, Mapping[tuple[int, int], Content]] = {}
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for book in (self._formulas, self._stored):
            if book is not None:
                book.close()

    def _open(self) -> None:
        try:
            self._bytes = _content(self.path)
            self._head = self._bytes[:8]
            check_archive(
                self.path, max_bytes=MAX_BYTES, max_ratio=MAX_RATIO, max_entries=MAX_ENTRIES
            )
        except TableError as error:
            raise ConfigError(str(error)) from error
        self._formulas = self._load(stored=False)

    def _load(self, *, stored: bool) -> Workbook:
        from openpyxl import load_workbook

        def load() -> Workbook:
            return load_workbook(
                BytesIO(self._bytes), read_only=True, data_only=stored, keep_links=False
            )

        return self._guarded(load)

    def _guarded(self, read: Callable[[], T]) -> T:
        """Run the vendor's code: it raises nearly anything on a damaged file."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return read()
        except Exception as error:
            raise ConfigError(str(unreadable(self.path, self._head, error))) from error

    @property
    def content(self) -> bytes:
        """The file as it was when it was opened."""
        return self._bytes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the worksheets, in order."""
        book = self._formulas
        assert book is not None  # noqa: S101 - set by the constructor
        return self._guarded(lambda: tuple(sheet.title for sheet in book.worksheets))

    def defined_names(self) -> dict[str, str]:
        """Names that the writer gave to sheets, such as digest_sla, with the sheet they point to."""
        book = self._formulas
        assert book is not None  # noqa: S101 - set by the constructor

        def read() -> dict[str, str]:
            known = set(self.names)
            found = {}
            for name, target in book.defined_names.items():
                sheet, _, _ = str(target.attr_text or "").rpartition("!")
                title = sheet.strip("'").replace("''", "'")
                if name.startswith("digest_") and title in known:
                    found[name.removeprefix("digest_")] = title
            return found

        return self._guarded(read)

    def cells(self, sheet: str) -> Cells:
        """Every cell of a sheet that is not empty, by (row, column), both from 1; at most SCANNED_ROWS rows.

        Raises:
            ConfigError: the sheet cannot be read.
        """
        if sheet not in self._cells:
            book = self._formulas
            assert book is not None  # noqa: S101 - set by the constructor
            self._cells[sheet] = self._guarded(lambda: Cells(_cells_of(book, sheet)))
        return self._cells[sheet]

    def stored(self, sheet: str) -> Mapping[tuple[int, int], Content]:
        """The stored value of every cell that has one."""
        if self._stored is None:
            self._stored = self._load(stored=True)
        if sheet not in self._values:
            book = self._stored
            self._values[sheet] = self._guarded(
                lambda: {(c.row, c.column): c.content for c in _cells_of(book, sheet)}
            )
        return self._values[sheet]

    def merged(self, sheet: str) -> tuple[str, ...]:
        """Addresses of merged cells."""
        book = self._formulas
        assert book is not None  # noqa: S101 - set by the constructor

        def read() -> tuple[str, ...]:
            part = str(book[sheet]._worksheet_path).lstrip("/")  # noqa: SLF001 - the streaming reader knows no merged cells
            with zipfile.ZipFile(BytesIO(self._bytes)) as archive:
                text = archive.read(part)
            tail = text[max(text.rfind(b"</sheetData>"), 0) :]
            found = re.findall(rb'<(?:\w+:)?mergeCell [^>]*?ref="([A-Z0-9:]+)"', tail)
            return tuple(address.decode("ascii") for address in found)

        return self._guarded(read)


def _content(path: Path) -> bytes:
    if regular_file(path) > MAX_BYTES:
        raise TableError(
            f"{path.name} is larger than {MAX_BYTES:,} bytes",
            "a worksheet holds the agreement of one year; start from digest worksheet new",
        )
    content = patiently(path.read_bytes, path)
    if not content.startswith(b"PK"):
        raise unreadable(path, content[:8], ValueError("no workbook"))
    return content


def _cells_of(book: Workbook, sheet: str) -> Iterator[Cell]:
    page = book[sheet]
    page.reset_dimensions()  # the file's own claim may be wrong
    for row in page.iter_rows(max_row=SCANNED_ROWS, max_col=MAX_COLUMNS):
        for cell in row:
            value = cell.value
            if value is None:
                continue
            formula = cell.data_type == "f" or not isinstance(
                value, str | int | float | bool | date
            )
            text = getattr(value, "text", None) if formula and not isinstance(value, str) else None
            content = f"={text.lstrip('=')}" if isinstance(text, str) else value
            if not isinstance(content, str | int | float | bool | date):
                content = str(content)
            yield Cell(cell.row, cell.column, content, formula, cell.number_format)
