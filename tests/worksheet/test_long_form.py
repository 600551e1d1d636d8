"""The CSV gives the same plan as the workbook, and names line and column of what is wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from digest.errors import ConfigError
from digest.sla import goals
from digest.worksheet import check, load_plan
from tests.worksheet.build import JANUARY, MONTHS, REGIONS, regions

HEADER = "segment;month;currency;revenue_goal;deal_size;marketing_share;close_rate;plan_currency;plan_rate"


def csv(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "sla.csv"
    path.write_text("\n".join((header, *lines, "")), encoding="utf-8")
    return path


def lines_of_regions() -> list[str]:
    return [
        f"{name};{month:%Y-%m};{currency};{amount};"
        + (f"{size};{share} %;{rate}" if month == JANUARY else ";;")
        + f";CHF;{'0.95' if currency == 'EUR' else ''}"
        for name, currency, amount, share, size, rate in REGIONS
        for month in MONTHS
    ]


def test_the_same_plan_in_long_form(tmp_path: Path) -> None:
    plan = load_plan(csv(tmp_path, *lines_of_regions()))
    assert regions() == plan
    assert regions().version == plan.version


@pytest.mark.parametrize(
    "header",
    [
        "Segment;Month;Currency;Revenue goal;Average deal size;Marketing share;Close rate",
        "Segment;Monat;Währung;Umsatzziel;Ø Auftragsvolumen;Marketinganteil;Abschlussrate",
        "Segment;Mois;Monnaie;Objectif de CA;Montant moyen;Part du marketing;Taux de conclusion",
        "Segmento;Mese;Valuta;Obiettivo di fatturato;Valore medio ordine;Quota marketing;Tasso di chiusura",
        "Region;Gültig ab;CCY;Revenue target;Deal size;Marketing;Win rate",
    ],
)
def test_headings_in_five_languages(tmp_path: Path, header: str) -> None:
    path = csv(tmp_path, "DACH;Januar 2026;CHF;300'000;15’000.–;60 %;4%", header=header)
    assert goals(load_plan(path), JANUARY)[0].goal == 300


def test_a_goal_given_directly_holds_for_its_month(tmp_path: Path) -> None:
    header = "segment;month;currency;revenue_goal;deal_size;marketing_share;close_rate;goal"
    path = csv(tmp_path, "A;2026-01;CHF;100000;1000;50%;10%;", "A;2026-02;CHF;100000;;;;140",
               "A;2026-03;CHF;100000;;;;", header=header)  # fmt: skip
    found = [goals(load_plan(path), date(2026, month, 1))[0].goal for month in (1, 2, 3)]
    assert found == [500, 140, 500]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A;2026-01;CHF;many;1;50%;4%;;", "line 2, column 'revenue_goal': found 'many'"),
        (
            "A;2026-01;CHF;1;1;50%;4;;",
            "column 'close_rate': found '4', which reads as 4 % or as 400 %",
        ),
        ("A;2026-01;CHF;1;1;150%;4%;;", "column 'marketing_share': found '150%'"),
        ("A;2026-13;CHF;1;1;50%;4%;;", "column 'month': found '2026-13'"),
        ("A;;CHF;1;1;50%;4%;;", "column 'month': found nothing"),
        (";2026-01;CHF;1;1;50%;4%;;", "column 'segment': found nothing"),
        ("A;2026-01;CHX;1;1;50%;4%;;", "column 'currency': found 'CHX', which is no currency"),
        ("A;2026-01;CHF;EUR 5;1;50%;4%;;", "found an amount in EUR; the line's currency is CHF"),
        ("A;2026-01;CHF;-5;1;50%;4%;;", "found -5; an amount is 0 or more"),
        ("A;2026-01;CHF;1;1;50%;4%;;0", "column 'plan_rate': found 0; a rate is above 0"),
    ],
)
def test_a_wrong_cell_is_named_by_line_and_column(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_plan(csv(tmp_path, line))
    assert expected in str(caught.value)
    assert all(mistake.startswith("sla.csv") for mistake in caught.value.mistakes)


def test_lines_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    path = csv(tmp_path, "A;2026-01;CHF;1;1;50%;4%;CHF;", "A;2026-01;EUR;1;1;50%;4%;EUR;")
    with pytest.raises(ConfigError) as caught:
        load_plan(path)
    text = str(caught.value)
    assert "a second time, after line 2" in text
    assert "found EUR and earlier CHF" in text


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("segmnt;month;x", "found the heading 'segmnt'"),
        ("segment;amount;x", "the column 'month' is missing"),
        ("segment;month;region", "found two columns for 'segment'"),
    ],
)
def test_wrong_headings_are_named(tmp_path: Path, header: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_plan(csv(tmp_path, "A;2026-01;x", header=header))
    assert expected in str(caught.value)


def test_shares_that_do_not_add_up_are_named(tmp_path: Path) -> None:
    header = "segment;month;currency;marketing_share;sales_share"
    with pytest.raises(ConfigError, match="must add up to 100 %"):
        load_plan(csv(tmp_path, "A;2026-01;CHF;60%;30%", header=header))


def test_check_reads_a_csv_too(tmp_path: Path) -> None:
    (found,) = check(csv(tmp_path, *lines_of_regions()))
    assert (found.level, found.text) == (
        "ok",
        "4 segments, 12 months, 4 terms; a CSV has no computed cells to compare",
    )

    (warning, _) = check(csv(tmp_path, "A;2026-01;CHF;100;5;50%;;;"))
    assert warning.text == "A has no goal in 2026-01: close rate missing"

    (mistake,) = check(csv(tmp_path, "A;2026-01;CHF;-5;1;50%;4%;;"))
    assert mistake.level == "error"
    assert mistake.text.startswith("sla.csv, line 2, column 'revenue_goal': found -5")


def test_an_undecodable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sla.csv"
    path.write_bytes(f"{HEADER}\nZ\xfcrich;2026-01;CHF;1;1;50%;4%;;\n".encode("cp1252"))
    with pytest.raises(ConfigError, match=r"sla\.csv"):
        load_plan(path)
