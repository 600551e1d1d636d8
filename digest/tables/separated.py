"""Reads CSV row by row, and refuses what would silently lose or merge rows.

A file cut off exactly at the end of a row looks complete; only the source's own total could tell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from digest.tables.refusal import TableError, patiently, regular_file
from digest.tables.table import Table

Encoding = Literal["utf-8", "cp1252"]
Delimiter = Literal[";", ",", "\t", "|"]
_DELIMITERS = ";,\t|"
_CODECS = {"utf-8": "utf-8-sig", "cp1252": "cp1252"}
_LONGEST_LINE = 2_000_000  # characters; csv itself allows 131,072 in one cell


def open_csv(
    path: Path,
    *,
    encoding: Encoding = "utf-8",
    delimiter: str | None = None,
    header_row: int | None = None,
) -> AbstractContextManager[Table]:
    """Open a CSV file; its rows are read while the context lasts.

    Args:
        path: the file.
        encoding: cp1252 only where it is declared.
        delimiter: found in the header line when None; a first line `sep=;` says it too.
        header_row: number of the line with the headings; the first that is not blank by default.

    Raises:
        TableError: the file cannot be read or trusted; also while rows are read.
    """
    regular_file(path)
    return csv_table(
        lambda: patiently(lambda: path.open("rb"), path),
        path.name,
        encoding=encoding,
        delimiter=delimiter,
        header_row=header_row,
    )


@contextmanager
def csv_table(
    open_bytes: Callable[[], BinaryIO],
    name: str,
    *,
    encoding: Encoding = "utf-8",
    delimiter: str | None = None,
    header_row: int | None = None,
) -> Iterator[Table]:
    """Open CSV from anywhere; `name` is what errors call it. Otherwise as `open_csv`."""
    with open_bytes() as stream:
        head = stream.read(4)
        if head.startswith((b"PK", b"\xd0\xcf\x11\xe0", b"\xff\xfe", b"\xfe\xff")):
            raise _not_csv(name, head)
        stream.seek(0)
        text = io.TextIOWrapper(stream, encoding=_CODECS[encoding], errors="strict", newline="")
        lines = _Lines(text, name, encoding, open_bytes)
        words, delimiter = _header(lines, delimiter, header_row)
        yield Table(name=name, header=words, rows=_rows(lines, words, delimiter))


class _Lines:
    """The lines of a text, counted, with what no CSV may hold refused."""

    def __init__(
        self, text: io.TextIOWrapper, name: str, encoding: str, again: Callable[[], BinaryIO]
    ) -> None:
        self.name = name
        self.number = 0
        self._text = text
        self._encoding = encoding
        self._again = again

    def __iter__(self) -> Iterator[str]:
        readline = self._text.readline
        while True:
            try:
                line = readline(_LONGEST_LINE)
            except UnicodeDecodeError as error:
                raise self._undecodable() from error
            if not line:
                return
            self.number += 1
            if "\0" in line:
                raise TableError(
                    f"{self.name}, line {self.number}: found a NUL character",
                    "export the file again as CSV UTF-8",
                )
            if len(line) == _LONGEST_LINE:
                raise TableError(
                    f"{self.name}, line {self.number}: found a line of {_LONGEST_LINE:,} characters or more",
                    "export the file again; a quotation mark may be missing",
                )
            yield line

    def _undecodable(self) -> TableError:
        remedy = (
            'save it as "CSV UTF-8" in Excel, or declare encoding = "cp1252" if it is an older export'
            if self._encoding == "utf-8"
            else "take the declared encoding out if the file is UTF-8"
        )
        with self._again() as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    line.decode(self._encoding)
                except UnicodeDecodeError as error:
                    found = f"byte {line[error.start]:#04x} at position {error.start + 1}"
                    return TableError(
                        f"{self.name}, line {number}: found {found}, which is not {self._encoding}",
                        remedy,
                    )
        return TableError(f"{self.name} is not {self._encoding}", remedy)


def _header(
    lines: _Lines, delimiter: str | None, header_row: int | None
) -> tuple[tuple[str, ...], str]:
    for line in lines:
        stripped = line.strip("\r\n")
        if lines.number == 1 and stripped.lower().startswith("sep=") and len(stripped) == 5:  # noqa: PLR2004
            delimiter = delimiter or stripped[4]
        elif lines.number == header_row or (
            header_row is None and stripped.strip(_DELIMITERS + " ")
        ):
            delimiter = delimiter or _sniffed(lines, stripped)
            cells = _cells(lines, stripped, delimiter)
            return tuple(cell.strip() for cell in cells), delimiter
    raise TableError(
        f"{lines.name}: found no heading" + (f" in line {header_row}" if header_row else ""),
        "export the list with its headings",
        None,
    )


def _cells(lines: _Lines, line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise _broken(lines.name, lines.number, error) from error


def _sniffed(lines: _Lines, line: str) -> str:
    counts = {mark: len(_cells(lines, line, mark)) for mark in _DELIMITERS}
    most = max(counts.values())
    best = [mark for mark in _DELIMITERS if counts[mark] == most]
    if len(best) > 1 and most > 1:
        marks = " and ".join(repr(mark) for mark in best)
        raise TableError(
            f"{lines.name}, line {lines.number}: the headings can be split at {marks} alike",
            "declare delimiter in the settings",
        )
    return best[0]


def _rows(
    lines: _Lines, header: Sequence[str], delimiter: str
) -> Iterator[tuple[int, Sequence[object]]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    width = len(header)
    while True:
        first = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _broken(lines.name, first, error) from error
        if len(cells) == width:
            if any(cells):
                yield first, cells
        elif cells and "".join(cells).strip():
            raise TableError(
                f"{lines.name}, line {first}: found {len(cells)} cells under {width} headings",
                "put text that holds the delimiter or a line break in quotation marks",
            )


def _broken(name: str, line: int, error: csv.Error) -> TableError:
    if "unexpected end of data" in str(error):
        what = "a quotation mark opens and never closes, or the file was cut off"
    elif "field larger" in str(error):
        what = "a cell of more than 131,072 characters; a quotation mark may be missing"
    else:
        what = f"a cell that is not CSV ({error})"
    return TableError(f"{name}, from line {line}: found {what}", "export the file again")


def _not_csv(name: str, head: bytes) -> TableError:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return TableError(f"{name} is UTF-16 text", 'save it as "CSV UTF-8" in Excel')
    return TableError(f"{name} is a workbook, not CSV", "name it .xlsx, or save it as CSV UTF-8")
