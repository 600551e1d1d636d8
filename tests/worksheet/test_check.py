"""The check names every cell that differs from the digest's own calculation, and why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from digest.model import DayCount, Finding
from digest.worksheet import check, write_new
from digest.worksheet.check import same_value, shape
from digest.worksheet.depends import Place, areas
from digest.worksheet.package import Package
from tests.worksheet.build import JANUARY, regions, with_cells, written


def errors(path: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in check(path) if finding.level == "error"}


def with_formula(path: Path, cell: str, formula: str, value: str) -> Path:
    package = Package(path, path.read_bytes())
    part = package._sheets["SLA"]
    text, count = re.subn(
        rf'<c r="{cell}"( s="\d+")[^>]*>.*?</c>',
        rf'<c r="{cell}"\1><f>{formula}</f><v>{value}</v></c>',
        package._parts[part].decode(),
    )
    assert count == 1
    package._parts[part] = text.encode()
    package.save(path)
    return path


def test_a_fresh_worksheet_agrees(tmp_path: Path) -> None:
    assert [finding.level for finding in check(written(tmp_path))] == ["ok"]


def test_an_empty_worksheet_says_once_per_segment_that_it_has_no_goals(tmp_path: Path) -> None:
    path = tmp_path / "sla.xlsx"
    write_new(path, language="en", segments=["DACH", "Benelux"], currency="CHF", year=2027)

    assert [finding.text for finding in check(path) if "has no goal" in finding.text] == [
        "DACH has no goal in any month: no sla",
        "Benelux has no goal in any month: no sla",
    ]


def test_a_stale_value_is_named(tmp_path: Path) -> None:
    path = with_cells(written(tmp_path), ("SLA", "G7", 0.05))
    found = errors(path)["SLA!G21"]
    assert "goal of DACH in 2026-01: found 300, computed 240" in found.text
    assert "stale" in found.text


def test_a_text_where_excel_needs_a_number_is_named(tmp_path: Path) -> None:
    path = with_cells(
        written(tmp_path), ("Monthly revenue goals", "D8", "300'000"), ("SLA", "G7", "4 %")
    )
    warnings = [finding for finding in check(path) if finding.level == "warning"]
    assert [finding.subject for finding in warnings] == ["Monthly revenue goals!D8", "SLA!G7"]
    assert "enter it as a number" in warnings[0].text


def test_a_stale_value_beside_a_text_asks_for_the_number_first(tmp_path: Path) -> None:
    path = with_cells(written(tmp_path), ("Monthly revenue goals", "D8", "310'000"))
    assert (
        "enter the texts named above as numbers, then open the file" in errors(path)["SLA!G21"].text
    )


def test_leads_under_a_name_that_no_segment_has_are_named(tmp_path: Path) -> None:
    path = tmp_path / "sla.xlsx"
    counts = [DayCount(JANUARY, name, 3) for name in ("DACH", "Benelx", "")]
    write_new(path, language="fr", currency="CHF", year=2026, plan=regions(), actuals=counts)
    (finding,) = [finding for finding in check(path) if finding.level == "warning"]
    assert finding.subject == "Réalisé!B7"
    assert "'Benelx' is no segment" in finding.text
    assert "did you mean 'Benelux'" in finding.text


def test_a_changed_formula_with_another_value_is_named(tmp_path: Path) -> None:
    path = with_formula(written(tmp_path), "G21", "ROUND(E21/600,0)+1", "301")
    assert "the formula was changed to '=ROUND(E21/600,0)+1'" in errors(path)["SLA!G21"].text


def test_a_product_larger_than_any_number_of_excel_is_not_what_stands_in_the_cell() -> None:
    assert not same_value(180_000, 6 * 10**400)


def test_a_changed_formula_with_the_same_value_is_a_warning(tmp_path: Path) -> None:
    path = with_formula(written(tmp_path), "G21", "ROUND(E21/600,0)", "300")
    (finding,) = [finding for finding in check(path) if finding.level == "warning"]
    assert finding.subject == "SLA!G21"


def test_a_number_over_a_formula_is_named(tmp_path: Path) -> None:
    path = with_cells(written(tmp_path), ("SLA", "I21", 999))
    assert "a value was typed over the formula" in errors(path)["SLA!I21"].text


def test_a_deleted_formula_is_named(tmp_path: Path) -> None:
    path = with_cells(written(tmp_path), ("SLA", "I21", ""))
    assert "the formula was deleted" in errors(path)["SLA!I21"].text


def test_a_goal_set_by_hand_is_a_warning_and_what_follows_from_it_is_compared(
    tmp_path: Path,
) -> None:
    path = with_cells(written(tmp_path), ("SLA", "G21", 280))
    warning = next(finding for finding in check(path) if finding.level == "warning")
    assert (
        warning.subject,
        warning.text,
    ) == ("SLA!G21", "goal of DACH in 2026-01: 280 is set by hand")
    assert "computed 168000" in errors(path)["SLA!J21"].text


def test_a_month_without_a_goal_says_why(tmp_path: Path) -> None:
    path = with_cells(written(tmp_path), ("SLA", "G7", ""))
    assert any("DACH has no goal in any month: close rate missing" in f.text for f in check(path))


def test_a_file_that_cannot_be_read_is_a_finding_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "sla.xlsx").write_bytes(b"PK\x03\x04 broken")
    assert [finding.level for finding in check(tmp_path / "sla.xlsx")] == ["error"]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("=SUM($A1:B2)", "SUM(C7:$D$9)", True),
        ("='Goals 2026'!A1*2", "='Monthly revenue goals'!B9*2", True),
        ("=ROUNDUP(A1,0)", "=ROUND(A1,0)", False),
        ("=A1*2", "=A1*3", False),
    ],
)
def test_the_shape_of_a_formula_ignores_where_things_stand(
    left: str, right: str, *, same: bool
) -> None:
    assert same == (shape(left) == shape(right))


def test_references_are_found_in_a_formula() -> None:
    found = list(areas("=SUM('My sheet'!$B$2:C5)+A1*LOG10(2)+Rates!B:C&\"Z99\"", "Own"))
    assert [tuple(a) for a in found] == [
        ("My sheet", 2, 2, 5, 3),
        ("Own", 1, 1, 1, 1),
        ("Rates", 1, 2, 1_048_576, 3),
    ]
    assert Place("Own", 1, 1) == ("Own", 1, 1)
