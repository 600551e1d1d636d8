"""Plans and workbooks for the tests of the worksheet."""

from __future__ import annotations

import re
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from digest.model import (
    DayCount,
    DealStatistics,
    Origin,
    Period,
    PlanRate,
    SegmentDeals,
    add_months,
)
from digest.sla import Plan, RevenueGoal, Terms
from digest.worksheet import LANGUAGES
from digest.worksheet.package import Edit, Package
from digest.worksheet.pages import Content
from digest.worksheet.read import column_number
from digest.worksheet.write import content_for, write_new

JANUARY = date(2026, 1, 1)
MONTHS = tuple(add_months(JANUARY, index) for index in range(12))
HOSTILE = ("S*", "A?", "=x", "<3", "~t", "@SUM(1)", "+1", "O'Brien", "Süd & Öst")
REGIONS = (
    ("DACH", "CHF", 300_000, 60, 15_000, "0.04"),
    ("Benelux", "EUR", 120_000, 50, 9_000, "0.05"),
    ("UKI", "EUR", 90_000, 45, 8_000, "0.03"),
    ("Nordics", "EUR", 50_000, 40, 7_000, "0.06"),
)


def regions() -> Plan:
    """The four regions of the reference example, the same in every month of 2026."""
    return Plan(
        currency="CHF",
        currencies=tuple((name, currency) for name, currency, *_ in REGIONS),
        revenue_goals=tuple(
            RevenueGoal(name, month, Decimal(amount))
            for name, _, amount, *_ in REGIONS
            for month in MONTHS
        ),
        terms=tuple(
            Terms(name, JANUARY, Decimal(size), Fraction(share, 100), Fraction(rate))
            for name, _, _, share, size, rate in REGIONS
        ),
        rates=(PlanRate("EUR", Decimal("0.95"), JANUARY),),
    )


def written(folder: Path, language: str = "en") -> Path:
    """A workbook of the four regions for 2026."""
    path = folder / "sla.xlsx"
    path.write_bytes(_bytes(language))
    return path


@cache
def _bytes(language: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sla.xlsx"
        write_new(path, language=language, currency="CHF", year=2026, plan=regions())
        return path.read_bytes()


def with_cells(path: Path, *cells: tuple[str, str, str | float]) -> Path:
    """Type values into cells of a workbook: (sheet, "D7", value), "" for an empty one."""
    package = Package(path, path.read_bytes())
    for sheet, address, value in cells:
        match = re.fullmatch(r"([A-Z]+)(\d+)", address)
        assert match is not None
        package.edit(sheet, {(int(match[2]), column_number(match[1])): Edit(value)})
    package.save(path)
    return path


def statistics(*segments: SegmentDeals) -> DealStatistics:
    """Deals of the first half of 2026."""
    return DealStatistics(
        Period(JANUARY, date(2026, 7, 1)),
        segments,
        datetime(2026, 7, 1, tzinfo=UTC),
        Origin("sql", "crm.example"),
    )


def deals(segment: str, customers: int, leads: int, amount: str, currency: str) -> SegmentDeals:
    """Won deals of a segment, all with an amount."""
    return SegmentDeals(
        segment, customers, 0, Decimal(amount), customers, currency, leads, customers, customers
    )


# ---------------------------------------------------------------------------------------- strategies

cents = st.integers(0, 1_000_000_00).map(lambda amount: Decimal(amount) / 100)
sizes = st.none() | st.integers(0, 100_000_00).map(lambda amount: Decimal(amount) / 100)
shares = st.none() | st.integers(0, 100).map(lambda percent: Fraction(percent, 100))
rates = st.none() | st.integers(0, 1000).map(lambda mille: Fraction(mille, 1000))
letters = st.characters(categories=("L", "N", "P", "S"), exclude_characters="\ufffe\uffff")
names = st.sampled_from(HOSTILE) | st.text(letters, min_size=1, max_size=12)


@st.composite
def terms_of(draw: st.DrawFn, segment: str, months: tuple[date, ...]) -> tuple[Terms, ...]:
    starts = draw(st.lists(st.sampled_from(months), min_size=1, max_size=2, unique=True))
    return tuple(
        Terms(
            segment,
            start,
            draw(sizes),
            draw(shares),
            draw(rates),
            sales_deal_size=draw(sizes),
            sales_close_rate=draw(rates),
            goal=draw(st.none() | st.integers(0, 10_000)) if draw(st.booleans()) else None,
        )
        for start in starts
    )


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """Any worksheet: language, start, segments, currencies, terms, leads."""
    year, start = draw(st.integers(2020, 2040)), draw(st.integers(1, 12))
    months = tuple(add_months(date(year, start, 1), index) for index in range(12))
    segments = draw(
        st.lists(names, min_size=1, max_size=3, unique_by=lambda name: name.casefold().strip())
    )
    segments = [name for name in segments if name.casefold() not in {"total", "totale", "summe"}]
    currencies = tuple((name, draw(st.sampled_from(("CHF", "EUR", "JPY")))) for name in segments)
    chosen = draw(st.lists(st.sampled_from(months), max_size=4, unique=True))
    plan = Plan(
        currency="CHF",
        currencies=currencies,
        revenue_goals=tuple(
            RevenueGoal(name, month, draw(cents)) for name in segments for month in chosen
        ),
        terms=tuple(terms for name in segments for terms in draw(terms_of(name, months))),
        rates=(
            PlanRate("EUR", Decimal("0.95"), months[0]),
            PlanRate("JPY", Decimal("0.0058"), months[0]),
        ),
    )
    leads = tuple(
        DayCount(month.replace(day=draw(st.integers(1, 28))), name, draw(st.integers(0, 500)))
        for month in chosen
        for name in (*segments, "")
    )
    return content_for(
        language=draw(st.sampled_from(LANGUAGES)),
        plan=plan,
        year=year,
        start_month=start,
        actuals=leads,
    )
