"""Opens the list the settings name and turns a refused file into an error of the product."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from digest.errors import ConfigError, ConnectorError
from digest.model import Origin, Secret
from digest.tables import (
    SUFFIXES,
    Table,
    TableError,
    cell_text,
    csv_table,
    fetch,
    names_sheet,
    open_csv,
    open_workbook,
    read_unchanged,
)

if TYPE_CHECKING:
    from digest.connectors.spreadsheet import Deals, FollowUpColumns, Spreadsheet

T = TypeVar("T")

NAME = "spreadsheet"
GOOGLE = "a Google sheet"


@dataclass(frozen=True)
class Place:
    """Where one table stands."""

    path: Path | None
    link: str | None
    sheet: str | None
    header_row: int | None

    @property
    def source(self) -> str:
        """What was read, as the user knows it; never the link, which gives access."""
        name = self.path.name if self.path else GOOGLE
        return f"{name}, sheet {self.sheet!r}" if self.sheet else name


def place_of(settings: Spreadsheet, own: Deals | FollowUpColumns | None = None) -> Place:
    """Return where the leads stand, or the table of `own`, which falls back to that of the leads."""
    if own is not None and (own.file is not None or own.link is not None):
        return _place(settings, own.file, own.link, own.sheet, own.header_row)
    sheet, header_row = settings.sheet, settings.header_row
    if own is not None and own.sheet is not None:
        sheet, header_row = own.sheet, own.header_row
    return _place(settings, settings.file, settings.link, sheet, header_row)


def _place(
    settings: Spreadsheet,
    file: Path | None,
    link: str | Secret | None,
    sheet: str | None,
    header_row: int | None,
) -> Place:
    address = link.reveal() if isinstance(link, Secret) else link
    path = None if file is None else settings.folder / _from_home(file)
    return Place(path, address, sheet, header_row)


def _from_home(file: Path) -> Path:
    try:
        return file.expanduser()
    except RuntimeError:  # "~$leads.xlsx" is nobody's home but Excel's lock file
        return file


def read(
    settings: Spreadsheet, place: Place, use: Callable[[Table], T], now: datetime
) -> tuple[T, datetime]:
    """Return what `use` makes of the table, and the instant its data is from.

    Raises:
        ConfigError: the file, sheet or a column does not exist.
        ConnectorError: the file cannot be read or trusted.
    """
    try:
        if place.path is None:
            return _read_link(settings, place, use, now)
        path = place.path
        result, changed = read_unchanged(path, lambda: _read_file(settings, place, path, use))
    except TableError as error:
        raise as_product_error(error) from error
    return result, min(changed, now)


def as_product_error(error: TableError) -> ConfigError | ConnectorError:
    """Return the error of the product for a refused file."""
    if error.reason is None:
        return ConfigError(f"{NAME}: {error}")
    return ConnectorError(NAME, error.reason, error.what, remedy=error.remedy)


def origin_of(place: Place, calls: int = 1) -> Origin:
    """Return what is printed about the source."""
    return Origin(connector=NAME, source=place.source, calls=calls)


@contextmanager
def refusing(table: Table, row: int, column: int) -> Iterator[None]:
    """Turn a notation's ValueError into the refusal of a cell."""
    try:
        yield
    except TableError:
        raise
    except ValueError as error:
        raise table.refuse(row, column, str(error)) from error


def refuse_errors(table: Table, columns: Sequence[int]) -> None:
    """Refuse a cell of a column that matters whose formula shows an error or was never computed.

    Raises:
        TableError: for the first such cell.
    """
    for row, column in sorted({*table.errors, *table.uncached}):
        if column in columns:
            raise table.refuse(row, column, "found no value")


def text_of(value: object) -> str | None:
    """Return a cell as text, None when it is blank."""
    return cell_text(value).strip() or None


def _read_file(settings: Spreadsheet, place: Place, path: Path, use: Callable[[Table], T]) -> T:
    if path.suffix.lower() in SUFFIXES:
        return use(open_workbook(path, place.sheet, place.header_row))
    with open_csv(
        path,
        encoding=settings.encoding,
        delimiter=settings.delimiter,
        header_row=place.header_row,
    ) as table:
        return use(table)


def _read_link(
    settings: Spreadsheet, place: Place, use: Callable[[Table], T], now: datetime
) -> tuple[T, datetime]:
    link = place.link or ""
    if place.sheet is not None:
        raise TableError(
            f"sheet: a link names its sheet itself (#gid=...), found sheet {place.sheet!r} too",
            "copy the link while that sheet is open, and take sheet out of the settings",
            None,
        )
    download = fetch(link, "csv", settings.web)
    with csv_table(
        lambda: io.BytesIO(download.content), GOOGLE, delimiter=",", header_row=place.header_row
    ) as table:
        remarks = (
            () if names_sheet(link) else ("the link names no sheet (#gid=...); the first is read",)
        )
        result = use(Table(name=table.name, header=table.header, rows=table.rows, remarks=remarks))
    return result, min(download.as_of or now, now)
