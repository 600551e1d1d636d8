"""Reads the plan from a CSV in long form: one line per segment and month.

Columns, by heading in any of the five languages or by these names:

    segment            required
    month              required (or valid_from); the month of the revenue goal, from which the terms hold
    currency           of the segment's amounts; the plan currency when empty
    revenue_goal       wanted in the month
    deal_size, marketing_share, sales_share, close_rate, sales_deal_size, sales_close_rate
                       terms from this month on; a line with none of them leaves the terms as they were,
                       a line with any of them replaces all of them
    goal, sales_goal   leads set by hand, for this month only
    plan_currency      the same on every line; the segments' currency when there is only one
    plan_rate          what one unit of the line's currency is worth in the plan currency
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from digest.errors import ConfigError, nearest
from digest.model import PlanRate, normalise
from digest.notation import (
    CURRENCIES,
    parse_count,
    parse_money,
    parse_month,
    parse_number,
    parse_ratio,
    shown,
)
from digest.sla import Plan, RevenueGoal, Terms
from digest.tables import TableError, open_csv
from digest.worksheet.read import with_goals_by_hand
from digest.worksheet.words import HEADINGS, WORDS, plain

T = TypeVar("T")

MAX_LINES = 5000
COLUMNS = (
    "segment", "month", "currency", "revenue_goal", "deal_size", "marketing_share", "sales_share",
    "close_rate", "sales_deal_size", "sales_close_rate", "goal", "sales_goal", "plan_currency", "rate",
)  # fmt: skip
TERMS = (
    "deal_size", "marketing_share", "sales_share", "close_rate", "sales_deal_size", "sales_close_rate",
)  # fmt: skip


def read_csv(path: Path) -> Plan:
    """Return the plan of a CSV in UTF-8; see the module for its columns.

    Raises:
        ConfigError: all mistakes, each with file, line and column.
    """
    return _read(path)[0]


def lines_of(path: Path) -> Mapping[tuple[str, date], int]:
    """Return the line of each segment and month.

    Raises:
        ConfigError: as `read_csv`.
    """
    return _read(path)[1].seen


def _read(path: Path) -> tuple[Plan, _Lines]:
    try:
        with open_csv(path) as table:
            lines = []
            for number, cells in table.rows:
                lines.append((number, tuple(str(cell) for cell in cells)))
                if len(lines) > MAX_LINES:
                    raise ConfigError(
                        f"{path.name}: more than {MAX_LINES:,} lines; a plan holds one line per "
                        "segment and month"
                    )
            headings = tuple(table.header)
    except TableError as error:
        raise ConfigError(str(error)) from error
    reader = _Lines(path.name, _columns(path.name, headings), headings)
    return reader.plan(lines), reader


def _columns(name: str, headings: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    mistakes = []
    for index, heading in enumerate(headings):
        key = _key(heading)
        if key is None:
            # A column of the user's own is fine; one that looks like a misspelt one of ours is not.
            hint = nearest(heading, [*COLUMNS, *WORDS["en"].headings.values()])
            if hint and plain(heading) not in HEADINGS["note"]:
                mistakes.append(
                    f"{name}, line 1: found the heading {shown(heading)}, which is not known{hint}"
                )
        elif key in found:
            mistakes.append(
                f"{name}, line 1: found two columns for {key!r}, {shown(headings[found[key]])} and "
                f"{shown(heading)}; keep one"
            )
        else:
            found[key] = index
    mistakes += [
        f"{name}, line 1: the column {key!r} is missing; found {', '.join(map(shown, headings))}"
        for key in ("segment", "month")
        if key not in found
    ]
    if mistakes:
        raise ConfigError(*mistakes)
    return found


def _key(heading: str) -> str | None:
    text = plain(heading)
    if text in HEADINGS["valid_from"]:
        return "month"
    return next((key for key in COLUMNS if text in HEADINGS[key]), None)


@dataclass
class _Lines:
    """Collects lines and mistakes."""

    name: str
    columns: Mapping[str, int]
    headings: tuple[str, ...]
    mistakes: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)
    amounts: dict[tuple[str, date], RevenueGoal] = field(default_factory=dict)
    terms: dict[tuple[str, date], Terms] = field(default_factory=dict)
    by_hand: dict[tuple[date, str, str], int] = field(default_factory=dict)
    rates: dict[str, PlanRate] = field(default_factory=dict)
    seen: dict[tuple[str, date], int] = field(default_factory=dict)
    plan_currency: str = ""

    def plan(self, lines: Sequence[tuple[int, tuple[str, ...]]]) -> Plan:
        """Return the plan, or raise every mistake."""
        for number, cells in lines:
            if any(cell.strip() for cell in cells):
                self._line(number, cells)
        if not self.names and not self.mistakes:
            self.mistakes.append(
                f"{self.name}: no line names a segment; write one line per segment and month"
            )
        if not self.plan_currency:
            self._settle_currency()
        if self.mistakes:
            raise ConfigError(*dict.fromkeys(self.mistakes))
        try:
            return Plan(
                currency=self.plan_currency,
                currencies=tuple(
                    (name, self.currencies.get(name, self.plan_currency))
                    for name in self.names.values()
                ),
                revenue_goals=tuple(self.amounts.values()),
                terms=with_goals_by_hand(tuple(self.terms.values()), self.by_hand),
                rates=tuple(
                    rate for code, rate in self.rates.items() if code != self.plan_currency
                ),
            )
        except ConfigError as error:
            raise ConfigError(*(f"{self.name}: {mistake}" for mistake in error.mistakes)) from error

    def _settle_currency(self) -> None:
        found = sorted(set(self.currencies.values()))
        if len(found) == 1:
            self.plan_currency = found[0]
        elif not self.mistakes:
            self.mistakes.append(
                f"{self.name}: found the currencies {', '.join(found) or 'none'}; say in a "
                "column plan_currency in which "
                "one the totals are given"
            )

    def _wrong(self, number: int, key: str, what: str) -> None:
        heading = self.headings[self.columns[key]] if key in self.columns else key
        self.mistakes.append(f"{self.name}, line {number}, column {heading!r}: {what}")

    def _text(self, cells: Sequence[str], key: str) -> str:
        index = self.columns.get(key)
        return " ".join(cells[index].split()) if index is not None and index < len(cells) else ""

    def _parse(
        self, number: int, cells: Sequence[str], key: str, parser: Callable[[str], T]
    ) -> T | None:
        text = self._text(cells, key)
        if not text:
            return None
        try:
            return parser(text)
        except (ValueError, ArithmeticError) as error:
            self._wrong(number, key, str(error))
            return None

    def _line(self, number: int, cells: Sequence[str]) -> None:
        written = self._text(cells, "segment")
        month = self._parse(number, cells, "month", parse_month)
        for key, missing in (("segment", not written), ("month", not self._text(cells, "month"))):
            if missing:
                self._wrong(number, key, f"found nothing; write the {key}")
        currency = self._line_currency(number, cells, written)
        amount = self._money(number, cells, "revenue_goal", currency)
        terms = {key: self._text(cells, key) for key in TERMS}
        size = self._money(number, cells, "deal_size", currency)
        sales_size = self._money(number, cells, "sales_deal_size", currency)
        share = self._share(number, cells)
        rate = self._parse(number, cells, "close_rate", _ratio)
        sales_rate = self._parse(number, cells, "sales_close_rate", _ratio)
        goal = self._parse(number, cells, "goal", parse_count)
        sales_goal = self._parse(number, cells, "sales_goal", parse_count)
        self._rate(number, cells, currency, month)
        if not written or month is None:
            return
        name = self.names.setdefault(normalise(written), written)
        first = self.seen.setdefault((name, month), number)
        if first != number:
            self._wrong(
                number,
                "month",
                f"found {name!r} in {month:%Y-%m} a second time, after line {first}; keep one line",
            )
            return
        if amount is not None:
            self.amounts[name, month] = RevenueGoal(name, month, amount)
        if any(terms.values()):
            self.terms[name, month] = Terms(
                name,
                month,
                size,
                share,
                rate,
                sales_deal_size=sales_size,
                sales_close_rate=sales_rate,
            )
        for key, count in (("goal", goal), ("sales_goal", sales_goal)):
            if count is not None:
                self.by_hand[month, name, key] = count

    def _line_currency(self, number: int, cells: Sequence[str], segment: str) -> str:
        codes = {}
        for key in ("currency", "plan_currency"):
            code = self._text(cells, key).upper()
            if code and code not in CURRENCIES:
                self._wrong(
                    number, key,
                    f"found {shown(code)}, which is no currency; write a code of three letters, such as CHF"
                    f"{nearest(code, sorted(CURRENCIES))}",
                )  # fmt: skip
                code = ""
            codes[key] = code
        plan = codes["plan_currency"]
        if plan and self.plan_currency not in {"", plan}:
            self._wrong(
                number,
                "plan_currency",
                f"found {plan} and earlier {self.plan_currency}; a plan has one currency",
            )
        self.plan_currency = self.plan_currency or plan
        code = codes["currency"]
        if not code or not segment:
            return code
        name = self.names.setdefault(normalise(segment), segment)
        known = self.currencies.setdefault(name, code)
        if known != code:
            self._wrong(
                number,
                "currency",
                f"found {code} and earlier {known} for {name!r}; a segment has one currency",
            )
        return code

    def _money(self, number: int, cells: Sequence[str], key: str, currency: str) -> Decimal | None:
        parsed = self._parse(number, cells, key, parse_money)
        if parsed is None:
            return None
        amount, written = parsed
        if amount < 0:
            self._wrong(number, key, f"found {amount}; an amount is 0 or more")
            return None
        if written and currency and written != currency:
            self._wrong(
                number, key, f"found an amount in {written}; the line's currency is {currency}"
            )
            return None
        return amount

    def _share(self, number: int, cells: Sequence[str]) -> Fraction | None:
        marketing = self._parse(number, cells, "marketing_share", _ratio)
        sales = self._parse(number, cells, "sales_share", _ratio)
        if marketing is None:
            return None if sales is None else 1 - sales
        if sales is not None and abs(marketing + sales - 1) > Fraction(1, 10**9):
            self._wrong(
                number, "marketing_share",
                f"found {float(marketing):.2%} for marketing and {float(sales):.2%} for sales; "
                "they must add up to 100 %",
            )  # fmt: skip
        return marketing

    def _rate(self, number: int, cells: Sequence[str], currency: str, month: date | None) -> None:
        rate = self._parse(number, cells, "rate", parse_number)
        if rate is None or not currency:
            return
        if rate <= 0:
            self._wrong(number, "rate", f"found {rate}; a rate is above 0")
            return
        known = self.rates.setdefault(currency, PlanRate(currency, rate, month or date(2000, 1, 1)))
        if known.rate != rate:
            self._wrong(
                number,
                "rate",
                f"found {rate} and earlier {known.rate} for {currency}; a year has one fixed rate",
            )


def _ratio(text: str) -> Fraction:
    ratio = parse_ratio(text)
    if ratio > 1:
        raise ValueError(f"found {shown(text)}; allowed is 0 % to 100 %")
    return ratio
