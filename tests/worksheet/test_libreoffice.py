"""LibreOffice computes the workbook from scratch and must agree with `sla` in every cell.

Every stored value is written as -1 first. By default LibreOffice keeps stored values, so that a plain
comparison would pass on wrong formulas; a private profile makes it compute all of them.
"""

from __future__ import annotations

import math
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest

from digest.model import DayCount, Period, PlanRate, add_months
from digest.sla import Plan, RevenueGoal, Terms, goal_for
from digest.workdays import Calendar
from digest.worksheet.check import same_value
from digest.worksheet.layout import derived
from digest.worksheet.pages import Content, write_workbook
from digest.worksheet.write import content_for, example_content
from tests.worksheet.build import HOSTILE, JANUARY, MONTHS, regions

SOFFICE = shutil.which("soffice")
SENTINEL = -1

pytestmark = [
    pytest.mark.tool,
    pytest.mark.skipif(SOFFICE is None, reason="LibreOffice (soffice) is not installed"),
]

PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse">
<value>0</value></prop></item></oor:items>
"""


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profile")
    (folder / "user").mkdir()
    (folder / "user" / "registrymodifications.xcu").write_text(PROFILE, encoding="utf-8")
    return folder


def recalculated(path: Path, profile: Path) -> Path:
    out = path.parent / "out"
    out.mkdir()
    subprocess.run(  # noqa: S603 - a fixed program on a file of the test
        [
            str(SOFFICE), f"-env:UserInstallation={profile.as_uri()}", "--headless", "--convert-to", "xlsx",
            "--outdir", str(out), str(path),
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return out / path.name


def disagreements(content: Content, folder: Path, profile: Path) -> tuple[int, list[str]]:
    """How many cells were compared, and those in which LibreOffice shows something else than `sla`."""
    from openpyxl import load_workbook  # type: ignore[import-untyped] # has no types

    example = example_content(content)
    path = folder / "sla.xlsx"
    write_workbook(path, content, example, cached=lambda _: SENTINEL)
    book = load_workbook(recalculated(path, profile), data_only=True)
    compared, found = 0, []
    for part, names in (
        (content, content.words.sheets),
        (example, {key: content.words.sheets[f"example_{key}"] for key in ("goals", "sla")}),
    ):
        for cell in derived(part.place, part.inputs):
            compared += 1
            theirs = book[names[cell.sheet]].cell(cell.row, cell.column).value
            if theirs == SENTINEL or not same_value(theirs, cell.value):
                found.append(
                    f"{names[cell.sheet]}!{cell.address} {cell.key}: {theirs!r}, {cell.value!r}"
                )
    return compared, found


@pytest.mark.parametrize(
    "language",
    ["en", *(pytest.param(other, marks=pytest.mark.long) for other in ("de-CH", "de", "fr", "it"))],
)
def test_libreoffice_agrees_on_the_reference_example(
    tmp_path: Path, profile: Path, language: str
) -> None:
    days = Calendar("CH", "ZH").days(Period(JANUARY, date(2027, 1, 1)))
    leads = [DayCount(day.day, "DACH", index % 9) for index, day in enumerate(days[:200])]
    content = content_for(language=language, plan=regions(), year=2026, days=days, actuals=leads)
    compared, found = disagreements(content, tmp_path, profile)
    assert found == []
    assert compared > 2000


def test_libreoffice_agrees_on_names_that_are_patterns_or_operators(
    tmp_path: Path, profile: Path
) -> None:
    currencies = ("CHF", "EUR", "USD")
    names = (*HOSTILE, "S1", "Axx", "x", "SALES*", "A1", "TRUE")
    plan = Plan(
        currency="CHF",
        currencies=tuple((name, currencies[i % 3]) for i, name in enumerate(names)),
        revenue_goals=tuple(
            RevenueGoal(name, month, Decimal(10_000 * (i + 1) + month.month))
            for i, name in enumerate(names)
            for month in MONTHS
        ),
        terms=tuple(
            Terms(
                name, MONTHS[start], Decimal(1000 + 100 * i + start), Fraction(40 + i, 100),
                Fraction(3 + i, 100),
                sales_deal_size=Decimal(900) if i % 2 else None,
                sales_close_rate=Fraction(1, 20) if i % 3 == 0 else None,
            )
            for i, name in enumerate(names)
            for start in (0, 3, 4 + i % 7)
        ),
        rates=(PlanRate("EUR", Decimal("0.9412"), JANUARY), PlanRate("USD", Decimal("0.88"), JANUARY)),
    )  # fmt: skip
    leads = [
        DayCount(month.replace(day=1 + i), name, i + month.month)
        for month in MONTHS[:9]
        for i, name in enumerate((*names, ""))
    ]
    content = content_for(language="en", plan=plan, year=2026, actuals=leads)
    compared, found = disagreements(content, tmp_path, profile)
    assert found == []
    assert compared > 3000


def test_libreoffice_agrees_where_figures_are_missing_zero_or_set_by_hand(
    tmp_path: Path, profile: Path
) -> None:
    size, share, rate = Decimal(9000), Fraction(1, 2), Fraction(1, 20)
    cases = {
        "no deal size": Terms("no deal size", JANUARY, None, share, rate),
        "deal size 0": Terms("deal size 0", JANUARY, Decimal(0), share, rate),
        "no rate": Terms("no rate", JANUARY, size, share, None),
        "rate 0": Terms("rate 0", JANUARY, size, share, Fraction(0)),
        "no share": Terms("no share", JANUARY, size, None, rate),
        "all sales": Terms("all sales", JANUARY, size, Fraction(0), rate),
        "all marketing": Terms("all marketing", JANUARY, size, Fraction(1), rate),
        "by hand": Terms("by hand", JANUARY, size, share, rate, goal=140),
        "by hand, no size": Terms(
            "by hand, no size", JANUARY, None, share, rate, goal=140, sales_goal=3
        ),
        "sales size 0": Terms(
            "sales size 0", JANUARY, size, share, rate, sales_deal_size=Decimal(0)
        ),
        "from June": Terms("from June", MONTHS[5], size, share, rate),
    }
    plan = Plan(
        currency="CHF",
        currencies=(*((name, "CHF") for name in cases), ("no terms", "CHF"), ("no goal", "CHF")),
        revenue_goals=tuple(
            RevenueGoal(name, month, Decimal(amount))
            for name in (*cases, "no terms")
            for month, amount in ((MONTHS[0], 120_000), (MONTHS[1], 0), (MONTHS[6], 100_000))
        ),
        terms=tuple(cases.values()),
    )
    content = content_for(language="it", plan=plan, year=2026)
    compared, found = disagreements(content, tmp_path, profile)
    assert found == []
    assert compared > 3000


def ceil_traps(seed: int) -> Iterator[tuple[Decimal, Fraction, Decimal, Fraction]]:
    """Inputs whose exact quotient is whole, or just above, while floats give one lead too many."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    while True:
        size, rate = (
            Decimal(chance.randrange(100, 40_000, 50)),
            Fraction(chance.randrange(5, 200), 1000),
        )
        share, leads = Fraction(chance.randrange(5, 100), 100), chance.randrange(10, 900)
        revenue = leads * Fraction(size) * rate / share
        if (revenue * 100).denominator != 1:
            continue
        floats = float(revenue) * float(share) / (float(size) * float(rate))
        amount = Decimal(revenue.numerator) / Decimal(revenue.denominator)
        if math.ceil(floats) != goal_for(amount, share, size, rate):
            yield amount, share, size, rate


def trapped_content(traps: list[tuple[Decimal, Fraction, Decimal, Fraction]]) -> Content:
    names = [f"T{index}" for index in range(math.ceil(len(traps) / 12))]
    placed = [(names[index // 12], MONTHS[index % 12], *trap) for index, trap in enumerate(traps)]
    plan = Plan(
        currency="CHF",
        currencies=tuple((name, "CHF") for name in names),
        revenue_goals=tuple(RevenueGoal(name, month, amount) for name, month, amount, *_ in placed),
        terms=tuple(
            Terms(name, month, size, share, rate) for name, month, _, share, size, rate in placed
        ),
    )
    return content_for(language="en", plan=plan, year=2026)


def test_libreoffice_rounds_up_only_what_is_above_a_whole_number(
    tmp_path: Path, profile: Path
) -> None:
    content = trapped_content(list(islice(ceil_traps(1), 120)))
    assert disagreements(content, tmp_path, profile)[1] == []


@pytest.mark.long
def test_libreoffice_rounds_a_thousand_traps_as_the_calculator(
    tmp_path: Path, profile: Path
) -> None:
    for seed in range(2, 6):
        folder = tmp_path / str(seed)
        folder.mkdir()
        content = trapped_content(list(islice(ceil_traps(seed), 250)))
        assert disagreements(content, folder, profile)[1] == []


def test_a_wrong_formula_is_noticed(tmp_path: Path, profile: Path) -> None:
    content = content_for(language="en", plan=regions(), year=2026)
    other = replace(content, inputs=replace(content.inputs, plan=changed_close_rate()))
    path = tmp_path / "sla.xlsx"
    write_workbook(path, content, example_content(content), cached=lambda _: SENTINEL)
    from openpyxl import load_workbook

    sheet = load_workbook(recalculated(path, profile), data_only=True)["SLA"]
    wrong = [
        cell
        for cell in derived(other.place, other.inputs)
        if cell.sheet == "sla"
        and not same_value(sheet.cell(cell.row, cell.column).value, cell.value)
    ]
    assert {"goal", "lead_value"} <= {cell.key for cell in wrong}


def changed_close_rate() -> Plan:
    plan = regions()
    first = replace(plan.terms[0], close_rate=Fraction(1, 20))
    return replace(plan, terms=(first, *plan.terms[1:]), revenue_goals=plan.revenue_goals)


def test_the_sla_of_a_month_uses_the_terms_in_force_in_it(tmp_path: Path, profile: Path) -> None:
    plan = regions()
    later = replace(plan.terms[0], valid_from=add_months(JANUARY, 6), deal_size=Decimal(16_000))
    content = content_for(language="en", plan=replace(plan, terms=(*plan.terms, later)), year=2026)
    assert disagreements(content, tmp_path, profile)[1] == []
    goals_of_dach = [
        cell.value
        for cell in derived(content.place, content.inputs)
        if cell.key == "goal" and cell.segment == "DACH" and cell.month
    ]
    assert goals_of_dach == [300] * 6 + [282] * 6
