"""A table of rows whose every cell has an address that the reader of an error can find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from digest.errors import Reason, nearest
from digest.model import normalise
from digest.tables.refusal import TableError, interrupted, refuse_cell

T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """Rows under one header.

    Attributes:
        name: how errors call it, such as "leads.xlsx, sheet 'Leads'".
        header: the words of the header row, by column.
        rows: row number (line number in a CSV) and cells, blank rows left out; to be read once.
        lettered: cells have addresses such as C17; otherwise line and column name.
        errors: cells that hold an error such as #DIV/0!, by row number and column index; the reader
            gives an empty text for them.
        uncached: formula cells without a stored value, likewise.
        remarks: what a person should know and the rows do not say.
    """

    name: str
    header: tuple[str, ...]
    rows: Iterable[tuple[int, Sequence[object]]]
    lettered: bool = False
    errors: Mapping[tuple[int, int], str] = field(default_factory=dict)
    uncached: AbstractSet[tuple[int, int]] = frozenset()
    remarks: tuple[str, ...] = ()

    def column(self, wanted: str) -> int:
        """Return the index of a column, matched by normalised name.

        Raises:
            TableError: there is none, or several.
        """
        key = normalise(wanted)
        found = [index for index, word in enumerate(self.header) if normalise(word) == key]
        if len(found) == 1:
            return found[0]
        words = [word for word in self.header if word.strip()]
        if found:
            what = f"{self.name}: {len(found)} columns are headed {wanted!r}"
            remedy = "give each column its own heading"
        else:
            listed = ", ".join(repr(word) for word in words[:40]) or "nothing"
            what = f"{self.name}: no column is headed {wanted!r}, found {listed}"
            remedy = f"correct the heading or the settings{nearest(wanted, words)}"
        raise TableError(what, remedy, None)

    def at(self, row: int, column: int) -> str:
        """Return the address of a cell."""
        if self.lettered:
            return f"{self.name}, {column_letters(column)}{row}"
        return f"{self.name}, line {row}, column {self.header[column]!r}"

    def refuse(self, row: int, column: int, message: str) -> TableError:
        """Return the refusal of one cell, from a sentence that begins with what was found."""
        error = self.errors.get((row, column))
        if error:
            message = f"found the error {error}; correct the formula and save the workbook"
        elif (row, column) in self.uncached:
            message = (
                "found a formula without a stored value; open the file in Excel or LibreOffice and "
                "save it"
            )
        return refuse_cell(self.at(row, column), message)


def column_letters(index: int) -> str:
    """Return the letters of a column: 0 is A, 26 is AA."""
    letters = ""
    number = index + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def cell_text(value: object) -> str:
    """Return a cell as the text that a CSV export of it would hold; the number 5.0 is "5"."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)


def read_unchanged(path: Path, read: Callable[[], T]) -> tuple[T, datetime]:
    """Return what was read and the file's time of last change (UTC).

    A file that changes while it is read is read once more.

    Raises:
        TableError: it changed again, or `read` refused it.
    """
    for _ in range(2):
        before = _fingerprint(path)
        refusal = None
        try:
            result = read()
        except TableError as error:
            refusal = error
        except OSError as error:
            refusal = interrupted(path, error)
        if before == _fingerprint(path):
            if refusal is not None:
                raise refusal
            return result, datetime.fromtimestamp(before[1] / 1e9, UTC)
    raise TableError(
        f"{path.name} changed while it was being read, twice",
        "let the export finish before the digest runs",
        Reason.TRANSIENT,
    )


def _fingerprint(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return 0, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_ino
