"""In which cell of a worksheet, or on which line of a CSV, each input of the plan stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from digest.worksheet.layout import Geometry, column_letter
from digest.worksheet.plans import WORKBOOKS
from digest.worksheet.read import Worksheet

Key = tuple[str, str, date | None]
"""Name of an input, its segment or currency, and the month from which it holds; None for a rate."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A cell of a sheet, or a line of a CSV."""

    sheet: str = ""
    cell: str = ""
    line: int | None = None


def spots(path: Path) -> Mapping[Key, Spot]:
    """Return where the inputs of a plan stand, by what they are.

    Raises:
        ConfigError: the worksheet cannot be read.
    """
    if path.suffix.casefold() in WORKBOOKS:
        from digest.worksheet.read import read

        return dict(_of_workbook(read(path)))
    from digest.worksheet.long_form import COLUMNS, lines_of

    return {
        (name, segment, month): Spot(line=line)
        for (segment, month), line in lines_of(path).items()
        for name in COLUMNS
    }


def spot_of(known: Mapping[Key, Spot], name: str, segment: str, month: date) -> Spot | None:
    """Return where an input stands that holds in a month: the latest one up to it."""
    months = [at for key, whose, at in known if (key, whose) == (name, segment) and at is not None]
    latest = max((at for at in months if at <= month), default=None)
    return None if latest is None else known[name, segment, latest]


def _of_workbook(sheet: Worksheet) -> Iterator[tuple[Key, Spot]]:
    place, inputs = sheet.place, sheet.inputs
    for row, segment in inputs.segments.items():
        for month, column in place.months.items():
            yield ("revenue_goal", segment, month), _spot(place, "goals", row, column)
    for row, terms in inputs.terms.items():
        for name, column in place.terms.columns.items():
            yield (name, terms.segment, terms.valid_from), _spot(place, "sla", row, column)
    for card in place.cards:
        for row, source in card.lines:
            name, of = inputs.segments.get(source, ""), card.month
            for key in ("goal", "sales_goal"):
                if of is not None and (of, name, key) in inputs.by_hand:
                    yield (key, name, of), _spot(place, "sla", row, place.card_columns[key])
    yield from _rates(sheet)


def _rates(sheet: Worksheet) -> Iterator[tuple[Key, Spot]]:
    block = sheet.place.rates
    if block is None:
        return
    for row, currency in sheet.rate_rows.items():
        yield ("rate", currency, None), _spot(sheet.place, "rates", row, block.columns["rate"])


def _spot(place: Geometry, sheet: str, row: int, column: int) -> Spot:
    return Spot(place.names[sheet], f"{column_letter(column)}{row}")
