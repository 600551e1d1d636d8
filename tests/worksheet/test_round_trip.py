"""What is written is read again, and every computed cell is what `sla` computes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from digest.model import DayCount
from digest.sla import Plan, goals
from digest.worksheet import LANGUAGES, check, load_plan, write_new
from digest.worksheet.book import Book
from digest.worksheet.pages import Content, write_workbook
from digest.worksheet.write import example_content
from tests.worksheet.build import HOSTILE, MONTHS, contents, regions, written

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def assert_round_trip(content: Content) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sla.xlsx"
        write_workbook(path, content, example_content(content))
        plan = load_plan(path)
        assert [goals(content.inputs.plan, month) for month in content.months] == [
            goals(plan, month) for month in content.months
        ]
        assert plan.rates == content.inputs.plan.rates
        assert [f for f in check(path) if f.level == "error"] == []


@given(contents())
@settings(max_examples=6, deadline=None, suppress_health_check=SLOW)
def test_any_worksheet_is_read_as_it_was_written_and_agrees_with_the_calculator(
    content: Content,
) -> None:
    assert_round_trip(content)


@pytest.mark.long
@given(contents())
@settings(max_examples=300, deadline=None, suppress_health_check=SLOW)
def test_three_hundred_worksheets_are_read_as_they_were_written(content: Content) -> None:
    assert_round_trip(content)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_gives_the_same_plan(tmp_path: Path, language: str) -> None:
    assert load_plan(written(tmp_path, language=language)) == regions()


def test_the_reference_example_gives_the_reference_goals(tmp_path: Path) -> None:
    found = goals(load_plan(written(tmp_path)), MONTHS[0])
    assert [goal.goal for goal in found] == [300, 134, 169, 48]
    assert [goal.sales_goal for goal in found] == [200, 134, 207, 72]


def test_the_example_leaves_no_column_of_step_six_empty(tmp_path: Path) -> None:
    path = tmp_path / "sla.xlsx"
    write_new(path, language="en", currency="CHF", year=2026, segments=("A",))
    with Book(path) as book:
        cells = book.stored("Example - SLA")
    january = range(16, 21)
    assert [(r, c) for r in january for c in range(11, 15) if cells.get((r, c)) is None] == []
    # Goal 300 on 22 weekdays, rounded up to one decimal.
    assert (cells[16, 14], cells[20, 2]) == (13.7, 22)


def test_equal_inputs_give_equal_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_new(
            tmp_path / f"{name}.xlsx", language="en", currency="CHF", year=2026, segments=("A",)
        )
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "two.xlsx").read_bytes()


def test_names_that_look_like_formulas_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "sla.xlsx"
    names = (*HOSTILE, "=cmd|' /C calc'!A0", '=HYPERLINK("http://x.example")', "0800")
    write_new(path, language="de-CH", currency="CHF", year=2026, segments=names)
    assert names == load_plan(path).segments


def test_a_year_may_begin_in_any_month(tmp_path: Path) -> None:
    path = tmp_path / "sla.xlsx"
    write_new(path, language="fr", currency="EUR", year=2026, start_month=7, segments=("Nord",))
    assert check(path)[-1].level == "ok"


def test_more_days_than_the_sheet_holds_are_added_up_by_month(tmp_path: Path) -> None:
    path = tmp_path / "sla.xlsx"
    counts = [
        DayCount(month.replace(day=day), f"S{n}", 1)
        for n in range(20)
        for month in MONTHS
        for day in range(1, 25)
    ]
    plan = Plan("CHF", tuple((f"S{n}", "CHF") for n in range(20)), (), ())
    write_new(path, language="en", currency="CHF", year=2026, plan=plan, actuals=counts)
    assert [f for f in check(path) if f.level == "error"] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_worksheet_names_a_foreign_currency_whose_rate_nobody_gave_yet(
    tmp_path: Path, language: str
) -> None:
    path = tmp_path / "sla.xlsx"

    write_new(
        path,
        language=language,
        segments=["DACH", "Benelux"],
        currency="CHF",
        currencies={"Benelux": "EUR"},
        year=2026,
    )

    found = [finding.text for finding in check(path) if finding.level == "error"]
    assert [text for text in found if "B6: found nothing; write what 1 EUR is worth in CHF" in text]
