"""Reads what people entered in a worksheet, wherever they moved it, and names every mistake by cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from digest.errors import ConfigError, nearest
from digest.model import DayCount, PlanRate, add_months, month_start, normalise
from digest.notation import (
    CURRENCIES,
    parse_amount,
    parse_count,
    parse_date,
    parse_month,
    parse_number,
    parse_share,
    shown,
)
from digest.sla import Plan, RevenueGoal, Terms
from digest.worksheet.book import ERRORS, MAX_ROWS, Book, Cell, Cells, Content
from digest.worksheet.layout import (
    ACTUAL_COLUMNS,
    ACTUAL_LAST_ROW,
    BY_HAND,
    CALENDAR_COLUMNS,
    CALENDAR_LAST_ROW,
    CARD_COLUMNS,
    IN_FORCE,
    RATES_COLUMNS,
    TERMS_COLUMNS,
    Block,
    Card,
    Geometry,
    Inputs,
    column_letter,
)
from digest.worksheet.words import (
    HEADINGS,
    WORDS,
    label_in_any_language,
    plain,
    sheet_in_any_language,
)

T = TypeVar("T")

CARD_SIGNS = frozenset(
    {"terms_from", "revenue_goal", "marketing_revenue", "customers", "goal", "sales_goal"}
)
ENOUGH_SIGNS = 3  # of the headings above in one row: no accident
HEADING_ROWS = 60  # how far down a heading is looked for
REQUIRED_TERMS = ("segment", "valid_from", "deal_size", "marketing_share", "close_rate")
TERMS_INPUTS = (
    "segment", "valid_from", "deal_size", "marketing_share", "sales_share", "close_rate",
    "sales_deal_size", "sales_close_rate",
)  # fmt: skip
_IGNORED = frozenset({"note"})
_TOLERANCE = Fraction(1, 10**9)


@dataclass(frozen=True, slots=True)
class Worksheet:
    """A worksheet as it was read.

    Attributes:
        sheets: sheet key to the sheet's name; what is missing is absent.
        actual_rows: row of the sheet Actual to (day, segment name as written, leads).
        notes: cells that the digest can read and the workbook's own formulas cannot, as (cell, text).
        rate_rows: row of the sheet Rates to currency.
    """

    path: Path
    place: Geometry
    inputs: Inputs
    sheets: Mapping[str, str]
    actual_rows: Mapping[int, tuple[date, str, int]] = field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()
    rate_rows: Mapping[int, str] = field(default_factory=dict)


def read(path: Path, *, everything: bool = False) -> Worksheet:
    """Read a workbook's inputs; with `everything` also the sheets Actual and Calendar.

    The example sheets are never read.

    Raises:
        ConfigError: all mistakes, each with file, sheet and cell.
    """
    with Book(path) as book:
        return read_book(book, everything=everything)


def read_book(book: Book, *, everything: bool = False) -> Worksheet:
    """Likewise, from an open workbook."""
    reader = _Reader(book)
    sheets = _find_sheets(reader)
    _check_size(reader, sheets, everything=everything)
    reader.stop_if_wrong()
    goals = _read_goals(reader, sheets["goals"])
    terms = _read_terms(reader, sheets["sla"])
    rates_block, rate_rows = _read_rates(reader, sheets.get("rates"), goals)
    rates = tuple(rate_rows.values())
    if "segment" not in goals.block.columns or not set(REQUIRED_TERMS) <= set(terms.block.columns):
        reader.stop_if_wrong()  # without headings nothing below can be read
    _check_merged(reader, goals, terms)
    entries = _terms_entries(reader, terms, goals)
    _check_rates(reader, goals, rates, sheets.get("rates"))
    cards, card_columns = _find_cards(reader, sheets["sla"], terms, goals)
    by_hand = _by_hand(reader, sheets["sla"], cards, card_columns, goals)
    actual_block, actual_rows = None, {}
    calendar_block, workdays = None, {}
    if "actual" in sheets:
        actual_block = _list_block(
            reader, sheets["actual"], ACTUAL_COLUMNS, ACTUAL_LAST_ROW, everything=everything
        )
        if everything and actual_block:
            actual_rows = _actual_rows(reader, sheets["actual"], actual_block)
    if "calendar" in sheets:
        calendar_block = _list_block(
            reader, sheets["calendar"], CALENDAR_COLUMNS, CALENDAR_LAST_ROW, everything=everything
        )
        if everything and calendar_block:
            workdays = _workdays(reader, sheets["calendar"], calendar_block)
    reader.stop_if_wrong()
    plan = _plan(reader, goals, entries, rates, by_hand)
    counts = _counts(plan, actual_rows.values())
    return Worksheet(
        path=book.path,
        place=Geometry(
            names=dict(sheets),
            goals=goals.block,
            months=goals.months,
            goals_total=goals.total,
            plan_currency=goals.currency_cell,
            terms=terms.block,
            cards=cards,
            card_columns=card_columns,
            rates=rates_block,
            actual=actual_block,
            calendar=calendar_block,
        ),
        inputs=Inputs(
            plan=plan,
            segments=dict(goals.names),
            terms=entries,
            leads=counts,
            counted=frozenset(month_start(day) for day, _, _ in actual_rows.values()),
            workdays=workdays,
            by_hand=frozenset(by_hand),
        ),
        sheets=sheets,
        actual_rows=actual_rows,
        notes=tuple(reader.notes),
        rate_rows={row: rate.currency for row, rate in rate_rows.items()},
    )


def _counts(plan: Plan, rows: Iterable[tuple[date, str, int]]) -> dict[tuple[date, str], int]:
    names = {normalise(name): name for name in plan.segments}
    found: dict[tuple[date, str], int] = {}
    for day, segment, leads in rows:
        key = (month_start(day), names.get(normalise(segment), ""))
        found[key] = found.get(key, 0) + leads
    return found


# ----------------------------------------------------------------------------------- cells, mistakes


class _Reader:
    """Reads single cells and collects what is wrong with them."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.mistakes: list[str] = []
        self.notes: list[tuple[str, str]] = []

    def wrong(self, sheet: str, row: int, column: int, what: str) -> None:
        self.mistakes.append(f"{self.book.path.name}, {sheet}!{column_letter(column)}{row}: {what}")

    def wrong_sheet(self, sheet: str, what: str) -> None:
        self.mistakes.append(f"{self.book.path.name}, {sheet}: {what}")

    def wrong_file(self, what: str) -> None:
        self.mistakes.append(f"{self.book.path.name}: {what}")

    def stop_if_wrong(self) -> None:
        if self.mistakes:
            raise ConfigError(*dict.fromkeys(self.mistakes))

    def text(self, sheet: str, row: int, column: int | None) -> str:
        """A text cell, trimmed; "" when empty."""
        value = self.value(sheet, row, column)
        if value is None:
            return ""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(int(value)) if value == int(value) else str(value)
        return " ".join(str(value).split())

    def value(self, sheet: str, row: int, column: int | None) -> Content:
        """What a cell holds; the stored value of a formula. A cell that cannot be used is a mistake."""
        if column is None or (cell := self.book.cells(sheet).get((row, column))) is None:
            return None
        value = cell.content
        if cell.formula:
            value = self.book.stored(sheet).get((row, column))
            if value is None or value == "":
                self.wrong(
                    sheet, row, column,
                    f"found the formula {shown(cell.content)} without a stored value; open the file in Excel "
                    "or LibreOffice, save it, and run this again; where the formula gives an empty text, "
                    "clear the cell",
                )  # fmt: skip
                return None
        if isinstance(value, str) and value.strip() in ERRORS:
            source = f" from {shown(cell.content)}" if cell.formula else ""
            self.wrong(
                sheet, row, column, f"found the error {value.strip()}{source}; correct the cell"
            )
            return None
        if isinstance(value, str) and not value.strip():
            return None
        return value

    def parse(
        self, sheet: str, row: int, column: int | None, parser: Callable[[Content, Cell], T]
    ) -> T | None:
        """A cell through a parser of `notation`; None when it is empty or wrong."""
        value = self.value(sheet, row, column)
        if value is None or column is None:
            return None
        if isinstance(value, str):
            # The digest reads it, Excel does not: there a text is 0 in a sum and #VALUE! in a product.
            where = f"{sheet}!{column_letter(column)}{row}"
            what = (
                f"found the text {shown(value)}; the workbook's own formulas cannot compute with a "
                "text, so enter it as a number or a date"
            )
            self.notes.append((where, what))
        try:
            return parser(value, self.book.cells(sheet)[row, column])
        except (ValueError, ArithmeticError) as error:
            text = str(error)
            self.wrong(
                sheet,
                row,
                column,
                text if text.startswith("found") else f"found {shown(value)}; {text}",
            )
            return None


def _ratio(value: Content, cell: Cell) -> Fraction:
    return parse_share(value, cell.number_format if not isinstance(value, str) else None)


def _month(value: Content, _cell: Cell) -> date:
    return parse_month(value)


def _count(value: Content, _cell: Cell) -> int:
    return parse_count(value)


# -------------------------------------------------------------------------------------------- sheets


def _find_sheets(reader: _Reader) -> dict[str, str]:
    book = reader.book
    found = book.defined_names()
    taken = set(found.values())
    for key in WORDS["en"].sheets:
        if key in found:
            continue
        known = sheet_in_any_language(key)
        title = next(
            (name for name in book.names if plain(name) in known and name not in taken), None
        )
        if title is not None:
            found[key] = title
            taken.add(title)
    examples = {label.split()[0] for label in sheet_in_any_language("example_sla")}
    for key, looks_right in (("goals", _looks_like_goals), ("sla", _looks_like_terms)):
        if key not in found:
            candidates = [
                name
                for name in book.names
                if name not in taken
                and plain(name).split(" ")[0] not in examples
                and looks_right(book.cells(name))
            ]
            if candidates:
                found[key] = candidates[0]
                taken.add(candidates[0])
    for key in ("goals", "sla"):
        if key not in found:
            wanted = [words.sheets[key] for words in WORDS.values()]
            free = [name for name in book.names if name not in taken]
            close = next(
                (hint for name in dict.fromkeys(wanted) if (hint := nearest(name, free))), ""
            )
            reader.wrong_file(
                f"the sheet {WORDS['en'].sheets[key]!r} is missing; found {', '.join(map(repr, book.names))}"
                f"{close} Name the sheet as it was, or start from digest worksheet new"
                if close
                else f"the sheet {WORDS['en'].sheets[key]!r} is missing; found "
                f"{', '.join(map(repr, book.names))}; name the sheet as it was, or start from "
                "digest worksheet new"
            )
    return found


def _check_size(reader: _Reader, sheets: Mapping[str, str], *, everything: bool) -> None:
    read = ("goals", "sla", "rates", *(("actual", "calendar") if everything else ()))
    for sheet in (sheets[key] for key in read if key in sheets):
        if max(reader.book.cells(sheet).lines, default=0) > MAX_ROWS:
            reader.wrong_sheet(
                sheet,
                f"more than {MAX_ROWS:,} rows are filled; a worksheet holds the agreement of one "
                "year, so delete what "
                "lies below",
            )


def _looks_like_goals(cells: Cells) -> bool:
    heading = _best_row(cells, _goals_score)
    return heading is not None and _goals_score(cells, heading) >= 3  # noqa: PLR2004 - a name and two months


def _looks_like_terms(cells: Cells) -> bool:
    heading = _best_row(cells, _terms_score)
    return heading is not None and _terms_score(cells, heading) >= 4  # noqa: PLR2004 - most of five required headings


def _best_row(cells: Cells, score: Callable[[Cells, int], int]) -> int | None:
    scores = {row: score(cells, row) for row in cells.lines if row <= HEADING_ROWS}
    best = max(scores, key=lambda row: (scores[row], -row), default=None)
    return best if best is not None and scores[best] > 0 else None


def _heading_keys(text: str, wanted: Iterable[str]) -> list[str]:
    name = plain(text)
    return [key for key in wanted if name in HEADINGS[key]] if name else []


def _goals_score(cells: Cells, row: int) -> int:
    found = cells.line(row)
    months = sum(1 for cell in found if _heading_month(cell) is not None)
    named = sum(1 for cell in found if _heading_keys(cell.heading, ("segment", "currency")))
    return months + named if months and named else 0


def _terms_score(cells: Cells, row: int) -> int:
    keys = {key for cell in cells.line(row) for key in _heading_keys(cell.heading, TERMS_INPUTS)}
    return len(keys)


def _heading_month(cell: Cell, stored: Content = None) -> date | None:
    content = stored if cell.formula else cell.content
    if isinstance(content, bool | int | float) or content is None:
        return None
    try:
        return parse_month(content)
    except ValueError:
        return None


def _columns(
    reader: _Reader, sheet: str, row: int, wanted: Sequence[str], required: Sequence[str]
) -> dict[str, int]:
    """Map headings to columns; unknown, missing and double headings are mistakes."""
    found: dict[str, int] = {}
    unknown: list[Cell] = []
    for cell in reader.book.cells(sheet).line(row):
        if not cell.heading:
            continue
        keys = _heading_keys(cell.heading, wanted)
        if not keys:
            unknown.append(cell)
            continue
        key = keys[0]
        if key in found:
            reader.wrong(
                sheet, row, cell.column,
                f"found a second column {shown(cell.content)} beside "
                f"{column_letter(found[key])}{row}; keep one",
            )  # fmt: skip
            continue
        found[key] = cell.column
    for key in required:
        if key in found:
            continue
        names = [words.headings[key] for words in WORDS.values()]
        titles = [str(cell.content) for cell in unknown]
        close = next((hint for name in dict.fromkeys(names) if (hint := nearest(name, titles))), "")
        where = next((c for c in unknown if close and repr(str(c.content)) in close), None)
        if where is not None:
            reader.wrong(
                sheet, row, where.column,
                f"found the heading {shown(where.content)}; expected {names[0]!r} (any "
                "language), which is missing",
            )  # fmt: skip
        else:
            everything = [str(c.content) for c in reader.book.cells(sheet).line(row)]
            reader.wrong_sheet(
                sheet,
                f"the heading {names[0]!r} is missing in row {row}; found "
                f"{', '.join(map(shown, everything[:20]))}; "
                "restore the heading",
            )
    return found


# --------------------------------------------------------------------------------------------- goals


@dataclass(frozen=True, slots=True)
class _Goals:
    sheet: str
    block: Block
    months: Mapping[date, int]
    total: int | None
    currency: str
    currency_cell: tuple[int, int]
    names: Mapping[int, str]
    currencies: Mapping[str, str]
    amounts: tuple[RevenueGoal, ...]

    @property
    def by_name(self) -> dict[str, str]:
        return {normalise(name): name for name in self.names.values()}


def _read_goals(reader: _Reader, sheet: str) -> _Goals:
    cells = reader.book.cells(sheet)
    heading = _best_row(cells, _goals_score)
    if heading is None:
        reader.wrong_sheet(
            sheet,
            "no row with headings was found; one row holds 'Segment', 'Currency' and the months, for example "
            "'Jan 2026'",
        )
        return _Goals(sheet, Block(1, 2, 1, {}), {}, None, "", (4, 2), {}, {}, ())
    columns = _columns(
        reader, sheet, heading, ("segment", "currency", "rate", "year"), ("segment",)
    )
    months = _months(reader, sheet, heading)
    last, total = _end_of_goals(cells, heading, columns.get("segment", 1))
    block = Block(heading, heading + 1, last, columns)
    currency_cell, plan_currency = _plan_currency(reader, sheet, heading)
    names = _segment_names(reader, sheet, block, months)
    currencies = _segment_currencies(reader, sheet, block, names, plan_currency)
    if not plan_currency and len(set(currencies.values())) == 1:
        plan_currency = next(iter(currencies.values()))
    elif not plan_currency:
        reader.wrong(
            sheet, *currency_cell, "found nothing; write the plan currency here, for example CHF"
        )
    amounts = tuple(
        RevenueGoal(names[row], month, amount)
        for row in names
        for month, column in months.items()
        if (amount := _money(reader, sheet, row, column, currencies.get(names[row], "")))
        is not None
    )
    return _Goals(
        sheet, block, months, total, plan_currency, currency_cell, names, currencies, amounts
    )


def _months(reader: _Reader, sheet: str, heading: int) -> dict[date, int]:
    months: dict[date, int] = {}
    for cell in reader.book.cells(sheet).line(heading):
        stored = reader.book.stored(sheet).get((heading, cell.column)) if cell.formula else None
        month = _heading_month(cell, stored)
        if month is None:
            continue
        if month in months:
            reader.wrong(
                sheet, heading, cell.column,
                f"found {month:%Y-%m} a second time, beside "
                f"{column_letter(months[month])}{heading}; keep one",
            )  # fmt: skip
            continue
        months[month] = cell.column
    return months


def _end_of_goals(cells: Cells, heading: int, column: int) -> tuple[int, int | None]:
    totals = label_in_any_language("total")
    rows = [row for row in cells.lines if row > heading]
    for row in rows:
        cell = cells.get((row, column))
        if cell is not None and plain(cell.heading) in totals:
            return row - 1, row
    return (rows[-1] if rows else heading), None


def _plan_currency(reader: _Reader, sheet: str, heading: int) -> tuple[tuple[int, int], str]:
    label = label_in_any_language("plan_currency")
    for (row, column), cell in reader.book.cells(sheet).items():
        if row < heading and plain(cell.heading) in label:
            position = (row, column + 1)
            return position, _currency(reader, sheet, *position)
    return (4, 2), ""


def _currency(reader: _Reader, sheet: str, row: int, column: int | None) -> str:
    """A currency code in capitals; "" when the cell is empty or wrong."""
    text = reader.text(sheet, row, column)
    code = text.upper()
    if code and code not in CURRENCIES and column is not None:
        reader.wrong(
            sheet, row, column,
            f"found {shown(text)}, which is no currency; write a code of three letters, such as CHF or EUR"
            f"{nearest(code, sorted(CURRENCIES))}",
        )  # fmt: skip
        return ""
    return code


def _segment_names(
    reader: _Reader, sheet: str, block: Block, months: Mapping[date, int]
) -> dict[int, str]:
    names: dict[int, str] = {}
    seen: dict[str, int] = {}
    column = block.columns.get("segment")
    for row in block.rows:
        name = reader.text(sheet, row, column)
        if not name:
            filled = [c for c in months.values() if _typed(reader.book.cells(sheet).get((row, c)))]
            if filled and column is not None:
                reader.wrong(
                    sheet, row, column,
                    f"found nothing, although {column_letter(filled[0])}{row} holds a revenue "
                    "goal; name the segment",
                )  # fmt: skip
            continue
        first = seen.setdefault(normalise(name), row)
        if first != row and column is not None:
            reader.wrong(
                sheet, row, column,
                f"found the segment {shown(name)} a second time, after "
                f"{column_letter(column)}{first}; give each "
                "segment one row",
            )  # fmt: skip
            continue
        names[row] = name
    if not names and column is not None and not reader.mistakes:
        reader.wrong(sheet, block.first, column, "found nothing; name at least one segment")
    return names


def _typed(cell: Cell | None) -> bool:
    return cell is not None and not (isinstance(cell.content, str) and not cell.content.strip())


def _segment_currencies(
    reader: _Reader, sheet: str, block: Block, names: Mapping[int, str], plan_currency: str
) -> dict[str, str]:
    column = block.columns.get("currency")
    found = {}
    for row, name in names.items():
        found[name] = _currency(reader, sheet, row, column) or plan_currency
    return {name: code for name, code in found.items() if code}


def _money(
    reader: _Reader, sheet: str, row: int, column: int | None, currency: str
) -> Decimal | None:
    return reader.parse(sheet, row, column, lambda value, _: parse_amount(value, currency))


# --------------------------------------------------------------------------------------------- terms


@dataclass(frozen=True, slots=True)
class _TermsBlock:
    sheet: str
    block: Block


def _read_terms(reader: _Reader, sheet: str) -> _TermsBlock:
    cells = reader.book.cells(sheet)
    heading = _best_row(cells, _terms_score)
    if heading is None:
        reader.wrong_sheet(
            sheet,
            "no row with headings was found; one row holds 'Segment', 'Valid from', 'Average deal size', "
            "'Marketing share' and 'Close rate'",
        )
        return _TermsBlock(sheet, Block(1, 2, 1, {}))
    wanted = [key for key in TERMS_COLUMNS if key not in _IGNORED]
    columns = _columns(reader, sheet, heading, wanted, REQUIRED_TERMS)
    return _TermsBlock(
        sheet, Block(heading, heading + 1, _end_of_terms(cells, heading, columns), columns)
    )


def _end_of_terms(cells: Cells, heading: int, columns: Mapping[str, int]) -> int:
    titles = label_in_any_language("cards_title")
    last = heading
    for row in (row for row in cells.lines if row > heading):
        line = cells.line(row)
        if plain(line[0].heading) in titles or _is_card_heading(cells, row):
            break
        if any(cell.column in columns.values() and _typed(cell) for cell in line):
            last = row
    return last


def _is_card_heading(cells: Cells, row: int) -> bool:
    found = {key for cell in cells.line(row) for key in _heading_keys(cell.heading, CARD_COLUMNS)}
    return len(found & CARD_SIGNS) >= ENOUGH_SIGNS


def _terms_entries(reader: _Reader, terms: _TermsBlock, goals: _Goals) -> dict[int, Terms]:
    found: dict[int, Terms] = {}
    seen: dict[tuple[str, date], int] = {}
    sheet, columns, cells = terms.sheet, terms.block.columns, reader.book.cells(terms.sheet)
    for row in terms.block.rows:
        if not any(
            _typed(cells.get((row, columns[key]))) for key in TERMS_INPUTS if key in columns
        ):
            continue
        entry = _terms_entry(reader, sheet, row, columns, goals)
        if entry is None:
            continue
        first = seen.setdefault((entry.segment, entry.valid_from), row)
        if first != row:
            reader.wrong(
                sheet, row, columns["valid_from"],
                f"found {entry.segment!r} from {entry.valid_from:%Y-%m} a second time, after row "
                f"{first}; keep one line",
            )  # fmt: skip
            continue
        found[row] = entry
    return found


def _terms_entry(
    reader: _Reader, sheet: str, row: int, columns: Mapping[str, int], goals: _Goals
) -> Terms | None:
    name = reader.text(sheet, row, columns["segment"])
    segment = goals.by_name.get(normalise(name))
    if not name:
        reader.wrong(
            sheet,
            row,
            columns["segment"],
            "found nothing; name the segment of this line, or clear it",
        )
    elif segment is None:
        known = list(goals.names.values())
        reader.wrong(
            sheet, row, columns["segment"],
            f"found the segment {shown(name)}, which is not on the sheet "
            f"{goals.sheet!r}{nearest(name, known)}",
        )  # fmt: skip
    month = reader.parse(sheet, row, columns["valid_from"], _month)
    if month is None and not _typed(reader.book.cells(sheet).get((row, columns["valid_from"]))):
        reader.wrong(
            sheet,
            row,
            columns["valid_from"],
            "found nothing; write the month from which the line holds",
        )
    currency = goals.currencies.get(segment or "", "")
    entry = Terms(
        segment=segment or "",
        valid_from=month or date(2000, 1, 1),
        deal_size=_money(reader, sheet, row, columns["deal_size"], currency),
        marketing_share=_share(reader, sheet, row, columns),
        close_rate=reader.parse(sheet, row, columns["close_rate"], _ratio),
        sales_deal_size=_money(reader, sheet, row, columns.get("sales_deal_size"), currency),
        sales_close_rate=reader.parse(sheet, row, columns.get("sales_close_rate"), _ratio),
    )
    return entry if segment is not None and month is not None else None


def _share(reader: _Reader, sheet: str, row: int, columns: Mapping[str, int]) -> Fraction | None:
    marketing = reader.parse(sheet, row, columns["marketing_share"], _ratio)
    sales = reader.parse(sheet, row, columns.get("sales_share"), _ratio)
    if sales is None:
        return marketing
    left, right = (
        f"{column_letter(columns['marketing_share'])}{row}",
        f"{column_letter(columns['sales_share'])}{row}",
    )
    if marketing is None:
        if not _typed(reader.book.cells(sheet).get((row, columns["marketing_share"]))):
            reader.wrong(
                sheet, row, columns["marketing_share"],
                f"found nothing, although the sales share in {right} is {_percent(sales)}; write "
                f"{_percent(1 - sales)}",
            )  # fmt: skip
        return None
    if abs(marketing + sales - 1) > _TOLERANCE:
        reader.wrong(
            sheet, row, columns["marketing_share"],
            f"found {_percent(marketing)} in {left} and {_percent(sales)} in {right}, together "
            f"{_percent(marketing + sales)}; the two shares must add up to 100 %",
        )  # fmt: skip
        return None
    return marketing


def _percent(ratio: Fraction) -> str:
    text = f"{float(ratio * 100):.4f}".rstrip("0").rstrip(".")
    return f"{text} %"


# --------------------------------------------------------------------------------------------- rates


def _read_rates(
    reader: _Reader, sheet: str | None, goals: _Goals
) -> tuple[Block | None, dict[int, PlanRate]]:
    if sheet is None:
        return None, {}
    cells = reader.book.cells(sheet)
    heading = _best_row(cells, lambda c, row: len(_keys_in_row(c, row, ("currency", "rate"))))
    if heading is None or len(_keys_in_row(cells, heading, ("currency", "rate"))) < 2:  # noqa: PLR2004 - both
        reader.wrong_sheet(
            sheet, "no row with the headings 'Currency' and 'Plan rate' was found; restore it"
        )
        return None, {}
    columns = _columns(reader, sheet, heading, RATES_COLUMNS, ("currency", "rate"))
    if not {"currency", "rate"} <= set(columns):
        return None, {}
    last = max((row for row, _ in cells if row > heading), default=heading)
    block = Block(heading, heading + 1, max(last, heading + 20), columns)
    rates: dict[int, PlanRate] = {}
    start = min(goals.months, default=date(2000, 1, 1))
    for row in block.rows:
        code = _currency(reader, sheet, row, columns.get("currency"))
        rate = reader.parse(sheet, row, columns.get("rate"), lambda value, _: parse_number(value))
        day = reader.parse(sheet, row, columns.get("date"), lambda value, _: parse_date(value))
        if not code or rate is None:
            if (
                code
                and not _typed(cells.get((row, columns["rate"])))
                and code in goals.currencies.values()
                and code != goals.currency
            ):
                reader.wrong(
                    sheet,
                    row,
                    columns["rate"],
                    f"found nothing; write what 1 {code} is worth in {goals.currency}",
                )
            continue
        if rate <= 0:
            reader.wrong(sheet, row, columns["rate"], f"found {rate}; a rate is above 0")
        elif any(code == known.currency for known in rates.values()):
            reader.wrong(
                sheet,
                row,
                columns["currency"],
                f"found {code} a second time; an SLA year has one fixed rate",
            )
        else:
            rates[row] = PlanRate(code, rate, day or start)
    return block, rates


def _keys_in_row(cells: Cells, row: int, wanted: Sequence[str]) -> set[str]:
    return {key for cell in cells.line(row) for key in _heading_keys(cell.heading, wanted)}


def _check_rates(
    reader: _Reader, goals: _Goals, rates: Sequence[PlanRate], sheet: str | None
) -> None:
    known = {goals.currency, *(rate.currency for rate in rates)}
    column = goals.block.columns.get("currency")
    for row, name in goals.names.items():
        code = goals.currencies.get(name)
        if code and code not in known and column is not None:
            reader.wrong(
                goals.sheet, row, column,
                f"found {code}, for which the sheet {sheet or WORDS['en'].sheets['rates']!r} has "
                "no plan rate; write "
                f"there what 1 {code} is worth in {goals.currency}",
            )  # fmt: skip


def _check_merged(reader: _Reader, goals: _Goals, terms: _TermsBlock) -> None:
    for sheet, block, others in (
        (goals.sheet, goals.block, goals.months.values()),
        (terms.sheet, terms.block, ()),
    ):
        right = max([*block.columns.values(), *others], default=0)
        for address in reader.book.merged(sheet):
            box = _box(address)
            if box and box[0] <= block.last and box[2] >= block.heading and box[1] <= right:
                reader.mistakes.append(
                    f"{reader.book.path.name}, {sheet}!{address}: found merged cells among the "
                    "figures; unmerge them "
                    "(Home, Merge & Center) and fill each cell"
                )


def _box(address: str) -> tuple[int, int, int, int] | None:
    match = re.fullmatch(r"([A-Z]{1,3})(\d+):([A-Z]{1,3})(\d+)", address)
    if match is None:
        return None
    return int(match[2]), column_number(match[1]), int(match[4]), column_number(match[3])


def column_number(letters: str) -> int:
    """Return the 1-based number of a column's letters."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number


# --------------------------------------------------------------------------------------------- cards


def _find_cards(
    reader: _Reader, sheet: str, terms: _TermsBlock, goals: _Goals
) -> tuple[tuple[Card, ...], dict[str, int]]:
    """Find steps 5 and 6 by their headings; without the grouped columns they are not computed by formulas."""
    cells = reader.book.cells(sheet)
    rows = [row for row in cells.lines if row > terms.block.last]
    headings = [row for row in rows if _is_card_heading(cells, row)]
    if not headings:
        return (), {}
    columns = _card_columns(cells, headings[0])
    cards = []
    for index, heading in enumerate(headings):
        end = headings[index + 1] if index + 1 < len(headings) else rows[-1] + 1
        card = _card(cells, heading, end=end, index=index, columns=columns, goals=goals)
        if card is not None:
            cards.append(card)
    return tuple(cards), columns


def _card_columns(cells: Cells, heading: int) -> dict[str, int]:
    in_force = label_in_any_language("in_force")
    line = label_in_any_language("line")
    columns: dict[str, int] = {"segment": 1}
    for cell in cells.line(heading):
        text = plain(cell.heading)
        ending = next((word for word in in_force if text.endswith(f" {word}")), None)
        if ending is None:
            for key in _heading_keys(cell.heading, CARD_COLUMNS):
                columns.setdefault(key, cell.column)
            continue
        base = text.removesuffix(f" {ending}")
        for key in IN_FORCE:
            if base in (line if key == "row" else HEADINGS.get(key, frozenset())):
                columns.setdefault(f"in_force.{key}", cell.column)
    return columns


def _card(
    cells: Cells,
    heading: int,
    *,
    end: int,
    index: int,
    columns: Mapping[str, int],
    goals: _Goals,
) -> Card | None:
    totals, column = label_in_any_language("total"), columns["segment"]
    total = next(
        (
            row
            for row in range(heading + 1, end)
            if (cell := cells.get((row, column))) is not None and plain(cell.heading) in totals
        ),
        None,
    )
    if total is None:
        return None
    head = cells.get((heading, column))
    month = _card_month(head, index, goals)
    sources = tuple(_source(cells.get((row, column)), goals) for row in range(heading + 1, total))
    return Card(month, heading, heading + 1, total, sources)


def _card_month(head: Cell | None, index: int, goals: _Goals) -> date | None:
    """The month a card is about: from the cell its heading points to, or what is written there."""
    if head is None:
        return None
    if head.formula and (match := re.search(r"!\$?([A-Z]{1,3})\$?\d+$", str(head.content))):
        column = column_number(match[1])
        return next((month for month, where in goals.months.items() if where == column), None)
    written = _heading_month(head)
    if written is not None:
        return written
    text = plain(str(head.content))
    months = sorted(goals.months)
    return (
        None
        if text in label_in_any_language("year_card") or index >= len(months)
        else months[index]
    )


def _source(cell: Cell | None, goals: _Goals) -> int:
    if cell is None:
        return 0
    if cell.formula:
        match = re.search(r"!\$?[A-Z]{1,3}\$?(\d+)", str(cell.content))
        row = int(match[1]) if match else 0
        return row if row in goals.block.rows else 0
    name = normalise(str(cell.content))
    return next((row for row, known in goals.names.items() if normalise(known) == name), 0)


def _by_hand(
    reader: _Reader,
    sheet: str,
    cards: Sequence[Card],
    columns: Mapping[str, int],
    goals: _Goals,
) -> dict[tuple[date, str, str], int]:
    """Plain numbers in the place of a goal's formula."""
    found: dict[tuple[date, str, str], int] = {}
    cells = reader.book.cells(sheet)
    for card in cards:
        for row, source in card.lines:
            name = goals.names.get(source)
            for key in BY_HAND:
                cell = cells.get((row, columns.get(key, 0)))
                if card.month is None or name is None or cell is None or cell.formula:
                    continue
                count = reader.parse(sheet, row, cell.column, _count)
                if count is not None:
                    found[card.month, name, key] = count
    return found


# ----------------------------------------------------------------------------------- actual, calendar


def _list_block(
    reader: _Reader, sheet: str, wanted: Sequence[str], last: int, *, everything: bool
) -> Block | None:
    if not everything:
        return Block(5, 6, last, {key: index for index, key in enumerate(wanted, start=1)})
    cells = reader.book.cells(sheet)
    heading = _best_row(cells, lambda c, row: len(_keys_in_row(c, row, wanted)))
    if heading is None or len(_keys_in_row(cells, heading, wanted)) < len(wanted) - 1:
        reader.wrong_sheet(
            sheet,
            "no row with the headings "
            f"{', '.join(repr(WORDS['en'].headings[k]) for k in wanted)} was found; restore it",
        )
        return None
    required = [key for key in wanted if key != "reason"]
    columns = _columns(reader, sheet, heading, wanted, required)
    if not set(required) <= set(columns):
        return None
    return Block(heading, heading + 1, last, columns)


def _actual_rows(reader: _Reader, sheet: str, block: Block) -> dict[int, tuple[date, str, int]]:
    found = {}
    columns = block.columns
    for row in (row for row in reader.book.cells(sheet).lines if row >= block.first):
        typed = [
            key
            for key in ACTUAL_COLUMNS
            if _typed(reader.book.cells(sheet).get((row, columns.get(key, 0))))
        ]
        if not typed:
            continue
        day = reader.parse(sheet, row, columns["date"], lambda value, _: parse_date(value))
        leads = reader.parse(sheet, row, columns.get("leads"), _count)
        for key in ("date", "leads"):
            if key not in typed and key in columns:
                reader.wrong(
                    sheet,
                    row,
                    columns[key],
                    f"found nothing; write the {key} of this line, or clear it",
                )
        if day is not None and leads is not None:
            found[row] = (day, reader.text(sheet, row, columns["segment"]), leads)
    return found


def _weight(value: object) -> Fraction:
    weight = Fraction(parse_number(value))
    if not 0 <= weight <= 1:
        msg = f"found {shown(value)}; a day weighs 0 (free) to 1 (a whole workday)"
        raise ValueError(msg)
    return weight


def _workdays(reader: _Reader, sheet: str, block: Block) -> dict[date, Fraction]:
    found: dict[date, Fraction] = {}
    for row in (row for row in reader.book.cells(sheet).lines if row >= block.first):
        day = reader.parse(sheet, row, block.columns["date"], lambda value, _: parse_date(value))
        weight = reader.parse(sheet, row, block.columns["weight"], lambda value, _: _weight(value))
        if day is not None and weight:
            month = month_start(day)
            found[month] = found.get(month, Fraction(0)) + weight
    return found


# ---------------------------------------------------------------------------------------------- plan


def _plan(
    reader: _Reader,
    goals: _Goals,
    entries: Mapping[int, Terms],
    rates: tuple[PlanRate, ...],
    by_hand: Mapping[tuple[date, str, str], int],
) -> Plan:
    try:
        return Plan(
            currency=goals.currency,
            currencies=tuple((name, goals.currencies[name]) for name in goals.names.values()),
            revenue_goals=goals.amounts,
            terms=with_goals_by_hand(tuple(entries.values()), by_hand),
            rates=rates,
        )
    except ConfigError as error:
        raise ConfigError(
            *(f"{reader.book.path.name}: {mistake}" for mistake in error.mistakes)
        ) from error


def with_goals_by_hand(
    terms: tuple[Terms, ...], by_hand: Mapping[tuple[date, str, str], int]
) -> tuple[Terms, ...]:
    """Cut terms into pieces, so that a goal set by hand holds for its month only."""
    found = list(terms)
    for segment in dict.fromkeys(name for _, name, _ in by_hand):
        own = [entry for entry in terms if entry.segment == segment]
        months = {month for month, name, _ in by_hand if name == segment}
        starts = sorted(
            {*(t.valid_from for t in own), *months, *(add_months(m, 1) for m in months)}
        )
        found = [entry for entry in found if entry.segment != segment]
        previous: Terms | None = None
        for start in starts:
            agreed = max(
                (t for t in own if t.valid_from <= start),
                key=lambda entry: entry.valid_from,
                default=Terms(segment, start, None, None, None),
            )
            piece = replace(
                agreed,
                valid_from=start,
                goal=by_hand.get((start, segment, "goal")),
                sales_goal=by_hand.get((start, segment, "sales_goal")),
            )
            if previous is None or replace(previous, valid_from=start) != piece:
                found.append(piece)
                previous = piece
    return tuple(found)


def is_date(value: object) -> bool:
    """Whether a stored value is a day."""
    return isinstance(value, date | datetime)


def day_counts(rows: Iterable[tuple[date, str, int]]) -> tuple[DayCount, ...]:
    """The lines of Actual as counts."""
    return tuple(DayCount(day, segment, leads) for day, segment, leads in rows)
