"""Filling changes the cells concerned and nothing else in the file."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from digest.errors import ConfigError
from digest.model import DayCount, DealStatistics
from digest.sla import goals
from digest.worksheet import check, fill, load_plan, write_new
from digest.worksheet.files import replace_file
from digest.worksheet.package import Edit, Package
from digest.worksheet.pages import OPTIONS, draw
from digest.worksheet.write import content_for, example_content
from tests.worksheet.build import JANUARY, deals, regions, statistics, with_cells, written

MEASURED = statistics(
    deals("DACH", 30, 1000, "450000", "CHF"), deals("UKI", 20, 500, "150000", "EUR")
)
LEADS = (
    DayCount(date(2026, 1, 5), "DACH", 12),
    DayCount(date(2026, 1, 5), "", 2),
    DayCount(date(2026, 1, 6), "UKI", 7),
)


def stored(path: Path, sheet: str, cell: str) -> Any:  # noqa: ANN401 - a cell holds anything
    from openpyxl import load_workbook  # type: ignore[import-untyped] # has no types

    return load_workbook(path, data_only=True)[sheet][cell].value


def formulas_without_value(path: Path) -> list[str]:
    found = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.startswith("xl/worksheets/sheet"):
                text = archive.read(name).decode()
                found += [
                    cell
                    for cell in re.findall(r"<c\b[^>]*>(?:(?!</c>).)*</c>", text)
                    if "<f" in cell and "<v" not in cell
                ]
    return found


def test_measured_figures_and_leads_arrive_and_everything_agrees(tmp_path: Path) -> None:
    path = written(tmp_path)
    fill(path, deals=MEASURED, actuals=LEADS)
    plan = load_plan(path)
    dach = next(terms for terms in plan.terms if terms.segment == "DACH")
    assert (Fraction(3, 100), Decimal(15_000)) == (dach.close_rate, dach.deal_size)
    assert 400 == stored(path, "SLA", "G21") == goals(plan, JANUARY)[0].goal
    assert (stored(path, "SLA", "K21"), stored(path, "SLA", "L21")) == (12, 0.03)
    assert [finding.level for finding in check(path)] == ["ok"]
    assert formulas_without_value(path) == []


def texts(path: Path, measured: DealStatistics, **how: Any) -> str:  # noqa: ANN401 - as in fill
    return "\n".join(finding.text for finding in fill(path, deals=measured, **how))


def test_what_a_close_rate_is_worth_stands_beside_it(tmp_path: Path) -> None:
    won = replace(deals("DACH", 30, 1000, "450000", "CHF"), lost=90, cohort_customers=20)
    path = written(tmp_path)
    pooled = texts(path, statistics(won))
    assert "-> 3.00%; of the closed deals 25% were won" in pooled
    cohort = texts(path, statistics(won), method="cohort")
    assert "-> 2.00%; leads of 2026-04 to 2026-06 may still become customers; of the" in cohort


def test_without_known_customers_deal_sizes_are_filled_and_close_rates_stay(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = {terms.segment: terms.close_rate for terms in load_plan(path).terms}
    told = texts(path, replace(MEASURED, no_customers="the org does not tell"))
    assert "close rates stay as they are: the org does not tell" in told
    after = {terms.segment: terms for terms in load_plan(path).terms}
    assert after["DACH"].deal_size == Decimal(15_000)
    assert {name: terms.close_rate for name, terms in after.items()} == before


@pytest.mark.parametrize("customers", [0, 60])
def test_a_rate_that_no_goal_can_rest_on_is_told_and_not_written(
    tmp_path: Path, customers: int
) -> None:
    path = written(tmp_path)
    before = goals(load_plan(path), JANUARY)
    found = fill(
        path, deals=statistics(deals("DACH", customers, 40, f"{15_000 * customers}", "CHF"))
    )

    assert goals(load_plan(path), JANUARY) == before
    warned = [finding.text for finding in found if finding.level == "warning"]
    assert (
        f"close rate of DACH stays: {customers} customers of 40 leads are no rate to plan with"
        in warned
    )


def test_the_previous_file_stays_beside_it(tmp_path: Path) -> None:
    path = written(tmp_path)
    before = path.read_bytes()
    fill(path, actuals=LEADS)
    assert before == (tmp_path / "sla.bak.xlsx").read_bytes()
    assert {"sla.xlsx", "sla.bak.xlsx"} == {entry.name for entry in tmp_path.iterdir()}


def test_filling_twice_changes_nothing_the_second_time(tmp_path: Path) -> None:
    path = written(tmp_path)
    fill(path, deals=MEASURED, actuals=LEADS)
    once = path.read_bytes()
    fill(path, deals=MEASURED, actuals=LEADS)
    from openpyxl import load_workbook

    assert stored(path, "Actual", "C6") == 2
    assert load_workbook(path)["Actual"].max_row == 8
    assert len(path.read_bytes()) == len(once)


def test_a_count_that_vanished_becomes_zero_and_a_new_one_gets_a_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    fill(path, actuals=LEADS)
    fill(path, actuals=[DayCount(date(2026, 1, 7), "UKI", 3)], covers=(JANUARY, date(2026, 1, 31)))
    assert (stored(path, "SLA", "K21"), stored(path, "SLA", "K23")) == (0, 3)
    assert [finding.level for finding in check(path)] == ["ok"]


def test_more_days_than_the_sheet_holds_are_written_by_month(tmp_path: Path) -> None:
    names = tuple(f"S{number}" for number in range(15))
    path = tmp_path / "sla.xlsx"
    write_new(path, language="en", currency="CHF", year=2026, segments=names)
    days = [JANUARY + timedelta(days=number) for number in range(360)]
    fill(path, actuals=[DayCount(days[0], "S0", 5)])
    found = fill(path, actuals=[DayCount(day, name, 1) for day in days for name in names])
    assert any("by month" in finding.text for finding in found)
    assert load_actual(path)["S0"] == 31
    assert [finding for finding in check(path) if finding.level == "error"] == []


def load_actual(path: Path) -> dict[str, int]:
    """Leads of January by segment, as the sheet Actual lists them."""
    from openpyxl import load_workbook

    rows = load_workbook(path)["Actual"].iter_rows(min_row=6, max_col=3, values_only=True)
    return {name: leads for day, name, leads in rows if day is not None and day.month == 1}


def test_new_terms_from_a_month_leave_earlier_months_as_they_were(tmp_path: Path) -> None:
    path = written(tmp_path)
    fill(path, deals=MEASURED, valid_from=date(2026, 7, 1))
    plan = load_plan(path)
    assert [goals(plan, date(2026, month, 1))[0].goal for month in (6, 7)] == [300, 400]
    assert [finding.level for finding in check(path)] == ["ok"]


def test_a_goal_set_by_hand_stays(tmp_path: Path) -> None:
    path = with_cells(written(tmp_path), ("SLA", "G21", 280))
    fill(path, deals=MEASURED)
    assert (stored(path, "SLA", "G21"), stored(path, "SLA", "G30")) == (280, 400)
    assert goals(load_plan(path), JANUARY)[0].goal == 280


def lived_in(folder: Path) -> Path:
    """A worksheet with a sheet, chart, notes, formats and formulas of the user's own."""
    from xlsxwriter import Workbook  # type: ignore[import-untyped] # has no types

    path = folder / "sla.xlsx"
    content = content_for(language="en", plan=regions(), year=2026)
    with Workbook(str(path), OPTIONS) as book:
        draw(book, content, example_content(content))
        _own_things(book)
    return path


def _own_things(book: Any) -> None:  # noqa: ANN401 - xlsxwriter has no types
    sheet = book.add_worksheet("My notes")
    sheet.write_string("A1", "Do not lose me")
    sheet.write_number("B1", 1234.5, book.add_format({"num_format": '0.00" kg"', "bold": True}))
    sheet.write_formula("B2", "=SLA!G7*2", None, 0.08)
    sheet.write_formula("B3", "=B2+1", None, 1.08)
    sheet.write_formula("B4", "=B1*2", None, 2469)
    sheet.write_comment("A1", "A comment with <brackets> & more")
    chart = book.add_chart({"type": "line"})
    chart.add_series({"values": "='Monthly revenue goals'!$D$8:$O$8"})
    sheet.insert_chart("D2", chart)
    book.get_worksheet_by_name("SLA").write_comment("D7", "agreed with Anna, 12 January")


def test_everything_else_in_the_file_stays_byte_for_byte(tmp_path: Path) -> None:
    path = lived_in(tmp_path)
    with zipfile.ZipFile(path) as archive:
        before = {name: archive.read(name) for name in archive.namelist()}
    fill(path, deals=MEASURED, actuals=LEADS)
    with zipfile.ZipFile(path) as archive:
        after = {name: archive.read(name) for name in archive.namelist()}
    assert list(before) == list(after)
    touched = {name for name in before if before[name] != after[name]}
    assert {"xl/worksheets/sheet4.xml", "xl/worksheets/sheet7.xml"} <= touched
    assert touched <= {"xl/worksheets/sheet4.xml", "xl/worksheets/sheet7.xml", "xl/workbook.xml"}
    assert any("chart" in name for name in after)
    assert any("comment" in name for name in after)


def test_formulas_of_the_user_that_depend_on_a_filled_cell_are_named(tmp_path: Path) -> None:
    path = lived_in(tmp_path)
    found = {finding.subject: finding.level for finding in fill(path, deals=MEASURED)}
    assert "warning" == found["My notes!B2"] == found["My notes!B3"]
    assert "My notes!B4" not in found
    assert 'fullCalcOnLoad="1"' in zipfile.ZipFile(path).read("xl/workbook.xml").decode()
    assert formulas_without_value(path) == []


def test_a_formula_in_an_input_is_kept_and_named(tmp_path: Path) -> None:
    path = written(tmp_path)
    package = Package(path, path.read_bytes())
    part = package._sheets["SLA"]
    text = package._parts[part].decode()
    text, count = re.subn(
        r'<c r="G7"( s="\d+")>.*?</c>', r'<c r="G7"\1><f>2/50</f><v>0.04</v></c>', text
    )
    assert count == 1
    package._parts[part] = text.encode()
    package.save(path)
    found = fill(path, deals=MEASURED)
    assert any(f.subject == "SLA!G7" and "=2/50 was kept" in f.text for f in found)
    assert stored(path, "SLA", "G7") == 0.04


def test_a_wrong_worksheet_is_not_touched(tmp_path: Path) -> None:
    path = with_cells(written(tmp_path), ("SLA", "D7", "many"))
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="SLA!D7"):
        fill(path, deals=MEASURED)
    assert before == path.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["sla.xlsx"]


def test_a_file_that_excel_holds_open_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sla.xlsx"
    path.write_bytes(b"old")
    pauses: list[float] = []

    def refuse(_: Path) -> None:
        raise PermissionError(13, "held open")

    with pytest.raises(PermissionError):
        replace_file(path, refuse, sleep=pauses.append)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["sla.xlsx"]


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "sla.xlsx"
    path.write_bytes(b"old")

    def half(target: Path) -> None:
        target.write_bytes(b"hal")
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - the test's own
        replace_file(path, half)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["sla.xlsx"]


def test_texts_with_xml_signs_survive_an_edit(tmp_path: Path) -> None:
    path = with_cells(written(tmp_path), ("Actual", "B6", "<Süd & Öst>"))
    assert stored(path, "Actual", "B6") == "<Süd & Öst>"


def test_the_package_edits_rows_that_do_not_exist_yet(tmp_path: Path) -> None:
    path = written(tmp_path)
    package = Package(path, path.read_bytes())
    package.edit("Actual", {(4000, 2): Edit("far"), (6, 1): Edit(1.5)})
    package.save(path)
    assert (stored(path, "Actual", "B4000"), package_number(path)) == ("far", 1.5)


def package_number(path: Path) -> float:
    from openpyxl import load_workbook

    cell = load_workbook(path)["Actual"]["A6"]
    return 1.5 if cell.is_date else 0.0
