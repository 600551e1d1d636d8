"""Draws the sheets of the worksheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from digest.model import DayCount, Workday
from digest.sla import Terms, missing_rates
from digest.worksheet.layout import (
    ACTUAL_COLUMNS,
    BY_HAND,
    CALENDAR_COLUMNS,
    CARD_COLUMNS,
    GOALS_COLUMNS,
    IN_FORCE,
    NO_RATE,
    RATES_COLUMNS,
    SHEETS,
    TERMS_COLUMNS,
    Card,
    Derived,
    Geometry,
    Inputs,
    Value,
    column_letter,
    derived,
    serial,
)
from digest.worksheet.words import Words

if TYPE_CHECKING:
    from xlsxwriter import Workbook  # type: ignore[import-untyped] # has no types
    from xlsxwriter.format import Format  # type: ignore[import-untyped] # has no types
    from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped] # has no types

INK, MUTED, LINE, ACCENT = "#1F2937", "#6B7280", "#D1D5DB", "#1D4E6F"
INPUT_FILL, HEADING_FILL, TOTAL_FILL = "#FFF9E3", "#E8EEF3", "#F5F7F9"
MONEY, CENTS, COUNT = "#,##0", "#,##0.00", "#,##0"
MONTH, DAY, LONG_MONTH, FIGURE = "mmm yyyy", "yyyy-mm-dd", "mmmm yyyy", "0.0"
NUMBER_FORMATS: Mapping[str, str] = {
    "valid_from": MONTH, "terms_from": MONTH, "month": LONG_MONTH, "until": DAY, "date": DAY,
    "deal_size": MONEY, "sales_deal_size": MONEY, "revenue_goal": MONEY, "marketing_revenue": MONEY,
    "value": MONEY, "lead_value": CENTS, "sales_lead_value": CENTS, "total": MONEY, "year": MONEY,
    "marketing_share": "0%", "sales_share": "0%", "shares_total": "0%", "attainment": "0.0%",
    "close_rate": "0.0%", "sales_close_rate": "0.0%", "rate": "0.0000", "customers": "#,##0.0",
    "goal": COUNT, "sales_goal": COUNT, "actual": COUNT, "missing": COUNT, "per_workday": "#,##0.0",
    "leads": COUNT, "weight": "0.0", "counted": COUNT, "row": COUNT,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Content:
    """Everything a workbook shows, before any cell is written."""

    words: Words
    kind: str
    place: Geometry
    inputs: Inputs
    months: tuple[date, ...]
    days: tuple[Workday, ...] = ()
    actuals: tuple[DayCount, ...] = ()


def _shown(cell: Derived) -> Value:
    return cell.value


OPTIONS = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


def write_workbook(
    path: Path, content: Content, example: Content, *, cached: Callable[[Derived], Value] = _shown
) -> None:
    """Write the file; `cached` says which value stands beside each formula."""
    from xlsxwriter import Workbook

    with Workbook(str(path), OPTIONS) as book:
        draw(book, content, example, cached=cached)


def workbook_bytes(content: Content, example: Content) -> bytes:
    """Return the file without writing one."""
    from xlsxwriter import Workbook

    file = BytesIO()
    with Workbook(file, {**OPTIONS, "in_memory": True}) as book:
        draw(book, content, example)
    return bytes(file.getvalue())


def draw(
    book: Workbook,
    content: Content,
    example: Content,
    *,
    cached: Callable[[Derived], Value] = _shown,
) -> None:
    """Add every sheet to a workbook that was opened with OPTIONS."""
    # No clock, so that equal inputs give equal files; Excel has no zones.
    book.set_properties({"created": datetime(content.months[0].year, 1, 1)})  # noqa: DTZ001 - see above
    book.set_calc_mode("auto")
    sheets = {key: book.add_worksheet(content.words.sheets[key]) for key in SHEETS}
    for key in SHEETS:
        book.define_name(f"digest_{key}", f"='{content.words.sheets[key]}'!$A$1")
    styles = _Styles(book, content.words)
    for part, prefix in ((example, "example_"), (content, "")):
        pages = {"goals": sheets[f"{prefix}goals"], "sla": sheets[f"{prefix}sla"]}
        _goals_sheet(pages["goals"], part, styles)
        _sla_sheet(pages["sla"], part, styles)
        for cell in derived(part.place, part.inputs):
            style = styles.formula(cell, _row_kind(part.place, cell))
            pages[cell.sheet].write_formula(
                cell.row - 1, cell.column - 1, f"={cell.formula}", style, cached(cell)
            )
    _readme(sheets["readme"], content, styles)
    _calendar(sheets["calendar"], content, styles)
    _actual(sheets["actual"], content, styles)
    _rates(sheets["rates"], content, styles)
    sheets["goals"].activate()
    for key in ("goals", "sla"):
        sheets[key].set_tab_color(ACCENT)
        sheets[f"example_{key}"].set_tab_color(LINE)


def _row_kind(place: Geometry, cell: Derived) -> str:
    if cell.key == "month":
        return "month"
    if cell.sheet == "goals":
        return "total" if cell.row == place.goals_total else "row"
    return "total" if any(card.total == cell.row for card in place.cards) else "row"


ROWS_PER_PAGE = 54
LEFT = frozenset({"segment", "currency", "note", "reason", "date"})
TERMS_RULES: Mapping[str, str] = {
    "segment": "segment",
    "valid_from": "month",
    "deal_size": "money",
    "marketing_share": "ratio",
    "sales_share": "ratio",
    "close_rate": "rate",
    "sales_deal_size": "money",
    "sales_close_rate": "rate",
}


class _Styles:
    """Formats by what a cell is; one of each, made when first used."""

    def __init__(self, book: Workbook, words: Words) -> None:
        self._book = book
        self._words = words
        self._made: dict[tuple[tuple[str, object], ...], Format] = {}

    def make(self, **properties: object) -> Format:
        if "mmm" in str(properties.get("num_format", "")):
            mark = self._words.labels["month_names"]
            properties["num_format"] = f"{mark}{properties['num_format']}"
        full = {
            "font_name": "Calibri",
            "font_size": 11,
            "font_color": INK,
            "valign": "vcenter",
            **properties,
        }
        if properties.get("align") == "left":
            full["indent"] = 1
        key = tuple(sorted(full.items()))
        if key not in self._made:
            self._made[key] = self._book.add_format(dict(full))
        return self._made[key]

    @property
    def title(self) -> Format:
        return self.make(font_size=18, bold=True, font_color=ACCENT)

    @property
    def subtitle(self) -> Format:
        return self.make(font_color=MUTED)

    @property
    def section(self) -> Format:
        return self.make(font_size=13, bold=True, font_color=ACCENT)

    @property
    def alert(self) -> Format:
        return self._book.add_format({"font_color": "#B42318", "bold": True})

    @property
    def by_hand(self) -> Format:
        return self.make(
            num_format=COUNT,
            bold=True,
            bottom=1,
            bottom_color=LINE,
            bg_color=INPUT_FILL,
            align="right",
        )

    @property
    def plain_count(self) -> Format:
        return self.make(num_format=COUNT, bottom=1, bottom_color=LINE, align="right")

    @property
    def workdays(self) -> Format:
        return self.total(f'General" {self._words.labels["workdays"]}"', "right")

    def total(self, number_format: str, align: str) -> Format:
        return self.make(
            num_format=number_format,
            bold=True,
            bg_color=TOTAL_FILL,
            top=1,
            top_color=ACCENT,
            align=align,
        )

    def heading(self, *, left: bool = False, **more: object) -> Format:
        return self.make(
            bold=True, text_wrap=True, bg_color=HEADING_FILL, bottom=1, bottom_color=ACCENT,
            align="left" if left else "right", **more,
        )  # fmt: skip

    def kind(self, *, entered: bool, left: bool = False) -> Format:
        colour = {"bg_color": INPUT_FILL} if entered else {}
        return self.make(
            font_size=9, font_color=MUTED, italic=True, align="left" if left else "right", **colour
        )

    def entry(self, number_format: str = "General", *, left: bool = False) -> Format:
        return self.make(
            num_format=number_format, bg_color=INPUT_FILL, locked=False, align="left" if left else "right",
            bottom=1, bottom_color=LINE, left=1, left_color=LINE, right=1, right_color=LINE,
        )  # fmt: skip

    def formula(self, cell: Derived, kind: str) -> Format:
        key = cell.key.removeprefix("in_force.")
        number_format = NUMBER_FORMATS.get(key, "General")
        if key == "terms_from" and kind == "total":
            return self.workdays
        if kind == "month":
            return self.make(
                num_format=LONG_MONTH,
                bold=True,
                bg_color=HEADING_FILL,
                bottom=1,
                bottom_color=ACCENT,
                align="left",
            )
        quiet: dict[str, object] = (
            {"font_color": MUTED}
            if cell.key.startswith("in_force.") or cell.key in {"counted", "until"}
            else {}
        )
        align = "left" if key in LEFT else "right"
        if kind == "total" and not quiet:
            return self.total(number_format, align)
        return self.make(
            num_format=number_format, bottom=1, bottom_color=LINE, align=align, **quiet
        )


# --------------------------------------------------------------------------------------------- pages


def _open_page(
    sheet: Worksheet, content: Content, styles: _Styles, title: str, subtitle: str
) -> None:
    sheet.hide_gridlines(2)
    sheet.set_default_row(16.5)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
    sheet.set_footer("&L&8&A&R&8&P / &N")
    sheet.protect(
        "",
        {
            "format_cells": True,
            "format_columns": True,
            "format_rows": True,
            "objects": True,
            "autofilter": True,
        },
    )
    sheet.set_row(0, 30)
    sheet.write_string(0, 0, title, styles.title)
    sheet.write_string(1, 0, subtitle.format(kind=content.kind), styles.subtitle)


def _headings(  # noqa: PLR0917 - where and what, in the order of the writer's own calls
    sheet: Worksheet,
    content: Content,
    styles: _Styles,
    row: int,
    keys: tuple[str, ...],
    entered: Mapping[str, str],
) -> None:
    """Write headings in a 1-based row, and above them who fills each column."""
    labels = content.words.labels
    sheet.set_row(row - 1, 32)
    for column, key in enumerate(keys):
        left = key in LEFT
        word = labels[entered.get(key, "formula")]
        sheet.write_string(row - 2, column, word, styles.kind(entered=key in entered, left=left))
        sheet.write_string(row - 1, column, content.words.headings[key], styles.heading(left=left))


def _goals_sheet(sheet: Worksheet, content: Content, styles: _Styles) -> None:
    words, place, plan = content.words, content.place, content.inputs.plan
    subtitle = words.labels["example_subtitle" if place.example else "goals_subtitle"]
    _open_page(sheet, content, styles, place.names["goals"], subtitle)
    sheet.fit_to_pages(1, 0)
    last = place.goals.columns["year"]
    sheet.set_column(0, 0, 26)
    sheet.set_column(1, 2, 10)
    sheet.set_column(3, last - 2, 11.5)
    sheet.set_column(last - 1, last - 1, 14)
    sheet.write_string(3, 0, words.labels["plan_currency"], styles.make(bold=True))
    sheet.write_string(3, 1, plan.currency, styles.entry(left=True))
    entered = {
        "segment": "input",
        "currency": "input",
        **({"rate": "input"} if place.example else {}),
    }
    _headings(sheet, content, styles, 7, GOALS_COLUMNS, entered)
    for month, column in place.months.items():
        sheet.write_string(5, column - 1, words.labels["input"], styles.kind(entered=True))
        sheet.write_datetime(
            6, column - 1, datetime(month.year, month.month, 1),  # noqa: DTZ001 - Excel has no zones
            styles.heading(num_format=MONTH),
        )  # fmt: skip
    sheet.write_string(5, last - 1, words.labels["formula"], styles.kind(entered=False))
    sheet.write_string(6, last - 1, words.headings["year"], styles.heading())
    amounts = {(goal.segment, goal.month): goal.amount for goal in plan.revenue_goals}
    currencies = dict(plan.currencies)
    for row in place.goals.rows:
        name = content.inputs.segments.get(row)
        _entry(sheet, styles, row, 1, name, left=True)
        _entry(sheet, styles, row, 2, currencies[name] if name else None, left=True)
        if place.example and name:
            rate = {rate.currency: rate.rate for rate in plan.rates}.get(currencies[name], 1)
            _entry(sheet, styles, row, 3, float(rate), NUMBER_FORMATS["rate"])
        for month, column in place.months.items():
            amount = amounts.get((name, month)) if name else None
            _entry(sheet, styles, row, column, amount, MONEY)
    total = place.goals_total or 0
    bold = styles.make(bold=True, bg_color=TOTAL_FILL, top=1, top_color=ACCENT, align="left")
    sheet.write_string(total - 1, 0, words.labels["total"], bold)
    sheet.write_blank(total - 1, 2, None, bold)
    sheet.freeze_panes(7, 1)
    sheet.repeat_rows(6)
    sheet.print_area(0, 0, total - 1, last - 1)
    first, end = place.goals.first, place.goals.last
    rates = f"{column_letter(3)}{first}:{column_letter(3)}{end}"
    sheet.conditional_format(
        rates,
        {"type": "cell", "criteria": "==", "value": f'"{NO_RATE}"', "format": styles.alert},
    )
    _validate(sheet, content, "currency", first, end, 2)
    _validate(sheet, content, "currency", 4, 4, 2)
    _validate(
        sheet, content, "money", first, end, min(place.months.values()), max(place.months.values())
    )


def _entry(  # noqa: PLR0917 - where and what, in the order of the writer's own calls
    sheet: Worksheet,
    styles: _Styles,
    row: int,
    column: int,
    value: object,
    number_format: str = "General",
    *,
    left: bool = False,
) -> None:
    """Write an input cell; text is written as text, whatever it begins with."""
    style = styles.entry(number_format, left=left)
    if value is None:
        sheet.write_blank(row - 1, column - 1, None, style)
    elif isinstance(value, str):
        sheet.write_string(row - 1, column - 1, value, style)
    elif isinstance(value, date):
        sheet.write_number(row - 1, column - 1, serial(value), style)
    else:
        sheet.write_number(row - 1, column - 1, float(value), style)  # type: ignore[arg-type] # Decimal, Fraction or int


_RULES: Mapping[str, Mapping[str, object]] = {
    "ratio": {"validate": "decimal", "criteria": "between", "minimum": 0, "maximum": 1},
    "money": {"validate": "decimal", "criteria": ">=", "value": 0},
    "count": {"validate": "integer", "criteria": ">=", "value": 0},
    "weight": {"validate": "decimal", "criteria": "between", "minimum": 0, "maximum": 1},
    "plan_rate": {"validate": "decimal", "criteria": ">", "value": 0},
    "currency": {"validate": "length", "criteria": "==", "value": 3},
    "date": {"validate": "date", "criteria": ">=", "value": date(2000, 1, 1)},
}


def _validate(  # noqa: PLR0917 - where and what, in the order of the writer's own calls
    sheet: Worksheet,
    content: Content,
    rule: str,
    first: int,
    last: int,
    column: int,
    last_column: int | None = None,
    *,
    own: Mapping[str, object] | None = None,
) -> None:
    messages = content.words.messages
    letter = column_letter(column)
    special: dict[str, dict[str, object]] = {
        # Excel offers no rule "above 0 and at most 1", nor "first of a month": both are formulas.
        "rate": {
            "validate": "custom",
            "value": f"=AND(ISNUMBER({letter}{first}),{letter}{first}>0,{letter}{first}<=1)",
        },
        "month": {
            "validate": "custom",
            "value": f"=AND(ISNUMBER({letter}{first}),DAY({letter}{first})=1)",
        },
    }
    options = {
        **(own or special.get(rule) or _RULES[rule]),
        "input_message": messages[rule],
        "error_title": messages["title"],
        "error_message": messages[rule],
    }
    sheet.data_validation(first - 1, column - 1, last - 1, (last_column or column) - 1, options)


def _sla_sheet(sheet: Worksheet, content: Content, styles: _Styles) -> None:
    words, place = content.words, content.place
    subtitle = words.labels["example_subtitle" if place.example else "sla_subtitle"]
    _open_page(sheet, content, styles, place.names["sla"], subtitle)
    sheet.set_column(0, 0, 26)
    sheet.fit_to_pages(1, 0)
    sheet.set_column(1, 1, 17)
    sheet.set_column(2, 2, 10)
    sheet.set_column(3, len(CARD_COLUMNS) - 1, 16.5)
    sheet.set_column(
        len(CARD_COLUMNS),
        len(CARD_COLUMNS) + len(IN_FORCE) - 1,
        12,
        None,
        {"level": 1, "hidden": True},
    )
    sheet.set_column(
        len(CARD_COLUMNS) + len(IN_FORCE),
        len(CARD_COLUMNS) + len(IN_FORCE),
        9.14,
        None,
        {"collapsed": True},
    )
    sheet.write_string(3, 0, words.labels["terms_title"], styles.section)
    required = (
        "segment",
        "valid_from",
        "deal_size",
        "marketing_share",
        "sales_share",
        "close_rate",
    )
    optional = ("sales_deal_size", "sales_close_rate", "note")
    entered = {**dict.fromkeys(required, "input"), **dict.fromkeys(optional, "optional")}
    _headings(sheet, content, styles, 6, TERMS_COLUMNS, entered)
    for row in place.terms.rows:
        _terms_line(sheet, styles, place, row, content.inputs.terms.get(row))
    first, last = place.terms.first, place.terms.last
    names = place.goals.span("segment", place.sheet("goals"))
    for key, rule in TERMS_RULES.items():
        own = {"validate": "list", "source": f"={names}"} if key == "segment" else None
        _validate(sheet, content, rule, first, last, place.terms.columns[key], own=own)
    total = column_letter(place.terms.columns["shares_total"])
    sheet.conditional_format(
        f"{total}{first}:{total}{last}",
        {
            "type": "formula",
            "criteria": f'=AND({total}{first}<>"",ABS(N({total}{first})-1)>0.000000001)',
            "format": styles.alert,
        },
    )
    sheet.write_string(last + 1, 0, words.labels["cards_title"], styles.section)
    for card in place.cards:
        _card(sheet, content, styles, card)
    sheet.freeze_panes(0, 1)
    sheet.print_area(0, 0, place.cards[-1].total - 1, len(CARD_COLUMNS) - 1)
    sheet.set_h_pagebreaks(_page_breaks(place))


def _page_breaks(place: Geometry) -> list[int]:
    """Rows before which a printed page ends, so that no month is cut in two."""
    breaks, top = [], 0
    for card in place.cards:
        if card.total - top > ROWS_PER_PAGE and card.heading - 2 > top:
            top = card.heading - 2
            breaks.append(top)
    return breaks


def _terms_line(
    sheet: Worksheet, styles: _Styles, place: Geometry, row: int, terms: Terms | None
) -> None:
    share = None if terms is None else terms.marketing_share
    values: dict[str, object] = {
        "segment": terms and terms.segment,
        "valid_from": terms and terms.valid_from,
        "deal_size": terms and terms.deal_size,
        "marketing_share": share,
        "sales_share": None if share is None else 1 - share,
        "close_rate": terms and terms.close_rate,
        "sales_deal_size": terms and terms.sales_deal_size,
        "sales_close_rate": terms and terms.sales_close_rate,
        "note": None,
    }
    for key, value in values.items():
        column = place.terms.columns[key]
        _entry(
            sheet, styles, row, column, value, NUMBER_FORMATS.get(key, "General"), left=key in LEFT
        )


def _card(sheet: Worksheet, content: Content, styles: _Styles, card: Card) -> None:
    words, place, inputs = content.words, content.place, content.inputs
    sheet.set_row(card.heading - 1, 32)
    for column, key in enumerate(CARD_COLUMNS):
        if key != "segment":
            style = styles.heading(left=key in LEFT)
            sheet.write_string(card.heading - 1, column, words.headings[key], style)
    for key in IN_FORCE:
        heading = words.labels["line"] if key == "row" else words.headings[key]
        sheet.write_string(
            card.heading - 1, place.card_columns[f"in_force.{key}"] - 1,
            f"{heading} ({words.labels['in_force']})",
            styles.make(font_color=MUTED, text_wrap=True, align="right"),
        )  # fmt: skip
    if card.month is None:
        sheet.write_string(
            card.heading - 1, 0, words.labels["year_card"], styles.heading(left=True)
        )
    plain_row = styles.make(bottom=1, bottom_color=LINE)
    bold = styles.make(bold=True, bg_color=TOTAL_FILL, top=1, top_color=ACCENT, align="left")
    for column in range(len(CARD_COLUMNS)):
        sheet.write_blank(card.total - 1, column, None, bold)
        for row in card.rows:
            sheet.write_blank(row - 1, column, None, plain_row)
    sheet.write_string(card.total - 1, 0, words.labels["total"], bold)
    if card.month is not None:
        _typed_numbers(sheet, styles, place, inputs, card)


def _typed_numbers(
    sheet: Worksheet, styles: _Styles, place: Geometry, inputs: Inputs, card: Card
) -> None:
    """Goals set by hand, the example's leads and its workdays are plain numbers in place of a formula."""
    from digest.sla import goals

    assert card.month is not None  # noqa: S101 - the caller asked
    known = {goal.segment: goal for goal in goals(inputs.plan, card.month)}
    for row, source in card.lines:
        name = inputs.segments.get(source)
        if name is None:
            continue
        for key in BY_HAND:
            if (card.month, name, key) in inputs.by_hand:
                sheet.write_number(
                    row - 1, place.card_columns[key] - 1, getattr(known[name], key), styles.by_hand
                )
        if place.example and card.month in inputs.counted:
            leads = inputs.leads.get((card.month, name), 0)
            sheet.write_number(row - 1, place.card_columns["actual"] - 1, leads, styles.plain_count)
    if place.example:
        sheet.write_number(
            card.total - 1,
            place.card_columns["terms_from"] - 1,
            float(inputs.workdays[card.month]),
            styles.workdays,
        )


def _list_page(
    sheet: Worksheet, content: Content, styles: _Styles, key: str, columns: tuple[str, ...]
) -> None:
    _open_page(
        sheet, content, styles, content.words.sheets[key], content.words.labels[f"{key}_subtitle"]
    )
    _headings(sheet, content, styles, 5, columns, dict.fromkeys(columns, "input"))
    sheet.set_portrait()
    sheet.set_print_scale(90)
    sheet.freeze_panes(5, 0)
    sheet.repeat_rows(4)


def _actual(sheet: Worksheet, content: Content, styles: _Styles) -> None:
    block = content.place.actual
    assert block is not None  # noqa: S101 - every new workbook has one
    _list_page(sheet, content, styles, "actual", ACTUAL_COLUMNS)
    for column, (width, key) in enumerate(((14, "date"), (30, "segment"), (10, "leads"))):
        number_format = NUMBER_FORMATS.get(key, "General")
        sheet.set_column(
            column,
            column,
            width,
            styles.make(
                num_format=number_format, locked=False, align="left" if key in LEFT else "right"
            ),
        )
    for row, count in enumerate(content.actuals, start=block.first):
        _entry(sheet, styles, row, 1, count.day, DAY, left=True)
        _entry(
            sheet, styles, row, 2, count.segment or content.words.labels["unassigned"], left=True
        )
        _entry(sheet, styles, row, 3, count.leads, COUNT)
    _validate(sheet, content, "date", block.first, block.last, 1)
    _validate(sheet, content, "count", block.first, block.last, 3)


def _calendar(sheet: Worksheet, content: Content, styles: _Styles) -> None:
    block, labels = content.place.calendar, content.words.labels
    assert block is not None  # noqa: S101 - every new workbook has one
    _list_page(sheet, content, styles, "calendar", CALENDAR_COLUMNS)
    sheet.write_string(2, 0, labels["calendar_hint"], styles.subtitle)
    for column, (width, key) in enumerate(((14, "date"), (10, "weight"), (36, "reason"))):
        number_format = NUMBER_FORMATS.get(key, "General")
        sheet.set_column(
            column,
            column,
            width,
            styles.make(
                num_format=number_format, locked=False, align="left" if key in LEFT else "right"
            ),
        )
    for row, day in enumerate(content.days, start=block.first):
        _entry(sheet, styles, row, 1, day.day, DAY, left=True)
        _entry(sheet, styles, row, 2, day.weight, FIGURE)
        reason = day.reason and labels.get(day.reason, day.reason)
        _entry(sheet, styles, row, 3, reason, left=True)
    _validate(sheet, content, "date", block.first, block.last, 1)
    _validate(sheet, content, "weight", block.first, block.last, 2)


def _rates(sheet: Worksheet, content: Content, styles: _Styles) -> None:
    block = content.place.rates
    assert block is not None  # noqa: S101 - every new workbook has one
    _list_page(sheet, content, styles, "rates", RATES_COLUMNS)
    sheet.set_column(0, 2, 16)
    plan = content.inputs.plan
    rates = [*plan.rates]
    # A currency without a rate stands there by name, so that only the number is left to enter.
    named = [*(rate.currency for rate in rates), *missing_rates(plan)]
    for index, row in enumerate(block.rows):
        rate = rates[index] if index < len(rates) else None
        _entry(sheet, styles, row, 1, named[index] if index < len(named) else None, left=True)
        _entry(sheet, styles, row, 2, rate and rate.rate, NUMBER_FORMATS["rate"])
        _entry(sheet, styles, row, 3, rate and rate.as_of, DAY, left=True)
    _validate(sheet, content, "currency", block.first, block.last, 1)
    _validate(sheet, content, "plan_rate", block.first, block.last, 2)
    _validate(sheet, content, "date", block.first, block.last, 3)


def _readme(sheet: Worksheet, content: Content, styles: _Styles) -> None:
    (title, _), *paragraphs = content.words.readme
    sheet.hide_gridlines(2)
    sheet.set_portrait()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, 84)
    sheet.set_row(0, 30)
    sheet.write_string(0, 0, title, styles.title)
    body = styles.make(text_wrap=True, valign="top")
    for row, (head, text) in enumerate(paragraphs, start=2):
        sheet.set_row(row, 16 * (1 + len(text) // 88) + 10)
        sheet.write_string(
            row, 0, head, styles.make(bold=True, valign="top", text_wrap=True, font_color=ACCENT)
        )
        sheet.write_string(row, 1, text, body)
    sheet.print_area(0, 0, len(paragraphs) + 1, 1)
